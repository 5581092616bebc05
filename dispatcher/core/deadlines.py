"""Deadlines by key: what is due next, in O(log n), with garbage that is bounded.

A heap with lazy deletion: scheduling a key anew or cancelling it leaves its old entry behind, and
the heap is rebuilt when more than half of it is such garbage.
"""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from dispatcher.core.jobs import Nanoseconds

Key = TypeVar("Key", bound=Hashable)

GARBAGE_MIN = 64  # below this many dead entries a rebuild is not worth its while


class Deadlines(Generic[Key]):
    """At most one deadline for each key."""

    __slots__ = ("_heap", "_live", "_order")

    def __init__(self) -> None:
        # (when, order, key); live only if `_live` has the same order for the key
        self._heap: list[tuple[Nanoseconds, int, Key]] = []
        self._live: dict[Key, int] = {}
        # grows with every schedule: breaks ties by age, so that keys are never compared
        self._order = 0

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, key: Key) -> bool:
        return key in self._live

    def schedule(self, key: Key, when: Nanoseconds) -> None:
        """Set the key's deadline, in place of the one that it had."""
        self._order += 1
        self._live[key] = self._order
        heappush(self._heap, (when, self._order, key))
        self._compact()

    def cancel(self, key: Key) -> bool:
        """Forget the key's deadline; return whether it had one."""
        if self._live.pop(key, None) is None:
            return False
        self._compact()
        return True

    def next_at(self) -> Nanoseconds | None:
        """Return the earliest deadline, or None."""
        heap, live = self._heap, self._live
        while heap:
            when, order, key = heap[0]
            if live.get(key) == order:
                return when
            heappop(heap)
        return None

    def pop_due(self, now: Nanoseconds) -> Key | None:
        """Forget the earliest deadline that is not after `now` and return its key, or None."""
        at = self.next_at()
        if at is None or at > now:
            return None
        key = heappop(self._heap)[2]
        del self._live[key]
        return key

    def _compact(self) -> None:
        heap, live = self._heap, self._live
        if len(heap) - len(live) > max(GARBAGE_MIN, len(live)):
            self._heap = [entry for entry in heap if live.get(entry[2]) == entry[1]]
            heapify(self._heap)
