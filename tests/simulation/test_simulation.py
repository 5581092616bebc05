"""Schedules: those that once failed, and ten thousand fresh ones that make every move.

Fresh ones begin at a random seed, or at CALLBOARD_SIMULATION_SEED, which is printed;
CALLBOARD_SIMULATION_SCHEDULES says how many they are.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import described
from tests.simulation.batches import play, play_in_processes
from tests.simulation.scenario import FAULTS, WorkerKind, draw_scenario
from tests.simulation.simulator import Report, simulate

SCHEDULES = 10_000

_SEEDS = Path(__file__).parent / "seeds.txt"


def _regressions() -> list[tuple[int, str]]:
    lines = (line.split(" ", 1) for line in _SEEDS.read_text().splitlines())
    return [(int(seed), what) for seed, what in lines if seed != "#"]


def _must_hold(report: Report) -> None:
    if report.violation is not None:
        pytest.fail(described(report), pytrace=False)


@pytest.mark.parametrize(("seed", "what"), _regressions())
def test_a_seed_that_once_showed_a_bug_shows_none(seed: int, what: str) -> None:
    _must_hold(simulate(seed))


def test_ten_thousand_fresh_schedules_hold_every_invariant_and_make_every_move() -> None:
    first = int(
        os.environ.get("CALLBOARD_SIMULATION_SEED") or random.SystemRandom().getrandbits(40)
    )
    schedules = int(os.environ.get("CALLBOARD_SIMULATION_SCHEDULES") or SCHEDULES)
    print(f"fresh schedules from CALLBOARD_SIMULATION_SEED={first}")
    played = play(first, schedules)
    print(f"{played.schedules} schedules, {played.seconds:.1f} s of CPU")
    for report in played.failures:
        _must_hold(report)
    assert played.coverage.missed == [], "moves and deadlines that never occurred"


def test_processes_play_what_one_process_plays() -> None:
    one, two = play(600, 250), play_in_processes(600, 250, processes=2)
    assert (one.schedules, one.failures) == (two.schedules, two.failures) == (250, [])
    assert one.coverage == two.coverage


def test_a_failure_is_told_with_its_mix_and_the_command_that_replays_it() -> None:
    from tests.simulation.planted_bugs import PLANTED

    bug = next(bug for bug in PLANTED if bug.name == "overlooks caps")
    report = next(
        report
        for report in (simulate(seed, bug.parts) for seed in range(20))
        if report.violation is not None
    )
    told = described(report)
    assert "cap kept" in told
    assert report.mix in told
    assert f"python -m tests.simulation --seed {report.seed} --trace" in told


def test_seeds_draw_their_own_mix_of_faults() -> None:
    scenarios = [draw_scenario(random.Random(seed)) for seed in range(500)]
    mixes = {frozenset(kind for _, kind in scenario.faults) for scenario in scenarios}
    assert len(mixes) > 300
    assert frozenset().union(*mixes) == set(FAULTS)
    kinds = [{plan.kind for plan in scenario.workers} for scenario in scenarios]
    assert set(WorkerKind) == set().union(*kinds)
    assert any(scenario.sfu is None for scenario in scenarios)
    assert any(scenario.sfu is not None for scenario in scenarios)
    assert any(scenario.on_sqlite for scenario in scenarios)


def _seeds_with(what: str, count: int) -> list[int]:
    found = (seed for seed in range(10_000) if what in draw_scenario(random.Random(seed)).mix)
    return [next(found) for _ in range(count)]


@pytest.mark.parametrize("seed", _seeds_with("on SQLite", 3))
def test_a_schedule_holds_on_the_store_of_sqlite(seed: int) -> None:
    _must_hold(simulate(seed))


def _digest(seed: int) -> str:
    text = "\n".join(simulate(seed, keeps_text=True).lines)
    text = re.sub(r"frozenset\(\{[^}]*\}\)", "", text)  # written in another order each time
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_seed_is_one_schedule() -> None:
    for seed in range(20):
        assert _digest(seed) == _digest(seed)


def test_a_seed_is_the_same_schedule_in_every_process() -> None:
    # Nothing may depend on the order of a set of strings, which each process draws anew.
    script = (
        "from tests.simulation.test_simulation import _digest;"
        "print(*(_digest(seed) for seed in range(40)))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
            timeout=100,
        ).stdout
        for hash_seed in ("1", "2", "3")
    }
    assert len(digests) == 1
