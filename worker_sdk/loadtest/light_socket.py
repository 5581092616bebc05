"""A worker's websocket that costs its process next to nothing.

Thousands of them share a process, and the process a machine with the server: with a websocket library
most of the time would be theirs. Only what a worker needs: the upgrade, binary frames, pings, the end.
The mask of a client's frames is zero, which costs the server the same and the harness nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from worker_sdk.loadtest.target import Target

__all__ = ["LightSocket", "SocketRefused", "masked_frame"]

_HEADERS_END = b"\r\n\r\n"
_HEADERS_BYTES_MAX = 64 * 1024
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
# 1000, normal
_CLOSE_PAYLOAD = (1000).to_bytes(2, "big")


class SocketRefused(ConnectionError):
    """The server did not upgrade the connection."""


def masked_frame(payload: bytes, opcode: int = _BINARY) -> bytes:
    """A client's frame."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


class LightSocket(asyncio.Protocol):
    """One connection to `/agent`. `receive` is called with each message, at once."""

    __slots__ = ("_buffer", "_is_upgraded", "_receive", "_request", "_transport", "closed", "ready")

    def __init__(self, request: bytes, receive: Callable[[bytes], None]) -> None:
        self._request = request
        self._receive = receive
        self._buffer = b""
        self._is_upgraded = False
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def open(
        cls, target: Target, receive: Callable[[bytes], None], timeout_seconds: float
    ) -> LightSocket:
        """Connect and upgrade. Raises OSError (SocketRefused), or TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_seconds):
            transport, socket = await loop.create_connection(
                lambda: cls(target.upgrade_request(), receive),
                target.host,
                target.port,
                ssl=target.tls,
            )
            try:
                await socket.ready
            except BaseException:
                transport.abort()
                raise
        return socket

    @property
    def is_open(self) -> bool:
        """Can it carry messages?"""
        return self._transport is not None

    def send(self, payload: bytes) -> None:
        """Send a message; into the void where the connection has ended."""
        if self._transport is not None:
            self._transport.write(masked_frame(payload))

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Say goodbye and close."""
        if self._transport is not None:
            self._transport.write(masked_frame(_CLOSE_PAYLOAD, _CLOSE))
            self._transport.close()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are not of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self._transport = None
        if not self.ready.done():
            self.ready.set_exception(SocketRefused(f"the connection ended: {exc or 'closed'}"))
            self.ready.exception()  # read, also where nobody waits
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take in what is whole."""
        if self._buffer:
            data = self._buffer + data
        start = 0 if self._is_upgraded else self._upgrade(data)
        if start < 0:
            return
        size = len(data)
        while size - start >= 2:
            begin = start + 2
            length = data[start + 1] & 127
            if length > 125:
                more = 2 if length == 126 else 8
                if size - begin < more:
                    break
                length = int.from_bytes(data[begin : begin + more], "big")
                begin += more
            end = begin + length
            if end > size:
                break
            opcode = data[start] & 15
            start = end
            if opcode == _BINARY:
                self._receive(data[begin:end])
            elif opcode == _PING and self._transport is not None:
                self._transport.write(masked_frame(data[begin:end], _PONG))
            elif opcode == _CLOSE:
                self.abort()
                return
        self._buffer = data[start:]

    def _upgrade(self, data: bytes) -> int:
        """Read the answer to the upgrade; where frames begin, or -1."""
        end = data.find(_HEADERS_END)
        if end < 0:
            self._buffer = data
            if len(data) > _HEADERS_BYTES_MAX:
                self.abort()
            return -1
        if not data.startswith(b"HTTP/1.1 101"):
            status = data[9:12].decode("ascii", "replace")
            self.ready.set_exception(SocketRefused(f"HTTP {status}"))
            self.ready.exception()
            self.abort()
            return -1
        self._is_upgraded = True
        self.ready.set_result(None)
        return end + len(_HEADERS_END)
