"""Moments that are the same for all processes: multiples of a period of CLOCK_MONOTONIC.

What several processes tell at such moments is together one picture. A sleep may be over a moment early,
or late by any time: all the same no moment comes twice, and there is at least half a period between two,
because what is measured between them is divided by that time.
"""

from __future__ import annotations

import math

__all__ = ["seconds_to_turn"]


def seconds_to_turn(now_seconds: float, period_seconds: float) -> float:
    """Seconds to the next moment, which is half a period to one and a half from now."""
    turn = math.ceil(now_seconds / period_seconds + 0.5)
    return turn * period_seconds - now_seconds
