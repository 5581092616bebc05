"""Why a job waits, or what became of it: the answer to ExplainJob, in the API's message (G3).

What the engine knows of workers is taken as it is now; the job's place in its lane is counted in the
store, where its queue is short enough to be looked through.

Left to others: the reasons themselves, and their words (`core.reasons`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from dispatcher.core.courses import ended_summary, event_told, held_notes
from dispatcher.core.engine import Engine
from dispatcher.core.jobs import Lane, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.origins import origin_of
from dispatcher.core.reasons import Candidates, advice, candidates, waiting_summary
from dispatcher.core.workers import JobInHand
from dispatcher.store.contract import EventRow, QueuePlace, Store, StoredJob
from protocol import api_pb2

# Jobs that have not ended and are looked through for a place; where there are more, it is not told.
_LIVE_JOBS_MAX = 50_000
# Other agents that are told of where none of the job's own is connected.
_OTHER_AGENTS_MAX = 10


async def place_in_lane(store: Store, stored: StoredJob) -> QueuePlace | None:
    """Return how many jobs go before this one; None where too many wait to tell."""
    return await store.queue_place(stored, _LIVE_JOBS_MAX)


def fill_waiting(
    response: api_pb2.ExplainJobResponse,
    stored: StoredJob,
    phase: JobPhase,
    engine: Engine,
    place: QueuePlace | None,
    now: Nanoseconds,
    workers_max: int,
) -> None:
    """Tell of a job that waits; `phase` is the one that it has now."""
    job, state = stored.job, stored.state
    lane = job.lane
    position = place.before + 1 if place is not None else 0
    found = candidates(engine.workers.values(), lane, job.id, engine.policy, now, workers_max)
    response.summary = waiting_summary(
        state, phase, lane, found, position, is_draining=engine.is_draining
    )
    is_queued = phase is not JobPhase.DELAYED
    response.since = state.until - job.queue_time if is_queued and state.until else state.updated_at
    response.until = state.until
    if is_queued:
        response.position = position
        response.of_higher_priority = place.of_higher_priority if place is not None else 0
        # A job on offer is not among those that wait.
        response.waiting = max(_waiting(engine, lane), position)
        _fill_candidates(response, found)
        if not found.of_lane:
            response.none_since, response.none_since_start = engine.none_since(lane)
        if phase is JobPhase.QUEUED and not engine.is_draining:
            response.advice = _advice(response, engine, lane, found)


def _fill_candidates(response: api_pb2.ExplainJobResponse, found: Candidates) -> None:
    response.workers_left_out = found.left_out
    for obstacle, count in found.counts.most_common():
        response.counts.add(reason=obstacle.value, workers=count)
    for reason in found.reasons:
        response.workers.add(
            worker_id=reason.worker_id,
            reason=reason.obstacle.value,
            text=reason.text,
            declined=reason.declined,
            unanswered=reason.unanswered,
        )


def _advice(
    response: api_pb2.ExplainJobResponse, engine: Engine, lane: Lane, found: Candidates
) -> str:
    """Return what can be done, noting the other agents that there are where the job's own is not."""
    here = [
        worker.registration
        for worker in engine.workers.values()
        if worker.registration.project == lane.project
    ]
    known = {name for project, name in engine.agents if project == lane.project}
    if not found.counts:
        agents = Counter(said.agent_name for said in here)
        for agent_name, count in agents.most_common(_OTHER_AGENTS_MAX):
            response.other_agents.add(agent_name=agent_name, workers=count)
        known |= agents.keys()
    deployments = {said.deployment for said in here if said.agent_name == lane.agent_name}
    return advice(lane, found, known, deployments)


def _waiting(engine: Engine, lane: Lane) -> int:
    queue = engine.lanes.get(lane)
    return max(queue.waiting, 0) if queue is not None else 0


def fill_told(
    timeline: Iterable[api_pb2.JobEvent], stored: StoredJob, rows: Sequence[EventRow]
) -> None:
    """Say in short words what each event of a job was; `timeline` has a message for each row."""
    made_by = origin_of(stored.job.order, stored.job.dispatch_id).told()
    before: JobPhase | None = None
    for event, row in zip(timeline, rows, strict=True):
        event.told = event_told(
            row.trigger, row.phase, row.worker_id, made_by, before=before, detail=row.detail
        )
        before = row.phase


def fill_course(
    response: api_pb2.ExplainJobResponse,
    stored: StoredJob,
    rows: Sequence[EventRow],
    in_hand: JobInHand | None,
    now: Nanoseconds,
) -> None:
    """Tell what a job is now that is held or has ended; its timeline is filled, and told of."""
    state = stored.state
    if state.phase.is_waiting:
        return
    response.since = rows[-1].at if rows else state.updated_at
    last = rows[-1] if rows else None
    if state.phase.is_ended:
        words = response.job.timeline[-1].told if rows else state.phase.value
        texts = (state.error, last.detail if last is not None else "")
        response.summary = ended_summary(state.phase, words, "; ".join(filter(None, texts)))
        return
    response.until = state.until
    lost = ""
    if last is not None and state.phase is JobPhase.ORPHANED:
        lost = response.job.timeline[-1].told
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
