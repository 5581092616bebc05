"""The facade on its threads: cancellation, closing, and the log's bound."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.lowlevel
import apsw
import pytest

from dispatcher.core.effects import StoreRequest
from dispatcher.core.events import StoreResult
from dispatcher.core.jobs import JobState, Nanoseconds
from dispatcher.core.lifecycle import JobPhase
from dispatcher.store.contract import JobFilter, Retention
from dispatcher.store.sqlite import SqliteDatabase, SqliteStore
from dispatcher.store.sqlite.connections import WAL_PAGES_BUSY, WAL_PAGES_IDLE
from dispatcher.store.sqlite.folder import DATABASE_NAME
from dispatcher.store.sqlite.store import IDLE_SECONDS, REQUESTS_ON_LOOP_MAX
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


class WatchedDatabase(SqliteDatabase):
    """A database that takes down on which thread rows are written and made durable."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.wrote_on: list[str] = []
        self.committed_on: list[str] = []

    def write(self, requests: Sequence[StoreRequest], now: Nanoseconds) -> list[StoreResult]:
        self.wrote_on.append(threading.current_thread().name)
        return super().write(requests, now)

    def make_durable(self, results: list[StoreResult]) -> list[StoreResult]:
        self.committed_on.append(threading.current_thread().name)
        return super().make_durable(results)


async def watched(folder: Path) -> tuple[SqliteStore, WatchedDatabase]:
    database = WatchedDatabase(folder)
    store = SqliteStore(folder, database)
    await store.open(NOW)
    return store, database


async def test_a_small_batch_is_written_on_the_loop_and_made_durable_on_the_thread(
    tmp_path: Path,
) -> None:
    store, database = await watched(tmp_path)
    await store.commit([create_job("1")], NOW)
    assert database.wrote_on == [threading.current_thread().name]
    assert database.committed_on == ["store-writer"]
    await store.close()


@pytest.mark.parametrize(
    "batch",
    [[create_job(str(number)) for number in range(REQUESTS_ON_LOOP_MAX + 1)], [claim()]],
    ids=["large", "reads"],
)
async def test_a_batch_that_may_take_long_is_written_on_the_thread(
    tmp_path: Path, batch: list[StoreRequest]
) -> None:
    store, database = await watched(tmp_path)
    await store.commit(batch, NOW)
    assert database.wrote_on == ["store-writer"]
    await store.close()


async def test_while_the_thread_is_at_work_nothing_is_written_on_the_loop(tmp_path: Path) -> None:
    store, database = await watched(tmp_path)
    pruned = asyncio.ensure_future(store.prune(Retention(1, 1, 1, 1), NOW, 10))
    await anyio.lowlevel.checkpoint()
    await store.commit([create_job("1")], NOW)
    assert database.wrote_on == ["store-writer"]
    await pruned
    await store.close()


async def test_the_loop_does_not_wait_for_a_program_that_has_the_file(tmp_path: Path) -> None:
    store, database = await watched(tmp_path)
    other = apsw.Connection(str(tmp_path / DATABASE_NAME))
    other.execute("BEGIN IMMEDIATE")
    commit = asyncio.ensure_future(store.commit([create_job("1")], NOW))
    await anyio.lowlevel.checkpoint()
    assert not commit.done()
    other.execute("ROLLBACK")
    other.close()
    await commit
    assert database.wrote_on == [threading.current_thread().name, "store-writer"]
    assert claimed_names(await store.commit([claim()], NOW)) == ["1"]
    await store.close()


async def test_a_log_that_has_grown_becomes_the_file_when_nothing_else_is_to_do(
    tmp_path: Path,
) -> None:
    store, database = await watched(tmp_path)
    state = JobState(JobPhase.QUEUED, error="x" * 100_000)
    number = 0
    while not database.wants_checkpoint(idle=True):
        number += 1
        await store.commit([create(str(number), state=state)], NOW)
    with anyio.fail_after(30):
        while database.wants_checkpoint(idle=True):  # noqa: ASYNC110
            await anyio.sleep(0.01)
    await store.close()


class SlowlyClosedDatabase(SqliteDatabase):
    """A database that is closed only once the loop has seen the end of the last commit."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.last_was_seen = threading.Event()

    def close(self) -> None:
        assert self.last_was_seen.wait(60)
        super().close()


async def test_a_store_that_is_closed_with_a_large_log_starts_no_thread_again(
    tmp_path: Path, others: set[threading.Thread]
) -> None:
    database = SlowlyClosedDatabase(tmp_path)
    store = SqliteStore(tmp_path, database)
    await store.open(NOW)
    state = JobState(JobPhase.QUEUED, error="x" * 100_000)
    number = 0
    while not database.wants_checkpoint(idle=True):
        number += 1
        await store.commit([create(str(number), state=state)], NOW)
    last = asyncio.ensure_future(store.commit([create_job("last")], NOW))
    last.add_done_callback(lambda _: database.last_was_seen.set())
    await store.close()
    await anyio.sleep(3 * IDLE_SECONDS)
    assert threads() <= others


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
