"""Deleting what is past retention, oldest first, a few rows at a time.

Rows are counted without being read: events are numbered without a gap, and ended jobs are counted
once and from then on by who ends and prunes them.
"""

from __future__ import annotations

import apsw

from dispatcher.core.jobs import Nanoseconds
from dispatcher.store.contract import Retention
from dispatcher.store.sqlite.rows import Row

EVENTS_TO_DELETE = "SELECT sequence, at FROM event ORDER BY sequence LIMIT ?"
DELETE_EVENTS = "DELETE FROM event WHERE sequence <= ?"
COUNT_ENDED = "SELECT count(*) FROM job_state INDEXED BY job_state_ended WHERE ended = 1"
OLDEST_ENDED = (
    "SELECT s.job, s.ended_at, j.dispatch FROM job_state s INDEXED BY job_state_ended"
    " CROSS JOIN job j ON j.number = s.job WHERE s.ended = 1 ORDER BY s.ended_at, s.job LIMIT ?"
)
DELETE_JOB = "DELETE FROM job WHERE number = ?"
DELETE_STATE = "DELETE FROM job_state WHERE job = ?"
# A dispatch goes with its last job, but for one that is still being deleted ...
DELETE_EMPTY_DISPATCH = (
    "DELETE FROM dispatch WHERE number = ?1 AND (deletion_requested_at = 0 OR deleted_at > 0)"
    " AND NOT EXISTS (SELECT 1 FROM job WHERE dispatch = ?1)"
)
# ... which goes when that is over and it is old.
DELETE_DELETED_DISPATCHES = (
    "DELETE FROM dispatch WHERE number IN (SELECT d.number FROM dispatch d"
    " INDEXED BY dispatch_deleted WHERE d.deleted_at > 0 AND d.deleted_at < ?"
    " AND NOT EXISTS (SELECT 1 FROM job j WHERE j.dispatch = d.number)"
    " ORDER BY d.deleted_at LIMIT ?)"
)
SAVE_NUMBER = (
    "INSERT INTO counter (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


def count_ended(connection: apsw.Connection) -> int:
    """Count the ended jobs: grows with their number, so it is done once."""
    return int(connection.execute(COUNT_ENDED).get)


def prune_events(
    cursor: apsw.Cursor, retention: Retention, now: Nanoseconds, limit: int, last: int
) -> int:
    """Delete at most `limit` of the oldest events; `last` is the newest one's number."""
    cutoff = now - retention.events_age
    until, deleted = 0, 0
    rows: list[Row] = cursor.execute(EVENTS_TO_DELETE, (limit,)).fetchall()
    for sequence, at in rows:
        if at >= cutoff and last - sequence < retention.events_max:
            break
        until = sequence
        deleted += 1
    if deleted:
        cursor.execute(DELETE_EVENTS, (until,))
    return deleted


def prune_jobs(
    cursor: apsw.Cursor, retention: Retention, now: Nanoseconds, limit: int, ended: int
) -> tuple[int, int]:
    """Delete of `ended` jobs at most `limit`, and their dispatches; return both counts."""
    cutoff = now - retention.ended_jobs_age
    jobs: list[tuple[int]] = []
    dispatches: dict[int, None] = {}
    rows: list[Row] = cursor.execute(OLDEST_ENDED, (limit,)).fetchall()
    for number, ended_at, dispatch in rows:
        if ended_at >= cutoff and ended - len(jobs) <= retention.ended_jobs_max:
            break
        jobs.append((number,))
        if dispatch is not None:
            dispatches[dispatch] = None
    before = cursor.connection.total_changes()
    cursor.executemany(DELETE_JOB, jobs)
    cursor.executemany(DELETE_STATE, jobs)
    for dispatch in dispatches:
        cursor.execute(DELETE_EMPTY_DISPATCH, (dispatch,))
    cursor.execute(DELETE_DELETED_DISPATCHES, (cutoff, limit))
    return len(jobs), cursor.connection.total_changes() - before - 2 * len(jobs)
