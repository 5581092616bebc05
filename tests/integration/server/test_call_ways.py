"""An API call is answered the same whichever way it came: in one piece, in many, behind another."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from protocol import wire_pb2
from tests.integration.server.conftest import LIMITS
from tests.integration.server.peers import LIST, WAIT_SECONDS, fresh
from tests.support.server import RunningServer, room_token, running_server

pytestmark = pytest.mark.anyio

LISTING = wire_pb2.ListAgentDispatchRequest


def call(room: str, *headers: str, path: str = LIST, body: bytes | None = None) -> bytes:
    """A ListDispatch call as it goes over the wire."""
    content = LISTING(room=room).SerializeToString() if body is None else body
    lines = [
        f"POST {path} HTTP/1.1",
        "host: a",
        "content-type: application/protobuf",
        f"content-length: {len(content)}",
        f"authorization: Bearer {room_token(room)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def answers(
    server: RunningServer, pieces: list[bytes], count: int
) -> list[tuple[int, dict[str, str], bytes]]:
    """Send the pieces, each by itself, on one connection; return the answers: status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        with anyio.fail_after(WAIT_SECONDS):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if len(pieces) > 1:
                    await asyncio.sleep(0)
            return [await _answer(reader) for _ in range(count)]
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    headers.pop("date", None)
    return int(first.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


GOOD = call("lobby")


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(GOOD, id="good"),
        pytest.param(call("lobby", path=LIST + "x"), id="no such method"),
        pytest.param(call("lobby", body=b"\xff\xff"), id="a body that cannot be read"),
        pytest.param(call("another").replace(b"another", b"thisone"), id="another room's token"),
        pytest.param(GOOD.replace(b"Bearer ", b"Bearer x"), id="a token that is none"),
        pytest.param(GOOD.replace(b"authorization", b"x-nothing"), id="no token"),
        pytest.param(call("lobby", "x-livekit-request-id: " + 5000 * "x"), id="too long an id"),
    ],
)
async def test_a_call_in_one_piece_is_answered_as_one_in_three(
    server: RunningServer, request_bytes: bytes
) -> None:
    head_bytes = request_bytes.index(b"\r\n\r\n")
    pieces = [
        request_bytes[: head_bytes // 2],
        request_bytes[head_bytes // 2 : head_bytes + 5],
        request_bytes[head_bytes + 5 :],
    ]
    whole = await answers(server, [request_bytes], 1)
    assert whole == await answers(server, pieces, 1)


async def test_calls_in_one_write_are_answered_in_their_order(server: RunningServer) -> None:
    health = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"
    refused = GOOD.replace(b"Bearer ", b"Bearer x")
    got = await answers(server, [GOOD + refused + health + GOOD + refused], 5)
    assert [status for status, _, _ in got] == [200, 401, 200, 200, 401]
    assert got[2][2] == b"OK"


async def test_a_connection_that_is_to_be_closed_is_closed_behind_the_answer(
    server: RunningServer,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(call("lobby", "connection: close"))
    with anyio.fail_after(WAIT_SECONDS):
        status, headers, _ = await _answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await reader.read() == b""
    writer.close()


async def test_a_page_of_another_origin_may_read_an_answer(server: RunningServer) -> None:
    ((status, headers, _),) = await answers(server, [call("lobby", "origin: http://page")], 1)
    assert (status, headers["access-control-allow-origin"]) == (200, "http://page")


async def test_a_body_over_the_limit_is_refused_also_where_it_comes_at_once(data_dir: Path) -> None:
    limits = replace(LIMITS, wire=replace(LIMITS.wire, body_bytes_max=1000))
    async with running_server(data_dir, limits=limits) as server:
        ((status, _, body),) = await answers(server, [call("lobby", body=bytes(1001))], 1)
    assert status == 400
    assert b"the body has more than 1000 bytes" in body


async def test_a_caller_that_goes_away_at_once_harms_nobody(server: RunningServer) -> None:
    room = fresh("room")
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(call(room) * 3)
        writer.transport.abort()
    assert [status for status, _, _ in await answers(server, [call(room)], 1)] == [200]
