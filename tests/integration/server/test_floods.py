"""Peers that send too much, too slowly or without end: they harm only themselves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.integration.server.conftest import LIMITS
from tests.integration.server.peers import LIST, WAIT_SECONDS, registered
from tests.support.server import RunningServer, room_token, running_server

pytestmark = pytest.mark.anyio


async def _answer(server: RunningServer, *pieces: bytes) -> bytes:
    """Send raw bytes; return all that the server says before it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        with anyio.fail_after(WAIT_SECONDS):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.usefixtures("bystander")
async def test_a_head_without_end_is_refused(server: RunningServer) -> None:
    headers = b"".join(b"x-%d: %b\r\n" % (number, b"y" * 1000) for number in range(300))
    answer = await _answer(server, b"GET / HTTP/1.1\r\nhost: a\r\n", headers)
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("upgrade", ["", "connection: upgrade\r\nupgrade: websocket\r\n"])
@pytest.mark.parametrize("size_kib", [130, 140, 200, 250])
async def test_a_head_over_the_limit_is_refused_also_where_it_comes_at_once(
    server: RunningServer, size_kib: int, upgrade: str
) -> None:
    answer = await _answer(server, _head_of(size_kib, upgrade))
    # Empty: the connection was cut while we were still sending.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


async def test_a_head_below_the_limit_is_answered(server: RunningServer) -> None:
    assert (await _answer(server, _head_of(127))).startswith(b"HTTP/1.1 200 ")


def _head_of(size_kib: int, upgrade: str = "") -> bytes:
    head = f"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-a: {'y' * size_kib * 1024}\r\n"
    return f"{head}{upgrade}\r\n".encode()


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("start", [b"\x16\x03\x01\x02\x00\x01", b"hello\r\n\r\n", b"\x00" * 100])
async def test_what_is_no_http_is_refused(server: RunningServer, start: bytes) -> None:
    assert (await _answer(server, start)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="nothing"),
        pytest.param([b"POST /twirp/x HTTP/1.1\r\nhost: a\r\n"], id="half a head"),
        pytest.param(
            [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"GET / HTTP/1.1\r\n"], id="a second half head"
        ),
    ],
)
async def test_a_head_that_does_not_come_closes_its_connection(
    data_dir: Path, pieces: list[bytes]
) -> None:
    limits = replace(LIMITS, head_timeout_seconds=0.1)
    async with running_server(data_dir, limits=limits) as server:
        await _answer(server, *pieces)


async def test_a_body_that_does_not_come_is_answered(data_dir: Path) -> None:
    limits = replace(LIMITS, body_timeout_seconds=0.1)
    head = (
        f"POST {LIST} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 10\r\n"
        f"content-type: application/json\r\nauthorization: Bearer {room_token('r')}\r\n\r\n"
    )
    async with running_server(data_dir, limits=limits) as server:
        answer = await _answer(server, head.encode(), b"{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"deadline_exceeded" in answer


async def test_a_worker_that_sends_without_end_leaves_others_their_turn(
    server: RunningServer,
) -> None:
    async with registered(server, "busy") as flooder, registered(server, "quiet") as other:
        # Masked empty binary frames: the dearest thing to read per byte. Read whole, each packet of
        # them would be one turn, and all would be over before the other was heard a few times.
        flooder.socket.transport.write(bytes([0x82, 0x80, 0, 0, 0, 0]) * 200_000)
        all_is_read = asyncio.ensure_future(await flooder.socket.ping())
        for _ in range(10):
            await other.is_answered()
        assert not all_is_read.done()
