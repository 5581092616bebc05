"""A data folder as an onlooker reads it: while it is written, while it is pruned, and untouched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from dispatcher.core.jobs import SECOND
from dispatcher.core.lifecycle import JobPhase
from dispatcher.history import Comparison, Gone, HistoryUnreadable, check
from dispatcher.history.folder import PAGE_ROWS, FolderHistory
from dispatcher.store.contract import EventRow, Retention
from dispatcher.store.sqlite.database import SqliteDatabase
from dispatcher.store.sqlite.folder import DATABASE_NAME
from protocol.errors import StoreCorrupt, StoreTooNew
from tests.conformance.store.builders import NOW
from tests.unit.dispatcher.history.folders import change, fill, opened

JOBS = 5
# reads, waits for a line, and reads again
ONLOOKER = """
import sys
from pathlib import Path
from dispatcher.history.folder import FolderHistory

with FolderHistory(Path(sys.argv[1])) as folder:
    print(len(list(folder.events())), flush=True)
    sys.stdin.readline()
    print(len(list(folder.events())))
"""
KEEP_NONE = Retention(ended_jobs_age=0, ended_jobs_max=0, events_age=0, events_max=0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """A store in use, with jobs."""
    database = opened(tmp_path)
    fill(database, JOBS)
    yield database
    database.close()


def rows_of(folder: FolderHistory) -> list[EventRow | Gone]:
    return list(folder.events())


def test_a_folder_in_use_tells_what_is_committed(database: SqliteDatabase, tmp_path: Path) -> None:
    with FolderHistory(tmp_path) as folder:
        assert rows_of(folder) == database.reads.events_after(0, 100)
        assert folder.bounds() == (1, JOBS)


def test_what_is_committed_later_is_for_the_next_look(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    with FolderHistory(tmp_path) as folder:
        events = folder.events()
        next(events)
        fill(database, 1, "later")
        assert len(list(events)) == JOBS - 1
        assert len(rows_of(folder)) == JOBS + 1


def test_an_onlooker_does_not_keep_a_server_from_writing(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    with FolderHistory(tmp_path) as folder:
        events = folder.events()
        next(events)
        database.connections.writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        fill(database, 1, "later")
        assert len(list(events)) == JOBS - 1


def test_a_folder_that_nobody_uses_is_left_as_it_was(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    database.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with FolderHistory(tmp_path) as folder:
        assert len(rows_of(folder)) == JOBS
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_server_that_starts_meanwhile_is_noticed(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    database.close()
    with FolderHistory(tmp_path) as folder:
        assert len(rows_of(folder)) == JOBS
        following = opened(tmp_path)
        fill(following, 2, "later")
        assert len(rows_of(folder)) == JOBS + 2
        following.close()


def test_a_server_that_came_and_went_meanwhile_is_noticed(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    database.close()
    with FolderHistory(tmp_path) as folder:
        assert len(rows_of(folder)) == JOBS
        following = opened(tmp_path)
        fill(following, 2, "later")
        following.close()
        assert len(rows_of(folder)) == JOBS + 2


def test_a_server_starts_while_an_onlooker_reads_what_a_crash_left(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    with FolderHistory(tmp_path) as folder:
        events = folder.events()
        next(events)
        database.close()
        following = opened(tmp_path)
        fill(following, 1, "later")
        assert len(list(events)) == JOBS - 1
        assert len(rows_of(folder)) == JOBS + 1
        following.close()


def test_an_index_that_is_half_written_does_not_end_the_reading(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    # In a process of its own: within one, SQLite shares the index.
    onlooker = subprocess.Popen(
        [sys.executable, "-c", ONLOOKER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert onlooker.stdin is not None
    assert onlooker.stdout is not None
    assert onlooker.stdout.readline() == f"{JOBS}\n"
    with (tmp_path / f"{DATABASE_NAME}-shm").open("r+b") as index:
        index.seek(8)  # in the first of two copies of its head
        index.write(b"torn")
    rest, _ = onlooker.communicate("again\n", timeout=60)
    assert rest == f"{JOBS}\n"
    fill(database, 1, "later")


def test_what_was_pruned_is_gone_and_no_gap(database: SqliteDatabase, tmp_path: Path) -> None:
    database.prune(Retention(10**18, 10**6, 10**18, 2), NOW + SECOND, 100)
    with FolderHistory(tmp_path) as folder:
        assert rows_of(folder)[0] == Gone(0, JOBS - 1)
        verdict = check(folder.events(), store=folder)
    assert verdict.is_clean
    assert verdict.gone == (Gone(0, JOBS - 1),)


def test_what_is_pruned_while_it_is_read_is_gone_and_no_gap(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    fill(database, PAGE_ROWS, "more")
    last = JOBS + PAGE_ROWS
    with FolderHistory(tmp_path) as folder:
        events = folder.events()
        next(events)
        while database.prune(Retention(10**18, 10**6, 10**18, 2), NOW + SECOND, 5_000):
            pass
        rest = list(events)
    gone = next(one for one in rest if isinstance(one, Gone))
    assert gone == Gone(PAGE_ROWS, last - 1)
    assert len(rest) == PAGE_ROWS - 1 + 1 + 2


def test_a_log_that_was_pruned_altogether_is_gone(database: SqliteDatabase, tmp_path: Path) -> None:
    while database.prune(KEEP_NONE, NOW + 2 * SECOND, 100):
        pass
    with FolderHistory(tmp_path) as folder:
        assert rows_of(folder) == [Gone(0, JOBS + 1)]


def test_the_progress_is_told_by_pages(database: SqliteDatabase, tmp_path: Path) -> None:
    fill(database, PAGE_ROWS, "more")
    told: list[int] = []
    with FolderHistory(tmp_path) as folder:
        for _ in folder.events(told.append):
            pass
    assert told == [PAGE_ROWS, PAGE_ROWS + JOBS]


def test_what_the_store_keeps_of_a_job_is_known(database: SqliteDatabase, tmp_path: Path) -> None:
    stored = database.reads.events_after(0, 1)[0]
    with FolderHistory(tmp_path) as folder:
        facts = folder.job(stored.job_id)
        assert facts is not None
        assert (facts.phase, facts.last_event) == (JobPhase.QUEUED, 1)
        assert facts.queue_time > 0
        assert folder.job("AJ_nobody") is None
        assert folder.has_dispatch(stored.dispatch_id)
        assert not folder.has_dispatch("AD_nobody")
        assert not folder.ended_since(stored.job_id, 0)


def test_a_store_that_agrees_with_its_log_has_no_contradictions(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    with FolderHistory(tmp_path) as folder:
        assert folder.comparison() == Comparison(JOBS)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("UPDATE job_state SET phase = 'running' WHERE job = 1", "the store says running"),
        ("UPDATE job_state SET epoch = 7 WHERE job = 1", "at epoch 7"),
        ("UPDATE job_state SET last_event = 2 WHERE job = 1", "which is of job"),
        ("DELETE FROM event WHERE sequence = 3", "the log has no such event"),
        ("DELETE FROM job_state WHERE job = 1", "no state of it"),
        ("DELETE FROM job WHERE number = 5", "the state of job number 5, queued"),
        (
            "DROP TRIGGER job_is_written_once; UPDATE job SET config = x'0a0141' WHERE number = 1",
            "its config is that of job 'A'",
        ),
        (
            "DROP TRIGGER job_is_written_once; UPDATE job SET config = x'ff' WHERE number = 1",
            "its config cannot be read",
        ),
        (
            "DROP TRIGGER job_is_written_once; UPDATE job SET room = 'elsewhere' WHERE number = 1",
            "and its dispatch for",
        ),
    ],
)
def test_what_contradicts_itself_in_the_store_is_found(
    database: SqliteDatabase, tmp_path: Path, harm: str, told: str
) -> None:
    database.close()
    change(tmp_path, harm)
    with FolderHistory(tmp_path) as folder:
        found = folder.comparison().found
    assert len(found) == 1
    assert told in found[0].what


def test_an_event_of_an_unknown_kind_is_named(database: SqliteDatabase, tmp_path: Path) -> None:
    database.close()
    change(tmp_path, "UPDATE event SET trigger = 'blessed' WHERE sequence = 2")
    with (
        FolderHistory(tmp_path) as folder,
        pytest.raises(HistoryUnreadable, match="event 2 has 'blessed'"),
    ):
        rows_of(folder)


def test_a_newer_store_is_refused(database: SqliteDatabase, tmp_path: Path) -> None:
    database.close()
    change(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(StoreTooNew):
        FolderHistory(tmp_path)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    change(tmp_path, "CREATE TABLE theirs (a)")
    with pytest.raises(StoreCorrupt):
        FolderHistory(tmp_path)


def test_a_log_without_its_database_is_refused_and_left_alone(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    log = (tmp_path / f"{DATABASE_NAME}-wal").read_bytes()
    database.close()
    (tmp_path / DATABASE_NAME).write_bytes(b"")
    (tmp_path / f"{DATABASE_NAME}-wal").write_bytes(log)
    with pytest.raises(StoreCorrupt):
        FolderHistory(tmp_path)
    assert (tmp_path / f"{DATABASE_NAME}-wal").read_bytes() == log
