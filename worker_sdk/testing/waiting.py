"""Waits of a test: each has a deadline, in real time, and says what it saw when that is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from protocol.errors import CallboardError
from worker_sdk.wakeup import Wakeup

__all__ = ["WAIT_SECONDS", "WaitedInVain", "until"]

T = TypeVar("T")

# How long a test waits for what should happen at once.
WAIT_SECONDS = 5.0
# A change that nobody tells of is seen after this.
_LOOK_AGAIN_SECONDS = 0.02


class WaitedInVain(CallboardError, AssertionError):
    """What a test waited for did not happen in time, or no longer can."""


async def until(
    look: Callable[[], Awaitable[T | None]],
    tell: Callable[[], Awaitable[str]],
    changes: Wakeup,
    wait_seconds: float,
) -> T:
    """Look, at each change, until there is something; return that.

    Raises WaitedInVain with what `tell` says after `wait_seconds` of real time.
    """
    with anyio.move_on_after(wait_seconds):
        while True:
            found = await look()
            if found is not None:
                return found
            await changes.wait(_LOOK_AGAIN_SECONDS)
    raise WaitedInVain(await tell())
