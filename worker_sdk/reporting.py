"""When a worker tells its status: every 2.5 s, and at once when something material has changed.

Pure: time is an argument. Taking or refusing jobs is told without any delay, for the server offers
by it; other changes at most ten times a second.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StatusSchedule", "WorkerSituation"]

STATUS_INTERVAL_SECONDS = 2.5
STATUS_GAP_SECONDS_MIN = 0.1
# A change of load that is worth a message of its own.
LOAD_STEP = 0.1


@dataclass(frozen=True, slots=True)
class WorkerSituation:
    """What a status tells, sampled at one instant."""

    accepts_jobs: bool
    active_count: int
    load: float


class StatusSchedule:
    """Remembers what was told last on this connection."""

    def __init__(self) -> None:
        self._told: WorkerSituation | None = None
        self._told_at = 0.0

    def due_at(self, situation: WorkerSituation) -> float:
        """When the status is to be told, if nothing changes until then; may be in the past."""
        told = self._told
        if told is None or situation.accepts_jobs is not told.accepts_jobs:
            return 0.0
        is_material = (
            situation.active_count != told.active_count
            or abs(situation.load - told.load) >= LOAD_STEP
        )
        return self._told_at + (STATUS_GAP_SECONDS_MIN if is_material else STATUS_INTERVAL_SECONDS)

    def told(self, situation: WorkerSituation, now: float) -> None:
        """The status was told."""
        self._told = situation
        self._told_at = now
