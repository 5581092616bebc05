"""A witness of the engine that has the SFU's rooms listed when jobs are lost with their workers.

Such a job is about to be given to another worker, or may be soon: is its room still there, and who
is in it?
"""

from __future__ import annotations

from collections.abc import Callable

from dispatcher.core.effects import RecordMove
from dispatcher.core.lifecycle import JobTrigger
from dispatcher.witness import LogWitness

_LOSSES = frozenset({JobTrigger.WORKER_LOST, JobTrigger.GRACE_EXPIRED, JobTrigger.RETRIED})


class LossWitness(LogWitness):
    """Logs what happens, and asks for a list of the rooms (`Reconciler.request`) after a loss."""

    def __init__(self, list_rooms: Callable[[], None]) -> None:
        super().__init__()
        self._list_rooms = list_rooms

    def recorded(self, move: RecordMove) -> None:
        """Log a move; list the rooms where it is a loss."""
        super().recorded(move)
        if move.trigger in _LOSSES:
            self._list_rooms()
