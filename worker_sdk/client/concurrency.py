"""What an event loop and a thread do differently: time, deadlines, and reading an answer.

All else in the client is written once, for an event loop; `generate` makes the blocking client of it,
in `blocking/`, where the twin of this module is written by hand. asyncio and trio both do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractContextManager

    import httpx2

__all__ = ["chunks", "deadline", "now", "sleep"]


def now() -> float:
    """Seconds of a clock that only goes forward."""
    return anyio.current_time()


async def sleep(seconds: float) -> None:
    """Wait."""
    await anyio.sleep(seconds)


def deadline(seconds: float) -> AbstractContextManager[object]:
    """End what is done inside after so long: TimeoutError."""
    return anyio.fail_after(seconds)


def chunks(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """The body of an answer, as it comes in. Close it, where it is not read to its end."""
    return response.aiter_bytes()
