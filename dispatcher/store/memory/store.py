"""The contract's interface over a MemoryDatabase, for the event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Sequence

from anyio.lowlevel import checkpoint

from dispatcher.core.effects import StoreRequest
from dispatcher.core.events import StoreRecovered, StoreResult
from dispatcher.core.jobs import Lane, Nanoseconds
from dispatcher.store.contract import (
    EventRow,
    JobFilter,
    QueuePlace,
    Retention,
    StoredDispatch,
    StoredJob,
)
from dispatcher.store.memory.database import MemoryDatabase


class _Commit:
    """Applies a batch in the turn after the one in which it is awaited.

    Who is cancelled before that changed nothing; one that nobody awaits is never carried out.
    """

    __slots__ = ("_database", "_now", "_requests")

    def __init__(
        self, database: MemoryDatabase, requests: Sequence[StoreRequest], now: Nanoseconds
    ) -> None:
        self._database = database
        self._requests = requests
        self._now = now

    def __await__(self) -> Generator[object, None, Sequence[StoreResult]]:
        yield from checkpoint().__await__()
        return self._database.apply(self._requests, self._now)


class MemoryStore:
    """The contract's interface over a MemoryDatabase, which outlives it as a disk does."""

    def __init__(self, database: MemoryDatabase | None = None) -> None:
        self.database = database if database is not None else MemoryDatabase()

    async def open(self, now: Nanoseconds) -> StoreRecovered:
        """Start on what is durable."""
        return self.database.open()

    def commit(
        self, requests: Sequence[StoreRequest], now: Nanoseconds
    ) -> Awaitable[Sequence[StoreResult]]:
        """Apply the requests a moment later: who is cancelled before that changed nothing."""
        return _Commit(self.database, requests, now)

    async def close(self) -> None:
        """Let go. Idempotent."""
        self.database.close()

    async def get_dispatch(self, project: str, dispatch_id: str) -> StoredDispatch | None:
        """Return the dispatch with its jobs, also when it is deleted."""
        return self.database.get_dispatch(project, dispatch_id)

    async def list_dispatches(self, project: str, room: str, limit: int) -> list[StoredDispatch]:
        """Return the room's dispatches that nobody deleted, oldest first."""
        return self.database.list_dispatches(project, room, limit)

    async def get_job(self, project: str, job_id: str) -> StoredJob | None:
        """Return one job."""
        return self.database.get_job(project, job_id)

    async def list_jobs(self, where: JobFilter, limit: int, before: int = 0) -> list[StoredJob]:
        """Return jobs, newest first; with `before`, those whose number is smaller."""
        return self.database.list_jobs(where, limit, before)

    async def queue_place(self, stored: StoredJob, live_jobs_max: int) -> QueuePlace | None:
        """Return the place of a queued job in its lane; None where too many have not ended."""
        return self.database.queue_place(stored, live_jobs_max)

    async def job_events(self, project: str, job_id: str) -> list[EventRow]:
        """Return the job's rows of the event log, oldest first."""
        return self.database.job_events(project, job_id)

    async def events_after(self, sequence: int, limit: int) -> list[EventRow]:
        """Return rows of the event log of all projects with greater sequence numbers, in order."""
        return self.database.events_after(sequence, limit)

    async def last_sequence(self) -> int:
        """Return the highest sequence number that an event was given, also if it was pruned."""
        return self.database.last_sequence()

    async def get_position(self, name: str) -> int | None:
        """Return the position that was set last under the name; None where none ever was."""
        return self.database.get_position(name)

    async def set_position(self, name: str, sequence: int) -> None:
        """Keep the position under the name, durably."""
        self.database.set_position(name, sequence)

    async def oldest_queued(self, lanes: Sequence[Lane]) -> dict[Lane, Nanoseconds]:
        """Return since when the job waits that was queued first, of each lane that has one."""
        return self.database.oldest_queued(lanes)

    async def prune(self, retention: Retention, now: Nanoseconds, limit: int) -> int:
        """Delete at most `limit` rows that are past retention; return how many were deleted."""
        return self.database.prune(retention, now, limit)
