"""The body of a call, read within a bound of size and of time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from protocol.errors import TwirpCode, TwirpError

if TYPE_CHECKING:
    from starlette.types import Receive

# A body over its limit is read on, and thrown away, up to so many times the limit: else its sender
# would see a broken connection and not the answer.
_DISCARD_FACTOR = 8


async def read_body(receive: Receive, bytes_max: int, timeout_seconds: float) -> bytes:
    """Return the body of an ASGI request. TwirpError for one too large, too slow, or given up."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_seconds):
            is_whole = False
            while not is_whole and size <= bytes_max * _DISCARD_FACTOR:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise TwirpError(TwirpCode.CANCELED, "the caller went away")
                is_whole = not message.get("more_body", False)
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                if size <= bytes_max:
                    chunks.append(chunk)
                else:
                    chunks.clear()
    except TimeoutError:
        raise TwirpError(TwirpCode.DEADLINE_EXCEEDED, "the body did not come in time") from None
    if size > bytes_max:
        raise TwirpError(
            TwirpCode.INVALID_ARGUMENT,
            f"the body has more than {bytes_max} bytes, which is the limit",
        )
    return b"".join(chunks)
