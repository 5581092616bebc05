"""Why a job waits, or what became of it: the answer to ExplainJob, in the API's message (G3).

What the engine knows of workers is taken as it is now; the job's place in its lane is counted in the
store, where its queue is short enough to be looked through.

Left to others: the reasons themselves, and their words (`core.reasons`).
"""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.core.engine import Engine
from dispatcher.core.jobs import Lane, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.origins import origin_of
from dispatcher.core.reasons import (
    candidates,
    ended_summary,
    event_told,
    held_notes,
    waiting_summary,
)
from dispatcher.core.workers import JobInHand
from dispatcher.store.contract import EventRow, JobFilter, Store, StoredJob
from protocol import api_pb2

# Queued jobs that are looked through for a place; in a longer queue it is not told.
_QUEUE_LOOKED_THROUGH_MAX = 1000


async def position_in_lane(store: Store, stored: StoredJob) -> int:
    """Return the job's place in its lane, 1 for the next; 0 where the queue is too long to tell."""
    lane = stored.job.lane
    where = JobFilter(lane.project, frozenset({JobPhase.QUEUED}), lane.agent_name)
    queued = await store.list_jobs(where, _QUEUE_LOOKED_THROUGH_MAX + 1)
    if len(queued) > _QUEUE_LOOKED_THROUGH_MAX:
        return 0
    place = _place(stored)
    return 1 + sum(1 for each in queued if each.job.lane == lane and _place(each) < place)


def _place(stored: StoredJob) -> tuple[int, int]:
    return -stored.job.priority, stored.number


def fill_waiting(
    response: api_pb2.ExplainJobResponse,
    stored: StoredJob,
    phase: JobPhase,
    engine: Engine,
    position: int,
    now: Nanoseconds,
    workers_max: int,
) -> None:
    """Tell of a job that waits; `phase` is the one that it has now."""
    job, state = stored.job, stored.state
    lane = job.lane
    found = candidates(engine.workers.values(), lane, job.id, engine.policy, now, workers_max)
    response.summary = waiting_summary(
        state, phase, lane, found, position, is_draining=engine.is_draining
    )
    is_queued = phase is not JobPhase.DELAYED
    response.since = state.until - job.queue_time if is_queued and state.until else state.updated_at
    response.until = state.until
    if is_queued:
        response.position = position
        response.waiting = _waiting(engine, lane)
        response.workers_left_out = found.left_out
        for reason in found.reasons:
            response.workers.add(
                worker_id=reason.worker_id, reason=reason.obstacle.value, text=reason.text
            )


def _waiting(engine: Engine, lane: Lane) -> int:
    queue = engine.lanes.get(lane)
    return max(queue.waiting, 0) if queue is not None else 0


def fill_course(
    response: api_pb2.ExplainJobResponse,
    stored: StoredJob,
    rows: Sequence[EventRow],
    in_hand: JobInHand | None,
    now: Nanoseconds,
) -> None:
    """Tell what happened to a job, event by event; and where it is held or has ended, what it is now."""
    job, state = stored.job, stored.state
    made_by = origin_of(job.order, job.dispatch_id).told()
    before: JobPhase | None = None
    for row in rows:
        told = event_told(
            row.trigger, row.phase, row.worker_id, made_by, before=before, detail=row.detail
        )
        response.told.append(told)
        before = row.phase
    if state.phase.is_waiting:
        return
    response.since = rows[-1].at if rows else state.updated_at
    last = rows[-1] if rows else None
    if state.phase.is_ended:
        words = response.told[-1] if rows else state.phase.value
        texts = (state.error, last.detail if last is not None else "")
        response.summary = ended_summary(state.phase, words, "; ".join(filter(None, texts)))
        return
    response.until = state.until
    lost = response.told[-1] if last is not None and state.phase is JobPhase.ORPHANED else ""
    summary = _held_summary(state.phase, state.worker_id, _started_again(rows), lost)
    notes = held_notes(in_hand, now) if in_hand is not None else ()
    response.summary = "; ".join((summary, *notes))


def _started_again(rows: Sequence[EventRow]) -> bool:
    return sum(1 for row in rows if row.trigger is JobTrigger.OFFER_ACCEPTED) > 1


def _held_summary(phase: JobPhase, worker_id: str, again: bool, lost: str) -> str:
    what = {
        JobPhase.ASSIGNED: f"worker {worker_id} has it, and has not said that it started",
        JobPhase.RUNNING: f"it runs on worker {worker_id}",
        JobPhase.ORPHANED: f"{lost or 'its worker was lost'}; it is held for {worker_id} to come back",
    }[phase]
    return f"{what}; it is not its first worker" if again else what
