"""The two connections to the file, what they are set to, and when the log becomes the file.

SQLite writes ahead: commits go to `callboard.db-wal`, and a checkpoint brings them into
`callboard.db`. Checkpoints are ours, not a commit's: they run after its caller was told, when
there is nothing else to do; under load when the log is large; and regardless of readers when it
is very large, so that it has a bound.
"""

from __future__ import annotations

import time
from pathlib import Path

import apsw

from dispatcher.store.sqlite.failures import corrupt, read_only
from dispatcher.store.sqlite.log_check import check_log_is_whole
from dispatcher.store.sqlite.schema import MIGRATIONS, migrate, version_of
from protocol.errors import StoreTooNew

PAGE_CACHE_KIB = 16_384  # of the writer; the reader has the half of it
BUSY_TIMEOUT_MILLISECONDS = 1_000
# How often the writer looks whether another program has let go.
BUSY_PAUSE_SECONDS = 0.01
STATEMENTS_CACHED_MAX = 128
# The log's size in pages of 4 KiB at which a checkpoint is due: idle, under load, at any price.
WAL_PAGES_IDLE = 1_000
WAL_PAGES_BUSY = 4_000
WAL_PAGES_MAX = 16_000
# What stays of the log's file after a checkpoint.
WAL_BYTES_KEPT = 16 * 1024 * 1024


class FileConnections:
    """A writer and a reader, checked, migrated and set up. Raises StoreError and apsw.Error."""

    def __init__(self, path: Path) -> None:
        self.writer = _connect(path)
        try:
            _check_log(self.writer, path)
            _check(self.writer, path)
            self.writer.execute("PRAGMA journal_mode = WAL")
            self.writer.execute("PRAGMA synchronous = FULL")
            self.writer.execute("PRAGMA wal_autocheckpoint = 0")
            self.writer.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
            self.writer.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
            migrate(self.writer)
            self.writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
            self.reader = _connect(path)
        except BaseException:
            self.writer.close()
            raise
        self.reader.execute("PRAGMA query_only = ON")
        self.reader.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB // 2}")
        # does the writer wait, within a bound, for another program that has the file
        self.waits = True
        self.writer.set_busy_handler(self._wait)
        # pages in the log after the last commit
        self._wal_pages = 0
        self.writer.set_wal_hook(self._note_wal)

    @property
    def must_checkpoint(self) -> bool:
        """Is the log as large as it may become?"""
        return self._wal_pages >= WAL_PAGES_MAX

    def wants_checkpoint(self, idle: bool) -> bool:
        """Is the log so large that a checkpoint is due?"""
        return self._wal_pages >= (WAL_PAGES_IDLE if idle else WAL_PAGES_BUSY)

    def checkpoint(self, idle: bool) -> None:
        """Do a checkpoint if one is due; one that cannot be done now is done another time."""
        if not self.wants_checkpoint(idle):
            return
        restart, passive = apsw.SQLITE_CHECKPOINT_RESTART, apsw.SQLITE_CHECKPOINT_PASSIVE
        mode = restart if self.must_checkpoint else passive
        try:
            logged, moved = self.writer.wal_checkpoint(mode=mode)
        except apsw.Error:
            return  # if it is serious, the next commit says so
        if logged == moved:
            self._wal_pages = 0

    def close(self) -> None:
        """Close both; the last one leaves the whole store in one file."""
        try:
            self.reader.close()
        finally:
            self.writer.close()

    def _wait(self, waits: int) -> bool:
        if not self.waits or waits * BUSY_PAUSE_SECONDS * 1_000 >= BUSY_TIMEOUT_MILLISECONDS:
            return False
        time.sleep(BUSY_PAUSE_SECONDS)
        return True

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK


def _connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(
        str(path),
        flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
        statementcachesize=STATEMENTS_CACHED_MAX,
    )
    # Until the file is known to be ours, closing it must not move anything either.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    # Else SQLite prepares a statement anew for each value that it compares with a partial index.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.set_busy_timeout(BUSY_TIMEOUT_MILLISECONDS)
    return connection


def _check_log(connection: apsw.Connection, path: Path) -> None:
    """Refuse a file whose log of recent writes has more than SQLite can read of it."""
    page_bytes, _ = connection.execute(
        "SELECT p.page_size, (SELECT count(*) FROM sqlite_schema) FROM pragma_page_size p"
    ).get
    frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    check_log_is_whole(path, page_bytes, max(frames, 0))


def _check(connection: apsw.Connection, path: Path) -> None:
    """Refuse a file that is not ours, newer than we are, or not to be written. Changes nothing."""
    version = version_of(connection)
    if version < 0:
        raise corrupt(path, "is a database of another program")
    if version > len(MIGRATIONS):
        raise StoreTooNew(
            f"was written by a newer Callboard (store version {version}, this one knows"
            f" {len(MIGRATIONS)})",
            str(path),
            "run that newer version, or choose another --data-dir",
        )
    if connection.readonly("main"):  # SQLite opens what it may only read without a word
        raise read_only(path)
