"""The tables, their guards, and the steps to them."""

from pathlib import Path

import apsw
import pytest

from dispatcher.store.sqlite import SqliteDatabase
from dispatcher.store.sqlite.folder import DATABASE_NAME
from dispatcher.store.sqlite.schema import MIGRATIONS, migrate, version_of
from tests.conformance.store.builders import NOW, create


def test_a_new_file_gets_every_step() -> None:
    connection = apsw.Connection(":memory:")
    migrate(connection)
    assert version_of(connection) == len(MIGRATIONS)


def test_a_file_that_is_up_to_date_gets_no_step() -> None:
    connection = apsw.Connection(":memory:")
    migrate(connection)
    before = connection.total_changes()
    migrate(connection)
    assert connection.total_changes() == before


def test_an_older_file_gets_the_steps_that_it_lacks_and_keeps_its_rows() -> None:
    steps = ("CREATE TABLE a (x); INSERT INTO a VALUES (1)", "ALTER TABLE a ADD COLUMN y DEFAULT 2")
    connection = apsw.Connection(":memory:")
    migrate(connection, steps[:1])
    migrate(connection, steps)
    assert connection.execute("SELECT x, y FROM a").fetchall() == [(1, 2)]
    assert version_of(connection) == 2


def test_a_step_that_fails_leaves_the_file_as_it_was() -> None:
    connection = apsw.Connection(":memory:")
    migrate(connection, ("CREATE TABLE a (x)",))
    with pytest.raises(apsw.SQLError):
        migrate(connection, ("CREATE TABLE a (x)", "CREATE TABLE b (x); SELECT no_such_thing"))
    assert version_of(connection) == 1
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("a",)]
    assert not connection.in_transaction


def test_a_jobs_row_cannot_be_updated(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path)
    database.open()
    database.apply([create("1")], NOW)
    database.close()
    connection = apsw.Connection(str(tmp_path / DATABASE_NAME))
    with pytest.raises(apsw.ConstraintError, match="written once"):
        connection.execute("UPDATE job SET config = x'00'")
    connection.close()


@pytest.mark.parametrize(
    "column", ["config", "room", "agent_name", "deployment", "restart_policy", "created_at", "id"]
)
def test_what_a_dispatch_asks_for_cannot_be_updated(tmp_path: Path, column: str) -> None:
    database = SqliteDatabase(tmp_path)
    database.open()
    database.apply([create("1")], NOW)
    database.close()
    connection = apsw.Connection(str(tmp_path / DATABASE_NAME))
    with pytest.raises(apsw.ConstraintError, match="written once"):
        connection.execute(f"UPDATE dispatch SET {column} = 0")
    connection.execute("UPDATE dispatch SET deletion_requested_at = 1, deleted_at = 2")
    connection.close()


def test_an_older_stores_dispatches_are_guarded_from_then_on() -> None:
    connection = apsw.Connection(":memory:")
    migrate(connection, MIGRATIONS[:3])
    connection.execute(
        "INSERT INTO dispatch VALUES (1, 'AD_1', 'p', 'r', 'a', '', 0, 1, 0, 0, x'00')"
    )
    migrate(connection)
    with pytest.raises(apsw.ConstraintError, match="written once"):
        connection.execute("UPDATE dispatch SET config = x'01'")


def test_job_config_and_job_state_are_in_separate_tables() -> None:
    connection = apsw.Connection(":memory:")
    migrate(connection)

    def columns(table: str) -> set[str]:
        rows = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        return {str(row[0]) for row in rows}

    assert "config" in columns("job")
    assert not columns("job") & {"phase", "epoch", "attempt", "worker_id", "ended_at"}
    assert not columns("job_state") & {"config", "room", "priority"}
