"""Promise 1 when commits fail: nothing is changed, in memory either, and trying again works.

Each store is made to fail in its own way: the one in memory on demand, SQLite by a limit on how
large a file of this process may grow, which makes the write of the commit fail.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from dispatcher.core.effects import ClaimDue, DeleteDispatch, ReleaseJobs, StoreRequest
from dispatcher.core.events import DispatchCreated, DispatchDeletionRecorded, JobsDue
from dispatcher.core.jobs import JobState
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.store.contract import EventRow, JobFilter, StoredDispatch, StoredJob
from dispatcher.store.sqlite import SqliteDatabase
from dispatcher.store.sqlite.folder import DATABASE_NAME
from protocol.errors import StoreError
from tests.conformance.store.builders import (
    LANE,
    NOW,
    QUEUED,
    assign,
    claim,
    claimed_names,
    create,
    create_job,
    move,
    succeed,
)
from tests.support.full_disk import file_growth_refused
from tests.support.memory_store import MemoryDatabase

Database = SqliteDatabase | MemoryDatabase
FailingDatabase = tuple[Database, Callable[[], AbstractContextManager[None]]]


@pytest.fixture(params=["memory", "sqlite"])
def failing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FailingDatabase]:
    """An open database, and a context in which its commits fail."""
    if request.param == "memory":
        memory = MemoryDatabase()
        memory.open()

        @contextmanager
        def fail() -> Iterator[None]:
            memory.fail_next_commits()
            yield

        yield memory, fail
        return
    sqlite = SqliteDatabase(tmp_path)
    sqlite.open()

    log = tmp_path / f"{DATABASE_NAME}-wal"

    yield sqlite, lambda: file_growth_refused(log)
    sqlite.close()


def picture(
    database: Database,
) -> tuple[list[StoredJob], list[EventRow], list[StoredDispatch | None]]:
    """Return all that reads tell."""
    reads = database.reads if isinstance(database, SqliteDatabase) else database
    return (
        reads.list_jobs(JobFilter("project"), 99, 0),
        reads.events_after(0, 99),
        [reads.get_dispatch("project", f"AD_{name}") for name in "123"],
    )


def test_a_commit_that_fails_changes_nothing_and_may_be_tried_again(
    failing: FailingDatabase,
) -> None:
    database, fail = failing
    delayed = JobState(JobPhase.DELAYED, until=NOW)
    before: list[StoreRequest] = [
        create("1", jobs=2),
        create("2", reserved=True),
        create_job("0", state=delayed),
        create_job("4"),
        create_job("5", priority=9),
    ]
    database.apply(before, NOW)
    database.apply([claim(1)], NOW)  # AJ_5 is held
    was = picture(database)
    batch: list[StoreRequest] = [
        create("3", state=delayed, jobs=3),
        claim(1),
        assign("2"),
        succeed("1"),
        ClaimDue(NOW, 9),
        DeleteDispatch(1, "project", "room", "AD_1", NOW),
        ReleaseJobs(("AJ_5",)),
        move("2", JobTrigger.FAILED, JobState(JobPhase.FAILED)),
        create_job("6"),
        claim(9),
    ]
    with fail(), pytest.raises(StoreError) as raised:
        database.apply(batch, NOW)
    assert raised.value.retryable
    assert picture(database) == was

    created, first, due, deleted, claimed = database.apply(batch, NOW)
    assert isinstance(created, DispatchCreated)
    assert created.created
    assert claimed_names([first]) == ["1"]
    assert isinstance(due, JobsDue)
    assert {each.id for each in due.jobs} == {"AJ_0", "AJ_3", "AJ_3b", "AJ_3c"}
    assert isinstance(deleted, DispatchDeletionRecorded)
    assert deleted.cancelled_by_lane == {LANE: 1}
    assert claimed_names([claimed]) == ["5", "4", "6"]


def test_what_was_claimed_by_a_commit_that_failed_is_not_held(failing: FailingDatabase) -> None:
    database, fail = failing
    database.apply([create_job("1"), create_job("2", reserved=True)], NOW)
    with fail(), pytest.raises(StoreError):
        database.apply([claim(), move("2", JobTrigger.RETRIED, JobState(JobPhase.QUEUED))], NOW)
    assert claimed_names(database.apply([claim()], NOW)) == ["1"]
    database.apply([move("2", JobTrigger.RETRIED, JobState(JobPhase.QUEUED))], NOW)
    assert claimed_names(database.apply([claim()], NOW)) == ["2"]


def test_a_commit_that_fails_uses_up_no_number(failing: FailingDatabase) -> None:
    database, fail = failing
    for _ in range(3):
        with fail(), pytest.raises(StoreError):
            database.apply([create_job("1", state=JobState(JobPhase.QUEUED))], NOW)
    database.apply([create_job("1", state=QUEUED)], NOW)
    jobs, events, _ = picture(database)
    assert [job.number for job in jobs] == [1]
    assert [event.sequence for event in events] == [1]
