"""The tables, and the steps that bring an older file to them.

Config and state are apart: `dispatch` and `job` are written once (triggers guard them; of a
dispatch, its deletion alone may be noted), and `job_state` is what moves. `event` is the log. Numbers are given out by the database class, not by
AUTOINCREMENT, which would write one more page in every commit; `counter` keeps what was given out
when the newest rows are pruned, so that no number comes twice. `position` keeps how far each
reader of the log has come.

How the reads find their rows: jobs by number (the order of arrival), by id, by dispatch; states
that have not ended, and ended ones by time, through partial indices; the events of one job through
a chain (`job_state.last_event`, `event.previous`), which costs a write eight bytes where an index
would cost a page.

A step of `MIGRATIONS` that was released is never changed. The file's `user_version` is the number
of steps that it has had, its `application_id` says that it is ours.
"""

from __future__ import annotations

import apsw

APPLICATION_ID = 0x43424A31  # "CBJ1"

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE counter (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL -- the highest number that was given out before the last prune
    ) WITHOUT ROWID;

    CREATE TABLE dispatch (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        project TEXT NOT NULL,
        room TEXT NOT NULL,
        agent_name TEXT NOT NULL,
        deployment TEXT NOT NULL,
        restart_policy INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        deletion_requested_at INTEGER NOT NULL,
        deleted_at INTEGER NOT NULL,
        config BLOB NOT NULL
    );
    CREATE INDEX dispatch_standing ON dispatch (project, room) WHERE deletion_requested_at = 0;
    CREATE INDEX dispatch_deleting ON dispatch (number)
        WHERE deletion_requested_at > 0 AND deleted_at = 0;
    CREATE INDEX dispatch_deleted ON dispatch (deleted_at) WHERE deleted_at > 0;

    CREATE TABLE job (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        dispatch INTEGER, -- its number; NULL for a job of no dispatch
        project TEXT NOT NULL,
        agent_name TEXT NOT NULL,
        namespace TEXT NOT NULL,
        job_type INTEGER NOT NULL,
        deployment TEXT NOT NULL,
        room TEXT NOT NULL,
        priority INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        restart_policy INTEGER NOT NULL,
        queue_time INTEGER NOT NULL,
        config BLOB NOT NULL
    );
    CREATE INDEX job_dispatch ON job (dispatch) WHERE dispatch IS NOT NULL;
    CREATE TRIGGER job_is_written_once BEFORE UPDATE ON job
    BEGIN
        SELECT RAISE(ABORT, 'a job is written once');
    END;

    CREATE TABLE job_state (
        job INTEGER PRIMARY KEY,
        ended INTEGER NOT NULL DEFAULT 0, -- 1 for good with the move to an ended phase
        phase TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        attempt_reason TEXT NOT NULL,
        until INTEGER NOT NULL,
        worker_id TEXT NOT NULL,
        participant_identity TEXT NOT NULL,
        grace INTEGER NOT NULL,
        reason INTEGER NOT NULL,
        error TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        ended_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        last_event INTEGER NOT NULL
    );
    CREATE INDEX job_state_live ON job_state (job) WHERE ended = 0;
    CREATE INDEX job_state_ended ON job_state (ended_at) WHERE ended = 1;

    CREATE TABLE event (
        sequence INTEGER PRIMARY KEY,
        previous INTEGER NOT NULL, -- the same job's event before; 0: none
        at INTEGER NOT NULL,
        project TEXT NOT NULL,
        job_id TEXT NOT NULL,
        dispatch_id TEXT NOT NULL,
        trigger TEXT NOT NULL,
        phase TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        worker_id TEXT NOT NULL,
        reason INTEGER NOT NULL,
        error TEXT NOT NULL,
        detail TEXT NOT NULL
    );
    """,
    """
    CREATE TABLE position (
        name TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL -- of the event log: how far the reader of that name has come
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE note (
        kind TEXT NOT NULL,
        project TEXT NOT NULL,
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (kind, project, scope, key)
    ) WITHOUT ROWID;
    ALTER TABLE job ADD COLUMN made_for TEXT NOT NULL DEFAULT ''; -- Job.order
    ALTER TABLE job ADD COLUMN unique_key TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TRIGGER dispatch_is_written_once BEFORE UPDATE OF number, id, project, room, agent_name,
        deployment, restart_policy, created_at, config ON dispatch
    BEGIN
        SELECT RAISE(ABORT, 'a dispatch is written once');
    END;
    """,
)


def version_of(connection: apsw.Connection) -> int:
    """Return how many steps the file has had; -1 for a file of another program."""
    application_id, version, objects = connection.execute(
        "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)"
        " FROM pragma_application_id a, pragma_user_version v"
    ).get
    if application_id == APPLICATION_ID:
        return int(version)
    return 0 if application_id == 0 and version == 0 and objects == 0 else -1


def migrate(connection: apsw.Connection, steps: tuple[str, ...] = MIGRATIONS) -> None:
    """Bring the file to the newest version, each step in a transaction of its own."""
    for number in range(version_of(connection), len(steps)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(steps[number])
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except apsw.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
