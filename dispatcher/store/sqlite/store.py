"""The SQLite store for the event loop: each call becomes one of `SqliteDatabase` on a thread.

Two threads: one writes (commits, prunes, checkpoints), one reads. A call that is cancelled while
it is under way is carried out nevertheless, and its result dropped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from pathlib import Path

import anyio

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
from dispatcher.store.sqlite.database import SqliteDatabase
from dispatcher.store.sqlite.threads import CallThread
from protocol.errors import StoreError


class SqliteStore:
    """A `Store` in a data folder."""

    def __init__(self, folder: Path) -> None:
        self._database = SqliteDatabase(folder)
        self._writer = CallThread("store-writer", after=self._database.checkpoint)
        self._reader = CallThread("store-reader")

    async def open(self, now: Nanoseconds) -> StoreRecovered:
        """Open it, migrate it, and tell what was there."""
        try:
            return await self._writer.call(self._database.open)
        except StoreError:
            await self.close()
            raise

    def commit(
        self, requests: Sequence[StoreRequest], now: Nanoseconds
    ) -> Awaitable[Sequence[StoreResult]]:
        """Apply the requests in order, durably; return the results of those that have one."""
        return self._writer.call(self._database.apply, requests, now)

    async def close(self) -> None:
        """Finish what is under way and let go. Idempotent."""
        with anyio.CancelScope(shield=True):
            await self._reader.stop(_nothing)
            await self._writer.stop(self._database.close)

    async def get_dispatch(self, project: str, dispatch_id: str) -> StoredDispatch | None:
        """Return the dispatch with its jobs, also when it is deleted."""
        return await self._reader.call(self._database.reads.get_dispatch, project, dispatch_id)

    async def list_dispatches(self, project: str, room: str, limit: int) -> list[StoredDispatch]:
        """Return the room's dispatches that nobody deleted, oldest first."""
        reads = self._database.reads
        return await self._reader.call(reads.list_dispatches, project, room, limit)

    async def get_job(self, project: str, job_id: str) -> StoredJob | None:
        """Return one job."""
        return await self._reader.call(self._database.reads.get_job, project, job_id)

    async def list_jobs(self, where: JobFilter, limit: int, before: int = 0) -> list[StoredJob]:
        """Return jobs, newest first; with `before`, those whose number is smaller."""
        return await self._reader.call(self._database.reads.list_jobs, where, limit, before)

    async def queue_place(self, stored: StoredJob, live_jobs_max: int) -> QueuePlace | None:
        """Return the place of a queued job in its lane; None where too many have not ended."""
        return await self._reader.call(self._database.reads.queue_place, stored, live_jobs_max)

    async def job_events(self, project: str, job_id: str) -> list[EventRow]:
        """Return the job's rows of the event log, oldest first."""
        return await self._reader.call(self._database.reads.job_events, project, job_id)

    async def events_after(self, sequence: int, limit: int) -> list[EventRow]:
        """Return rows of the event log of all projects with greater sequence numbers, in order."""
        return await self._reader.call(self._database.reads.events_after, sequence, limit)

    async def last_sequence(self) -> int:
        """Return the highest sequence number that an event was given, also if it was pruned."""
        return await self._reader.call(self._database.reads.last_sequence)

    async def get_position(self, name: str) -> int | None:
        """Return the position that was set last under the name; None where none ever was."""
        return await self._reader.call(self._database.reads.get_position, name)

    async def set_position(self, name: str, sequence: int) -> None:
        """Keep the position under the name, durably."""
        await self._writer.call(self._database.set_position, name, sequence)

    async def oldest_queued(self, lanes: Sequence[Lane]) -> dict[Lane, Nanoseconds]:
        """Return since when the job waits that was queued first, of each lane that has one."""
        return await self._writer.call(self._database.oldest_queued, lanes)

    async def prune(self, retention: Retention, now: Nanoseconds, limit: int) -> int:
        """Delete at most `limit` rows that are past retention; return how many were deleted."""
        return await self._writer.call(self._database.prune, retention, now, limit)


def _nothing() -> None:
    """The last call of a thread that has nothing to close."""
