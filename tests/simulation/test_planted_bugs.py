"""Each checker finds the bug that was planted for it, and is the one that speaks up."""

from __future__ import annotations

import pytest

from tests.simulation.checkers import CHECKERS
from tests.simulation.planted_bugs import PLANTED, PlantedBug
from tests.simulation.simulator import simulate

# A bug that breaks an invariant shows within so many schedules.
SCHEDULES_MAX = 300


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found_by_its_checker(bug: PlantedBug) -> None:
    for seed in range(SCHEDULES_MAX):
        violation = simulate(seed, bug.parts).violation
        if violation is not None:
            assert violation.checker == bug.checker, f"seed {seed}: {violation}"
            return
    pytest.fail(f"not found in {SCHEDULES_MAX} schedules")


def test_every_checker_has_a_planted_bug() -> None:
    assert {checker.name for checker in CHECKERS} == {bug.checker for bug in PLANTED}
