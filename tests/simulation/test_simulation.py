"""Schedules: those that once failed, a fixed batch that covers every move, and fresh ones.

Fresh ones begin at a random seed, or at CALLBOARD_SIMULATION_SEED; CALLBOARD_SIMULATION_SECONDS
says for how long (8 s where it is not set).
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.simulation.__main__ import replay_command
from tests.simulation.coverage import WatchedEngine, watched_tables
from tests.simulation.simulator import Parts, Report, simulate

# Enough for every entry of the tables to occur.
FIXED_SCHEDULES = 1000
SCHEDULES_A_MINUTE = 2000

_SEEDS = Path(__file__).parent / "seeds.txt"


def _regressions() -> list[tuple[int, str]]:
    lines = (line.split(" ", 1) for line in _SEEDS.read_text().splitlines())
    return [(int(seed), what) for seed, what in lines if seed != "#"]


def _must_hold(report: Report) -> None:
    if report.violation is not None:
        pytest.fail(
            f"seed {report.seed}: {report.violation.checker}: {report.violation.what}\n"
            f"replay: {replay_command(report.seed)}",
            pytrace=False,
        )


@pytest.mark.parametrize(("seed", "what"), _regressions())
def test_a_seed_that_once_showed_a_bug_shows_none(seed: int, what: str) -> None:
    _must_hold(simulate(seed))


def test_a_fixed_batch_holds_every_invariant_and_makes_every_move() -> None:
    with watched_tables() as coverage:
        parts = Parts(engine=lambda policy, random: WatchedEngine(policy, random, coverage))
        for seed in range(FIXED_SCHEDULES):
            _must_hold(simulate(seed, parts))
    assert coverage.missed == [], "what never occurred"


def test_fresh_schedules_hold_every_invariant_at_two_thousand_a_minute() -> None:
    first = int(
        os.environ.get("CALLBOARD_SIMULATION_SEED") or random.SystemRandom().getrandbits(40)
    )
    seconds = float(os.environ.get("CALLBOARD_SIMULATION_SECONDS") or 8)
    print(f"fresh schedules from CALLBOARD_SIMULATION_SEED={first}")
    # CPU time: what one core does, whoever else is busy on this machine.
    began = time.process_time()
    played = 0
    while (took := time.process_time() - began) < seconds:
        _must_hold(simulate(first + played))
        played += 1
    print(f"{played} schedules in {took:.1f} s, {played / took * 60:.0f} a minute")
    assert played / took * 60 >= SCHEDULES_A_MINUTE


def _digest(seed: int) -> str:
    return hashlib.sha256("\n".join(simulate(seed, keeps_text=True).lines).encode()).hexdigest()


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
