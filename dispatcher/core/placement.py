"""Which worker gets the next job of a lane, in O(1) in the number of workers.

Each lane has a pool of the workers that have room, in two bags: those below the target load, and
the others, which come last. A worker is drawn as the better of two at random (Mitzenmacher, "The
power of two choices"): nearly as even as the best of all, without looking at all.

Invariant: `place` is called after each change of a worker, so that a pool's bags and its `room`
are what its workers' `room` and `pressure` say.
"""

from __future__ import annotations

from enum import Enum
from random import Random

from dispatcher.core.jobs import Lane
from dispatcher.core.policy import Policy
from dispatcher.core.workers import Worker


class Standing(Enum):
    """Where a worker stands in the pools of its lanes."""

    PREFERRED = "preferred"
    LOADED = "loaded"


class Bag:
    """A set of workers that one can be drawn from at random, in O(1)."""

    __slots__ = ("_items", "_places")

    def __init__(self) -> None:
        self._items: list[Worker] = []
        self._places: dict[Worker, int] = {}

    def __len__(self) -> int:
        return len(self._items)

    def add(self, worker: Worker) -> None:
        """Put a worker in that is not there."""
        self._places[worker] = len(self._items)
        self._items.append(worker)

    def remove(self, worker: Worker) -> None:
        """Take a worker out that is there; the last one takes its place."""
        place = self._places.pop(worker)
        last = self._items.pop()
        if last is not worker:
            self._items[place] = last
            self._places[last] = place

    def draw(self, job_id: str, policy: Policy, random: Random) -> Worker | None:
        """Return the better of two at random, leaving out who may still be running the job."""
        items = self._items
        if not items:
            return None
        one = items[int(random.random() * len(items))]
        other = items[int(random.random() * len(items))]
        best = one if one.pressure(policy) <= other.pressure(policy) else other
        if not best.may_run(job_id):
            return best
        # Rare: the job was taken from this worker a moment ago. Only very few can be so.
        return next((worker for worker in items if not worker.may_run(job_id)), None)


class Pool:
    """The workers of one lane that have room."""

    __slots__ = ("bags", "room")

    def __init__(self) -> None:
        self.bags: dict[Standing, Bag] = {standing: Bag() for standing in Standing}
        # how many more jobs they may be offered, all together
        self.room = 0

    @property
    def is_empty(self) -> bool:
        """Has no worker of this lane room?"""
        return not any(self.bags.values())


class Pools:
    """The pools of all lanes."""

    __slots__ = ("_places", "_policy", "_pools")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._pools: dict[Lane, Pool] = {}
        # where each worker that has room stands, and the room that it was counted with
        self._places: dict[Worker, tuple[Standing, int]] = {}

    def room(self, lane: Lane) -> int:
        """Return how many more jobs of this lane may be offered now."""
        pool = self._pools.get(lane)
        return pool.room if pool is not None else 0

    def draw(self, lane: Lane, job_id: str, random: Random) -> Worker | None:
        """Return a worker for the job, or None."""
        pool = self._pools.get(lane)
        if pool is None:
            return None
        for bag in pool.bags.values():
            worker = bag.draw(job_id, self._policy, random)
            if worker is not None:
                return worker
        return None

    def place(self, worker: Worker) -> None:
        """Put the worker where it now belongs."""
        policy = self._policy
        room = worker.room(policy)
        now: tuple[Standing, int] | None = None
        if room > 0:
            preferred = worker.pressure(policy) < policy.target_load
            now = (Standing.PREFERRED if preferred else Standing.LOADED, room)
        before = self._places.get(worker)
        if now == before:
            return
        if now is None:
            del self._places[worker]
        else:
            self._places[worker] = now
            if before is not None and before[0] is now[0]:
                for lane in worker.lanes:
                    self._pools[lane].room += now[1] - before[1]
                return
        for lane in worker.lanes:
            self._move(lane, worker, before, now)

    def remove(self, worker: Worker) -> None:
        """Forget the worker."""
        before = self._places.pop(worker, None)
        if before is not None:
            for lane in worker.lanes:
                self._move(lane, worker, before, None)

    def _move(
        self,
        lane: Lane,
        worker: Worker,
        before: tuple[Standing, int] | None,
        now: tuple[Standing, int] | None,
    ) -> None:
        pool = self._pools.get(lane)
        if pool is None:
            pool = self._pools[lane] = Pool()
        if before is not None:
            pool.room -= before[1]
            if now is None or now[0] is not before[0]:
                pool.bags[before[0]].remove(worker)
        if now is not None:
            pool.room += now[1]
            if before is None or now[0] is not before[0]:
                pool.bags[now[0]].add(worker)
        if pool.is_empty:
            del self._pools[lane]
