"""Our calls to the SFU, against scripted answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import anyio
import httpx2
import pytest
from google.protobuf.message import Message

from dispatcher.sfu.access import SfuAccess
from dispatcher.sfu.client import SfuClient, SfuError, SfuUnavailable
from dispatcher.sfu.limits import SfuLimits
from protocol import wire_pb2
from protocol.errors import TwirpCode
from protocol.tokens import Grants, verify

pytestmark = pytest.mark.anyio

SECRET = "a-secret-of-the-sfu-that-is-long-enough"
ACCESS = SfuAccess("ws://user:password@sfu.example:7880", "sfukey", SECRET)

Answer = httpx2.Response | httpx2.TransportError


class Script:
    """Answers calls one after the other, the last answer for ever; keeps the requests."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, httpx2.TransportError):
            raise answer
        return answer

    def grants(self) -> Grants:
        """What the last request's token opens."""
        token = self.requests[-1].headers["Authorization"].removeprefix("Bearer ")
        return verify(token, {"sfukey": SECRET}, time.time_ns())


def client_of(script: Script, limits: SfuLimits | None = None) -> SfuClient:
    return SfuClient(ACCESS, limits, transport=httpx2.MockTransport(script))


def ok(message: Message) -> httpx2.Response:
    return httpx2.Response(200, content=message.SerializeToString())


def twirp(code: TwirpCode, msg: str = "so") -> httpx2.Response:
    return httpx2.Response(code.http_status, json={"code": code.value, "msg": msg})


async def test_rooms_are_listed_with_a_token_that_may_list_and_no_more() -> None:
    script = Script(ok(wire_pb2.ListRoomsResponse(rooms=[wire_pb2.Room(name="lobby")])))
    async with client_of(script) as client:
        rooms = await client.list_rooms(["lobby"])

    assert [room.name for room in rooms] == ["lobby"]
    request = script.requests[-1]
    assert request.url.path == "/twirp/livekit.RoomService/ListRooms"
    assert wire_pb2.ListRoomsRequest.FromString(request.content).names == ["lobby"]
    assert script.grants() == Grants(
        "sfukey", room_list=True, expires_at_seconds=script.grants().expires_at_seconds
    )


CALLS: dict[str, Callable[[SfuClient], Awaitable[object]]] = {
    "participants": lambda client: client.list_participants("lobby"),
    "dispatches": lambda client: client.list_dispatches("lobby"),
    "delete": lambda client: client.delete_dispatch("lobby", "AD_1"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_calls_about_a_room_may_administer_that_room_and_no_more(
    call: Callable[[SfuClient], Awaitable[object]],
) -> None:
    script = Script(httpx2.Response(200))
    async with client_of(script) as client:
        await call(client)

    assert script.grants() == Grants(
        "sfukey",
        room_admin=True,
        room="lobby",
        expires_at_seconds=script.grants().expires_at_seconds,
    )


async def test_a_token_is_short_lived() -> None:
    script = Script(httpx2.Response(200))
    async with client_of(script) as client:
        await client.list_rooms()

    assert script.grants().expires_at_seconds <= time.time() + SfuLimits().token_life_seconds


async def test_an_sfu_that_cannot_be_reached_is_an_error_that_may_pass() -> None:
    async with client_of(Script(httpx2.ConnectError("refused"))) as client:
        with pytest.raises(SfuUnavailable) as failed:
            await client.list_rooms()

    assert failed.value.retryable
    assert "sfu.example:7880" in str(failed.value)
    assert "password" not in str(failed.value)


async def test_an_sfu_that_hangs_is_given_up_after_the_timeout() -> None:
    async def hang(_request: httpx2.Request) -> httpx2.Response:
        await anyio.sleep_forever()
        raise AssertionError

    client = SfuClient(
        ACCESS, SfuLimits(call_timeout_seconds=0.05), transport=httpx2.MockTransport(hang)
    )
    async with client:
        with anyio.fail_after(60), pytest.raises(SfuUnavailable, match=r"within 0\.05 s"):
            await client.list_rooms()


@pytest.mark.parametrize(
    ("answer", "code", "retryable"),
    [
        (twirp(TwirpCode.INVALID_ARGUMENT), TwirpCode.INVALID_ARGUMENT, False),
        (twirp(TwirpCode.INTERNAL), TwirpCode.INTERNAL, True),
        (twirp(TwirpCode.UNIMPLEMENTED), TwirpCode.UNIMPLEMENTED, False),
        (httpx2.Response(401, text="invalid API key: sfukey"), TwirpCode.UNAUTHENTICATED, False),
        (httpx2.Response(502, text="<html>"), None, True),
        (httpx2.Response(302, headers={"location": "http://elsewhere"}), None, False),
        (httpx2.Response(404, json=["no", "object"]), None, False),
        (httpx2.Response(200, content=b"\xff"), None, False),
    ],
)
async def test_what_is_no_answer_is_an_error_with_its_code(
    answer: httpx2.Response, code: TwirpCode | None, retryable: bool
) -> None:
    async with client_of(Script(answer)) as client:
        with pytest.raises(SfuError) as failed:
            await client.list_rooms()

    assert failed.value.code is code
    assert failed.value.retryable is retryable
    assert "\n" not in str(failed.value)


async def test_an_answer_over_its_limit_is_refused() -> None:
    answer = ok(wire_pb2.ListRoomsResponse(rooms=[wire_pb2.Room(name="x" * 100)]))
    async with client_of(Script(answer), SfuLimits(answer_bytes_max=50)) as client:
        with pytest.raises(SfuError, match="more than 50 bytes"):
            await client.list_rooms()


async def test_a_room_that_is_not_there_has_no_dispatches() -> None:
    """LiveKit asks the room itself, and of one that is not there it says `unavailable`."""
    script = Script(twirp(TwirpCode.UNAVAILABLE), ok(wire_pb2.ListRoomsResponse()))
    async with client_of(script) as client:
        assert await client.list_dispatches("gone") == []

    assert wire_pb2.ListRoomsRequest.FromString(script.requests[-1].content).names == ["gone"]


async def test_dispatches_of_a_room_that_is_there_and_does_not_answer_are_not_known() -> None:
    there = ok(wire_pb2.ListRoomsResponse(rooms=[wire_pb2.Room(name="lobby")]))
    async with client_of(Script(twirp(TwirpCode.UNAVAILABLE), there)) as client:
        with pytest.raises(SfuUnavailable):
            await client.list_dispatches("lobby")


async def test_a_dispatch_that_is_not_there_is_not_found() -> None:
    async with client_of(Script(twirp(TwirpCode.NOT_FOUND))) as client:
        assert await client.list_dispatches("lobby", "AD_gone") == []
        with pytest.raises(SfuError) as failed:
            await client.delete_dispatch("lobby", "AD_gone")

    assert failed.value.code is TwirpCode.NOT_FOUND
