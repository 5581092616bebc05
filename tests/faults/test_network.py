"""A line does to connections what it is told, and nothing else: a proxy that lies proves nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from tests.conformance.waiting import eventually
from tests.faults.network import HOST, Direction, Line, lines_to

pytestmark = pytest.mark.anyio

SECONDS_MAX = 60.0


@asynccontextmanager
async def echoing() -> AsyncIterator[Line]:
    """A line to a server that sends back what it gets."""

    async def echo(stream: SocketStream) -> None:
        async with stream:
            try:
                async for data in stream:
                    await stream.send(data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass

    async with (
        await anyio.create_tcp_listener(local_host=HOST) as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, echo)
        port = listener.extra(SocketAttribute.local_port)
        async with lines_to(port, ["one"]) as lines:
            yield lines["one"]
        tasks.cancel_scope.cancel()


async def said(client: SocketStream, words: bytes) -> bytes:
    """Send words, and return what comes back."""
    await client.send(words)
    with anyio.fail_after(SECONDS_MAX):
        return await client.receive()


async def is_unanswered(client: SocketStream, words: bytes) -> bool:
    """Send words; is there neither an answer nor an end for a while?"""
    await client.send(words)
    with anyio.move_on_after(0.3):
        await client.receive()
        return False
    return True


async def is_over(client: SocketStream) -> bool:
    """Does the connection end?"""
    with anyio.move_on_after(SECONDS_MAX):
        try:
            while True:
                await client.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return True
    return False


async def test_a_line_passes_bytes_on() -> None:
    async with echoing() as line, await anyio.connect_tcp(HOST, line.port) as client:
        assert await said(client, b"hello") == b"hello"


async def test_a_reset_ends_every_connection_and_lets_new_ones_in() -> None:
    async with echoing() as line, await anyio.connect_tcp(HOST, line.port) as client:
        assert await said(client, b"hello") == b"hello"
        assert line.reset_all() == 1
        assert await is_over(client)
        async with await anyio.connect_tcp(HOST, line.port) as again:
            assert await said(again, b"hello") == b"hello"


async def test_a_cut_lets_half_of_the_next_bytes_through() -> None:
    async with echoing() as line, await anyio.connect_tcp(HOST, line.port) as client:
        assert await said(client, b"hello") == b"hello"
        line.cut_in_frame(Direction.DOWN)
        assert await said(client, b"12345678") == b"1234"
        assert await is_over(client)


async def test_of_a_swallowed_direction_nothing_comes_and_the_connection_stays() -> None:
    async with echoing() as line, await anyio.connect_tcp(HOST, line.port) as client:
        assert await said(client, b"hello") == b"hello"
        struck = line.swallow(Direction.UP)
        assert await is_unanswered(client, b"lost")
        assert line.connections == 1
        line.reset(struck)
        assert await is_over(client)


async def test_the_server_does_not_learn_that_the_client_of_a_swallowed_connection_is_gone() -> (
    None
):
    async with echoing() as line:
        async with await anyio.connect_tcp(HOST, line.port) as client:
            assert await said(client, b"hello") == b"hello"
            struck = line.swallow(Direction.UP)
        await anyio.sleep(0.1)
        assert line.connections == 1
        line.reset(struck)
        await eventually("the connection is gone", lambda: line.connections == 0)


async def test_a_line_that_is_down_takes_nobody_in() -> None:
    async with echoing() as line:
        line.is_open = False
        async with await anyio.connect_tcp(HOST, line.port) as client:
            assert await is_over(client)


async def test_a_slow_line_keeps_the_order() -> None:
    async with echoing() as line, await anyio.connect_tcp(HOST, line.port) as client:
        line.delay_seconds = 0.05
        for number in range(10):
            await client.send(b"%d" % number)
        got = b""
        with anyio.fail_after(SECONDS_MAX):
            while len(got) < 10:
                got += await client.receive()
        assert got == b"0123456789"
