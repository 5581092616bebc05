"""Heavy events, a few milliseconds of them in each turn of the event loop.

When the network cuts all workers at once, all are lost in one turn of the loop, and come back in
another, each with a claim of all its jobs. Taken in as they come they would keep every caller waiting
for as long as all of them take. So of what may be heavy a budget is taken in at once, the rest waits
in lines, and everybody else has a turn between.

Who has begun is let finish first: claims go before registrations, so that the first that is back takes
what is called meanwhile, and both before losses; who is lost is offered nothing from the moment on.

Invariants: what one worker says stays in order; a worker that says more than `behind_max` while it
waits is heard at once, so that its socket, not our memory, holds what it has to say.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable

from dispatcher.core.events import (
    Event,
    JobsHandedOver,
    JobsMigrated,
    WorkerDisconnected,
    WorkerRegistered,
    WorkerUnreachable,
)

# Which line each heavy event stands in; the first line goes first.
_LINES: dict[type, int] = {
    JobsMigrated: 0,
    JobsHandedOver: 0,
    WorkerRegistered: 1,  # ends the older connection of its process
    WorkerDisconnected: 2,
}


Soon = Callable[[Callable[[], None]], object]


def next_turn(call: Callable[[], None]) -> None:
    """Have this called in the loop's next turn."""
    asyncio.get_running_loop().call_soon(call)


class Pacer:
    """Takes workers' events to where they are heard. Used on one event loop."""

    def __init__(
        self,
        hear: Callable[[Event], None],
        budget_seconds: float,
        behind_max: int,
        soon: Soon = next_turn,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._hear = hear
        self._budget_seconds = budget_seconds
        self._behind_max = behind_max
        self._soon = soon
        self._clock = clock
        # what waits, with whose it is; of each worker that has something waiting, how much, and the
        # line that its last word stands in
        self._lines: tuple[deque[tuple[str, Event]], ...] = (deque(), deque(), deque())
        self._behind: Counter[str] = Counter()
        self._stands: dict[str, int] = {}
        # what is left of this turn's budget, and is the next turn asked for?
        self._left_seconds = budget_seconds
        self._is_awaited = False

    def submit(self, worker_id: str, event: Event) -> None:
        """Take one event of a worker."""
        line = _LINES.get(type(event))
        if worker_id not in self._behind:
            if line is None:
                self._hear(event)
                return
            if not self._behind and self._left_seconds > 0:
                self._spend(event)
                self._await_turn()
                return
        if type(event) is WorkerDisconnected and worker_id not in self._behind:
            self._hear(WorkerUnreachable(worker_id))
        stands = self._stands[worker_id] = max(line or 0, self._stands.get(worker_id, 0))
        self._lines[stands].append((worker_id, event))
        self._behind[worker_id] += 1
        self._await_turn()
        while self._behind[worker_id] > self._behind_max:
            self._next()

    def _await_turn(self) -> None:
        if not self._is_awaited:
            self._is_awaited = True
            self._soon(self._turn)

    def _turn(self) -> None:
        self._is_awaited = False
        self._left_seconds = self._budget_seconds
        while self._behind and self._left_seconds > 0:
            self._next()
        if self._behind:
            self._await_turn()

    def _next(self) -> None:
        worker_id, event = next(line for line in self._lines if line).popleft()
        self._behind[worker_id] -= 1
        if not self._behind[worker_id]:
            del self._behind[worker_id]
            del self._stands[worker_id]
        self._spend(event)

    def _spend(self, event: Event) -> None:
        began = self._clock()
        self._hear(event)
        self._left_seconds -= self._clock() - began


class Line:
    """Calls that may be heavy, in their order, a budget of them in each turn. Used on one event loop."""

    def __init__(
        self,
        budget_seconds: float,
        soon: Soon = next_turn,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._budget_seconds = budget_seconds
        self._soon = soon
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        # what is left of this turn's budget, and is the next turn asked for?
        self._left_seconds = budget_seconds
        self._is_awaited = False

    def submit(self, call: Callable[[], None]) -> None:
        """Call it in this turn or in one of the next."""
        self._waiting.append(call)
        if len(self._waiting) == 1:
            self._spend()
        if not self._is_awaited:
            self._is_awaited = True
            self._soon(self._turn)

    def _turn(self) -> None:
        self._is_awaited = False
        self._left_seconds = self._budget_seconds
        self._spend()
        if self._waiting:
            self._is_awaited = True
            self._soon(self._turn)

    def _spend(self) -> None:
        while self._waiting and self._left_seconds > 0:
            began = self._clock()
            self._waiting.popleft()()
            self._left_seconds -= self._clock() - began
