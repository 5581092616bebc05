"""A TCP relay between clients and the server, so that a test can cut their connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute, SocketStream

HOST = "127.0.0.1"


class Relay:
    """Passes bytes on to one port of this machine.

    `cut()` ends every connection at once, as a network does that fails; while `is_open` is False
    new ones are ended as soon as they come.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self.is_open = True
        self._target_port = target_port
        self._connections: set[anyio.CancelScope] = set()

    @property
    def url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    def cut(self) -> int:
        """End all connections, and say how many there were."""
        ended = len(self._connections)
        for scope in self._connections:
            scope.cancel()
        return ended

    async def _serve(self, client: SocketStream) -> None:
        async with client:
            if not self.is_open:
                return
            with anyio.CancelScope() as scope:
                self._connections.add(scope)
                try:
                    server = await anyio.connect_tcp(HOST, self._target_port)
                    async with server, anyio.create_task_group() as tasks:
                        tasks.start_soon(self._pass_on, client, server, scope)
                        tasks.start_soon(self._pass_on, server, client, scope)
                except OSError:
                    pass  # the server is down: the client sees its connection end
                finally:
                    self._connections.discard(scope)

    async def _pass_on(
        self, source: SocketStream, sink: SocketStream, scope: anyio.CancelScope
    ) -> None:
        try:
            async for data in source:
                await sink.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        scope.cancel()


@asynccontextmanager
async def relay_to(target_port: int) -> AsyncIterator[Relay]:
    """Relay a free port to `target_port` for as long as the context is open."""
    listener = await anyio.create_tcp_listener(local_host=HOST)
    relay = Relay(listener.extra(SocketAttribute.local_port), target_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, relay._serve)
        try:
            yield relay
        finally:
            tasks.cancel_scope.cancel()
