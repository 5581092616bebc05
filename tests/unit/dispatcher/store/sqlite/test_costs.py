"""Promise 6: what a request costs does not grow with the jobs that are there, but by a logarithm.

Counted in steps of SQLite's virtual machine, which are the same on every machine and every run.
"""

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import apsw
import pytest

from dispatcher.core.effects import (
    ClaimDue,
    DeleteDispatch,
    FinishDeletion,
    LookUpJobs,
    ReleaseJobs,
    StoreRequest,
)
from dispatcher.core.jobs import JobState
from dispatcher.core.lifecycle import JobPhase
from dispatcher.store.contract import Retention
from dispatcher.store.sqlite import SqliteDatabase
from dispatcher.store.sqlite.pending import PendingIndex
from tests.conformance.store.builders import (
    LANE,
    NOW,
    assign,
    claim,
    create,
    create_job,
    succeed,
)
from tests.unit.dispatcher.store.sqlite.test_pending import live

FEW, MANY = 500, 30_000
BYTES_OF_A_PENDING_JOB_MAX = 768

Counted = Callable[[SqliteDatabase], Callable[[Sequence[StoreRequest]], int]]


def fill(folder: Path, count: int) -> SqliteDatabase:
    """A store in which most jobs have ended, and every tenth waits."""
    database = SqliteDatabase(folder)
    database.open()
    for start in range(0, count, 1_000):
        names = [f"old{number}" for number in range(start, min(count, start + 1_000))]
        state = JobState(JobPhase.QUEUED, until=NOW + 10)
        database.apply([create(name, state=state, room=name) for name in names], NOW)
        database.apply([succeed(name) for name in names if not name.endswith("0")], NOW)
    return database


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, SqliteDatabase]]:
    made = {count: fill(tmp_path_factory.mktemp("costs"), count) for count in (FEW, MANY)}
    yield made
    for database in made.values():
        database.close()


def steps_of(connection: apsw.Connection, act: Callable[[], object]) -> int:
    """Return how many steps the connection's statements take."""
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    connection.set_progress_handler(count, 1)
    try:
        act()
    finally:
        connection.set_progress_handler(None)
    return steps


REQUESTS: dict[str, list[StoreRequest]] = {
    "create": [create("new", room="new")],
    "create again": [create("new", room="new")],
    "create held": [create_job("held", reserved=True)],
    "claim": [claim(5)],
    "release": [ReleaseJobs(("AJ_old0", "AJ_old10"))],
    "due": [ClaimDue(NOW + 10, 5)],
    "assign": [assign("held")],
    "end": [succeed("held")],
    "refused": [succeed("held")],
    "look up": [LookUpJobs("AW_1", "project", ("AJ_old1", "AJ_old100", "AJ_none"))],
    "delete": [DeleteDispatch(1, "project", "old450", "AD_old450", NOW)],
    "finish": [FinishDeletion("AD_old450", NOW)],
}


def test_no_request_costs_more_with_more_jobs(stores: dict[int, SqliteDatabase]) -> None:
    costs: dict[int, dict[str, int]] = {}
    for count, database in stores.items():
        writer = database.connections.writer
        costs[count] = {
            name: steps_of(writer, partial(database.apply, batch, NOW))
            for name, batch in REQUESTS.items()
        }
    for name in REQUESTS:
        assert 0 <= costs[MANY][name] <= costs[FEW][name] * 1.1 + 10, name


def test_pruning_a_slice_costs_no_more_with_more_jobs(stores: dict[int, SqliteDatabase]) -> None:
    keep = Retention(10**18, 10**9, 10**18, 10**9)
    few, many = (
        steps_of(database.connections.writer, partial(database.prune, keep, NOW, 10))
        for database in (stores[FEW], stores[MANY])
    )
    assert many <= few * 1.1 + 10


@pytest.mark.parametrize("read", ["get_dispatch", "get_job", "job_events", "list_dispatches"])
def test_no_read_by_key_costs_more_with_more_jobs(
    stores: dict[int, SqliteDatabase], read: str
) -> None:
    def act(database: SqliteDatabase) -> int:
        reads = database.reads
        call: dict[str, Callable[[], object]] = {
            "get_dispatch": lambda: reads.get_dispatch("project", "AD_old123"),
            "get_job": lambda: reads.get_job("project", "AJ_old123"),
            "job_events": lambda: reads.job_events("project", "AJ_old123"),
            "list_dispatches": lambda: reads.list_dispatches("project", "old123", 5),
        }
        assert call[read]()
        return steps_of(database.connections.reader, call[read])

    assert act(stores[MANY]) <= act(stores[FEW]) * 1.1 + 10


def test_a_job_that_waits_takes_little_memory() -> None:
    count = 20_000
    tracemalloc.start()
    try:
        index = PendingIndex()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            index.add(live(number, until=NOW + number), hold=False)
            index.keep()
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert index.waiting_in(LANE) == count
    assert used / count < BYTES_OF_A_PENDING_JOB_MAX
