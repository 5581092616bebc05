"""A short fault run with every kind of fault. The long one is `python -m tests.faults`."""

import secrets
from pathlib import Path

import pytest

from tests.faults.plan import FaultKind, draw
from tests.faults.promises import Chance
from tests.faults.run import run
from tests.faults.screen import report

pytestmark = pytest.mark.anyio


# Chance decides whether a run of twenty seconds has a worker with an old result at the right moment.
RUNS_MAX = 3


async def test_nothing_is_lost_doubled_or_stale_whatever_fails(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    runs = 1
    while untried := await judged_run(tmp_path_factory.mktemp("run")):
        assert runs < RUNS_MAX, untried
        runs += 1


async def judged_run(folder: Path) -> list[str]:
    """Run a plan with a seed of its own; return what never came up. Fails where anything is wrong."""
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
    outcome = await run(plan, folder)
    told = f"seed {seed}\n{report(outcome)}"
    assert outcome.judgement.problems == outcome.judgement.untried, told
    assert outcome.unfinished == 0, told
    assert set(outcome.inflicted.by_kind) == set(FaultKind)
    assert len(outcome.calls.acknowledged) > 100
    return outcome.judgement.untried
