"""The network between peers and the server: TCP lines that can be cut, held up and half dead.

Each peer (a worker process, or all callers) has a line of its own, which passes bytes on to the
server's port. What a line does to them: cut a connection in the middle of what it carries; swallow
one direction, so that the sender believes it is heard, until the line resets the connection; delay;
refuse for a while. Bytes are never reordered and never resumed after a gap, as with TCP.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum

import anyio
from anyio.abc import SocketAttribute, SocketStream

__all__ = ["Direction", "Line", "lines_to"]

HOST = "127.0.0.1"
# A close with unsent data thrown away: the peer sees a reset, not an end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Direction(Enum):
    """Where bytes go."""

    UP = "to the server"
    DOWN = "from the server"


class _Connection:
    """One connection through a line."""

    def __init__(self, client: SocketStream, server: SocketStream) -> None:
        self.client = client
        self.server = server
        self.scope = anyio.CancelScope()
        # Cut in the middle of the next bytes in this direction.
        self.cut_next: Direction | None = None
        self.swallowed: Direction | None = None

    def reset(self) -> None:
        """End it for both peers at once, as a router does that has forgotten it."""
        for stream in (self.client, self.server):
            try:
                raw = stream.extra(SocketAttribute.raw_socket)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            except (OSError, AttributeError):
                pass  # it is closed already: a transport that is has no socket
        self.scope.cancel()

    async def run(self, line: Line) -> None:
        with self.scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._pass_on, line, Direction.UP)
                tasks.start_soon(self._pass_on, line, Direction.DOWN)

    async def _pass_on(self, line: Line, direction: Direction) -> None:
        is_up = direction is Direction.UP
        source, sink = (self.client, self.server) if is_up else (self.server, self.client)
        try:
            async for data in source:
                if line.delay_seconds:
                    await anyio.sleep(line.delay_seconds)
                if self.swallowed is direction:
                    continue
                if self.cut_next is direction:
                    await sink.send(data[: max(1, len(data) // 2)])
                    break
                await sink.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        if self.swallowed is not None:
            # Nobody tells the other end that this one is gone.
            await anyio.sleep_forever()
        self.scope.cancel()


class Line:
    """The network of one peer."""

    def __init__(self, name: str, port: int, target_port: int) -> None:
        self.name = name
        self.port = port
        self._target_port = target_port
        # False: what connects is reset at once.
        self.is_open = True
        # How long bytes are held up; those that come meanwhile go on with them.
        self.delay_seconds = 0.0
        self._connections: set[_Connection] = set()

    @property
    def url(self) -> str:
        """What a peer connects to."""
        return f"http://{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def reset_all(self) -> int:
        """Reset every connection; return how many there were."""
        count = len(self._connections)
        for connection in list(self._connections):
            connection.reset()
        return count

    def cut_in_frame(self, direction: Direction) -> None:
        """Cut each connection when half of its next bytes in this direction are through."""
        for connection in self._connections:
            connection.cut_next = direction

    def swallow(self, direction: Direction) -> list[_Connection]:
        """Swallow one direction of each open connection; return those, to be reset later."""
        struck = [one for one in self._connections if one.swallowed is None]
        for connection in struck:
            connection.swallowed = direction
        return struck

    def reset(self, connections: list[_Connection]) -> None:
        """Reset those of the connections that are still open."""
        for connection in connections:
            if connection in self._connections:
                connection.reset()

    async def serve(self, client: SocketStream) -> None:
        """Pass on one connection that a peer opened."""
        async with client:
            if not self.is_open:
                return
            try:
                server = await anyio.connect_tcp(HOST, self._target_port)
            except OSError:
                return  # the server is down, and the peer sees its connection end
            async with server:
                connection = _Connection(client, server)
                self._connections.add(connection)
                try:
                    await connection.run(self)
                finally:
                    self._connections.discard(connection)


@asynccontextmanager
async def lines_to(target_port: int, names: list[str]) -> AsyncIterator[dict[str, Line]]:
    """Open a line for each name, by name, for as long as the context is open."""
    lines: dict[str, Line] = {}
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        for name in names:
            listener = await anyio.create_tcp_listener(local_host=HOST, backlog=1024)
            await stack.enter_async_context(listener)
            line = Line(name, listener.extra(SocketAttribute.local_port), target_port)
            lines[name] = line
            tasks.start_soon(listener.serve, line.serve)
        try:
            yield lines
        finally:
            tasks.cancel_scope.cancel()
