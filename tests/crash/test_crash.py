"""A short crash run. The long one is `python -m tests.crash`."""

import secrets

import pytest

from tests.crash.harness import Plan, run
from tests.faults.screen import report

pytestmark = pytest.mark.anyio


async def test_no_acknowledged_dispatch_is_lost_or_doubled_when_everything_is_killed() -> None:
    seed = secrets.randbits(31)
    outcome = await run(Plan(400, server_kills=4, worker_kills=4, seed=seed, rate_per_second=40))
    assert outcome.is_good, f"seed {seed}\n{report(outcome)}"
