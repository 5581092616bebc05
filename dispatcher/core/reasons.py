"""Why a job waits: for each worker of its agent, why that is not given it (G3).

Functions over what the engine knows; nothing here changes anything. The order of the questions is
that of what an operator would look at: does the worker serve such jobs at all, does it take any now,
has it room for one more.

Left to others: which worker is chosen (`placement`), what stands in the store (`server.job_reasons`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from heapq import nsmallest

from dispatcher.core.jobs import SECOND, AttemptReason, JobState, JobType, Lane, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger, WorkerPhase
from dispatcher.core.offering import no_worker_of
from dispatcher.core.policy import Policy
from dispatcher.core.workers import JobInHand, Worker


class Obstacle(StrEnum):
    """Why a worker is not given a job. The value is the API's."""

    OTHER_NAMESPACE = "other_namespace"
    OTHER_DEPLOYMENT = "other_deployment"
    OTHER_TYPE = "other_type"
    SETTLING = "settling"
    FULL = "full"
    BACKED_OFF = "backed_off"
    DRAINING = "draining"
    STALE = "stale"
    OUT_OF_SERVICE = "out_of_service"
    GONE = "gone"
    AT_CAPACITY = "at_capacity"
    BUSY_WITH_OFFERS = "busy_with_offers"
    STOPPING = "stopping"  # it may still be running this very job
    NONE = "has_room"


# Obstacles of a worker that serves other jobs than this one.
OTHERS = frozenset({Obstacle.OTHER_NAMESPACE, Obstacle.OTHER_DEPLOYMENT, Obstacle.OTHER_TYPE})


@dataclass(frozen=True, slots=True)
class WorkerReason:
    """Why one worker does not get a job; `text` is for people, and goes on after its id."""

    worker_id: str
    obstacle: Obstacle
    text: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """The workers of an agent, those of the lane first; `left_out` are as many more."""

    reasons: tuple[WorkerReason, ...]
    left_out: int
    # all of them, counted
    counts: Counter[Obstacle]

    @property
    def of_lane(self) -> int:
        """How many serve jobs of this lane."""
        return sum(count for obstacle, count in self.counts.items() if obstacle not in OTHERS)


def candidates(
    workers: Iterable[Worker],
    lane: Lane,
    job_id: str,
    policy: Policy,
    now: Nanoseconds,
    reasons_max: int,
) -> Candidates:
    """Return why each worker of the lane's project and agent does not get this job."""
    found = [
        worker_reason(worker, lane, job_id, policy, now)
        for worker in workers
        if worker.registration.project == lane.project
        and worker.registration.agent_name == lane.agent_name
    ]
    shown = nsmallest(
        reasons_max, found, key=lambda each: (each.obstacle in OTHERS, each.worker_id)
    )
    return Candidates(
        tuple(shown), len(found) - len(shown), Counter(each.obstacle for each in found)
    )


def worker_reason(
    worker: Worker, lane: Lane, job_id: str, policy: Policy, now: Nanoseconds
) -> WorkerReason:
    """Return why this worker, which is of the lane's agent, does not get the job; or NONE."""
    obstacle, text = (
        _of_lane(worker, lane) or _of_phase(worker, now) or _of_room(worker, policy, job_id)
    )
    return WorkerReason(worker.id, obstacle, text)


def _of_lane(worker: Worker, lane: Lane) -> tuple[Obstacle, str] | None:
    said = worker.registration
    if said.namespace != lane.namespace:
        text = f"is of {_named('namespace', said.namespace)}, the job of {_named('namespace', lane.namespace)}"
        return Obstacle.OTHER_NAMESPACE, text
    if said.deployment != lane.deployment:
        text = (
            f"is of {_named('deployment', said.deployment)},"
            f" the job of {_named('deployment', lane.deployment)}"
        )
        return Obstacle.OTHER_DEPLOYMENT, text
    if lane.job_type not in said.types:
        takes = ", ".join(_type_name(each) for each in said.types)
        return (
            Obstacle.OTHER_TYPE,
            f"takes jobs of type {takes}, this one is {_type_name(lane.job_type)}",
        )
    return None


def _of_phase(worker: Worker, now: Nanoseconds) -> tuple[Obstacle, str] | None:
    match worker.phase:
        case WorkerPhase.AVAILABLE:
            return None
        case WorkerPhase.SETTLING:
            return Obstacle.SETTLING, "connected a moment ago, and may still claim its jobs"
        case WorkerPhase.FULL:
            return (
                Obstacle.FULL,
                f"says that it is full: load {worker.reported_load:.2f}, {_jobs(worker.jobs_count)}",
            )
        case WorkerPhase.BACKED_OFF:
            left = max(worker.backed_off_until - now, 0) / SECOND
            told = f"declined, or did not answer, {worker.refusals} times in a row"
            return Obstacle.BACKED_OFF, f"{told}: is left alone for {left:.1f} s more"
        case WorkerPhase.DRAINING:
            return Obstacle.DRAINING, "says that it takes no more jobs: it drains"
        case WorkerPhase.STALE:
            told = f"has told no status for {(now - worker.reported_at) / SECOND:.0f} s"
            return Obstacle.STALE, told if worker.reported_at else "has never told its status"
        case WorkerPhase.OUT_OF_SERVICE:
            return Obstacle.OUT_OF_SERVICE, "an operator took it out of service"
        case WorkerPhase.GONE:
            return Obstacle.GONE, "its connection is lost"


def _of_room(worker: Worker, policy: Policy, job_id: str) -> tuple[Obstacle, str]:
    if worker.capacity is not None and worker.jobs_count + len(worker.offers) >= worker.capacity:
        text = (
            f"is at capacity: {worker.jobs_count + len(worker.offers)} of {_jobs(worker.capacity)}"
        )
        details = [f"{len(worker.offers)} of them on offer"] if worker.offers else []
        details += [f"{len(worker.stopping)} being stopped"] if worker.stopping else []
        return Obstacle.AT_CAPACITY, text + (f" ({', '.join(details)})" if details else "")
    if worker.room(policy) <= 0:
        told = f"has {len(worker.offers)} offers that it has not answered"
        return Obstacle.BUSY_WITH_OFFERS, f"{told}, of at most {policy.offers_in_flight_max}"
    if worker.may_run(job_id):
        return Obstacle.STOPPING, "may still be running this job, which was taken from it"
    return Obstacle.NONE, "has room"


# --- the job --------------------------------------------------------------------------------------


def waiting_summary(
    state: JobState,
    phase: JobPhase,
    lane: Lane,
    found: Candidates,
    position: int,
    is_draining: bool,
) -> str:
    """Say in one sentence why a job waits. `phase` is the one that it has now, `position` 0: unknown."""
    if phase is JobPhase.DELAYED:
        if state.attempt > 1:
            is_lost = state.attempt_reason is AttemptReason.WORKER_LOST
            why = "its worker was lost" if is_lost else "it failed"
            return f"{why}: it is tried again after a pause, as attempt {state.attempt}"
        return "its rule asks for a delay"
    if phase is JobPhase.OFFERED:
        return "it is on offer, and the answer is not in yet"
    if is_draining:
        return "this server drains and makes no more offers; another one, or its restart, goes on"
    if not found.counts:
        return "no worker of this agent is connected"
    if not found.of_lane:
        others = ", ".join(_counted(found.counts, OTHERS))
        return f"{no_worker_of(lane)} takes {_type_name(lane.job_type)} jobs; there are others: {others}"
    if found.counts[Obstacle.NONE]:
        if position > 1:
            return f"a worker has room; {position - 1} jobs go before it"
        return "a worker has room: it is offered the job in a moment"
    busy = ", ".join(_counted(found.counts, frozenset(Obstacle) - OTHERS))
    return f"no worker of its lane can take a job now: {busy}"


def _counted(counts: Counter[Obstacle], of: frozenset[Obstacle]) -> list[str]:
    return [
        f"{counts[obstacle]} {obstacle.value.replace('_', ' ')}"
        for obstacle in Obstacle
        if obstacle in of and counts[obstacle]
    ]


# What each trigger is called for people.
TOLD: dict[JobTrigger, str] = {
    JobTrigger.CREATED: "made",
    JobTrigger.BECAME_DUE: "its time came: queued",
    JobTrigger.OFFERED: "offered",
    JobTrigger.OFFER_WITHDRAWN: "not taken by who was offered it: queued",
    JobTrigger.OFFER_ACCEPTED: "accepted and assigned",
    JobTrigger.OFFER_TERMINATED: "its worker said that it shall not run at all",
    JobTrigger.ASSIGNMENT_EXPIRED: "the assignment was too late for its worker: queued again",
    JobTrigger.STARTED: "its worker started it",
    JobTrigger.REDELIVERED: "told to its worker once more",
    JobTrigger.WORKER_LOST: "its worker was lost",
    JobTrigger.CLAIMED: "its worker is back and runs it",
    JobTrigger.GRACE_EXPIRED: "its worker did not come back: queued for another",
    JobTrigger.GAVE_UP_LOST: "its worker did not come back, and it is not tried again",
    JobTrigger.SUCCEEDED: "succeeded",
    JobTrigger.LEFT: "succeeded: its agent left the room as one that is done",
    JobTrigger.RETRIED: "waits to be tried again",
    JobTrigger.FAILED: "failed",
    JobTrigger.HANDED_OVER: "its worker handed it over: queued for another",
    JobTrigger.QUEUE_DEADLINE_PASSED: "no worker took it in time: failed",
    JobTrigger.CANCELLED: "cancelled",
}


# What follows when a worker is lost for good, and why it is: nobody came back, or as the evidence says.
_AFTER_LOSS: dict[JobTrigger, str] = {
    JobTrigger.GRACE_EXPIRED: ": queued for another",
    JobTrigger.RETRIED: ": waits to be tried again",
    JobTrigger.GAVE_UP_LOST: ", and it is not tried again",
}


def event_told(
    trigger: JobTrigger,
    phase: JobPhase,
    worker_id: str,
    made_by: str,
    *,
    before: JobPhase | None = None,
    detail: str = "",
) -> str:
    """Say in short words what happened to a job; `made_by` is what made it, for its first event.

    `before` is the phase that it had, where that is known, `detail` the one of the event.
    """
    if trigger is JobTrigger.WORKER_LOST and detail:
        return detail
    if before is JobPhase.ORPHANED and trigger in _AFTER_LOSS:
        # "was on W; evidence", but of a job that is given up the evidence alone
        evidence = detail if trigger is JobTrigger.GAVE_UP_LOST else detail.partition("; ")[2]
        return (evidence or "its worker did not come back") + _AFTER_LOSS[trigger]
    if trigger is JobTrigger.RETRIED and before is not None:
        return f"failed, and {TOLD[trigger]}"
    if trigger is JobTrigger.CREATED:
        first = f"made by {made_by}"
        return (
            f"{first}, offered to {worker_id}" if phase is JobPhase.OFFERED else f"{first}: {phase}"
        )
    told = TOLD.get(trigger, trigger.value)
    named = trigger in (JobTrigger.OFFER_ACCEPTED, JobTrigger.STARTED, JobTrigger.CLAIMED)
    return f"{told} ({worker_id})" if named and worker_id else told


def ended_summary(phase: JobPhase, last_told: str, why: str) -> str:
    """Say in one sentence what became of a job that has ended."""
    return f"it has ended, {phase.value}: {why or last_told}"


def held_notes(hand: JobInHand, now: Nanoseconds) -> Iterator[str]:
    """Say what an operator should know of a job that a worker holds."""
    worker, absence = hand.worker, hand.absence
    if worker is None:
        return
    if absence is not None and hand.phase is JobPhase.RUNNING:
        away = (now - absence.since) / SECOND
        reason = absence.reason.name.lower()
        yield (
            f"its agent left the room ({reason}) and has been away for {away:.0f} s, but its worker"
            " says that it still runs jobs: it is believed (callboard job terminate ends it)"
        )
    if worker.phase is WorkerPhase.OUT_OF_SERVICE:
        left = (worker.hand_over_at - now) / SECOND
        if not worker.hand_over_at:
            then = "it runs there until it ends"
        elif left > 0:
            then = f"in {left:.0f} s it goes to another, if one has room"
        else:
            then = (
                f"it has been due to go to another for {-left:.0f} s, and no other has room for it"
            )
        yield f"its worker is out of service: {then}"
    elif hand.id in worker.yielding:
        yield "its worker drains and would hand it over, and no other has room for it"


def _named(what: str, name: str) -> str:
    return f"{what} {name!r}" if name else f"no {what}"


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


def _type_name(job_type: JobType) -> str:
    return job_type.name.lower()
