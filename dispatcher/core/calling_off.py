"""Jobs that are called off: their room is over, their participant left, their rule was deleted.

What a worker holds is cancelled at once, and its worker told to stop. What is on offer is cancelled
when the offer is answered or lapses. What waits in the store is cancelled there; a mark is kept
until the store has answered, because a claim may be on its way.

Left to others: deletions of dispatches, which the store finds the jobs of (`dispatching`).
"""

from __future__ import annotations

from collections.abc import Iterable

from dispatcher.core.board import Board
from dispatcher.core.effects import CallOffJobs
from dispatcher.core.events import JobsCalledOff
from dispatcher.core.holding import Holding
from dispatcher.core.jobs import JobStateReason


class CallingOff:
    """The part of the engine that cancels what nobody asks for any more."""

    def __init__(self, board: Board, holding: Holding) -> None:
        self._board = board
        self._holding = holding

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

    def called_off(self, event: JobsCalledOff) -> None:
        """The store cancelled those that waited there."""
        board = self._board
        for lane, count in event.queued_by_lane.items():
            board.queue(lane).waiting -= count
            board.tidy(lane)
        for job_id in event.asked:
            if job_id not in board.jobs:
                board.called_off.pop(job_id, None)
