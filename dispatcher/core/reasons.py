"""Why a job waits: for each worker of its agent, why that is not given it (G3).

Functions over what the engine knows; nothing here changes anything. The order of the questions is
that of what an operator would look at: does the worker serve such jobs at all, does it take any now,
has it room for one more.

Left to others: which worker is chosen (`placement`), what became of a job (`courses`), what stands in
the store (`server.job_reasons`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from heapq import nsmallest

from dispatcher.core.jobs import SECOND, AttemptReason, JobState, JobType, Lane, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, WorkerPhase
from dispatcher.core.offering import no_worker_of
from dispatcher.core.policy import Policy
from dispatcher.core.workers import Worker


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
    ON_OFFER = "on_offer"  # it is being asked
    NONE = "has_room"


# Obstacles of a worker that serves other jobs than this one.
OTHERS = frozenset({Obstacle.OTHER_NAMESPACE, Obstacle.OTHER_DEPLOYMENT, Obstacle.OTHER_TYPE})


@dataclass(frozen=True, slots=True)
class WorkerReason:
    """Why one worker does not get a job; `text` is for people, and goes on after its id."""

    worker_id: str
    obstacle: Obstacle
    text: str
    # offers of this job that it declined, and that it did not answer, as far as it is remembered
    declined: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class Candidates:
    """The workers of an agent, those of the lane first; `left_out` are as many more.

    Where some are left out, the others are as many of each obstacle as can be.
    """

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
    found.sort(key=lambda each: (each.obstacle in OTHERS, each.worker_id))
    seen: Counter[Obstacle] = Counter()
    turns: list[tuple[bool, int, int]] = []
    for place, each in enumerate(found):
        turns.append((each.obstacle in OTHERS, seen[each.obstacle], place))
        seen[each.obstacle] += 1
    shown = sorted(place for _, _, place in nsmallest(reasons_max, turns))
    return Candidates(tuple(found[place] for place in shown), len(found) - len(shown), seen)


def worker_reason(
    worker: Worker, lane: Lane, job_id: str, policy: Policy, now: Nanoseconds
) -> WorkerReason:
    """Return why this worker, which is of the lane's agent, does not get the job; or NONE."""
    found = _of_lane(worker, lane)
    if found is not None:
        return WorkerReason(worker.id, *found)
    hand = worker.offers.get(job_id)
    if hand is not None:
        told = f"is asked, and has not answered for {(now - hand.offered_at) / SECOND:.1f} s"
        found = Obstacle.ON_OFFER, told
    obstacle, text = found or _of_phase(worker, now) or _of_room(worker, policy, job_id)
    job = worker.refused.get(job_id) if worker.refused is not None else None
    if job is None:
        if obstacle is Obstacle.NONE and worker.refusals:
            text += f"; {refusals_told(worker)}"
        return WorkerReason(worker.id, obstacle, text)
    times = [f"declined this job {_times(job.declined)}"] if job.declined else []
    times += [f"left it unanswered {_times(job.unanswered)}"] if job.unanswered else []
    text = f"{text}; {', '.join(times)}"
    return WorkerReason(worker.id, obstacle, text, job.declined, job.unanswered)


def refusals_told(worker: Worker) -> str:
    """Say how often a worker refused in a row."""
    if worker.refusals == 1:
        return "declined, or did not answer, the last offer"
    return f"declined, or did not answer, {worker.refusals} times in a row"


def worker_note(worker: Worker, now: Nanoseconds) -> str:
    """Say of a worker why it gets no jobs or what its jobs wait for, if that is not plain to see."""
    if worker.phase is WorkerPhase.OUT_OF_SERVICE:
        if worker.jobs:
            return hand_over_told(worker.hand_over_at, now)
        return "it has no jobs: it can be stopped"
    if worker.yielding:
        return "drains: its jobs are to go to others, and no other has room"
    if worker.phase is WorkerPhase.AVAILABLE:
        return refusals_told(worker) if worker.refusals else ""
    found = None if worker.phase is WorkerPhase.FULL else _of_phase(worker, now)
    return found[1] if found is not None else ""


def hand_over_told(hand_over_at: Nanoseconds, now: Nanoseconds) -> str:
    """Say what becomes of the jobs of a worker that is out of service."""
    left = (hand_over_at - now) / SECOND
    if not hand_over_at:
        return "its jobs run there until they end"
    if left > 0:
        return f"its jobs go to others in {left:.0f} s, if they have room"
    return f"its jobs were to go to others {-left:.0f} s ago, and no other has room"


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
            told = f"{refusals_told(worker)}: is left alone for {left:.1f} s more"
            return Obstacle.BACKED_OFF, told
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
            before = "1 job goes" if position == 2 else f"{position - 1} jobs go"
            return f"a worker has room; {before} before it"
        return "a worker has room: it is offered the job in a moment"
    busy = ", ".join(_counted(found.counts, frozenset(Obstacle) - OTHERS))
    return f"no worker of its lane can take a job now: {busy}"


def advice(
    lane: Lane, found: Candidates, known_agents: Collection[str], deployments: Collection[str]
) -> str:
    """Say what can be done for a job that waits; empty where it is but a matter of time.

    `known_agents` are those of the project that have workers or had some, `deployments` those of
    the connected workers of the job's agent.
    """
    counts = found.counts
    if not counts:
        near = (
            get_close_matches(lane.agent_name, sorted(known_agents), 1) if lane.agent_name else []
        )
        told = "start its workers, with this server's address as LIVEKIT_URL"
        if near and near[0] != lane.agent_name:
            return f"is {near[0]!r} meant? If not, {told}"
        return told
    if not found.of_lane:
        if counts[Obstacle.OTHER_DEPLOYMENT] and not counts[Obstacle.OTHER_TYPE]:
            there = ", ".join(
                repr(each) if each else "no deployment" for each in sorted(deployments)
            )
            told = (
                f"start workers of deployment {lane.deployment!r}"
                if lane.deployment
                else ("start workers without a deployment")
            )
            return f"{told}, or dispatch to one that is here: {there}"
        return "start workers that serve such jobs, or change those that are here"
    of_lane = {obstacle for obstacle, count in counts.items() if count} - OTHERS
    for obstacles, told in _ADVICE:
        if of_lane <= obstacles:
            return told
    return ""


# What can be done where no worker of the lane has another obstacle than these.
_ADVICE: tuple[tuple[frozenset[Obstacle], str], ...] = (
    (
        frozenset({Obstacle.OUT_OF_SERVICE, Obstacle.DRAINING, Obstacle.GONE}),
        "all its workers are on their way out: start others",
    ),
    (
        frozenset({Obstacle.STALE}),
        "its workers are connected and silent: look at their machines and logs",
    ),
    (
        frozenset({Obstacle.BACKED_OFF}),
        "its workers refuse what they are offered: their logs say why",
    ),
    (
        frozenset(
            {Obstacle.FULL, Obstacle.AT_CAPACITY, Obstacle.OUT_OF_SERVICE, Obstacle.DRAINING}
        ),
        "start more workers, or wait until one of its jobs ends",
    ),
)


def _counted(counts: Counter[Obstacle], of: frozenset[Obstacle]) -> list[str]:
    return [
        f"{counts[obstacle]} {obstacle.value.replace('_', ' ')}"
        for obstacle in Obstacle
        if obstacle in of and counts[obstacle]
    ]


def _named(what: str, name: str) -> str:
    return f"{what} {name!r}" if name else f"no {what}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


def _type_name(job_type: JobType) -> str:
    return job_type.name.lower()
