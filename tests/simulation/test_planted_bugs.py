"""Each checker finds the bugs that were planted for it, and is the one that speaks up."""

from __future__ import annotations

import pytest

from tests.simulation.planted_bugs import IN_PARTS, PLANTED, PlantedBug
from tests.simulation.simulator import CHECKERS, simulate

# The promise is ten thousand; with the seeds that are played here each shows within so many.
SCHEDULES_MAX = 2_500


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found_by_its_checker(bug: PlantedBug) -> None:
    for seed in range(SCHEDULES_MAX):
        violation = simulate(seed, bug.parts).violation
        if violation is not None:
            assert violation.checker in {bug.checker} | bug.others, f"seed {seed}: {violation}"
            print(f"found after {seed + 1} schedules: {violation.what}")
            return
    pytest.fail(f"not found in {SCHEDULES_MAX} schedules")


def test_every_checker_has_a_planted_bug() -> None:
    assert {checker.name for checker in CHECKERS} == {bug.checker for bug in PLANTED}


def test_more_than_ten_bugs_are_in_different_parts_of_the_engine() -> None:
    assert len({bug.name for bug in PLANTED if bug.name in IN_PARTS}) > 10
