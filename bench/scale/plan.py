"""How much of everything."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CALLERS", "FULL", "QUICK", "Plan"]

CALLERS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """Each large number, the small one beside it, and for how long."""

    rounds: int
    workers_few: int
    workers_many: int
    # Of idling: several times a status interval.
    idle_seconds: float
    load_seconds: float
    queued_few: int
    queued_many: int
    # Of them all, that are added and taken in a round.
    queue_batch: int


FULL = Plan(
    rounds=5,
    workers_few=100,
    workers_many=10_000,
    idle_seconds=15.0,
    load_seconds=5.0,
    queued_few=1_000,
    queued_many=1_000_000,
    queue_batch=5_000,
)
QUICK = Plan(
    rounds=1,
    workers_few=20,
    workers_many=500,
    idle_seconds=5.0,
    load_seconds=2.0,
    queued_few=1_000,
    queued_many=20_000,
    queue_batch=500,
)
