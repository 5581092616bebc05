"""The event log and the jobs of a data folder, read as an onlooker: a server may be using it.

No lock is taken that a server would wait for, and no byte is changed. Reads are pages in
transactions of their own, so that a server's log of recent writes can be cut meanwhile. How the file
is opened depends on what is there:

- its index (`-shm`) is there, because a server runs or was killed: it is read, not written; SQLite
  then makes what a crash left undone good in its own memory;
- neither index nor log: nobody has it open, and it is read as a file that does not change. A server
  that starts makes a log; what was read meanwhile is read again;
- a log without its index, as in a copy of a folder: SQLite makes the index anew beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from sys import intern
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import apsw

from dispatcher.core.jobs import Nanoseconds, RestartPolicy
from dispatcher.core.lifecycle import ENDED
from dispatcher.history.comparison import compare, numbers
from dispatcher.history.evidence import Comparison, Gone, HistoryUnreadable, JobFacts, Numbers
from dispatcher.store.contract import EventRow
from dispatcher.store.sqlite.failures import corrupt, translated
from dispatcher.store.sqlite.folder import DATABASE_NAME
from dispatcher.store.sqlite.log_check import check_log_has_database
from dispatcher.store.sqlite.reads import LAST_SEQUENCE
from dispatcher.store.sqlite.rows import EVENT_COLUMNS, event_of, phase_of
from dispatcher.store.sqlite.schema import MIGRATIONS, version_of
from protocol.errors import StoreTooNew

PAGE_ROWS = 2000
BUSY_TIMEOUT_MILLISECONDS = 5_000
# for the microseconds in which a server writes the head of its index
READS_TRIED_MAX = 20
PAUSE_SECONDS = 0.001

FIRST_SEQUENCE = "SELECT min(sequence) FROM event"
# The log alone: what else the store's own reads tell with an event is not of the log.
EVENTS_AFTER = (
    f"SELECT {EVENT_COLUMNS} FROM event e WHERE e.sequence > ? ORDER BY e.sequence LIMIT ?"  # noqa: S608
)
# of a job that is kept; the dispatch's deletion is 0 for a job of none
JOB_FACTS = (
    "SELECT j.restart_policy, j.queue_time, s.phase, s.epoch, s.until, s.last_event,"
    " ifnull(d.deletion_requested_at, 0) FROM job j JOIN job_state s ON s.job = j.number"
    " LEFT JOIN dispatch d ON d.number = j.dispatch WHERE j.id = ?"
)
# The grace time is the worker's, and stays with a job that ended there.
GRACES = (
    "SELECT worker_id, min(grace) FROM job_state WHERE worker_id <> '' AND grace > 0"
    " GROUP BY worker_id"
)
HAS_DISPATCH = "SELECT 1 FROM dispatch WHERE id = ?"
_ENDED = ", ".join(f"'{phase.value}'" for phase in sorted(ENDED))
# ... or may have, in rows that were pruned since
ENDED_SINCE = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM event WHERE sequence > ?1 AND job_id = ?2"  # noqa: S608
    f" AND phase IN ({_ENDED})) OR ?1 + 1 < ifnull((SELECT min(sequence) FROM event),"
    " ifnull((SELECT value FROM counter WHERE name = 'event'), 0) + 1)"
)


class FolderHistory:
    """The history that a data folder keeps. A context manager; StoreError where it cannot be read.

    HistoryUnreadable for a row that this version does not understand.
    """

    def __init__(self, path: Path) -> None:
        self._place = path / DATABASE_NAME
        self._log = path / f"{DATABASE_NAME}-wal"
        self._index = path / f"{DATABASE_NAME}-shm"
        # of a file that nobody has open: its time and size; None: it is read as one in use
        self._still: tuple[int, int] | None = None
        check_log_has_database(self._place)
        with translated(self._place):
            self._connection = self._open()
            self._check()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the file."""
        self._connection.close()

    # --- the log ---

    def bounds(self) -> tuple[int, int]:
        """Return the first number that is kept, and the last that was given; 0 where none was."""
        first = self._rows(FIRST_SEQUENCE)[0][0]
        last = self._rows(LAST_SEQUENCE)[0][0]
        return int(first or 0), int(last or 0)

    def events(self, on_page: Callable[[int], None] | None = None) -> Iterator[EventRow | Gone]:
        """Yield the log as far as it goes now, and what is gone of it, in order.

        `on_page` is told the last number of each page. What retention deletes while it is read is
        gone, too, and no gap.
        """
        place, last = 0, self.bounds()[1]
        while place < last:
            rows = self._rows(EVENTS_AFTER, (place, PAGE_ROWS))
            if not rows or rows[0][0] > place + 1:
                kept_from = self.bounds()[0] or last + 1
                until = kept_from if not rows else min(kept_from, rows[0][0])
                if until > place + 1:
                    yield Gone(place, until)
            if not rows:
                return
            for row in rows:
                if row[0] > last:
                    return
                yield _event(row)
            place = rows[-1][0]
            if on_page is not None:
                on_page(place)

    # --- what else is kept ---

    def job(self, job_id: str) -> JobFacts | None:
        """Return what is kept of the job."""
        rows = self._rows(JOB_FACTS, (job_id,))
        if not rows:
            return None
        policy, queue_time, phase, epoch, until, last_event, deletion_requested_at = rows[0]
        try:
            return JobFacts(
                job_id=job_id,
                restart_policy=RestartPolicy(policy),
                queue_time=queue_time,
                phase=phase_of(phase),
                epoch=epoch,
                until=until,
                last_event=last_event,
                deletion_requested_at=deletion_requested_at,
            )
        except _UNKNOWN as unknown:
            raise _not_understood(f"job {job_id}", unknown) from None

    def has_dispatch(self, dispatch_id: str) -> bool:
        """Is the dispatch kept?"""
        return bool(self._rows(HAS_DISPATCH, (dispatch_id,)))

    def ended_since(self, job_id: str, sequence: int) -> bool:
        """Has the job ended by an event after this number, or may it, by one that was pruned since?"""
        return bool(self._rows(ENDED_SINCE, (sequence, job_id)))

    def numbers(self) -> Numbers:
        """Return from where to where the log goes, and from where to where it should."""
        return numbers(self._rows)

    def comparison(self) -> Comparison:
        """Compare all jobs and dispatches that are kept, as they are now, with the log."""
        return compare(self._rows)

    def graces(self) -> Mapping[str, Nanoseconds]:
        """Return the grace time of each worker id, as far as jobs that are kept tell it."""
        return dict(self._rows(GRACES))

    # --- the file ---

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the answer of one statement, in a transaction of its own."""
        with translated(self._place):
            try:
                rows = _answer(self._connection, sql, values)
            except apsw.ReadOnlyError:
                # Who wrote the index is gone, and left it half written.
                self._connection.close()
                self._connection = self._open()
                rows = _answer(self._connection, sql, values)
            if self._still is not None and (self._log.exists() or self._still != self._stamp()):
                # A server has started: what was read may have been half of two things.
                self._connection.close()
                self._connection = self._open()
                rows = _answer(self._connection, sql, values)
            return rows

    def _open(self) -> apsw.Connection:
        has_index, has_log = self._index.exists(), self._log.exists()
        self._still = None
        if not has_index and not has_log:
            self._still = self._stamp()
            return self._connect("immutable=1")
        if has_index:
            connection = self._connect("mode=ro&readonly_shm=1")
            try:
                _answer(connection, "SELECT 1 FROM sqlite_schema")
                return connection
            except (apsw.CantOpenError, apsw.ReadOnlyError):
                # Nobody has read here yet, so that there is no place in the index to read from.
                connection.close()
        return self._connect("mode=ro")

    def _stamp(self) -> tuple[int, int]:
        status = self._place.stat()
        return status.st_mtime_ns, status.st_size

    def _connect(self, how: str) -> apsw.Connection:
        connection = apsw.Connection(
            f"file:{quote(str(self._place.resolve()))}?{how}",
            flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
        )
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.set_busy_timeout(BUSY_TIMEOUT_MILLISECONDS)
        return connection

    def _check(self) -> None:
        version = version_of(self._connection)
        if version < 0:
            raise corrupt(self._place, "is a database of another program")
        if version > len(MIGRATIONS):
            raise StoreTooNew(
                f"was written by a newer Callboard (store version {version}, this one knows"
                f" {len(MIGRATIONS)})",
                str(self._place),
                "check it with that newer version",
            )


# what a value that this version does not know raises
_UNKNOWN = (KeyError, ValueError, TypeError)


def _answer(
    connection: apsw.Connection, sql: str, values: tuple[Any, ...] = ()
) -> list[tuple[Any, ...]]:
    """Return all rows. An index that is just being written is looked at again: SQLite, which may not
    make it anew here, takes it for one that a crash left so. Raises apsw.Error.
    """
    for _ in range(READS_TRIED_MAX - 1):
        try:
            return list(connection.execute(sql, values))
        except apsw.ReadOnlyError as error:
            if getattr(error, "extendedresult", 0) != apsw.SQLITE_READONLY_RECOVERY:
                raise
            time.sleep(PAUSE_SECONDS)
    return list(connection.execute(sql, values))


def _event(row: tuple[Any, ...]) -> EventRow:
    """Return the row as an event whose texts, the same in many, are there once."""
    sequence, at, project, *middle, worker_id, reason, error, detail = row
    try:
        same = intern(project), intern(worker_id), intern(detail)
        return event_of((sequence, at, same[0], *middle, same[1], reason, error, same[2]))
    except _UNKNOWN as unknown:
        raise _not_understood(f"event {sequence}", unknown) from None


def _not_understood(what: str, unknown: Exception) -> HistoryUnreadable:
    return HistoryUnreadable(f"{what} has {unknown}, which this version of Callboard does not know")
