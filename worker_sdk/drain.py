"""How a worker ends: what a drain waits for, for how long, and what each signal means.

    SERVING --1st signal--> DRAINING --2nd signal, or the deadline--> LEAVING --3rd signal--> killed

DRAINING: no more jobs are taken. By `DrainPolicy.WAIT` those that run go on to their ends; by
`HAND_OVER` the server gives each to another worker as soon as one has room. LEAVING: what still
runs is cancelled and handed over, within seconds. Nothing here waits: `signals` counts, `worker`
waits and speaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "DRAIN_SECONDS_MAX_DEFAULT",
    "Drain",
    "DrainPolicy",
    "DrainStage",
]

# LiveKit's SDK gives its jobs half an hour, too.
DRAIN_SECONDS_MAX_DEFAULT = 1800.0
# Jobs that are cancelled have so long to clean up; then they are handed over as they are.
LEAVING_SECONDS_MAX = 5.0
# What a worker that has no jobs left still waits for: receipts for the results of its last ones.
RESULT_DELIVERY_SECONDS_MAX = 30.0
# The same for one that was told twice to end.
FORCED_DELIVERY_SECONDS_MAX = 3.0
# All is told, and the tasks and processes of this worker still have to end.
CLOSING_SECONDS_MAX = 5.0
# How often it is said what is waited for.
ANNOUNCE_INTERVAL_SECONDS = 10.0
# Jobs that such a line names; of more it tells the number.
ANNOUNCED_JOBS_MAX = 20


class DrainPolicy(Enum):
    """What becomes of the jobs of a worker that drains, until its deadline."""

    WAIT = "wait"  # they go on to their ends
    HAND_OVER = "hand_over"  # the server gives each to another worker that has room


class DrainStage(Enum):
    """How far a worker is on its way out."""

    SERVING = "serving"
    DRAINING = "draining"
    LEAVING = "leaving"


@dataclass(slots=True)
class Drain:
    """The way out of one worker; times are seconds of any one clock."""

    policy: DrainPolicy = DrainPolicy.WAIT
    # from the first signal to the time at which what still runs is cancelled and handed over
    seconds_max: float = DRAIN_SECONDS_MAX_DEFAULT
    stage: DrainStage = DrainStage.SERVING
    stage_began_at: float = 0.0
    # when it was last said what is waited for
    _announced_at: float | None = None

    def begin(self, now: float) -> bool:
        """Take no more jobs. False where that was said before."""
        if self.stage is not DrainStage.SERVING:
            return False
        self._enter(DrainStage.DRAINING, now)
        return True

    def leave(self, now: float) -> bool:
        """End now. False where that was said before."""
        if self.stage is DrainStage.LEAVING:
            return False
        self._enter(DrainStage.LEAVING, now)
        return True

    @property
    def seconds_allowed(self) -> float:
        """How long this stage may last."""
        return self.seconds_max if self.stage is DrainStage.DRAINING else LEAVING_SECONDS_MAX

    def seconds_left(self, now: float) -> float:
        """How much of this stage is left; not below 0."""
        return max(0.0, self.stage_began_at + self.seconds_allowed - now)

    def is_announcement_due(self, now: float) -> bool:
        """Is it time to say what is waited for? At once in each stage, then every 10 s."""
        return self._announced_at is None or now - self._announced_at >= ANNOUNCE_INTERVAL_SECONDS

    def announced(self, now: float) -> None:
        """It was said."""
        self._announced_at = now

    def _enter(self, stage: DrainStage, now: float) -> None:
        self.stage = stage
        self.stage_began_at = now
        self._announced_at = None
