"""A short fault run with every kind of fault. The long one is `python -m tests.faults`."""

import secrets
from pathlib import Path

import pytest

from tests.faults.plan import FaultKind, draw
from tests.faults.promises import Chance
from tests.faults.run import run
from tests.faults.screen import report

pytestmark = pytest.mark.anyio


async def test_nothing_is_lost_doubled_or_stale_whatever_fails(tmp_path: Path) -> None:
    seed = secrets.randbits(31)
    plan = draw(
        seed,
        seconds=20,
        rate_per_second=25,
        interval_seconds=1.25,
        workers=4,
        stock_workers=0,
        is_hasty=True,
    )
    # It has no time for a job that kills five workers, one after the other, nor for a long absence.
    assert plan.fed_chances == set(Chance) - {Chance.KILLERS, Chance.OLD_CLAIMS}
    outcome = await run(plan, tmp_path)
    assert outcome.is_good, f"seed {seed}\n{report(outcome)}"
    assert set(outcome.inflicted.by_kind) == set(FaultKind)
    assert len(outcome.calls.acknowledged) > 100
