"""Play schedules from the command line.

python -m tests.simulation --seed 17 [--trace]
python -m tests.simulation --schedules 5000 --seconds 60 [--first 1]
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.simulation.simulator import simulate


def replay_command(seed: int) -> str:
    """Return the command that plays this seed again."""
    return f"python -m tests.simulation --seed {seed} --trace"


def main() -> int:
    """Play one seed, or many; exit 1 if an invariant was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, help="play this one")
    parser.add_argument("--trace", action="store_true", help="print what happens in it")
    parser.add_argument("--schedules", type=int, default=2000, help="play so many")
    parser.add_argument("--seconds", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--first", type=int, help="the first of them (default: at random)")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many failures")
    options = parser.parse_args()
    if options.seed is not None:
        report = simulate(options.seed, keeps_text=options.trace)
        for line in report.lines:
            print(line)
        print(
            f"seed {report.seed}: {report.violation or 'every invariant held'}; {report.jobs} jobs,"
            f" {report.steps} steps, {report.simulated_seconds:.1f} s simulated"
        )
        return 1 if report.violation else 0
    first = options.first if options.first is not None else random.SystemRandom().getrandbits(40)
    began = time.monotonic()
    played = failures = 0
    while played < options.schedules and time.monotonic() - began < options.seconds:
        report = simulate(first + played)
        played += 1
        if report.violation is not None:
            failures += 1
            what = report.violation.what.strip().splitlines()[-1]
            print(f"seed {report.seed}: {report.violation.checker}: {what[:300]}")
            print(f"  replay: {replay_command(report.seed)}")
            if failures >= options.failures:
                break
    took = time.monotonic() - began
    print(
        f"{played} schedules from seed {first} in {took:.1f} s"
        f" ({played / took * 60:.0f} a minute), {failures} failed"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
