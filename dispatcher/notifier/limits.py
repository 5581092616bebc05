"""The bounds of outgoing webhooks."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True)
class NotifierLimits:
    """Every wait and every size, with its default."""

    # From a delivery to the end of its answer.
    timeout_seconds: float = 10.0
    # The pause after a delivery that failed doubles from the first to the second, with jitter.
    backoff_seconds_min: float = 0.5
    backoff_seconds_max: float = 60.0
    # An event for which this was tried is skipped. Those after it have waited meanwhile.
    trying_seconds_max: float = 3600.0
    # An event that its receiver refused so many times (it answered, and would answer so again) is
    # skipped: with the pauses above that takes some four minutes.
    refusals_max: int = 12
    # What is read of an answer, which says nothing but its status.
    answer_bytes_max: int = 64 * KIB
    # How often the position of each URL is written, at most; a crash repeats what was told since.
    position_seconds: float = 1.0
    # How long a stop waits for what is to be told; the rest is told after the next start.
    stop_seconds: float = 2.0
