"""What there is of each agent now: its workers, its jobs, how long the oldest has waited.

An agent here is what scales together: an agent name with its project, namespace and deployment. The
engine keeps no such sums, because a job would pay for them; so who asks has them made, by a walk over
the workers (their jobs are counted there, and not walked over) and the lanes in which something waits,
in slices of the event loop. Jobs that are queued cost nothing, whatever their number. Jobs without a
worker are walked over, but only while there are some: after a loss, or a restart.

A census is used for twenty times as long as it took, so that asking costs at most a twentieth of a
core, however often it is done: one of 100 workers is always fresh, one of 10,000 a quarter of a second
old. With more workers than one slice takes it is not of one moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from dispatcher.core.engine import Engine
from dispatcher.core.jobs import Lane, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, WorkerPhase
from dispatcher.core.recent import Recent
from dispatcher.core.workers import JobInHand
from dispatcher.metrics.scaling import (
    ACCEPTING,
    WorkerKind,
    desired_workers,
    free_slots_of,
    kind_expected,
    slots_of,
)
from dispatcher.metrics.slices import in_slices
from protocol.errors import StoreError

# project, agent name, namespace, deployment
AgentKey = tuple[str, str, str, str]

# Workers, jobs or lanes of one step of a walk.
STEP = 32
# How much longer a census is used than it took.
USE_FACTOR = 20
# Agents of which it is remembered what their workers can take.
KINDS_MAX = 10_000
# Lanes of which the store is asked at once, and what one costs its thread.
LANES_AT_ONCE = 200
LANE_SECONDS = 10e-6

NOTHING: Nanoseconds = 0


class Queues(Protocol):
    """What a census needs of a store (`store.contract.Store`)."""

    async def oldest_queued(self, lanes: Sequence[Lane]) -> dict[Lane, Nanoseconds]:
        """Return since when the job waits that was queued first, of each lane that has one."""
        ...


@dataclass(slots=True)
class AgentCount:
    """What there is of one agent, or of several together."""

    # by phase; those whose connection has ended are not counted
    workers: dict[WorkerPhase, int] = field(default_factory=dict)
    # of workers that take jobs, now or in a moment: how many, their slots, and those that are free
    accepting: int = 0
    slots: int = 0
    free_slots: int = 0
    # jobs that wait in the queue, that are on offer, that a connected worker holds, and that are
    # held for one that may come back
    queued: int = 0
    offered: int = 0
    running: int = 0
    orphaned: int = 0
    # since when the oldest waits that is queued or on offer; NOTHING: none does
    oldest_at: Nanoseconds = NOTHING
    desired: int = 0
    kind: WorkerKind | None = None

    @property
    def waiting(self) -> int:
        """Jobs that no worker has taken."""
        return self.queued + self.offered

    @property
    def jobs(self) -> int:
        """All jobs that a worker has, or is to have."""
        return self.queued + self.offered + self.running + self.orphaned

    @property
    def connected(self) -> int:
        """Workers that are connected."""
        return sum(self.workers.values())

    @property
    def is_empty(self) -> bool:
        """Is nothing here?"""
        return not self.workers and not self.jobs

    def note_waiting_since(self, at: Nanoseconds) -> None:
        """A job waits since then."""
        if self.oldest_at == NOTHING or at < self.oldest_at:
            self.oldest_at = at

    def add(self, other: AgentCount) -> None:
        """Count what is of another agent here."""
        for phase, number in other.workers.items():
            self.workers[phase] = self.workers.get(phase, 0) + number
        self.accepting += other.accepting
        self.slots += other.slots
        self.free_slots += other.free_slots
        self.queued += other.queued
        self.offered += other.offered
        self.running += other.running
        self.orphaned += other.orphaned
        self.desired += other.desired
        if other.oldest_at != NOTHING:
            self.note_waiting_since(other.oldest_at)


@dataclass(frozen=True, slots=True)
class Census:
    """What there was when it was taken."""

    agents: Mapping[AgentKey, AgentCount]
    # what it took, without the pauses
    seconds: float


class CensusTaker:
    """Takes censuses of one engine and its store; all on the engine's event loop."""

    def __init__(
        self,
        engine: Engine,
        queues: Queues,
        now: Callable[[], Nanoseconds],
        store_timeout_seconds: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._engine = engine
        self._queues = queues
        self._now = now
        self._store_timeout_seconds = store_timeout_seconds
        self._clock = clock
        self._taking = anyio.Lock()
        self._last = Census({}, 0.0)
        self._fresh_until = 0.0
        # what an agent's workers could take when some were here
        self._kinds: Recent[AgentKey, WorkerKind] = Recent(KINDS_MAX)
        # lanes in which something waited the last time: since when, as far as is known
        self._waiting_since: dict[Lane, Nanoseconds] = {}

    async def census(self) -> Census:
        """Return a census that is fresh."""
        async with self._taking:
            if self._clock() >= self._fresh_until:
                self._last = await self._take()
                self._fresh_until = self._clock() + USE_FACTOR * self._last.seconds
            return self._last

    def nothing_of(self, agent: AgentKey) -> AgentCount:
        """Return the count of an agent of which there is nothing."""
        count = AgentCount()
        self._conclude(agent, count)
        return count

    # --- the walk -------------------------------------------------------------------------

    async def _take(self) -> Census:
        agents: dict[AgentKey, AgentCount] = {}
        lanes: list[Lane] = []
        seconds = await in_slices(self._walk(agents, lanes), clock=self._clock)
        await self._look_up(lanes)
        seconds += LANE_SECONDS * len(lanes)
        seconds += await in_slices(self._finish(agents, lanes), clock=self._clock)
        return Census(agents, seconds)

    def _walk(self, agents: dict[AgentKey, AgentCount], lanes: list[Lane]) -> Iterator[None]:
        engine = self._engine
        policy = engine.policy
        # Those that come or go while it lasts are for the next census.
        workers = list(engine.workers.values())
        in_hand = sum(len(worker.jobs) + len(worker.offers) for worker in workers)
        has_orphans = len(engine.jobs) > in_hand
        for number, worker in enumerate(workers):
            if number % STEP == 0:
                yield
            said = worker.registration
            key = said.project, said.agent_name, said.namespace, said.deployment
            count = agents.get(key)
            if count is None:
                count = agents[key] = AgentCount()
            count.running += len(worker.jobs)
            if worker.offers:
                _count_offers(count, list(worker.offers.values()))
            phase = worker.phase
            if phase is WorkerPhase.GONE:
                continue
            count.workers[phase] = count.workers.get(phase, 0) + 1
            if phase in ACCEPTING:
                count.accepting += 1
                count.slots += slots_of(worker, policy)
                count.free_slots += free_slots_of(worker, policy)
        if has_orphans:
            yield from self._walk_orphans(agents)
        for number, (lane, queue) in enumerate(list(engine.lanes.items())):
            if number % STEP == 0:
                yield
            if queue.waiting > 0:
                _of_lane(agents, lane).queued += queue.waiting
                lanes.append(lane)

    def _walk_orphans(self, agents: dict[AgentKey, AgentCount]) -> Iterator[None]:
        for number, hand in enumerate(list(self._engine.jobs.values())):
            if number % STEP == 0:
                yield
            if hand.worker is None and hand.phase is JobPhase.ORPHANED:
                _of_lane(agents, hand.lane).orphaned += 1

    async def _look_up(self, lanes: Sequence[Lane]) -> None:
        """Find out since when jobs wait in these lanes, or keep what is known."""
        now, before = self._now(), self._waiting_since
        # Where the store does not say, it is at least since we first saw it.
        since = {lane: before.get(lane, now) for lane in lanes}
        with anyio.move_on_after(self._store_timeout_seconds):
            try:
                for begin in range(0, len(lanes), LANES_AT_ONCE):
                    asked = lanes[begin : begin + LANES_AT_ONCE]
                    since.update(await self._queues.oldest_queued(asked))
            except StoreError:
                pass  # who writes says so
        self._waiting_since = since

    def _finish(self, agents: dict[AgentKey, AgentCount], lanes: Sequence[Lane]) -> Iterator[None]:
        for number, lane in enumerate(lanes):
            if number % STEP == 0:
                yield
            _of_lane(agents, lane).note_waiting_since(self._waiting_since[lane])
        for number, (key, count) in enumerate(agents.items()):
            if number % STEP == 0:
                yield
            self._conclude(key, count)

    def _conclude(self, key: AgentKey, count: AgentCount) -> None:
        if count.accepting and count.slots:
            kind = WorkerKind(count.slots, count.accepting)
            self._kinds.note(key, kind)
        else:
            kind = self._kinds.get(key) or kind_expected(self._engine.policy, key[1])
        count.kind = kind
        count.desired = desired_workers(count.jobs, kind)


def _count_offers(count: AgentCount, offers: Sequence[JobInHand]) -> None:
    count.offered += len(offers)
    for hand in offers:
        state = hand.held.state  # as it was when it was taken from the queue
        if state.until:
            count.note_waiting_since(state.until - hand.held.queue_time)


def _of_lane(agents: dict[AgentKey, AgentCount], lane: Lane) -> AgentCount:
    key = lane.project, lane.agent_name, lane.namespace, lane.deployment
    count = agents.get(key)
    if count is None:
        count = agents[key] = AgentCount()
    return count
