"""A fault run of kills alone (`tests.faults`): so many dispatches, SIGKILLs of server and workers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults import run as faults
from tests.faults.plan import draw_kills

WORKERS = 6


@dataclass(frozen=True)
class Plan:
    """How much, how fast, and how often something is killed."""

    dispatches: int
    server_kills: int
    worker_kills: int
    seed: int
    rate_per_second: float = 60.0


async def run(
    plan: Plan, *, show: Callable[[faults.Scene], None] = lambda _scene: None
) -> faults.Outcome:
    """Run the plan; return the outcome. Nothing of it is left on the machine."""
    kills = draw_kills(
        plan.seed,
        seconds=plan.dispatches / plan.rate_per_second,
        rate_per_second=plan.rate_per_second,
        servers=plan.server_kills,
        workers=plan.worker_kills,
        fleet=WORKERS,
    )
    with tempfile.TemporaryDirectory(prefix="callboard-crash-") as folder:
        return await faults.run(kills, Path(folder), show=show, dispatches=plan.dispatches)
