"""Simulated time: what happens next, in order. Ties go by age, so a run has one order."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from dispatcher.core.jobs import SECOND, Nanoseconds

# Not zero: 0 means "not set" in a job's times.
START: Nanoseconds = 1_000 * SECOND

Action = Callable[..., object]


class Timeline:
    """A discrete-event scheduler."""

    def __init__(self) -> None:
        self.now: Nanoseconds = START
        self._heap: list[tuple[Nanoseconds, int, Action, tuple[Any, ...]]] = []
        self._order = 0

    def after(self, delay: Nanoseconds, action: Action, *args: Any) -> None:
        """Do this `delay` from now."""
        self._order += 1
        heappush(self._heap, (self.now + delay, self._order, action, args))

    def at(self, when: Nanoseconds, action: Action, *args: Any) -> None:
        """Do this at a time, or now if that is past."""
        self._order += 1
        heappush(self._heap, (max(when, self.now), self._order, action, args))

    def step(self) -> bool:
        """Do the next thing; return False if there is none."""
        if not self._heap:
            return False
        self.now, _, action, args = heappop(self._heap)
        action(*args)
        return True
