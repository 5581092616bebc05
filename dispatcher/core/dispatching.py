"""Where jobs come from, and how they are called off: dispatches, deletions, and what is due.

A new job is offered at once if nobody waits before it and somebody has room, while the store still
commits it (an offer promises nothing); else it waits in the store. A deletion cancels what waits
and what is held, lets offers in flight be answered first, and is finished when the last job ended.
"""

from __future__ import annotations

from dispatcher.core.board import Board, Deletion, DispatchKey
from dispatcher.core.effects import (
    ClaimDue,
    CreateDispatch,
    CreateJob,
    DeleteDispatch,
    FinishDeletion,
    Ignored,
    Outcome,
    Reply,
)
from dispatcher.core.events import (
    DispatchCreated,
    DispatchDeletionRecorded,
    DispatchDeletionRequested,
    DispatchRequested,
    JobsDue,
    JobSimulated,
    StoreRecovered,
)
from dispatcher.core.holding import Holding
from dispatcher.core.jobs import Job, JobState, JobStateReason
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.offering import Offering


class Dispatching:
    """The part of the engine that takes orders."""

    def __init__(self, board: Board, offering: Offering, holding: Holding) -> None:
        self._board = board
        self._offering = offering
        self._holding = holding
        # jobs of creations that the store has not confirmed, by request: offered, and queued
        self._creating: dict[int, tuple[Job, ...]] = {}
        self._queueing: dict[int, tuple[Job, ...]] = {}
        # deletions that the store has not answered, by request
        self._deleting: dict[int, DispatchDeletionRequested] = {}

    # --- new jobs ---

    def _new_state(self, job: Job) -> JobState:
        now = self._board.now
        return JobState(JobPhase.QUEUED, until=now + job.queue_time, updated_at=now)

    def requested(self, event: DispatchRequested) -> None:
        """A caller asks for a dispatch."""
        board = self._board
        jobs = tuple((job, self._new_state(job)) for job in event.jobs)
        hold = all(self._offering.may_offer_now(job.lane) for job in event.jobs)
        board.emit(CreateDispatch(event.request, event.dispatch, jobs, hold))
        if not hold:
            self._queueing[event.request] = event.jobs
            for job, state in jobs:
                self._offering.enqueued(job.lane, state)
            for job in event.jobs:  # after all are counted: the store has them all by then
                self._offering.pull(job.lane)
            return
        self._creating[event.request] = event.jobs
        for job, state in jobs:
            self._offer_new(job, state)

    def _offer_new(self, job: Job, state: JobState) -> None:
        """Offer a job that is created held; release it if another took the last room."""
        board = self._board
        hand = board.take(job, state)
        hand.is_confirmed = False
        if not self._offering.offer(hand):
            self._offering.release(job.lane, [job.id])

    def created(self, event: DispatchCreated) -> None:
        """The store has the dispatch, durably."""
        board = self._board
        for job in self._queueing.pop(event.request, ()):
            if not event.created:
                board.queue(job.lane).waiting -= 1
                board.tidy(job.lane)
        for job in self._creating.pop(event.request, ()):
            hand = board.jobs.get(job.id)
            if hand is None or hand.is_confirmed:
                continue
            if event.created:
                self._offering.confirmed(hand)
            else:
                # The caller repeated itself: what is in hand for this request was never there.
                self._offering.forget(hand)
        outcome = Outcome.CREATED if event.created else Outcome.EXISTED
        board.emit(Reply(event.request, outcome, event.dispatch_id))

    def simulated(self, event: JobSimulated) -> None:
        """A worker asked for a job for itself; it is offered to that worker if it has room."""
        board = self._board
        worker = board.workers.get(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, event.job.id, Ignored.UNKNOWN_WORKER)
            return
        job, state = event.job, self._new_state(event.job)
        hold = worker.room(board.policy) > 0 and not board.is_draining
        board.emit(CreateJob(job, state, hold))
        if hold:
            self._offering.offer_to(board.take(job, state), worker)
        else:
            self._offering.enqueued(job.lane, state)
            self._offering.pull(job.lane)

    # --- deletions ---

    def deletion_requested(self, event: DispatchDeletionRequested) -> None:
        """A caller deletes a dispatch."""
        board = self._board
        self._deleting[event.request] = event
        board.emit(
            DeleteDispatch(event.request, event.project, event.room, event.dispatch_id, board.now)
        )
        key = (event.project, event.room, event.dispatch_id)
        board.deletions.setdefault(key, Deletion()).requests += 1
        self._cancel_held(key)

    def _cancel_held(self, key: DispatchKey) -> None:
        board = self._board
        for job_id in list(board.dispatches.get(key, ())):
            hand = board.jobs[job_id]
            if hand.phase.is_held:
                self._holding.cancel(
                    hand, JobStateReason.DISPATCH_DELETED, "the dispatch was deleted"
                )

    def deletion_recorded(self, event: DispatchDeletionRecorded) -> None:
        """The store has the deletion, durably, or knows no such dispatch."""
        board = self._board
        for lane, count in event.cancelled_by_lane.items():
            board.queue(lane).waiting -= count
            board.tidy(lane)
        asked = self._deleting.pop(event.request)
        key = (asked.project, asked.room, asked.dispatch_id)
        # A call that was answered before this one may have finished it.
        deletion = board.deletions.setdefault(key, Deletion(requests=1))
        deletion.requests -= 1
        if event.found:
            deletion.is_recorded = True
            board.finish_deletion(key)
        elif not deletion.requests and not deletion.is_recorded:
            del board.deletions[key]
        outcome = Outcome.DELETED if event.found else Outcome.NOT_FOUND
        board.emit(Reply(event.request, outcome, event.dispatch_id))

    # --- what is due ---

    def due(self) -> None:
        """A waiting job's time has come: ask the store for it."""
        board = self._board
        board.due_at = None
        board.emit(ClaimDue(board.now, board.policy.due_max))

    def became_due(self, event: JobsDue) -> None:
        """Queue what was delayed; end what has waited too long."""
        board = self._board
        for held in event.jobs:
            hand = board.take_held(held)
            if hand.phase is JobPhase.QUEUED:
                board.queue(hand.lane).waiting -= 1
                board.tidy(hand.lane)
            if board.is_deleted(hand):
                self._offering.cancel_waiting(hand, JobStateReason.DISPATCH_DELETED)
            elif hand.phase is JobPhase.QUEUED:
                self._offering.fail_waiting(hand)
            else:
                until = board.now + held.queue_time
                board.move(hand, JobTrigger.BECAME_DUE, until=until)
                board.let_go(hand)
                self._offering.enqueued(hand.lane, hand.state)
                self._offering.pull(hand.lane)
        if event.next_due is not None:
            board.note_due(event.next_due)

    # --- a server that starts ---

    def recovered(self, event: StoreRecovered) -> None:
        """The store was opened: hold what was held, and finish what was begun."""
        board = self._board
        for lane, waiting in event.waiting.items():
            board.queue(lane).waiting = waiting
        if event.next_due is not None:
            board.note_due(event.next_due)
        deleted = set(event.deletions)
        for held in event.held:
            hand = board.take_held(held)
            if hand.phase.is_waiting:
                # It was on offer when its dispatch was deleted.
                self._offering.cancel_waiting(hand, JobStateReason.DISPATCH_DELETED)
                continue
            self._holding.recovered(hand)
            if held.dispatch_id in deleted:
                self._holding.cancel(
                    hand, JobStateReason.DISPATCH_DELETED, "the dispatch was deleted"
                )
        for dispatch_id in event.deletions:
            board.emit(FinishDeletion(dispatch_id, board.now))

    def drain_started(self, _event: object) -> None:
        """Make no more offers; those in flight are still answered."""
        self._board.is_draining = True
