"""A worker's websocket that costs its process next to nothing.

Hundreds of them share two cores with the server that is measured: with a websocket library most of
the time would be theirs. Only what a driver needs: the upgrade, binary frames, pings, and the end.
"""

from __future__ import annotations

import asyncio
from typing import cast

from worker_sdk.loadtest.light_socket import masked_frame

__all__ = ["LightSocket", "SocketClosed"]

_HEADERS_END = b"\r\n\r\n"
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10


class SocketClosed(ConnectionError):
    """The connection ended, or could not be made."""


class LightSocket(asyncio.Protocol):
    """One connection to `/agent`. Frames wait, without a bound, until they are received."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._buffer = b""
        self._is_upgraded = False
        self._transport: asyncio.Transport | None = None
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._upgraded: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, host: str, port: int, token: str, timeout_seconds: float) -> LightSocket:
        """Connect and upgrade. Raises OSError (SocketClosed), or TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_seconds):
            transport, socket = await loop.create_connection(lambda: cls(token), host, port)
            try:
                await socket._upgraded
            except BaseException:
                transport.abort()
                raise
        return socket

    async def receive(self) -> bytes:
        """The next message. Raises SocketClosed when there is none any more."""
        frame = await self._frames.get()
        if frame is None:
            raise SocketClosed("the connection ended")
        return frame

    def send(self, payload: bytes) -> None:
        """Send a message; into the void where the connection has ended."""
        if self._transport is not None:
            self._transport.write(masked_frame(payload))

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are not of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(
            (
                "GET /agent HTTP/1.1\r\nHost: callboard\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                f"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {self._token}\r\n\r\n"
            ).encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self._transport = None
        if not self._upgraded.done():
            self._upgraded.set_exception(SocketClosed(f"the upgrade failed: {exc}"))
            self._upgraded.exception()  # read, also where nobody waits
        self._frames.put_nowait(None)

    def data_received(self, data: bytes) -> None:
        """Take in what is whole."""
        data = self._buffer + data if self._buffer else data
        start = 0
        if not self._is_upgraded:
            end = data.find(_HEADERS_END)
            if end < 0:
                self._buffer = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self.abort()
                return
            start = end + len(_HEADERS_END)
            self._is_upgraded = True
            self._upgraded.set_result(None)
        while (payload := _payload(data, start)) is not None:
            opcode, begin, end = payload
            if end > len(data):
                break
            if opcode == _BINARY:
                self._frames.put_nowait(data[begin:end])
            elif opcode == _PING and self._transport is not None:
                self._transport.write(masked_frame(data[begin:end], opcode=_PONG))
            elif opcode == _CLOSE:
                self.abort()
            start = end
        self._buffer = data[start:]


def _payload(data: bytes, start: int) -> tuple[int, int, int] | None:
    """Return opcode, begin and end of the frame at `start`; None where its head is not whole."""
    if len(data) - start < 2:
        return None
    size, begin = data[start + 1] & 127, start + 2
    more = {126: 2, 127: 8}.get(size, 0)
    if more:
        if len(data) - begin < more:
            return None
        size = int.from_bytes(data[begin : begin + more], "big")
        begin += more
    return data[start] & 15, begin, begin + size
