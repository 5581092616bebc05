"""What the edge answers when something behind it fails: called as ASGI, without a socket."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import httpx2
import pytest
from google.protobuf.message import Message
from structlog.testing import capture_logs

from dispatcher.config import ApiKey
from dispatcher.core.effects import SendTermination
from dispatcher.core.events import Event
from dispatcher.metrics.call_counts import CallCounts
from dispatcher.runtime import Overloaded
from dispatcher.server.access import Access
from dispatcher.server.http import HttpApp
from dispatcher.server.limits import ServerLimits
from dispatcher.server.sessions import Sessions
from dispatcher.server.twirp import Call, Method, Twirp
from dispatcher.server.worker_messages import RoomAccess
from dispatcher.server.worker_socket import WorkerSocket
from protocol import wire_pb2
from protocol.errors import CallboardError, StoreCorrupt, StoreFull
from protocol.tokens import mint_api_token

pytestmark = pytest.mark.anyio

SECRET = "a-secret-of-the-tests-that-is-long-enough"
PATH = "/twirp/test.Service/Method"

Handler = Callable[[Call, wire_pb2.ListAgentDispatchRequest], Awaitable[Message]]


class NoEvents:
    """A sink that must not be reached."""

    def submit(self, event: Event) -> None:
        """Fail: nothing here makes an event."""
        raise AssertionError(event)

    def now(self) -> int:
        """Tell the time."""
        return time.time_ns()


def _app(
    handler: Handler,
    why_not_ready: str | None = None,
    warnings: Callable[[], Sequence[str]] = lambda: (),
    calls: CallCounts | None = None,
) -> HttpApp:
    limits = ServerLimits()
    access = Access({"key": ApiKey(SECRET)}, limits.wire)
    sessions = Sessions(
        access, limits, wire_pb2.ServerInfo(), RoomAccess(), queue_time=1, clock=time.time_ns
    )
    sessions.connect(NoEvents())
    sessions.deliver(SendTermination("AW_gone", "AJ_1"))  # to nobody: does nothing
    rows = {"Method": Method(wire_pb2.ListAgentDispatchRequest, lambda *_: True, handler)}
    twirp = Twirp({"test.Service": rows}, access, limits, time.time_ns, calls=calls)
    socket_app = WorkerSocket(sessions, lambda: False)
    return HttpApp(socket_app, twirp, lambda: why_not_ready, warnings=warnings, calls=calls)


async def _call(app: HttpApp, path: str = PATH) -> httpx2.Response:
    token = mint_api_token("key", SECRET, now_ns=time.time_ns())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        if path == PATH:
            return await client.post(path, content=b"{}", headers=headers)
        return await client.get(path)


def _raising(error: Exception) -> Handler:
    async def handler(_call: Call, _request: wire_pb2.ListAgentDispatchRequest) -> Message:
        raise error

    return handler


async def _fine(_call: Call, _request: wire_pb2.ListAgentDispatchRequest) -> Message:
    return wire_pb2.ListAgentDispatchResponse()


@pytest.mark.parametrize(
    "error", [Overloaded("too much at once"), StoreFull("no space left", "/data", "free some")]
)
async def test_what_may_be_tried_again_is_unavailable(error: CallboardError) -> None:
    response = await _call(_app(_raising(error)))
    assert response.status_code == 503
    assert response.json() == {"code": "unavailable", "msg": error.for_caller}
    assert "/data" not in response.text


async def test_a_bug_is_internal_and_tells_the_caller_nothing() -> None:
    with capture_logs() as entries:
        response = await _call(_app(_raising(ValueError("a secret of ours"))))
    assert response.status_code == 500
    assert response.json() == {"code": "internal", "msg": "internal error"}
    assert [entry["event"] for entry in entries] == ["api_call_failed"]


async def test_a_damaged_store_is_unavailable_and_tells_the_caller_no_more() -> None:
    error = StoreCorrupt("page 7 is damaged", "/data", "restore it")
    response = await _call(_app(_raising(error)))
    assert response.status_code == 503
    assert response.json() == {"code": "unavailable", "msg": "the store is damaged"}


async def test_a_server_that_is_not_ready_says_why() -> None:
    response = await _call(_app(_fine, "/data: no space left"), "/readyz")
    assert (response.status_code, response.text) == (503, "/data: no space left\n")


async def test_a_server_that_is_not_ready_is_alive_and_answers_calls() -> None:
    app = _app(_fine, "/data: no space left")
    assert (await _call(app, "/healthz")).status_code == 200
    assert (await _call(app)).status_code == 200


async def test_a_server_that_is_ready_says_what_is_not_well() -> None:
    app = _app(_fine, warnings=lambda: ["the bridge does not reach the SFU"])
    response = await _call(app, "/readyz")
    assert (response.status_code, response.text) == (200, "OK\nthe bridge does not reach the SFU\n")


async def _from_a_page(method: str, **headers: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=_app(_fine))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        said = {"origin": "https://page.example", **headers}
        return await client.request(method, PATH, headers=said)


async def test_a_browser_is_told_that_a_page_may_call() -> None:
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    response = await _from_a_page("OPTIONS", **asked)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == "https://page.example"
    assert response.headers["access-control-allow-methods"] == "POST"
    assert response.headers["access-control-allow-headers"] == "authorization,content-type"


async def test_a_page_may_read_an_answer_also_when_it_is_refused() -> None:
    response = await _from_a_page("POST")
    assert response.status_code != 200
    assert response.headers["access-control-allow-origin"] == "https://page.example"
    assert response.headers["vary"] == "Origin"


async def test_who_is_no_page_gets_no_headers_for_one() -> None:
    response = await _call(_app(_fine))
    assert "access-control-allow-origin" not in response.headers


async def test_calls_are_counted_by_what_serves_them_and_their_status_not_by_what_callers_name() -> (
    None
):
    async def answer(_call: Call, _request: wire_pb2.ListAgentDispatchRequest) -> Message:
        return wire_pb2.ListAgentDispatchResponse()

    calls = CallCounts()
    app = _app(answer, calls=calls)
    for path in (PATH, PATH, "/twirp/test.Service/Other", "/twirp/x.Y/Z", "/healthz", "/made/up"):
        await _call(app, path)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://test"
    ) as client:
        await client.get("/healthz/below")
    assert calls.answers == {
        ("test.Service/Method", 200): 2,
        ("other", 404): 3,
        ("/healthz", 200): 1,
        ("/healthz", 404): 1,
    }
    assert calls.durations["test.Service/Method"].count == 2
    assert set(calls.durations) == {"test.Service/Method", "other", "/healthz"}
