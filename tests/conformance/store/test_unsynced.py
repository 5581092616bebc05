"""A commit that SQLite could not sync: not there while the process lives, perhaps there after it.

The log of recent writes had the whole batch when the sync failed. The process goes on without it, and
may try again, which overwrites it; a process that ends before that leaves it to whoever opens the
file, to whom it is a commit like any other. So such a batch may be told to have failed and be there
after a crash: whole, once, and never beside its second try. The simulator's store does the same.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from dispatcher.store.contract import JobFilter
from dispatcher.store.sqlite import SqliteDatabase
from dispatcher.store.sqlite.folder import DATABASE_NAME
from protocol.errors import StoreUnavailable
from tests.conformance.store.builders import NOW, create_job

LOG_NAME = f"{DATABASE_NAME}-wal"


class _File(apsw.VFSFile):
    """A file whose next syncs may fail."""

    def __init__(self, disk: "Disk", name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(disk.base, name or "", flags)
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._is_log = bool(path) and str(path).endswith(LOG_NAME)

    def xSync(self, flags: int) -> None:  # noqa: N802 (SQLite's name)
        """Sync, or fail."""
        if self._is_log and self._disk.failures:
            self._disk.failures -= 1
            raise apsw.IOError("the disk says no")
        super().xSync(flags)


class Disk(apsw.VFS):
    """The disk of all that is opened while it is the default."""

    def __init__(self, base: str) -> None:
        super().__init__("failing", base, makedefault=True)
        self.base = base
        self.failures = 0

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file."""
        return _File(self, name, flags)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk that can be told to fail."""
    before = apsw.vfs_names()[0]
    disk = Disk(before)
    try:
        yield disk
    finally:
        disk.unregister()
        assert apsw.vfs_names()[0] == before


def _ids(database: SqliteDatabase) -> list[str]:
    return sorted(job.job.id for job in database.reads.list_jobs(JobFilter("project"), 100, 0))


def _crash(database: SqliteDatabase, folder: Path, left: Path) -> SqliteDatabase:
    """Open what a process that ends now leaves behind."""
    left.mkdir()
    for name in (DATABASE_NAME, LOG_NAME):
        shutil.copy(folder / name, left / name)
    database.close()
    after = SqliteDatabase(left)
    after.open()
    return after


def test_a_batch_that_could_not_be_synced_is_there_after_a_crash(
    tmp_path: Path, disk: Disk
) -> None:
    database = SqliteDatabase(tmp_path / "store")
    database.open()
    database.apply([create_job("1")], NOW)
    disk.failures = 1
    with pytest.raises(StoreUnavailable):
        database.apply([create_job("2"), create_job("3")], NOW)
    assert _ids(database) == ["AJ_1"]
    after = _crash(database, tmp_path / "store", tmp_path / "left")
    assert _ids(after) == ["AJ_1", "AJ_2", "AJ_3"]
    assert [row.sequence for row in after.reads.events_after(0, 100)] == [1, 2, 3]
    after.close()


def test_its_next_try_takes_its_place(tmp_path: Path, disk: Disk) -> None:
    database = SqliteDatabase(tmp_path / "store")
    database.open()
    disk.failures = 2
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            database.apply([create_job("1"), create_job("2")], NOW)
    database.apply([create_job("2")], NOW)
    after = _crash(database, tmp_path / "store", tmp_path / "left")
    assert _ids(after) == ["AJ_2"]
    after.close()
