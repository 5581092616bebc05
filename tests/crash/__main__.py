"""`python -m tests.crash`: the crash run with numbers of one's own; prints the verdict."""

import argparse
import secrets
import sys

import anyio

from tests.crash.harness import Plan, run


def main() -> int:
    """Run the plan of the command line; 0 if nothing was lost, doubled or stale."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--dispatches", type=int, default=5000)
    parser.add_argument("--server-kills", type=int, default=30)
    parser.add_argument("--worker-kills", type=int, default=30)
    parser.add_argument("--rate", type=float, default=60.0, help="dispatches a second")
    parser.add_argument("--seed", type=int, default=secrets.randbits(31))
    given = parser.parse_args()
    sys.stdout.write(f"seed {given.seed}\n")
    plan = Plan(given.dispatches, given.server_kills, given.worker_kills, given.seed, given.rate)
    outcome = anyio.run(run, plan)
    verdict = outcome.verdict
    sys.stdout.write(
        f"{outcome.server_kills} SIGKILLs of the server, {outcome.worker_kills} of workers: "
        f"{verdict}\n"
    )
    for problem in (*verdict.lost, *verdict.doubled, *verdict.stale, *verdict.broken)[:40]:
        sys.stdout.write(f"  {problem}\n")
    if not verdict.is_good:
        sys.stdout.write(outcome.log_tail + "\n")
    return 0 if verdict.is_good and not outcome.unfinished else 1


if __name__ == "__main__":
    sys.exit(main())
