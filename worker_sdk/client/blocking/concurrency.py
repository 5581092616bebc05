"""What a thread does differently from an event loop: see `worker_sdk.client.concurrency`.

Nothing can interrupt a thread that waits for a socket. A deadline is kept by what is waited for: each
wait for the socket has one of its own, and who reads looks at the clock between two of them.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    import httpx2

__all__ = ["chunks", "deadline", "now", "sleep"]


def now() -> float:
    """Seconds of a clock that only goes forward."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def deadline(_seconds: float) -> AbstractContextManager[object]:
    """Nothing: see above."""
    return nullcontext()


def chunks(response: httpx2.Response) -> Generator[bytes, None, None]:
    """The body of an answer, as it comes in. Close it, where it is not read to its end."""
    yield from response.iter_bytes()
