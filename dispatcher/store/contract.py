"""What a store of jobs is. The store owns jobs; the engine owns workers.

A store keeps dispatches, jobs (config and state apart), the queue of each lane, and the event log.
It takes batches of `StoreRequest`s and answers with results; it decides nothing. Its promises:

1. `commit` applies a batch in order, all or nothing, and returns after it is durable (a batch that
   changes nothing durable need not be synced).
2. Create is create-if-absent, by the dispatch's id; every other move is guarded by epoch. Job ids
   are fresh: a new job with an id that is there is a bug, which fails its batch for good.
3. Between a claim and its release, its move, or the end of the process, a waiting job is held by
   one node and is claimed by no other. What a node held and had only offered is queued again when
   the store is opened anew (later: when the node's lease runs out).
4. Job config never changes; ended states never change; each durable move has one row in the event
   log, whose sequence numbers grow without end and are never used again, also after pruning.
5. A queue goes by priority, then by arrival; a job that is released takes its old place.
6. The cost of a request does not grow with the number of jobs, but by a logarithm.
7. A position is a number that is kept under a name: how far a reader of the event log has come.
   It is durable when `set_position` returns, in a commit of its own, so who moves it often should
   say so seldom. Nothing else depends on it, and pruning leaves it alone.

A `commit` that raises a StoreError with `retryable` (StoreUnavailable, StoreFull) changed nothing,
holds included, and may be tried again as it is. Any other StoreError is final: the process should
end with its one line; what the last batch did is known when the store is opened anew. A `commit`
whose caller is cancelled is carried out or not, as a whole.

What is stored is delayed, queued, offered, held by a worker, or ended. Nothing is created ended, and
nothing is moved to OFFERED (LifecycleError, and nothing of the batch is applied): a job that is
created so is reserved for one worker, held by its node until it is moved, also when the store is
opened anew. A delayed job is due at its
`until`, a queued one too if it is not 0. Jobs that are due at the same time come in any order.

Every implementation passes tests/conformance/store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dispatcher.core.effects import StoreRequest
from dispatcher.core.events import StoreRecovered, StoreResult
from dispatcher.core.jobs import Dispatch, Job, JobState, Lane, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as it stands in the store. `number` grows in order of arrival; pages go by it.

    `detail` is that of its last event, for people: there from `get_job` and `list_jobs`, unless the
    event is pruned.
    """

    number: int
    job: Job
    state: JobState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StoredDispatch:
    """A dispatch with all its jobs, in order of arrival."""

    dispatch: Dispatch
    jobs: tuple[StoredJob, ...]


@dataclass(frozen=True, slots=True)
class EventRow:
    """One durable move, as the event log keeps it. Sequence numbers start at 1 and have no gap.

    `reason` is the name of a JobStateReason, empty for UNSPECIFIED. `order` is the job's (`Job.order`),
    empty also when the job is pruned.
    """

    sequence: int
    at: Nanoseconds
    project: str
    job_id: str
    dispatch_id: str
    trigger: JobTrigger
    phase: JobPhase
    epoch: int
    attempt: int
    worker_id: str
    reason: str
    error: str
    detail: str
    order: str = ""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows. An empty field does not restrict."""

    project: str
    phases: frozenset[JobPhase] = frozenset()
    agent_name: str = ""
    room: str = ""
    worker_id: str = ""
    dispatch_id: str = ""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long, and how many of them, ended jobs and events are kept. Whichever bound is first."""

    ended_jobs_age: Nanoseconds
    ended_jobs_max: int
    events_age: Nanoseconds
    events_max: int


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """How many queued jobs of its lane go before a job, and how many of them by their priority."""

    before: int
    of_higher_priority: int


class Store(Protocol):
    """A store of jobs. One instance serves one node; all methods but `close` may raise StoreError."""

    async def open(self, now: Nanoseconds) -> StoreRecovered:
        """Open it, migrate it, and tell what was there. Raises StoreError in one clear line."""
        ...

    def commit(
        self, requests: Sequence[StoreRequest], now: Nanoseconds
    ) -> Awaitable[Sequence[StoreResult]]:
        """Apply the requests in order, durably; return the results of those that have one.

        A store may begin when it is called, and need not wait to be awaited. After a StoreError
        nothing of the batch is there, unless the process ends next: a disk that fails while it
        syncs may keep a batch that it said to have failed. (So a caller that was refused may find
        after a crash that its call was carried out; one that repeats it uses the same id.)
        """
        ...

    async def close(self) -> None:
        """Finish what is under way and let go. Idempotent."""
        ...

    # Reads see at least all that was committed before they were called.

    async def get_dispatch(self, project: str, dispatch_id: str) -> StoredDispatch | None:
        """Return the dispatch with its jobs, also when it is deleted."""
        ...

    async def list_dispatches(self, project: str, room: str, limit: int) -> list[StoredDispatch]:
        """Return the room's dispatches that nobody deleted, oldest first."""
        ...

    async def get_job(self, project: str, job_id: str) -> StoredJob | None:
        """Return one job."""
        ...

    async def list_jobs(self, where: JobFilter, limit: int, before: int = 0) -> list[StoredJob]:
        """Return jobs, newest first; with `before`, those whose number is smaller."""
        ...

    async def queue_place(self, stored: StoredJob, live_jobs_max: int) -> QueuePlace | None:
        """Return the place of a queued job in its lane, those counted that are on offer.

        Looks at all jobs that have not ended; None where there are more than `live_jobs_max`.
        """
        ...

    async def job_events(self, project: str, job_id: str) -> list[EventRow]:
        """Return the job's rows of the event log, oldest first; none if the job was pruned."""
        ...

    async def events_after(self, sequence: int, limit: int) -> list[EventRow]:
        """Return rows of the event log of all projects with greater sequence numbers, in order."""
        ...

    async def last_sequence(self) -> int:
        """Return the highest sequence number that an event was given, also if it was pruned."""
        ...

    async def get_position(self, name: str) -> int | None:
        """Return the position that was set last under the name; None where none ever was."""
        ...

    async def set_position(self, name: str, sequence: int) -> None:
        """Keep the position under the name, durably, in place of the one before."""
        ...

    async def oldest_queued(self, lanes: Sequence[Lane]) -> dict[Lane, Nanoseconds]:
        """Return since when the job waits that was queued first, of those that no node holds.

        Of each of these lanes that has one; whatever its priority. The cost grows with the lanes that
        are asked for alone. After a restart, or a claim that was given back, it may be one of the
        first few.
        """
        ...

    async def prune(self, retention: Retention, now: Nanoseconds, limit: int) -> int:
        """Delete at most `limit` events and ended jobs that are past retention, oldest first.

        A job takes its state with it, and the last job of a dispatch its dispatch, unless that is
        still being deleted; a deleted one without jobs goes by age. Return how many rows went, 0
        when there is nothing left to do.
        """
        ...
