"""When to try again: after a lost connection, and after a call that got no answer.

Pure functions of what has happened and of a random number generator; the caller sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["CallBackoff", "ReconnectBackoff"]


# The longest delay, as a share of the grace time: the rest is for the connection and the claim.
GRACE_SHARE_MAX = 0.6


@dataclass(frozen=True, slots=True)
class ReconnectBackoff:
    """Delays before a worker connects again.

    At once; then within a second each, for as long as the grace time in which the server holds the
    worker's jobs; then with full jitter, up to a bound that grows with the time away, but stays
    below the grace time: a server that was down for longer holds the jobs anew when it is back,
    for that time from its start. It never gives up.
    """

    grace_seconds: float
    quick_delay_seconds_min: float = 0.05
    # Small against the grace time: a server that is back is found with most of it left.
    quick_delay_seconds_max: float = 0.5
    delay_seconds_max: float = 10.0

    def delay_seconds(self, failures: int, away_seconds: float, rng: random.Random) -> float:
        """The delay before the next try, after `failures` tries in `away_seconds` without one."""
        if failures == 0:
            return 0.0
        if away_seconds < self.grace_seconds:
            return rng.uniform(self.quick_delay_seconds_min, self.quick_delay_seconds_max)
        # Full jitter spreads the workers of a server that was down for long over the whole bound.
        longest = max(self.grace_seconds * GRACE_SHARE_MAX, self.quick_delay_seconds_max)
        bound = min(
            self.delay_seconds_max, max(away_seconds, self.quick_delay_seconds_max), longest
        )
        return rng.uniform(self.quick_delay_seconds_min, bound)


@dataclass(frozen=True, slots=True)
class CallBackoff:
    """Delays between the tries of one API call: full jitter under a bound that doubles."""

    first_bound_seconds: float = 0.1
    delay_seconds_max: float = 2.0

    def delay_seconds(self, failures: int, rng: random.Random) -> float:
        """The delay after `failures` tries (1 or more) that got no answer."""
        doublings = min(failures - 1, 16)
        bound = min(self.delay_seconds_max, self.first_bound_seconds * 2.0**doublings)
        return rng.uniform(0.0, bound)
