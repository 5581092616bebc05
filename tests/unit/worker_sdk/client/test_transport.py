"""One call: its tries, its deadline, and what it never tells."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

import anyio
import httpx2
import pytest

from protocol import api_pb2, wire_pb2
from protocol.errors import CallboardError, InvalidField, TwirpCode, TwirpError
from tests.unit.worker_sdk.client.script import (
    KEYS,
    Answer,
    Script,
    client_of,
    dispatched,
    ok,
    twirp,
)
from worker_sdk import DispatchClient, ServerUnreachable, UnexpectedAnswer
from worker_sdk.client.transport import ANSWER_BYTES_MAX
from worker_sdk.errors import CallTimedOut

pytestmark = pytest.mark.anyio

LIVEKITS = httpx2.Response(404, text="404 page not found\n")
CUT = httpx2.ReadError("cut")
REFUSED = httpx2.ConnectError("refused")
RULE = api_pb2.Rule(name="greeter", agent_name="greeter")

Ask = Callable[[DispatchClient], Awaitable[object]]


# ---- a dispatch is made once ----


async def test_a_create_whose_answer_was_lost_is_repeated_under_its_name() -> None:
    script = Script(CUT, twirp(TwirpCode.UNAVAILABLE), httpx2.Response(502), dispatched())
    async with client_of(script) as client:
        assert (await client.create_dispatch("lobby", "greeter")).id == "AD_1"
    assert len(script.requests) == 4
    assert len(set(script.request_ids)) == 1


async def test_whose_server_it_is_is_asked_once() -> None:
    script = Script(CUT, CUT, dispatched(), CUT, dispatched())
    async with client_of(script) as client:
        await client.create_dispatch("lobby", "greeter")
        await client.create_dispatch("lobby", "greeter")
    assert script.asked_whose == 1


async def test_livekits_server_is_not_asked_twice_for_what_it_may_have_done() -> None:
    script = Script(CUT, dispatched(), whose=LIVEKITS)
    async with client_of(script) as client:
        with pytest.raises(ServerUnreachable, match="may be done or not") as raised:
            await client.create_dispatch("lobby", "greeter")
    assert raised.value.may_have_happened
    assert len(script.requests) == 1


async def test_livekits_server_is_asked_again_for_what_it_never_heard() -> None:
    script = Script(REFUSED, dispatched(), whose=LIVEKITS)
    async with client_of(script) as client:
        assert (await client.create_dispatch("lobby", "greeter")).id == "AD_1"
    assert script.asked_whose == 0


async def test_a_create_is_not_repeated_before_it_is_known_whose_server_it_is() -> None:
    script = Script(CUT, dispatched(), whose=httpx2.Response(503))
    async with client_of(script, retry_seconds_max=2.0) as client:
        with pytest.raises(ServerUnreachable) as raised:
            await client.create_dispatch("lobby", "greeter")
    assert len(script.requests) == 1
    assert script.asked_whose > 1
    assert raised.value.attempts == 1 + script.asked_whose


async def test_a_request_id_that_no_header_can_carry_is_refused_before_anything_is_sent() -> None:
    script = Script(dispatched())
    async with client_of(script) as client:
        for request_id in ("two\nlines", "füür", " x", "x" * 1000):
            with pytest.raises(InvalidField, match="request_id"):
                await client.create_dispatch("lobby", "greeter", request_id=request_id)
    assert script.requests == []


# ---- what else is repeated ----


@pytest.mark.parametrize("lost", [CUT, httpx2.Response(502), httpx2.Response(504)])
async def test_a_read_is_repeated(lost: httpx2.Response | httpx2.TransportError) -> None:
    script = Script(lost, lost, ok(api_pb2.ListJobsResponse(next_page_token="7")))
    async with client_of(script) as client:
        assert (await client.list_jobs()).next_page_token == "7"


OVERWRITES: list[Ask] = [
    lambda client: client.apply_rule(RULE),
    lambda client: client.update_room_configuration(wire_pb2.RoomConfiguration(name="quiet")),
]


@pytest.mark.parametrize("ask", OVERWRITES, ids=["rule", "room configuration"])
async def test_a_write_that_would_undo_anothers_is_not_repeated(ask: Ask) -> None:
    script = Script(CUT, ok(api_pb2.ApplyRuleResponse()))
    async with client_of(script) as client:
        with pytest.raises(ServerUnreachable) as raised:
            await ask(client)
    assert raised.value.may_have_happened
    assert len(script.requests) == 1


@pytest.mark.parametrize("ask", OVERWRITES, ids=["rule", "room configuration"])
async def test_but_it_is_where_the_server_never_heard_of_it(ask: Ask) -> None:
    busy = httpx2.Response(429, headers={"Retry-After": "0"})
    script = Script(REFUSED, busy, ok(api_pb2.ApplyRuleResponse()))
    async with client_of(script) as client:
        await ask(client)
    assert len(script.requests) == 3


async def test_a_rule_with_its_version_is_repeated() -> None:
    script = Script(CUT, ok(api_pb2.ApplyRuleResponse(changed=True)))
    async with client_of(script) as client:
        assert (await client.apply_rule(api_pb2.Rule(name="greeter", version=3))).changed


async def test_what_is_gone_when_a_deletion_is_repeated_was_deleted_by_it() -> None:
    script = Script(CUT, twirp(TwirpCode.NOT_FOUND))
    async with client_of(script) as client:
        assert (await client.delete_rule("greeter")).name == "greeter"


async def test_what_is_gone_when_a_deletion_comes_for_the_first_time_was_not_there() -> None:
    script = Script(REFUSED, twirp(TwirpCode.NOT_FOUND))
    async with client_of(script) as client:
        with pytest.raises(TwirpError) as raised:
            await client.delete_rule("greeter")
    assert raised.value.code is TwirpCode.NOT_FOUND


async def test_a_time_that_is_too_long_to_wait_is_not_waited() -> None:
    busy = twirp(TwirpCode.RESOURCE_EXHAUSTED, "rooms are full", headers={"Retry-After": "100"})
    script = Script(busy)
    async with client_of(script) as client:
        with anyio.fail_after(60), pytest.raises(TwirpError, match="rooms are full"):
            await client.list_rooms()
    assert len(script.requests) == 1


async def test_retries_that_are_switched_off_are_none() -> None:
    script = Script(REFUSED, ok(api_pb2.ListJobsResponse()))
    async with client_of(script, retry_seconds_max=0) as client:
        with pytest.raises(ServerUnreachable, match="in 1 attempt "):
            await client.list_jobs()


# ---- deadlines and sizes ----


def client_answered_by(
    handler: Callable[[httpx2.Request], Coroutine[None, None, httpx2.Response]],
    timeout: float = 15.0,
) -> DispatchClient:
    return DispatchClient(
        "ws://dispatcher.example",
        "devkey",
        KEYS["devkey"],
        call_timeout_seconds=timeout,
        retry_seconds_max=0,
        transport=httpx2.MockTransport(handler),
    )


async def test_an_answer_that_does_not_come_in_time_is_called_slow() -> None:
    async def handler(_request: httpx2.Request) -> httpx2.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with client_answered_by(handler, timeout=0.05) as client:
        with pytest.raises(CallTimedOut, match=r"none within 0.05 s.*connected but slow"):
            await client.list_jobs()


async def test_an_answer_that_drips_is_slow_as_well() -> None:
    async def drops() -> AsyncIterator[bytes]:
        while True:
            await anyio.sleep(0.01)
            yield b"\x00"

    async def handler(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=drops())

    async with client_answered_by(handler, timeout=0.05) as client:
        with anyio.fail_after(60), pytest.raises(CallTimedOut):
            await client.list_jobs()


async def test_an_answer_without_end_is_not_read() -> None:
    async def zeros() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1024 * 1024)

    async def handler(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=zeros())

    async with client_answered_by(handler) as client:
        with pytest.raises(UnexpectedAnswer, match=f"larger than {ANSWER_BYTES_MAX} bytes"):
            await client.list_jobs()


# ---- secrets ----


async def test_no_error_and_no_repr_holds_a_secret() -> None:
    answers: list[Answer] = [
        httpx2.Response(401, text="invalid token"),
        httpx2.Response(404, text="<html>"),
        httpx2.Response(200, text="OK"),
        httpx2.ConnectError("refused"),
        twirp(TwirpCode.INTERNAL),
    ]
    for answer in answers:
        script = Script(answer)
        client = DispatchClient(
            "https://ann:hunter2@dispatcher.example/base",
            "devkey",
            KEYS["devkey"],
            retry_seconds_max=0,
            transport=httpx2.MockTransport(script),
        )
        async with client:
            with pytest.raises(CallboardError) as raised:
                await client.list_jobs()
            error = raised.value
            shown = (
                f"{client!r} {client.events()!r} {error!r} {error} {error.args}"
                + "".join(traceback.format_exception(error))
                + str(pickle.dumps(error))
            )
        assert KEYS["devkey"] not in shown
        assert "hunter2" not in shown
        assert "eyJ" not in shown  # how a token begins
        # The user of the URL did not take the place of the token.
        assert script.grants().may_administer_queue()
        assert script.requests[0].url.path.startswith("/base/twirp/")
