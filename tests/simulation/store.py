"""The stores that a schedule may be played on, and how a commit may fail.

`MemoryDatabase` is the quick one; it passes the store's conformance suite, so what holds on it holds
on SQLite, as far as that suite goes. `SqliteUnderSimulation` is the SQLite store itself, without
waiting for the disk: one schedule in a hundred is played on it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

from dispatcher.core.effects import StoreRequest
from dispatcher.core.events import StoreRecovered, StoreResult
from dispatcher.core.jobs import Nanoseconds
from dispatcher.store.contract import EventRow, JobFilter, StoredDispatch, StoredJob
from dispatcher.store.sqlite import SqliteDatabase
from dispatcher.store.sqlite.folder import DATABASE_NAME
from tests.support.full_disk import file_growth_refused

# Files that are in memory anyway, where the system has that.
_SHARED_MEMORY = Path("/dev/shm")


class CommitFault(Enum):
    """How a commit fails."""

    FULL = "full"  # no space left: nothing was written, and it is tried again
    OUTAGE = "outage"  # it could not be synced: the log may have it when the process ends
    LOST = "lost"  # for good, and it was not carried out: the process ends
    LOST_ANSWER = "lost answer"  # for good, and it was carried out: the process ends

    @property
    def is_retryable(self) -> bool:
        """Does the process live on, and try again?"""
        return self in (CommitFault.FULL, CommitFault.OUTAGE)


class SimulatedStore(Protocol):
    """A store that a schedule is played on. What was applied is durable."""

    def open(self) -> StoreRecovered:
        """Start on what is durable."""
        ...

    def crash(self) -> None:
        """Lose what is not durable; `open` comes next."""
        ...

    def apply(self, requests: Sequence[StoreRequest], now: Nanoseconds) -> list[StoreResult]:
        """Apply a batch."""
        ...

    def get_dispatch(self, project: str, dispatch_id: str) -> StoredDispatch | None:
        """Return the dispatch with its jobs."""
        ...

    def get_job(self, project: str, job_id: str) -> StoredJob | None:
        """Return one job."""
        ...

    def list_jobs(self, where: JobFilter, limit: int, before: int = 0) -> list[StoredJob]:
        """Return jobs, newest first."""
        ...

    def events_after(self, sequence: int, limit: int) -> list[EventRow]:
        """Return events with greater sequence numbers, in order."""
        ...


class SqliteUnderSimulation:
    """The SQLite store. It crashes by leaving its files as they are at that moment."""

    def __init__(self) -> None:
        where = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
        self._root = Path(tempfile.mkdtemp(prefix="callboard-simulation-", dir=where))
        self._generation = 0
        # is there no space for the next batch?
        self.is_full = False
        self._database = SqliteDatabase(self._folder)

    @property
    def _folder(self) -> Path:
        return self._root / str(self._generation)

    def open(self) -> StoreRecovered:
        """Start on what is durable."""
        self._database = SqliteDatabase(self._folder)
        recovered = self._database.open()
        self._database.connections.writer.execute("PRAGMA synchronous = OFF")
        return recovered

    def crash(self) -> None:
        """Go on with a copy of the files, which no store had a chance to close."""
        old = self._folder
        self._generation += 1
        self._folder.mkdir()
        for name in (DATABASE_NAME, DATABASE_NAME + "-wal"):
            shutil.copy(old / name, self._folder / name)
        self._database.close()
        shutil.rmtree(old)

    def apply(self, requests: Sequence[StoreRequest], now: Nanoseconds) -> list[StoreResult]:
        """Apply a batch. On a full disk it may still find room in the log."""
        is_full, self.is_full = self.is_full, False
        if not is_full:
            return self._database.apply(requests, now)
        with file_growth_refused(self._folder / (DATABASE_NAME + "-wal")):
            return self._database.apply(requests, now)

    def get_dispatch(self, project: str, dispatch_id: str) -> StoredDispatch | None:
        """Return the dispatch with its jobs."""
        return self._database.reads.get_dispatch(project, dispatch_id)

    def get_job(self, project: str, job_id: str) -> StoredJob | None:
        """Return one job."""
        return self._database.reads.get_job(project, job_id)

    def list_jobs(self, where: JobFilter, limit: int, before: int = 0) -> list[StoredJob]:
        """Return jobs, newest first."""
        return self._database.reads.list_jobs(where, limit, before)

    def events_after(self, sequence: int, limit: int) -> list[EventRow]:
        """Return events with greater sequence numbers, in order."""
        return self._database.reads.events_after(sequence, limit)

    def remove(self) -> None:
        """Close it, and leave nothing behind."""
        self._database.close()
        shutil.rmtree(self._root)
