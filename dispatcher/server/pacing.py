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
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from functools import partial

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


class _Paced(ABC):
    """What may be heavy, a budget of it in each turn. Used on one event loop."""

    def __init__(self, budget_seconds: float, soon: Soon, clock: Callable[[], float]) -> None:
        self._budget_seconds = budget_seconds
        self._soon = soon
        self._clock = clock
        # what is left of this turn's budget, and is the next turn asked for?
        self._left_seconds = budget_seconds
        self._is_awaited = False

    @property
    @abstractmethod
    def _is_behind(self) -> bool:
        """Does anything wait?"""

    @abstractmethod
    def _next(self) -> None:
        """Spend the budget on what is next."""

    def _spend(self, call: Callable[[], None]) -> None:
        began = self._clock()
        call()
        self._left_seconds -= self._clock() - began

    def _spend_all(self) -> None:
        while self._is_behind and self._left_seconds > 0:
            self._next()

    def _await_turn(self) -> None:
        if not self._is_awaited:
            self._is_awaited = True
            self._soon(self._turn)

    def _turn(self) -> None:
        self._is_awaited = False
        self._left_seconds = self._budget_seconds
        self._spend_all()
        if self._is_behind:
            self._await_turn()


class Pacer(_Paced):
    """Takes workers' events to where they are heard. Used on one event loop."""

    def __init__(
        self,
        hear: Callable[[Event], None],
        budget_seconds: float,
        behind_max: int,
        soon: Soon = next_turn,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(budget_seconds, soon, clock)
        self._hear = hear
        self._behind_max = behind_max
        # what waits, with whose it is; of each worker that has something waiting, how much, and the
        # line that its last word stands in
        self._lines: tuple[deque[tuple[str, Event]], ...] = (deque(), deque(), deque())
        self._behind: Counter[str] = Counter()
        self._stands: dict[str, int] = {}

    def submit(self, worker_id: str, event: Event) -> None:
        """Take one event of a worker."""
        line = _LINES.get(type(event))
        if worker_id not in self._behind:
            if line is None:
                self._hear(event)
                return
            if not self._behind and self._left_seconds > 0:
                self._spend(partial(self._hear, event))
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

    @property
    def _is_behind(self) -> bool:
        return bool(self._behind)

    def _next(self) -> None:
        worker_id, event = next(line for line in self._lines if line).popleft()
        self._behind[worker_id] -= 1
        if not self._behind[worker_id]:
            del self._behind[worker_id]
            del self._stands[worker_id]
        self._spend(partial(self._hear, event))


class Line(_Paced):
    """Calls that may be heavy, in their order, a budget of them in each turn. Used on one event loop."""

    def __init__(
        self,
        budget_seconds: float,
        soon: Soon = next_turn,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(budget_seconds, soon, clock)
        self._waiting: deque[Callable[[], None]] = deque()

    def submit(self, call: Callable[[], None]) -> None:
        """Call it in this turn or in one of the next."""
        self._waiting.append(call)
        if len(self._waiting) == 1:
            self._spend_all()
        self._await_turn()

    @property
    def _is_behind(self) -> bool:
        return bool(self._waiting)

    def _next(self) -> None:
        self._spend(self._waiting.popleft())
