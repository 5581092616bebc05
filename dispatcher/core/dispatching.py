"""Where jobs come from, and how they are called off: dispatches, deletions, and what is due.

A new job is reserved for a worker and offered to it at once, while the store still commits it, if
nobody waits before it and somebody has room; else it waits in the store. A deletion cancels what waits
and what is held, lets offers in flight be answered first, and is finished when the last job ended.
"""

from __future__ import annotations

from dispatcher.core.board import Board, Deletion
from dispatcher.core.effects import (
    ClaimDue,
    CreateDispatch,
    DeleteDispatch,
    FinishDeletion,
    Ignored,
    Outcome,
    Reply,
    SendGoAway,
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
from dispatcher.core.jobs import Dispatch, Job, JobState, JobStateReason
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.offering import Offering


class Dispatching:
    """The part of the engine that takes orders."""

    def __init__(self, board: Board, offering: Offering, holding: Holding) -> None:
        self._board = board
        self._offering = offering
        self._holding = holding
        # jobs that the store has not confirmed to be created, by request
        self._creating: dict[int, tuple[tuple[Job, JobState], ...]] = {}
        # deletions that the store has not answered, by request; those of rooms have negative numbers
        self._deleting: dict[int, DispatchDeletionRequested] = {}
        self._closings = 0

    # --- new jobs ---

    def requested(self, event: DispatchRequested) -> None:
        """A caller asks for a dispatch."""
        offering = self._offering
        jobs = tuple((job, offering.reserve(job, offering.draw_for_new(job))) for job in event.jobs)
        self._creating[event.request] = jobs
        self._board.emit(CreateDispatch(event.request, event.dispatch, jobs))
        self._offering.queue_new(jobs)

    def created(self, event: DispatchCreated) -> None:
        """The store has the dispatch, durably."""
        board = self._board
        jobs = self._creating.pop(event.request)
        if not event.created:
            # The caller repeated itself: what was made for this request was never there.
            for job, state in jobs:
                hand = board.jobs.get(job.id)
                if hand is not None:
                    self._offering.forget(hand)
                elif state.phase is JobPhase.QUEUED:
                    board.queue(job.lane).waiting -= 1
                    board.tidy(job.lane)
        outcome = Outcome.CREATED if event.created else Outcome.EXISTED
        board.emit(Reply(event.request, outcome, event.dispatch_id, is_durable=True))

    def simulated(self, event: JobSimulated) -> None:
        """A worker asked for a job for itself; it is offered to that worker if it has room."""
        board = self._board
        worker = board.reachable(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, event.job.id, Ignored.UNKNOWN_WORKER)
            return
        has_room = worker.room(board.policy) > 0 and not board.is_draining
        self._offering.create(event.job, worker if has_room else None)

    # --- deletions ---

    def deletion_requested(self, event: DispatchDeletionRequested) -> None:
        """A caller deletes a dispatch."""
        self._delete(event, JobStateReason.DISPATCH_DELETED, "the dispatch was deleted")

    def room_closed(self, dispatch: Dispatch) -> None:
        """The dispatch's room is over, and so is the dispatch."""
        self._closings -= 1  # callers' requests are positive
        event = DispatchDeletionRequested(
            self._closings, dispatch.project, dispatch.room, dispatch.id
        )
        self._delete(event, JobStateReason.ROOM_CLOSED, "its room is over")

    def _delete(
        self, event: DispatchDeletionRequested, reason: JobStateReason, detail: str
    ) -> None:
        board = self._board
        self._deleting[event.request] = event
        board.emit(
            DeleteDispatch(
                event.request, event.project, event.room, event.dispatch_id, board.now, reason
            )
        )
        key = (event.project, event.room, event.dispatch_id)
        board.deletions.setdefault(key, Deletion(reason=reason)).requests += 1
        for job_id in list(board.dispatches.get(key, ())):
            hand = board.jobs[job_id]
            if hand.phase.is_held:
                self._holding.cancel(hand, reason, detail)

    def deletion_recorded(self, event: DispatchDeletionRecorded) -> None:
        """The store has the deletion, durably, or knows no such dispatch."""
        board = self._board
        for lane, count in event.cancelled_by_lane.items():
            board.queue(lane).waiting -= count
            board.tally.cancelled_waiting += count
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
        board.emit(Reply(event.request, outcome, event.dispatch_id, is_durable=True))

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
            if board.is_called_off(hand):
                self._offering.cancel_waiting(hand, *board.why_called_off(hand))
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
        board.opened_at = board.now
        for lane, waiting in event.waiting.items():
            board.queue(lane).waiting = waiting
        if event.next_due is not None:
            board.note_due(event.next_due)
        deleted = set(event.deletions)
        for held in event.held:
            hand = board.take_held(held)
            if hand.phase is JobPhase.QUEUED or hand.phase is JobPhase.DELAYED:
                # It was in hand when its dispatch was deleted.
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
        """Make no more offers; those in flight are still answered. Workers are sent elsewhere."""
        board = self._board
        board.is_draining = True
        for worker_id in board.workers:
            board.emit(SendGoAway(worker_id))
