"""`python -m tests.crash`: the crash run with numbers of one's own; prints the verdict."""

import argparse
import secrets
import sys

import anyio

from tests.crash.harness import Plan, run
from tests.faults.screen import Screen, report


def main() -> int:
    """Run the plan of the command line; 0 if nothing was lost, doubled or stale."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--dispatches", type=int, default=5000)
    parser.add_argument("--server-kills", type=int, default=30)
    parser.add_argument("--worker-kills", type=int, default=30)
    parser.add_argument("--rate", type=float, default=60.0, help="dispatches a second")
    parser.add_argument("--seed", type=int, default=secrets.randbits(31))
    given = parser.parse_args()
    sys.stdout.write(
        f"seed {given.seed}; the same plan again: python -m tests.crash "
        f"--dispatches {given.dispatches} --server-kills {given.server_kills} "
        f"--worker-kills {given.worker_kills} --rate {given.rate:g} --seed {given.seed}\n"
    )
    plan = Plan(given.dispatches, given.server_kills, given.worker_kills, given.seed, given.rate)
    screen = Screen()
    outcome = anyio.run(lambda: run(plan, show=screen))
    screen.close()
    sys.stdout.write(report(outcome) + "\n")
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
