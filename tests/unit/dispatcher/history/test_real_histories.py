"""Histories that the real engine makes are clean, whatever goes wrong around it; with bugs, not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.history.report import all_told
from tests.simulation.planted_bugs import PLANTED
from tests.unit.dispatcher.history.builders import broken
from tests.unit.dispatcher.history.simulated import judged

SCHEDULES_MAX = 500


@settings(max_examples=60)
@given(st.integers(min_value=0, max_value=2**40))
def test_a_history_of_the_real_engine_is_clean(seed: int) -> None:
    verdict, _ = judged(seed)
    assert verdict.is_clean, "\n".join(all_told(verdict))


def test_histories_of_the_real_engine_show_what_every_promise_is_about() -> None:
    of_all = {"acknowledged", "lifecycle", "endings", "epochs", "holders", "results", "durable"}
    of_all |= {"config", "attempts", "restarts", "deadlines", "sequence"}
    seen: set[str] = set()
    for seed in range(SCHEDULES_MAX):
        verdict, _ = judged(seed)
        seen |= {finding.invariant for finding in verdict.findings if finding.judged}
        if seen >= of_all:
            return
    raise AssertionError(f"nothing to judge of {sorted(of_all - seen)}")


@pytest.mark.parametrize(
    ("bug", "invariant"),
    [("forgets reservations", "holders"), ("ends jobs again", "endings")],
)
def test_a_bug_in_the_real_engine_is_found_in_its_history(bug: str, invariant: str) -> None:
    parts = next(planted.parts for planted in PLANTED if planted.name == bug)
    assert any(invariant in broken(judged(seed, parts)[0]) for seed in range(SCHEDULES_MAX))
