"""The facade on its threads: cancellation, closing, and the log's bound."""

import threading
from pathlib import Path

import anyio
import pytest

from dispatcher.core.jobs import JobState
from dispatcher.core.lifecycle import JobPhase
from dispatcher.store.contract import JobFilter
from dispatcher.store.sqlite import SqliteDatabase, SqliteStore
from dispatcher.store.sqlite.connections import WAL_PAGES_BUSY, WAL_PAGES_IDLE
from dispatcher.store.sqlite.folder import DATABASE_NAME
from dispatcher.store.sqlite.threads import CallThread
from protocol.errors import StoreCorrupt, StoreError
from tests.conformance.store.builders import NOW, claim, claimed_names, create, create_job

pytestmark = pytest.mark.anyio


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("store-")}


@pytest.fixture
def others() -> set[threading.Thread]:
    """The threads of stores that other tests keep open."""
    return threads()


async def test_a_cancelled_commit_is_finished_and_the_store_goes_on(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open(NOW)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.commit([create_job("1")], NOW)
    assert scope.cancelled_caught
    assert claimed_names(await store.commit([claim()], NOW)) == ["1"]
    await store.close()


async def test_closing_finishes_what_was_asked_for_before(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open(NOW)
    commits = [store.commit([create_job(name)], NOW) for name in "12345"]
    await store.close()
    for commit in commits:
        await commit
    again = SqliteStore(tmp_path)
    await again.open(NOW)
    assert len(await again.list_jobs(JobFilter("project"), 9)) == 5
    await again.close()


async def test_closing_when_cancelled_closes_nevertheless(
    tmp_path: Path, others: set[threading.Thread]
) -> None:
    store = SqliteStore(tmp_path)
    await store.open(NOW)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.close()
    assert threads() <= others
    again = SqliteStore(tmp_path)
    await again.open(NOW)
    await again.close()


async def test_a_store_that_was_never_opened_closes(tmp_path: Path) -> None:
    await SqliteStore(tmp_path).close()


async def test_an_open_that_fails_leaves_no_thread(
    tmp_path: Path, others: set[threading.Thread]
) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"no database at all" * 1000)
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreCorrupt):
        await store.open(NOW)
    assert threads() <= others


async def test_commits_at_the_same_time_are_all_done_in_order(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open(NOW)
    commits = [store.commit([create_job(f"{number:02}")], NOW) for number in range(50)]
    for commit in commits:
        await commit
    expected = [f"{number:02}" for number in range(50)]
    assert claimed_names(await store.commit([claim()], NOW)) == expected
    await store.close()


async def test_a_call_that_raises_raises_at_its_caller_and_the_thread_goes_on(
    others: set[threading.Thread],
) -> None:
    def fail() -> None:
        raise StoreError("broke", "here", "mend it")

    thread = CallThread("store-test")
    with pytest.raises(StoreError, match="broke"):
        await thread.call(fail)
    assert await thread.call(lambda: 5) == 5
    await thread.stop(lambda: None)
    assert threads() <= others


async def test_a_value_that_cannot_be_stored_fails_its_batch_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open(NOW)
    broken = JobState(JobPhase.QUEUED, error="half a character: \ud800")
    with pytest.raises(UnicodeEncodeError):
        await store.commit([create_job("1"), create_job("2", state=broken)], NOW)
    await store.commit([create_job("3")], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == ["3"]
    await store.close()


def log_bytes(folder: Path) -> int:
    return (folder / f"{DATABASE_NAME}-wal").stat().st_size


@pytest.mark.parametrize(("idle", "pages"), [(True, WAL_PAGES_IDLE), (False, WAL_PAGES_BUSY)])
def test_the_log_has_a_bound(tmp_path: Path, idle: bool, pages: int) -> None:
    database = SqliteDatabase(tmp_path)
    database.open()
    written, largest = 0, 0
    while written < 3 * pages * 4096:
        before = log_bytes(tmp_path)
        name = str(written)
        state = JobState(JobPhase.QUEUED, error="x" * 100_000)
        database.apply([create(name + str(number), state=state) for number in range(9)], NOW)
        written += 9 * 100_000
        largest = max(largest, before)
        database.checkpoint(idle=idle)
    assert largest < 2 * pages * 4096
    database.close()
