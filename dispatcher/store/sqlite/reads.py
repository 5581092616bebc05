"""The reads of the contract, on a connection of their own: what is committed is seen.

All but one find their rows through an index. `list_jobs` walks backwards from the newest job and
filters as it goes, so a filter that matches little costs at most what retention keeps; where the
filter names a dispatch, or only phases that have not ended, it walks over those alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from dispatcher.core.lifecycle import ENDED, JobPhase
from dispatcher.store.contract import EventRow, JobFilter, QueuePlace, StoredDispatch, StoredJob
from dispatcher.store.sqlite.failures import translated
from dispatcher.store.sqlite.rows import (
    DISPATCH_COLUMNS,
    DISPATCH_JOINS,
    JOB_COLUMNS,
    JOB_JOINS,
    LAST_DETAIL,
    ORDERED_EVENT_COLUMNS,
    ORDERED_EVENT_JOIN,
    STATE_JOINS,
    Row,
    dispatch_of,
    event_of,
    stored_job_of,
)

# The texts are constant: S608 sees the column lists that they share, nobody's input.
GET_DISPATCH = (
    f"SELECT {DISPATCH_COLUMNS}, d.number FROM dispatch d WHERE d.id = ? AND d.project = ?"  # noqa: S608
)
LIST_DISPATCHES = (
    f"SELECT {DISPATCH_COLUMNS}, d.number FROM dispatch d"  # noqa: S608
    " WHERE d.project = ? AND d.room = ? AND d.deletion_requested_at = 0"
    " ORDER BY d.number LIMIT ?"
)
JOBS_OF_DISPATCH = f"SELECT {JOB_COLUMNS} FROM {JOB_JOINS} WHERE j.dispatch = ? ORDER BY j.number"  # noqa: S608
GET_JOB = f"SELECT {JOB_COLUMNS}, {LAST_DETAIL} FROM {JOB_JOINS} WHERE j.id = ? AND j.project = ?"  # noqa: S608
JOB_EVENTS = (
    f"WITH RECURSIVE chain (sequence) AS ("  # noqa: S608
    " SELECT s.last_event FROM job j CROSS JOIN job_state s ON s.job = j.number"
    " WHERE j.id = ? AND j.project = ?"
    " UNION ALL SELECT e.previous FROM chain CROSS JOIN event e ON e.sequence = chain.sequence)"
    f" SELECT {ORDERED_EVENT_COLUMNS} FROM chain CROSS JOIN event e ON e.sequence = chain.sequence"
    f" {ORDERED_EVENT_JOIN} ORDER BY e.sequence"
)
EVENTS_AFTER = (
    f"SELECT {ORDERED_EVENT_COLUMNS} FROM event e {ORDERED_EVENT_JOIN}"  # noqa: S608
    " WHERE e.sequence > ? ORDER BY e.sequence LIMIT ?"
)
# The counter is what was given out before the last prune, which may have taken the newest rows.
LAST_SEQUENCE = (
    "SELECT max(ifnull((SELECT max(sequence) FROM event), 0),"
    " ifnull((SELECT value FROM counter WHERE name = 'event'), 0))"
)
LIVE_JOBS = "SELECT count(*) FROM (SELECT 1 FROM job_state s WHERE s.ended = 0 LIMIT ?)"
# How many of those that are queued in one lane go before a job: by their priority, and in all.
QUEUE_PLACE = (
    "SELECT count(*) FILTER (WHERE j.priority > ?), count(*)"
    " FROM job_state s CROSS JOIN job j ON j.number = s.job WHERE s.ended = 0 AND s.phase = ?"
    " AND j.project = ? AND j.agent_name = ? AND j.namespace = ? AND j.job_type = ?"
    " AND j.deployment = ? AND (j.priority > ? OR (j.priority = ? AND j.number < ?))"
)
GET_POSITION = "SELECT sequence FROM position WHERE name = ?"

NUMBER_MAX = 2**63 - 1


class Reader:
    """Reads on one connection; one at a time."""

    def __init__(self, connection: apsw.Connection, place: Path) -> None:
        self._connection = connection
        # for errors
        self._place = place

    def get_dispatch(self, project: str, dispatch_id: str) -> StoredDispatch | None:
        """Return the dispatch with its jobs."""
        with self._one_moment() as cursor:
            row = cursor.execute(GET_DISPATCH, (dispatch_id, project)).fetchone()
            return None if row is None else self._with_jobs(cursor, row)

    def list_dispatches(self, project: str, room: str, limit: int) -> list[StoredDispatch]:
        """Return the room's dispatches that nobody deleted."""
        with self._one_moment() as cursor:
            rows = cursor.execute(LIST_DISPATCHES, (project, room, limit)).fetchall()
            return [self._with_jobs(cursor, row) for row in rows]

    def get_job(self, project: str, job_id: str) -> StoredJob | None:
        """Return one job."""
        with translated(self._place):
            row = self._connection.execute(GET_JOB, (job_id, project)).fetchone()
        return None if row is None else stored_job_of(row[:-1], row[-1])

    def list_jobs(self, where: JobFilter, limit: int, before: int) -> list[StoredJob]:
        """Return jobs, newest first."""
        sql, values = jobs_query(where, limit, before)
        with translated(self._place):
            rows = self._connection.execute(sql, values)
            return [stored_job_of(row[:-1], row[-1]) for row in rows]

    def queue_place(self, stored: StoredJob, live_jobs_max: int) -> QueuePlace | None:
        """Return the place of a queued job in its lane."""
        job, lane = stored.job, stored.job.lane
        priority = job.priority
        values: Row = (priority, JobPhase.QUEUED.value)
        values += (lane.project, lane.agent_name, lane.namespace, int(lane.job_type))
        values += (lane.deployment, priority, priority, stored.number)
        with self._one_moment() as cursor:
            if cursor.execute(LIVE_JOBS, (live_jobs_max + 1,)).get > live_jobs_max:
                return None
            higher, before = cursor.execute(QUEUE_PLACE, values).get
        return QueuePlace(before, higher)

    def job_events(self, project: str, job_id: str) -> list[EventRow]:
        """Return the job's events."""
        with translated(self._place):
            rows = self._connection.execute(JOB_EVENTS, (job_id, project))
            return [event_of(row, row[-1]) for row in rows]

    def events_after(self, sequence: int, limit: int) -> list[EventRow]:
        """Return the events with greater sequence numbers."""
        with translated(self._place):
            rows = self._connection.execute(EVENTS_AFTER, (sequence, limit))
            return [event_of(row, row[-1]) for row in rows]

    def last_sequence(self) -> int:
        """Return the highest sequence number that an event was given."""
        with translated(self._place):
            return int(self._connection.execute(LAST_SEQUENCE).get)

    def get_position(self, name: str) -> int | None:
        """Return the position under the name."""
        with translated(self._place):
            row = self._connection.execute(GET_POSITION, (name,)).fetchone()
        return None if row is None else int(row[0])

    @contextmanager
    def _one_moment(self) -> Iterator[apsw.Cursor]:
        """Let several statements see the same state of the store."""
        with translated(self._place):
            cursor = self._connection.cursor()
            cursor.execute("BEGIN")
            try:
                yield cursor
            finally:
                cursor.execute("COMMIT")

    def _with_jobs(self, cursor: apsw.Cursor, row: Row) -> StoredDispatch:
        jobs = cursor.execute(JOBS_OF_DISPATCH, (row[-1],))
        return StoredDispatch(dispatch_of(row), tuple(stored_job_of(job) for job in jobs))


def jobs_query(where: JobFilter, limit: int, before: int) -> tuple[str, Row]:
    """Return the text and the values of a list of jobs; each text starts from the best index."""
    conditions = ["j.project = ?"]
    values: list[str | int] = [where.project]
    for condition, value in (
        ("j.agent_name = ?", where.agent_name),
        ("j.room = ?", where.room),
        ("s.worker_id = ?", where.worker_id),
        ("d.id = ?", where.dispatch_id),
    ):
        if value:
            conditions.append(condition)
            values.append(value)
    if where.phases:
        marks = ", ".join("?" * len(where.phases))
        conditions.append(f"s.phase IN ({marks})")
        values += [phase.value for phase in where.phases]
    if where.dispatch_id:
        source, number = DISPATCH_JOINS, "j.number"
    elif where.phases and not where.phases & ENDED:
        source, number = STATE_JOINS, "s.job"
        conditions.append("s.ended = 0")
    else:
        source, number = JOB_JOINS, "j.number"
    conditions.append(f"{number} < ?")
    values += [before or NUMBER_MAX, limit]
    sql = (
        f"SELECT {JOB_COLUMNS}, {LAST_DETAIL} FROM {source} WHERE {' AND '.join(conditions)}"  # noqa: S608
        f" ORDER BY {number} DESC LIMIT ?"
    )
    return sql, tuple(values)
