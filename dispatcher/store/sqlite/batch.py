"""The rows that a batch writes: gathered, and written table by table in one transaction.

Written late and together because each statement lets other threads run, and to be let in again
costs more than the row. What is read in the middle of a batch is written first (`flush`).
"""

from __future__ import annotations

from itertools import chain

import apsw

from dispatcher.core.effects import DropNotes
from dispatcher.core.jobs import Dispatch, Job, JobState, Nanoseconds
from dispatcher.core.lifecycle import JobTrigger
from dispatcher.core.notes import Note
from dispatcher.store.sqlite.pending import LiveJob
from dispatcher.store.sqlite.rows import Row
from protocol.errors import StoreError

INSERT_DISPATCH = (
    "INSERT INTO dispatch (id, project, room, agent_name, deployment, restart_policy, created_at,"
    " deletion_requested_at, deleted_at, config, number) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO NOTHING"
)
_INSERT_JOB = (
    "INSERT INTO job (number, id, dispatch, project, agent_name, namespace, job_type, deployment,"
    " room, priority, created_at, restart_policy, queue_time, config, made_for, unique_key) VALUES "
)
_INSERT_STATE = (
    "INSERT INTO job_state (phase, attempt, attempt_reason, until, worker_id,"
    " participant_identity, grace, reason, error, started_at, ended_at, updated_at, last_event,"
    " epoch, job) VALUES "
)
# `ended` is left alone here, so that SQLite leaves its indices alone.
_SET_STATE = (
    "phase = ?, attempt = ?, attempt_reason = ?, until = ?, worker_id = ?,"
    " participant_identity = ?, grace = ?, reason = ?, error = ?, started_at = ?,"
)
_REST_OF_STATE = "updated_at = ?, last_event = ?, epoch = ?"
_GUARD = "WHERE job = ? AND epoch = ? AND ended = 0"
MOVE_STATE = f"UPDATE job_state SET {_SET_STATE} ended_at = ?, {_REST_OF_STATE} {_GUARD}"  # noqa: S608
END_STATE = f"UPDATE job_state SET {_SET_STATE} ended_at = ?, {_REST_OF_STATE}, ended = 1 {_GUARD}"  # noqa: S608
_INSERT_EVENT = (
    "INSERT INTO event (sequence, previous, at, project, job_id, dispatch_id, trigger, phase,"
    " epoch, attempt, worker_id, reason, error, detail) VALUES "
)
PUT_NOTE = "INSERT OR REPLACE INTO note (kind, project, scope, key, text) VALUES (?, ?, ?, ?, ?)"
DROP_SCOPE = "DELETE FROM note WHERE kind = ? AND project = ? AND scope = ?"
DROP_NOTE = f"{DROP_SCOPE} AND key = ?"
# Rows that one statement inserts: few texts, so that all stay prepared.
INSERT_SIZES = (16, 4, 1)


def _inserts(head: str, columns: int) -> tuple[tuple[int, str], ...]:
    """Return the statements that insert so many rows at once, the largest first."""
    row = f"({', '.join('?' * columns)})"
    return tuple((size, head + ", ".join([row] * size)) for size in INSERT_SIZES)


INSERT_JOBS = _inserts(_INSERT_JOB, 16)
INSERT_STATES = _inserts(_INSERT_STATE, 15)
INSERT_EVENTS = _inserts(_INSERT_EVENT, 14)


class Batch:
    """Writes on one connection. `begin` is implied by the first; ends with `commit` or `abandon`.

    `job_number` and `event_sequence` are the last that were given out.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.dispatch_number = 0
        self.job_number = 0
        self.event_sequence = 0
        # what `abandon` goes back to: the three numbers above at the last commit
        self._committed = (0, 0, 0)
        # is a transaction open
        self._begun = False
        # gathered rows, in the order in which the tables are written
        self._jobs: list[Row] = []
        self._states: list[Row] = []
        self._moves: list[Row] = []
        self._ends: list[Row] = []
        self._events: list[Row] = []

    def number_from(self, dispatch: int, job: int, event: int) -> None:
        """Set the numbers that were given out last."""
        self.dispatch_number, self.job_number, self.event_sequence = dispatch, job, event
        self._committed = (dispatch, job, event)

    # --- rows -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the transaction, if it is not."""
        if not self._begun:
            self.cursor.execute("BEGIN IMMEDIATE")
            self._begun = True

    def insert_dispatch(self, dispatch: Dispatch) -> int | None:
        """Write the dispatch at once; return its number, None if its id is there already."""
        self.begin()
        number = self.dispatch_number + 1
        self.cursor.execute(
            INSERT_DISPATCH,
            (
                dispatch.id,
                dispatch.project,
                dispatch.room,
                dispatch.agent_name,
                dispatch.deployment,
                int(dispatch.restart_policy),
                dispatch.created_at,
                dispatch.deletion_requested_at,
                dispatch.deleted_at,
                dispatch.config,
                number,
            ),
        )
        if not self.connection.changes():
            return None
        self.dispatch_number = number
        return number

    def insert_job(self, job: Job, dispatch_number: int | None) -> int:
        """Write the job; return its number."""
        self.job_number += 1
        lane = job.lane
        self._jobs.append(
            (
                self.job_number,
                job.id,
                dispatch_number,
                lane.project,
                lane.agent_name,
                lane.namespace,
                int(lane.job_type),
                lane.deployment,
                job.room,
                job.priority,
                job.created_at,
                int(job.restart_policy),
                job.queue_time,
                job.config,
                job.order,
                job.unique_key,
            )
        )
        return self.job_number

    def insert_state(self, job: LiveJob, state: JobState, last_event: int) -> None:
        """Write a new job's state."""
        self._states.append((*_state_row(state, last_event), job.number))

    def update_state(self, job: LiveJob, state: JobState, last_event: int) -> None:
        """Write the next state of a job that is still at `job.epoch`."""
        rows = self._ends if state.phase.is_ended else self._moves
        rows.append((*_state_row(state, last_event), job.number, job.epoch))

    def insert_event(
        self, job: LiveJob, trigger: JobTrigger, state: JobState, detail: str, at: Nanoseconds
    ) -> int:
        """Write a row of the event log; return its sequence number."""
        self.event_sequence += 1
        self._events.append(
            (
                self.event_sequence,
                job.last_event,
                at,
                job.lane.project,
                job.id,
                job.dispatch_id,
                trigger,
                state.phase,
                state.epoch,
                state.attempt,
                state.worker_id,
                state.reason,
                state.error,
                detail,
            )
        )
        return self.event_sequence

    def put_note(self, note: Note) -> None:
        """Write the note at once."""
        self.begin()
        self.cursor.execute(
            PUT_NOTE, (note.kind.value, note.project, note.scope, note.key, note.text)
        )

    def drop_notes(self, request: DropNotes) -> None:
        """Delete one note, or all of a scope, at once."""
        self.begin()
        name = (request.kind.value, request.project, request.scope)
        if request.key is None:
            self.cursor.execute(DROP_SCOPE, name)
        else:
            self.cursor.execute(DROP_NOTE, (*name, request.key))

    # --- the end of it --------------------------------------------------------------------

    def flush(self) -> None:
        """Write what was gathered, so that it can be read on this connection.

        Opens the transaction in any case: many reads in one cost half of what they cost alone.
        """
        self.begin()
        if not self._events:  # every row of the others comes with one of these
            return
        self._insert(INSERT_JOBS, self._jobs)
        self._insert(INSERT_STATES, self._states)
        before = self.connection.total_changes()
        updates = len(self._moves) + len(self._ends)
        self._write(MOVE_STATE, self._moves)
        self._write(END_STATE, self._ends)
        if self.connection.total_changes() - before != updates:
            raise StoreError(
                "a job's state is not what memory says",
                self.connection.filename,
                "report this as a bug, and start again: nothing was changed",
            )
        self._insert(INSERT_EVENTS, self._events)

    def flush_gathered(self) -> None:
        """Write what was gathered, if anything was."""
        if self._events:
            self.flush()

    def commit(self) -> None:
        """Make all of it durable. Nothing to do where nothing was written."""
        self.flush_gathered()
        if self._begun:
            self.cursor.execute("COMMIT")
            self._begun = False
            self._committed = (self.dispatch_number, self.job_number, self.event_sequence)

    def abandon(self) -> None:
        """Undo all of it, after an error. apsw.Error if even that fails."""
        for rows in (self._jobs, self._states, self._moves, self._ends, self._events):
            rows.clear()
        self.dispatch_number, self.job_number, self.event_sequence = self._committed
        self._begun = False
        if self.connection.in_transaction:
            self.cursor.execute("ROLLBACK")

    def _insert(self, statements: tuple[tuple[int, str], ...], rows: list[Row]) -> None:
        """Write the rows with as few statements as there are texts for."""
        begin = 0
        for size, sql in statements:
            while len(rows) - begin >= size:
                part = rows[begin : begin + size]
                self.cursor.execute(sql, tuple(chain.from_iterable(part)))
                begin += size
        rows.clear()

    def _write(self, sql: str, rows: list[Row]) -> None:
        if rows:
            self.cursor.executemany(sql, rows)
            rows.clear()


def _state_row(state: JobState, last_event: int) -> Row:
    """Return the columns that all three statements of job_state begin with.

    Enums go as they are, for they are texts and numbers: `value` costs more than the column.
    """
    return (
        state.phase,
        state.attempt,
        state.attempt_reason,
        state.until,
        state.worker_id,
        state.participant_identity,
        state.grace,
        state.reason,
        state.error,
        state.started_at,
        state.ended_at,
        state.updated_at,
        last_event,
        state.epoch,
    )
