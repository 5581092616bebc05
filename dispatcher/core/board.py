"""The call board: all that the engine remembers, and the few moves that every part makes on it.

The board has the workers, the jobs in hand (those that are offered or held; waiting jobs are the
store's), a count of what waits in each lane, the deletions under way, the deadlines, and the
effects of the turn.

Invariants: a job in hand that is OFFERED is in its worker's `offers`, one that is ASSIGNED or
RUNNING in its worker's `jobs`, one that is ORPHANED has no worker. Every offer and every orphan
has a deadline.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TypedDict, Unpack

from dispatcher.core.deadlines import Deadlines
from dispatcher.core.effects import (
    Effect,
    FinishDeletion,
    Ignored,
    NoteIgnored,
    RecordMove,
    SendTermination,
)
from dispatcher.core.events import HeldJob, OfferAnswered
from dispatcher.core.jobs import (
    AttemptReason,
    Job,
    JobState,
    JobStateReason,
    Lane,
    Nanoseconds,
    ProcessKey,
)
from dispatcher.core.lifecycle import JobPhase, JobTrigger, WorkerPhase, advance_job
from dispatcher.core.placement import Pools
from dispatcher.core.policy import Policy
from dispatcher.core.recent import Recent
from dispatcher.core.tally import Tally
from dispatcher.core.workers import JobInHand, Worker
from protocol.values import changed

# Lanes of which it is remembered when a worker came last, and when one was lost: the latest.
ARRIVALS_MAX = 10_000


class DeadlineKind(StrEnum):
    """What a deadline is for. With the ids that follow it, the key of the deadline."""

    SETTLE = "settle"  # worker
    BACKOFF = "backoff"  # worker
    OFFER = "offer"  # job
    GRACE = "grace"  # job
    STOP = "stop"  # worker, job
    LATE_ANSWER = "late_answer"  # job
    SWEEP = "sweep"
    SUCCESSION = "succession"  # project and room name, connection
    OVER = "over"
    PARTING = "parting"  # job
    TAKEOVER = "takeover"  # older worker, claimant
    STATUS = "status"  # worker
    UNCOUNTED = "uncounted"  # worker
    UNSTARTED = "unstarted"  # the job that was assigned first of those that have not started
    HAND_OVER = "hand_over"  # worker
    YIELD = "yield"  # worker
    UNNAMED = "unnamed"  # project
    REOPENED = "reopened"  # project, room name
    DUE = "due"  # the earliest waiting job in the store


DeadlineKey = tuple[DeadlineKind, str, str]


class StateChange(TypedDict, total=False):
    """The fields of `JobState` that a move may change besides phase and time."""

    epoch: int
    attempt: int
    attempt_reason: AttemptReason
    until: Nanoseconds
    worker_id: str
    participant_identity: str
    grace: Nanoseconds
    reason: JobStateReason
    error: str
    started_at: Nanoseconds
    ended_at: Nanoseconds


class LaneQueue:
    """What the engine knows of a lane's queue in the store."""

    __slots__ = ("enqueued_meanwhile", "is_claiming", "waiting")

    def __init__(self, waiting: int = 0) -> None:
        # jobs that are queued and not held
        self.waiting = waiting
        # has a ClaimJobs been asked for that has not been answered?
        self.is_claiming = False
        # jobs that were queued since it was asked for
        self.enqueued_meanwhile = 0


@dataclass(frozen=True, slots=True)
class CutOffer:
    """An offer whose connection was lost: until when its worker may accept it on another."""

    lanes: tuple[Lane, ...]
    instance_id: str
    until: Nanoseconds


# project, room and id: a caller who names another room means another dispatch
DispatchKey = tuple[str, str, str]


@dataclass(slots=True)
class Deletion:
    """A dispatch that a caller deleted, and whose jobs have not all ended."""

    # calls that the store has not answered
    requests: int = 0
    # the store has it, durably
    is_recorded: bool = False
    # why its jobs end
    reason: JobStateReason = JobStateReason.DISPATCH_DELETED


class Board:
    """The engine's memory."""

    def __init__(self, policy: Policy, random: Random) -> None:
        self.policy = policy
        self.random = random
        # the time of this turn
        self.now: Nanoseconds = 0
        # when the store was opened: nobody was here before
        self.opened_at: Nanoseconds = 0
        # effects of this turn, in order
        self.effects: list[Effect] = []
        self.workers: dict[str, Worker] = {}
        # those that said which process they are
        self.processes: dict[ProcessKey, Worker] = {}
        # how often a job was lost and another may be to blame; by job
        self.excused: Counter[str] = Counter()
        # when this server went on after it had been stopped
        self.resumed_at: Nanoseconds = 0
        # jobs that connected workers may still be running and are to stop, and how many of them
        self.stopping: Counter[str] = Counter()
        # when a worker of the lane came last
        self.arrivals: Recent[Lane, Nanoseconds] = Recent(ARRIVALS_MAX)
        # when one of the lane was lost last, for who asks why a job waits
        self.departures: Recent[Lane, Nanoseconds] = Recent(ARRIVALS_MAX)
        # those that were taken out of service, and when their jobs are to be handed over (0: never)
        self.out_of_service: Recent[ProcessKey, Nanoseconds] = Recent(policy.out_of_service_max)
        self.pools = Pools(policy)
        self.lanes: dict[Lane, LaneQueue] = {}
        self.jobs: dict[str, JobInHand] = {}
        # ids of the jobs in hand of each dispatch, in order (a set has another in each process)
        self.dispatches: dict[DispatchKey, dict[str, None]] = {}
        self.deletions: dict[DispatchKey, Deletion] = {}
        # jobs that wait or are on offer and are to be cancelled: why, and the evidence for people
        self.called_off: dict[str, tuple[JobStateReason, str]] = {}
        # jobs of orders that ended in this turn, and those of them that no worker took in time
        self.ended: list[str] = []
        self.unserved: set[str] = set()
        # jobs that are held, by project, room and the identity that their agent has there
        self.identities: dict[tuple[str, str, str], str] = {}
        # jobs that were assigned on a connection which was cut before their worker said that it got
        # them, by process
        self.undelivered: dict[ProcessKey, dict[str, JobInHand]] = {}
        # offers of connections that were cut, by job, oldest first; quick at its first
        # entry, also where others were before it
        self.cut_offers: OrderedDict[str, CutOffer] = OrderedDict()
        # jobs that were assigned and have not started, since when; oldest first
        self.unstarted: OrderedDict[str, Nanoseconds] = OrderedDict()
        # acceptances that came after their offer had lapsed, and when, by job
        self.late_answers: dict[str, tuple[OfferAnswered, Nanoseconds]] = {}
        self.deadlines: Deadlines[DeadlineKey] = Deadlines()
        self.tally = Tally()
        # this server makes no more offers
        self.is_draining = False
        # when the DUE deadline is set for; None: no waiting job is known
        self.due_at: Nanoseconds | None = None

    # --- effects and deadlines ---

    def emit(self, effect: Effect) -> None:
        """Add an effect to this turn."""
        self.effects.append(effect)

    def ignore(self, worker_id: str, job_id: str, why: Ignored) -> None:
        """Note that something was of no consequence."""
        self.effects.append(NoteIgnored(worker_id, job_id, why))

    def schedule(self, kind: DeadlineKind, when: Nanoseconds, one: str, two: str = "") -> None:
        """Set a deadline."""
        self.deadlines.schedule((kind, one, two), when)

    def cancel(self, kind: DeadlineKind, one: str, two: str = "") -> None:
        """Forget a deadline, if it is set."""
        self.deadlines.cancel((kind, one, two))

    def note_due(self, until: Nanoseconds) -> None:
        """A job waits in the store with this `until`: see that it is looked at then."""
        if self.due_at is None or until < self.due_at:
            self.due_at = until
            self.schedule(DeadlineKind.DUE, until, "")

    # --- lanes ---

    def queue(self, lane: Lane) -> LaneQueue:
        """Return the lane's queue, making it if this lane is new."""
        queue = self.lanes.get(lane)
        if queue is None:
            queue = self.lanes[lane] = LaneQueue()
        return queue

    def tidy(self, lane: Lane) -> None:
        """Forget a lane that has nothing."""
        queue = self.lanes.get(lane)
        if queue is not None and queue.waiting <= 0 and not queue.is_claiming:
            del self.lanes[lane]

    # --- jobs in hand ---

    def take(self, job: Job, state: JobState) -> JobInHand:
        """Take a waiting job in hand, to offer it."""
        held = HeldJob(
            job.id,
            job.dispatch_id,
            job.room,
            job.lane,
            job.restart_policy,
            job.queue_time,
            state,
            job.order,
            job.unique_key,
        )
        return self.take_held(held, job)

    def take_held(self, held: HeldJob, job: Job | None = None) -> JobInHand:
        """Take a job in hand."""
        hand = JobInHand(held, held.state, held.state.phase, job)
        self.jobs[held.id] = hand
        if held.dispatch_id:
            self.dispatches.setdefault(_dispatch_of(hand), {})[held.id] = None
        return hand

    def expect_agent(self, hand: JobInHand) -> None:
        """A worker has the job: its agent is to be seen in the room."""
        if not hand.state.participant_identity:
            return  # it was on offer when the server ended: who accepted it as whom is not known
        key = hand.lane.project, hand.held.room, hand.state.participant_identity
        self.identities[key] = hand.id

    def delivered(self, hand: JobInHand) -> None:
        """The job's worker has its assignment, or is not to get it any more."""
        if hand.assignment is None:
            return
        hand.assignment = None
        if not self.undelivered:
            return
        process = hand.lane.process(hand.instance_id or "")
        undelivered = self.undelivered.get(process)
        if undelivered is not None:
            undelivered.pop(hand.id, None)
            if not undelivered:
                del self.undelivered[process]

    def expect_start(self, hand: JobInHand) -> None:
        """A worker was given the job: it is to say that it started."""
        if not self.unstarted:
            self.schedule(DeadlineKind.UNSTARTED, self.now + self.policy.start_timeout, "")
        self.unstarted[hand.id] = self.now

    def let_go(self, hand: JobInHand) -> None:
        """Have it in hand no longer: it has ended, or the store has it."""
        del self.jobs[hand.id]
        self.unstarted.pop(hand.id, None)
        self.delivered(hand)
        key = hand.lane.project, hand.held.room, hand.state.participant_identity
        if self.identities.get(key) == hand.id:
            del self.identities[key]
        self.cancel(DeadlineKind.PARTING, hand.id)
        if hand.phase.is_ended:
            self.called_off.pop(hand.id, None)
            self.excused.pop(hand.id, None)
            if hand.held.order:
                self.ended.append(hand.id)
                if hand.state.reason is JobStateReason.NO_CAPACITY:
                    self.unserved.add(hand.id)
        if hand.held.dispatch_id:
            key = _dispatch_of(hand)
            siblings = self.dispatches[key]
            del siblings[hand.id]
            if not siblings:
                del self.dispatches[key]
                self.finish_deletion(key)

    def finish_deletion(self, key: DispatchKey) -> None:
        """End the dispatch's deletion, if it is under way and none of its jobs is in hand."""
        deletion = self.deletions.get(key)
        if deletion is not None and deletion.is_recorded and key not in self.dispatches:
            del self.deletions[key]
            self.emit(FinishDeletion(key[2], self.now))

    def shift(self, hand: JobInHand, trigger: JobTrigger) -> None:
        """Move a job in memory alone: between queued and offered."""
        hand.phase = advance_job(hand.phase, trigger)

    def advance(
        self, hand: JobInHand, trigger: JobTrigger, detail: str = "", **change: Unpack[StateChange]
    ) -> RecordMove:
        """Move a job with these changes of its state; return what makes it durable."""
        before = hand.state
        hand.phase = advance_job(hand.phase, trigger)
        hand.state = changed(before, phase=hand.phase, updated_at=self.now, **change)
        if hand.phase is JobPhase.ASSIGNED:
            self.expect_agent(hand)
            self.expect_start(hand)
        return RecordMove(hand.id, before.epoch, trigger, hand.state, detail)

    def move(
        self, hand: JobInHand, trigger: JobTrigger, detail: str = "", **change: Unpack[StateChange]
    ) -> None:
        """Move a job, durably, with these changes of its state."""
        self.effects.append(self.advance(hand, trigger, detail, **change))

    def is_called_off(self, hand: JobInHand) -> bool:
        """Is the job not to be given to anybody any more?"""
        return hand.id in self.called_off or _dispatch_of(hand) in self.deletions

    def why_called_off(self, hand: JobInHand) -> tuple[JobStateReason, str]:
        """Return the reason, and the evidence for people."""
        found = self.called_off.get(hand.id)
        if found is not None:
            return found
        deletion = self.deletions.get(_dispatch_of(hand))
        return (deletion.reason if deletion is not None else JobStateReason.DISPATCH_DELETED), ""

    # --- workers ---

    def reachable(self, worker_id: str) -> Worker | None:
        """Return the worker, unless it is not known or its connection has ended."""
        worker = self.workers.get(worker_id)
        return worker if worker is not None and worker.phase is not WorkerPhase.GONE else None

    def stop(self, worker: Worker, job_id: str) -> None:
        """Tell the worker to stop a job that is its own no longer; it occupies it until it has."""
        self.expect_stop(worker, job_id)
        self.emit(SendTermination(worker.id, job_id))

    def expect_stop(self, worker: Worker, job_id: str) -> None:
        """The worker runs a job that is its own no longer, and is told so."""
        if job_id not in worker.stopping:
            worker.stopping.add(job_id)
            self.stopping[job_id] += 1
        self.schedule(DeadlineKind.STOP, self.now + self.policy.stop_timeout, worker.id, job_id)

    def stop_is_over(self, worker: Worker, job_id: str) -> None:
        """The worker has stopped the job, or is not waited for."""
        if job_id in worker.stopping:
            worker.stopping.discard(job_id)
            self.cancel(DeadlineKind.STOP, worker.id, job_id)
            self.stopping[job_id] -= 1
            if not self.stopping[job_id]:
                del self.stopping[job_id]

    def begin(self, now: Nanoseconds) -> list[Effect]:
        """Begin a turn; return the list that its effects will be in. Time never goes back."""
        due = self.deadlines.next_at()
        if due is not None and now - due > self.policy.pause_min:
            self.resumed_at = now
        self.now = max(now, self.now)
        self.effects = []
        return self.effects


def _dispatch_of(hand: JobInHand) -> DispatchKey:
    return hand.lane.project, hand.held.room, hand.held.dispatch_id
