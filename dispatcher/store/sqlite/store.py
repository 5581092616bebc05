"""The SQLite store for the event loop: each call becomes one of `SqliteDatabase` on a thread.

Two threads: one writes (commits, prunes, checkpoints), one reads. A call that is cancelled while
it is under way is carried out nevertheless, and its result dropped.

The rows of a small batch are written on the loop, where that takes a tenth of a millisecond, and only
its commit, which waits for the disk, is the thread's: two threads that both run Python cost a
tenth more than one, for they take the interpreter's lock from each other with every row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import anyio

from dispatcher.core.effects import (
    CreateDispatch,
    CreateJob,
    PutNote,
    RecordMove,
    ReleaseJobs,
    StoreRequest,
)
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

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# A batch is written on the loop if it has no more requests than this, all of them of these kinds: each
# writes a few rows, and reads none that may be far down in the file.
REQUESTS_ON_LOOP_MAX = 64
WRITTEN_ON_LOOP = frozenset({CreateDispatch, CreateJob, RecordMove, ReleaseJobs, PutNote})
# After so long without a write the store is idle, and smaller logs are worth a checkpoint.
IDLE_SECONDS = 0.05


class SqliteStore:
    """A `Store` in a data folder."""

    def __init__(self, folder: Path, database: SqliteDatabase | None = None) -> None:
        self._database = database or SqliteDatabase(folder)
        self._writer = CallThread("store-writer")
        # when the last write was done; set while a checkpoint waits for an idle moment
        self._written_at = 0.0
        self._idle: asyncio.TimerHandle | None = None
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
        if (
            self._writer.is_idle
            and len(requests) <= REQUESTS_ON_LOOP_MAX
            and WRITTEN_ON_LOOP.issuperset(map(type, requests))
        ):
            try:
                with self._database.waiting_for_nobody():
                    results = self._database.write(requests, now)
            except Exception:  # noqa: BLE001, S110 - the thread meets it too, and its caller is told
                pass
            else:
                return self._write(self._database.make_durable, results)
        return self._write(self._database.apply, requests, now)

    async def close(self) -> None:
        """Finish what is under way and let go. Idempotent."""
        with anyio.CancelScope(shield=True):
            try:
                await self._reader.stop(_nothing)
                await self._writer.stop(self._database.close)
            finally:
                # The last commits may have set it: it would start the thread again.
                if self._idle is not None:
                    self._idle.cancel()
                    self._idle = None

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
        await self._write(self._database.set_position, name, sequence)

    async def oldest_queued(self, lanes: Sequence[Lane]) -> dict[Lane, Nanoseconds]:
        """Return since when the job waits that was queued first, of each lane that has one."""
        return await self._writer.call(self._database.oldest_queued, lanes)

    async def prune(self, retention: Retention, now: Nanoseconds, limit: int) -> int:
        """Delete at most `limit` rows that are past retention; return how many were deleted."""
        return await self._write(self._database.prune, retention, now, limit)

    def _write(
        self,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> asyncio.Future[Result]:
        """Have the writer do it, and see to its log afterwards, when who waits has been told."""
        future = self._writer.call(function, *args, **kwargs)
        future.add_done_callback(self._look_at_log)
        return future

    def _look_at_log(self, _written: object) -> None:
        loop = asyncio.get_running_loop()
        self._written_at = loop.time()
        if self._database.wants_checkpoint(idle=False):
            self._writer.call(self._database.checkpoint, idle=False)
        elif self._idle is None and self._database.wants_checkpoint(idle=True):
            self._idle = loop.call_later(IDLE_SECONDS, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        loop = asyncio.get_running_loop()
        idle_at = self._written_at + IDLE_SECONDS
        if loop.time() < idle_at or not self._writer.is_idle:
            self._idle = loop.call_later(IDLE_SECONDS, self._look_whether_idle)
        else:
            self._idle = None
            self._writer.call(self._database.checkpoint, idle=True)


def _nothing() -> None:
    """The last call of a thread that has nothing to close."""
