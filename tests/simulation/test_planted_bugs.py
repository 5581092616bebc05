"""Each checker finds the bugs that were planted for it; more than ten in the engine's parts are found."""

from __future__ import annotations

import pytest

from tests.simulation.history_watch import HistoryIsClean
from tests.simulation.planted_bugs import IN_PARTS, PLANTED, PlantedBug
from tests.simulation.simulator import CHECKERS, simulate
from tests.simulation.trace import Violation

SCHEDULES_MAX = 10_000


OF_CHECKERS = [bug for bug in PLANTED if bug.name not in IN_PARTS]
OF_PARTS = [bug for bug in PLANTED if bug.name in IN_PARTS]


def _first_violation(bug: PlantedBug) -> Violation:
    for seed in range(SCHEDULES_MAX):
        violation = simulate(seed, bug.parts).violation
        if violation is not None:
            print(f"found after {seed + 1} schedules, by {violation.checker}: {violation.what}")
            return violation
    pytest.fail(f"not found in {SCHEDULES_MAX} schedules")


@pytest.mark.parametrize("bug", OF_CHECKERS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found_by_its_checker(bug: PlantedBug) -> None:
    # The history checker judges by the same invariants, and may be first.
    assert _first_violation(bug).checker in {bug.checker, HistoryIsClean.name}


@pytest.mark.parametrize("bug", OF_PARTS, ids=lambda bug: bug.name)
def test_a_bug_in_a_part_of_the_engine_is_found(bug: PlantedBug) -> None:
    names = {checker.name for checker in CHECKERS} | {HistoryIsClean.name}
    assert _first_violation(bug).checker in names


def test_every_checker_has_a_planted_bug() -> None:
    assert {checker.name for checker in CHECKERS} == {bug.checker for bug in OF_CHECKERS}


def test_more_than_ten_bugs_are_in_parts_of_the_engine() -> None:
    assert {bug.name for bug in OF_PARTS} == IN_PARTS
    assert len(IN_PARTS) > 10
