"""Jobs that are called off: their room is over, their participant left, their rule was deleted.

What a worker holds is cancelled at once, and its worker told to stop. What is on offer is cancelled
when the offer is answered or lapses. What waits in the store is cancelled there; a mark is kept
until the store has answered, because a claim may be on its way.

An operator may end any one job (`termination_requested`). It is answered when that is durable, so an
offer is not waited for: it is withdrawn, and its answer will be of no consequence.

Left to others: deletions of dispatches, which the store finds the jobs of (`dispatching`).
"""

from __future__ import annotations

from collections.abc import Iterable

from dispatcher.core.board import Board
from dispatcher.core.effects import CallOffJobs, Outcome, Reply
from dispatcher.core.events import JobsCalledOff, JobTerminationRequested
from dispatcher.core.holding import Holding
from dispatcher.core.jobs import JobStateReason
from dispatcher.core.offering import Offering

TERMINATED = "terminated by an operator"


class CallingOff:
    """The part of the engine that cancels what nobody asks for any more."""

    def __init__(self, board: Board, offering: Offering, holding: Holding) -> None:
        self._board = board
        self._offering = offering
        self._holding = holding
        # callers who wait for the store to end a job that waits there, by job
        self._terminating: dict[str, list[int]] = {}

    def call_off(self, job_ids: Iterable[str], reason: JobStateReason, detail: str) -> None:
        """Cancel these jobs. Those that have ended stay as they are."""
        board = self._board
        elsewhere: list[str] = []
        for job_id in job_ids:
            hand = board.jobs.get(job_id)
            if hand is not None and hand.phase.is_held:
                self._holding.cancel(hand, reason, detail)
                continue
            board.called_off[job_id] = reason, detail
            if hand is None:
                elsewhere.append(job_id)
        if elsewhere:
            board.emit(CallOffJobs(tuple(elsewhere), reason, detail, board.now))

    def termination_requested(self, event: JobTerminationRequested) -> None:
        """An operator ends a job. What made it does not make it anew."""
        board = self._board
        detail = f"{TERMINATED}: {event.text}" if event.text else TERMINATED
        reason = JobStateReason.UNSPECIFIED
        hand = board.jobs.get(event.job_id)
        if hand is None:
            self._terminating.setdefault(event.job_id, []).append(event.request)
            self.call_off([event.job_id], reason, detail)
            return
        worker = hand.worker
        if hand.lane.project != event.project:
            board.emit(Reply(event.request, Outcome.NOT_FOUND))
            return
        if hand.phase.is_held:
            self._holding.cancel(hand, reason, detail)
        elif worker is not None:
            board.called_off[hand.id] = reason, detail
            self._offering.withdraw(hand, worker)
            self._offering.refresh(worker)
        board.emit(Reply(event.request, Outcome.DONE))

    def called_off(self, event: JobsCalledOff) -> None:
        """The store cancelled those that waited there."""
        board = self._board
        for lane, count in event.queued_by_lane.items():
            board.queue(lane).waiting -= count
            board.tidy(lane)
        board.tally.cancelled_waiting += len(event.cancelled)
        for job_id in event.asked:
            if job_id not in board.jobs:
                board.called_off.pop(job_id, None)
            for request in self._terminating.pop(job_id, ()):
                # It ended here, or in a claim's result that came before this one, or long ago.
                board.emit(Reply(request, Outcome.DONE))
