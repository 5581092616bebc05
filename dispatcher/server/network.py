"""The network side of a server: its listening sockets, and uvicorn behind them."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, cast

import anyio
import anyio.abc
import uvicorn

from dispatcher.server.call_connection import call_connection
from dispatcher.server.connection import bounded_connection
from protocol.errors import ConfigError

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

    from dispatcher.server.http import HttpApp
    from dispatcher.server.limits import ServerLimits


class Network:
    """Serves one application at one port: bound while the context lasts, serving while `run` does.

    To open the context raises ConfigError where the port cannot be bound. Whatever ends the context,
    no socket stays open behind it.
    """

    def __init__(self, bind: str, port: int, limits: ServerLimits, app: HttpApp) -> None:
        self.port = port
        self._bind = bind
        self._limits = limits
        self._server = _network_server(limits, app)
        self._doors: list[socket.socket] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        listener = open_listener(self._bind, self.port, self._limits.backlog_connections)
        self.port = listener.getsockname()[1]
        # uvloop takes in one connection of each socket in a turn.
        others = [listener.dup() for _ in range(self._limits.accepts_in_turn_max - 1)]
        self._doors = [self._open.enter_context(door) for door in (listener, *others)]
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    async def run(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled or stopped. Started when connections are taken."""
        await self._server.startup(sockets=self._doors)
        for server in self._server.servers:
            self._open.callback(server.close)
        task_status.started()
        await self._server.main_loop()

    async def stop(self) -> None:
        """Take no more connections and close those that are open, in bounded time."""
        self._server.should_exit = True
        await self._server.shutdown(sockets=self._doors)


def open_listener(bind: str, port: int, backlog: int) -> socket.socket:
    """Return a listening socket. Raises ConfigError, in one line, where that is impossible."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, number)
    except OSError as error:
        raise ConfigError(f"cannot listen on {bind}: {error.strerror}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} of {bind} is in use by another program; choose another with --port"
            ) from None
        raise ConfigError(f"cannot listen on {bind} port {port}: {error.strerror}") from None
    listener.setblocking(False)
    return listener


def _network_settings(limits: ServerLimits, app: HttpApp) -> uvicorn.Config:
    return uvicorn.Config(
        # Starlette's type of an application and uvicorn's differ in how they write the same.
        cast("ASGI3Application", app),
        http=call_connection(limits, app.calls),
        ws=bounded_connection(limits),
        ws_max_size=limits.wire.frame_bytes_max,
        ws_ping_interval=limits.wire.ping_interval_seconds,
        ws_ping_timeout=limits.wire.ping_timeout_seconds,
        # It triples the memory of a connection.
        ws_per_message_deflate=False,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        # Addresses are those of the sockets: a header that anyone can send proves nothing.
        proxy_headers=False,
        server_header=False,
        backlog=limits.backlog_connections,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.stop_timeout_seconds,
    )


def _network_server(limits: ServerLimits, app: HttpApp) -> uvicorn.Server:
    settings = _network_settings(limits, app)
    # uvicorn tells of each connection at info, with the query: tokens may be in it.
    network_log = logging.getLogger("uvicorn.error")
    network_log.setLevel(logging.ERROR)
    network_log.addFilter(_is_news)
    settings.load()
    server = uvicorn.Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    return server


def _is_news(record: logging.LogRecord) -> bool:
    """Is it more than that a stop cut a connection off?"""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)
