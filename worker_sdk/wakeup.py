"""Wakes the tasks that wait for something to change.

A wait sees only what is fired after it began: check the condition, then wait, with no `await`
between the two.
"""

from __future__ import annotations

import anyio

__all__ = ["Wakeup"]


class Wakeup:
    """Something has changed: look again."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def fire(self) -> None:
        """Wake all who wait now."""
        self._event.set()
        self._event = anyio.Event()

    async def wait(self, timeout_seconds: float | None = None) -> None:
        """Wait until the next `fire`, or until the time is over."""
        with anyio.move_on_after(timeout_seconds):
            await self._event.wait()
