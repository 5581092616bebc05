"""Play schedules from the command line.

python -m tests.simulation --seed 17 [--trace]
python -m tests.simulation --schedules 100000 --processes 2 [--first 1] [--failures 5]
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.simulation.batches import Played, play_in_processes
from tests.simulation.simulator import Report, simulate

_SHOWN_CHARACTERS_MAX = 300


def replay_command(seed: int) -> str:
    """Return the command that plays this seed again."""
    return f"python -m tests.simulation --seed {seed} --trace"


def described(report: Report) -> str:
    """Say what broke, in which mix of faults, and how to see it again."""
    violation = report.violation
    assert violation is not None, "only what failed is described"
    what = violation.what.strip().splitlines()[-1][:_SHOWN_CHARACTERS_MAX]
    return (
        f"seed {report.seed}: {violation.checker}: {what}\n"
        f"  mix: {report.mix}\n"
        f"  replay: {replay_command(report.seed)}"
    )


def _play_one(seed: int, *, keeps_text: bool) -> int:
    report = simulate(seed, keeps_text=keeps_text)
    for line in report.lines:
        print(line)
    print(f"mix: {report.mix}")
    print(
        f"seed {report.seed}: {report.violation or 'every invariant held'}; {report.jobs} jobs,"
        f" {report.steps} steps, {report.simulated_seconds:.1f} s simulated"
    )
    return 1 if report.violation else 0


def _play_many(first: int, schedules: int, processes: int, failures_max: int) -> int:
    began = time.monotonic()
    told = 0

    def progress(played: Played) -> None:
        nonlocal told
        for report in played.failures[told:]:
            print(f"\n{described(report)}", flush=True)
        told = len(played.failures)
        took = time.monotonic() - began
        left = took / played.schedules * (schedules - played.schedules)
        print(
            f"\r{played.schedules} of {schedules} schedules, {len(played.failures)} failed,"
            f" {took:.0f} s, {left:.0f} s to go ",
            end="",
            file=sys.stderr,
            flush=True,
        )

    played = play_in_processes(first, schedules, processes, failures_max, progress)
    print(file=sys.stderr)
    missed = played.coverage.missed
    print(
        f"coverage: {played.coverage.entries - len(missed)} of {played.coverage.entries} moves and"
        f" deadlines" + "".join(f"\n  missed: {what}" for what in missed)
    )
    print(
        f"{played.schedules} schedules from seed {first} in {time.monotonic() - began:.1f} s,"
        f" {played.seconds / max(played.schedules, 1) * 1000:.1f} ms of CPU each,"
        f" {len(played.failures)} failed"
    )
    return 1 if played.failures else 0


def main() -> int:
    """Play one seed, or many; exit 1 if an invariant was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, help="play this one")
    parser.add_argument("--trace", action="store_true", help="print what happens in it")
    parser.add_argument("--schedules", type=int, default=2000, help="play so many")
    parser.add_argument("--processes", type=int, default=1, help="in so many processes")
    parser.add_argument("--first", type=int, help="the first of them (default: at random)")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many failures")
    options = parser.parse_args()
    if options.seed is not None:
        return _play_one(options.seed, keeps_text=options.trace)
    first = options.first if options.first is not None else random.SystemRandom().getrandbits(40)
    return _play_many(first, options.schedules, options.processes, options.failures)


if __name__ == "__main__":
    sys.exit(main())
