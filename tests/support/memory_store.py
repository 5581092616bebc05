"""The memory store (`dispatcher.store.memory`) with faults on demand.

`fail_next_commits`: nothing is changed, and it may be tried again. `lose_answer_of_next_commit`: the
batch is there to stay but its caller is told that the store is broken, as when the machine fails
between the sync and the answer. A crash forgets the faults that are still to come.
"""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.core.effects import StoreRequest
from dispatcher.core.events import StoreResult
from dispatcher.core.jobs import Nanoseconds
from dispatcher.store import memory
from protocol.errors import StoreError, StoreUnavailable

PLACE = "memory"


class MemoryDatabase(memory.MemoryDatabase):
    """The synchronous core, which the simulator drives."""

    def __init__(self) -> None:
        super().__init__()
        # faults to come
        self._failures = 0
        self._loses_answer = False

    def crash(self) -> None:
        """Lose all that is not durable; `open` comes next."""
        super().crash()
        self._failures = 0
        self._loses_answer = False

    def fail_next_commits(self, count: int = 1) -> None:
        """Let the next calls of `apply` change nothing and raise StoreUnavailable."""
        self._failures = count

    def lose_answer_of_next_commit(self) -> None:
        """Let the next `apply` do its work and raise a final StoreError nevertheless."""
        self._loses_answer = True

    def apply(self, requests: Sequence[StoreRequest], now: Nanoseconds) -> list[StoreResult]:
        """Apply the requests in order; all or nothing."""
        if self._failures and self.is_open:
            self._failures -= 1
            raise StoreUnavailable("fails as the test wants it", PLACE, "try again")
        results = super().apply(requests, now)
        if self._loses_answer:
            self._loses_answer = False
            raise StoreError("the answer is lost as the test wants it", PLACE, "start again")
        return results


class MemoryStore(memory.MemoryStore):
    """The contract's interface over a MemoryDatabase, which outlives it as a disk does."""

    database: MemoryDatabase

    def __init__(self, database: MemoryDatabase | None = None) -> None:
        super().__init__(database if database is not None else MemoryDatabase())
