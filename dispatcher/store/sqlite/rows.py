"""Values as rows and back: the column lists, in the order in which they are read and written.

Enums are kept by value (phases and triggers as text, LiveKit's as their numbers), times as
nanoseconds, configs as the bytes that they are.
"""

from __future__ import annotations

from typing import Any

from dispatcher.core.events import HeldJob
from dispatcher.core.jobs import (
    AttemptReason,
    Dispatch,
    Job,
    JobState,
    JobStateReason,
    JobType,
    Lane,
    RestartPolicy,
)
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.notes import Note, NoteKind
from dispatcher.store.contract import EventRow, StoredJob
from dispatcher.store.sqlite.pending import LiveJob

Row = tuple[Any, ...]

DISPATCH_COLUMNS = (
    "d.id, d.project, d.room, d.agent_name, d.deployment, d.restart_policy, d.config,"
    " d.created_at, d.deletion_requested_at, d.deleted_at"
)
_LANE_COLUMNS = "j.project, j.agent_name, j.namespace, j.job_type, j.deployment"
_STATE_COLUMNS = (
    "s.phase, s.epoch, s.attempt, s.attempt_reason, s.until, s.worker_id, s.participant_identity,"
    " s.grace, s.reason, s.error, s.started_at, s.ended_at, s.updated_at"
)
# 5 of the lane, 11 of the job, 13 of the state
JOB_COLUMNS = (
    f"{_LANE_COLUMNS}, j.number, j.id, d.id, j.room, j.config, j.created_at, j.restart_policy,"
    f" j.priority, j.queue_time, j.made_for, j.unique_key, {_STATE_COLUMNS}"
)
# The joins that JOB_COLUMNS needs, from job and from job_state. CROSS keeps SQLite to that order.
JOB_JOINS = (
    "job j CROSS JOIN job_state s ON s.job = j.number LEFT JOIN dispatch d ON d.number = j.dispatch"
)
STATE_JOINS = (
    "job_state s CROSS JOIN job j ON j.number = s.job LEFT JOIN dispatch d ON d.number = j.dispatch"
)
DISPATCH_JOINS = (
    "dispatch d CROSS JOIN job j ON j.dispatch = d.number"
    " CROSS JOIN job_state s ON s.job = j.number"
)
# The detail of the job's last event, to be read before JOB_COLUMNS or after them.
LAST_DETAIL = "ifnull((SELECT l.detail FROM event l WHERE l.sequence = s.last_event), '')"
# 5 of the lane, 7 of the job, 13 of the state
HELD_COLUMNS = (
    f"{_LANE_COLUMNS}, j.id, d.id, j.room, j.restart_policy, j.queue_time, j.made_for,"
    f" j.unique_key, {_STATE_COLUMNS}"
)
# 3, and those of HELD_COLUMNS
LIVE_COLUMNS = f"j.number, j.priority, s.last_event, {HELD_COLUMNS}"
EVENT_COLUMNS = (
    "e.sequence, e.at, e.project, e.job_id, e.dispatch_id, e.trigger, e.phase, e.epoch, e.attempt,"
    " e.worker_id, e.reason, e.error, e.detail"
)
# EVENT_COLUMNS and the order of the event's job, if that is not pruned; and the join for it.
ORDERED_EVENT_COLUMNS = f"{EVENT_COLUMNS}, ifnull(o.made_for, '')"
ORDERED_EVENT_JOIN = "LEFT JOIN job o ON o.id = e.job_id"

_PHASES = {phase.value: phase for phase in JobPhase}
_TRIGGERS = {trigger.value: trigger for trigger in JobTrigger}
_ATTEMPT_REASONS = {reason.value: reason for reason in AttemptReason}
_REASONS = {reason.value: reason for reason in JobStateReason}
_POLICIES = {policy.value: policy for policy in RestartPolicy}


def dispatch_of(row: Row) -> Dispatch:
    """Return the dispatch of a row of DISPATCH_COLUMNS."""
    return Dispatch(
        id=row[0],
        project=row[1],
        room=row[2],
        agent_name=row[3],
        deployment=row[4],
        restart_policy=RestartPolicy(row[5]),
        config=row[6],
        created_at=row[7],
        deletion_requested_at=row[8],
        deleted_at=row[9],
    )


def phase_of(text: str) -> JobPhase:
    """Return the phase that is kept as this text."""
    return _PHASES[text]


def lane_of(row: Row) -> Lane:
    """Return the lane of a row that begins with one."""
    return Lane(row[0], row[1], row[2], JobType(row[3]), row[4])


def state_of(row: Row) -> JobState:
    """Return the state of a row that ends with one."""
    phase, epoch, attempt, why, until, worker_id, identity, grace, reason, *rest = row[-13:]
    return JobState(
        _PHASES[phase],
        epoch,
        attempt,
        _ATTEMPT_REASONS[why],
        until,
        worker_id,
        identity,
        grace,
        _REASONS[reason],
        *rest,  # the error, and three times
    )


def stored_job_of(row: Row, detail: str = "") -> StoredJob:
    """Return the job of a row of JOB_COLUMNS, and its last event's detail where that was read too."""
    job = Job(
        id=row[6],
        dispatch_id=row[7] or "",
        lane=lane_of(row),
        room=row[8],
        config=row[9],
        created_at=row[10],
        restart_policy=RestartPolicy(row[11]),
        priority=row[12],
        queue_time=row[13],
        order=row[14],
        unique_key=row[15],
    )
    return StoredJob(row[5], job, state_of(row), detail)


def held_job_of(row: Row, lane: Lane | None = None) -> HeldJob:
    """Return the job of a row of HELD_COLUMNS; with its lane, where that is there already."""
    job_id, dispatch_id, room, policy, queue_time, order, unique_key = row[5:12]
    return HeldJob(
        job_id,
        dispatch_id or "",
        room,
        lane or lane_of(row),
        _POLICIES[policy],
        queue_time,
        state_of(row),
        order,
        unique_key,
    )


def live_job_of(row: Row, lane: Lane) -> LiveJob:
    """Return what the next move of a job needs, from a row of LIVE_COLUMNS."""
    number, priority, last_event = row[:3]
    return LiveJob(
        number,
        row[8],
        row[9] or "",
        lane,
        priority,
        _PHASES[row[15]],
        row[16],
        row[19],
        last_event,
    )


def note_of(row: Row) -> Note:
    """Return the note of a row."""
    return Note(NoteKind(row[0]), *row[1:])


def event_of(row: Row, order: str = "") -> EventRow:
    """Return the event of a row of EVENT_COLUMNS, and its job's order where that was read too."""
    return EventRow(
        sequence=row[0],
        at=row[1],
        project=row[2],
        job_id=row[3],
        dispatch_id=row[4],
        trigger=_TRIGGERS[row[5]],
        phase=_PHASES[row[6]],
        epoch=row[7],
        attempt=row[8],
        worker_id=row[9],
        reason=reason_text(_REASONS[row[10]]),
        error=row[11],
        detail=row[12],
        order=order,
    )


def reason_text(reason: JobStateReason) -> str:
    """Return the reason as events tell it: empty for none."""
    return reason.name if reason else ""
