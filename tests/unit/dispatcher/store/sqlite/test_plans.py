"""No statement of the hot path, and no read by key, walks over a table."""

import itertools
from collections.abc import Iterator

import apsw
import pytest

from dispatcher.core.lifecycle import HELD, JobPhase
from dispatcher.store.contract import JobFilter
from dispatcher.store.sqlite import batch, database, pruning, reads, recovery
from dispatcher.store.sqlite.schema import migrate

STATEMENTS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": text
    for module in (batch, database, pruning, reads, recovery)
    for name, text in vars(module).items()
    if name.isupper()
    and not name.startswith("_")
    and isinstance(text, str)
    and text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"))
} | {
    f"batch.{name} of {size}": text
    for name in ("INSERT_JOBS", "INSERT_STATES", "INSERT_EVENTS")
    for size, text in getattr(batch, name)
}
# Once at the start: it counts through an index of small numbers, and reads all notes.
WALKS = {"pruning.COUNT_ENDED", "recovery.NOTES"}
# The first rows in the order of the primary key, up to a LIMIT: SQLite calls it a scan.
FIRST_ROWS = {"pruning.EVENTS_TO_DELETE"}


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    migrate(connection)
    yield connection
    connection.close()


def plan(connection: apsw.Connection, sql: str) -> list[str]:
    """Return the steps of the statement's plan."""
    count = max(sql.count("?"), 1)
    values = (1,) if "?1" in sql else (1,) * count if "?" in sql else ()
    return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - WALKS - FIRST_ROWS))
def test_a_statement_finds_its_rows_through_an_index(
    connection: apsw.Connection, name: str
) -> None:
    for step in plan(connection, STATEMENTS[name]):
        # the events of one job, gathered by the chain through them
        if step in {"SCAN chain", "SCAN CONSTANT ROW"} or step.endswith("-ROW VALUES CLAUSE"):
            continue
        # a partial index that holds just the rows that are wanted (of the reads: not over a limit)
        if "job_state_live" in step and name in {
            "recovery.LIVE_JOBS",
            "reads.LIVE_JOBS",
            "reads.QUEUE_PLACE",
        }:
            continue
        if step == "SCAN (subquery-1)" and name == "reads.LIVE_JOBS":  # what those rows were
            continue
        if step.startswith("SCAN") and any(
            f"INDEX dispatch_{which}" in step or f"INDEX job_state_{which}" in step
            for which in ("deleting", "ended")
        ):
            continue
        assert not step.startswith("SCAN"), step
        if "ORDER BY e.sequence" not in STATEMENTS[name]:
            assert "TEMP B-TREE" not in step, step


FILTERS = [
    JobFilter("p", phases, agent, room, worker, dispatch)
    for phases, agent, room, worker, dispatch in itertools.product(
        (frozenset[JobPhase](), HELD, frozenset(JobPhase)),
        ("", "a"),
        ("", "r"),
        ("", "w"),
        ("", "d"),
    )
]


@pytest.mark.parametrize("where", FILTERS, ids=range(len(FILTERS)))
def test_a_list_of_jobs_is_read_in_its_order_and_stops_at_its_limit(
    connection: apsw.Connection, where: JobFilter
) -> None:
    sql, values = reads.jobs_query(where, 10, 5)
    steps = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert not [step for step in steps if "SCAN" in step or "TEMP B-TREE" in step], steps


def test_every_statement_is_found() -> None:
    assert {"batch.INSERT_EVENTS of 16", "database.ONE_JOB", "reads.GET_JOB"} <= STATEMENTS.keys()
    assert len(STATEMENTS) > 20
