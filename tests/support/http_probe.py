"""A client of a health port: a few bytes of HTTP over one connection each."""

from __future__ import annotations

import anyio

__all__ = ["DEADLINE_SECONDS", "ask", "get"]

DEADLINE_SECONDS = 60.0


async def ask(port: int, request: bytes) -> tuple[int, str, str]:
    """Send these bytes; returns status, head and body."""
    with anyio.fail_after(DEADLINE_SECONDS):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(request)
            said = b""
            while True:
                try:
                    said += await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    break
    head, _, body = said.decode().partition("\r\n\r\n")
    return int(head.split(" ")[1]), head, body


async def get(port: int, path: str) -> tuple[int, str, str]:
    """GET a path, as a probe does."""
    return await ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: probe\r\n\r\n".encode())
