"""`python -m tests.worker_pool`: run it, print what is counted; 0 where all is as it should be."""

import argparse
import sys
from functools import partial

import anyio
import structlog

from tests.worker_pool.run import Plan, Report, run


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.worker_pool", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=8, help="the worker's capacity")
    parser.add_argument("--warm", type=int, default=4, help="the size of the pool")
    parser.add_argument("--log", action="store_true", help="all that server and worker log")
    given = parser.parse_args()
    plan = Plan(given.jobs, given.at_once, given.warm)
    if not given.log:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))

    def progress(ended: int) -> None:
        print(f"\r{ended} of {plan.jobs} jobs have ended", end="", file=sys.stderr, flush=True)

    report = anyio.run(partial(run, plan, progress), backend_options={"use_uvloop": True})
    print(file=sys.stderr)
    _print(plan, report)
    return 0 if report.is_good(plan) else 1


def _print(plan: Plan, report: Report) -> None:
    for name, count in sorted(report.right.items(), key=lambda item: -item[1]):
        print(f"{count:6}  {name}: the server was told so, with its reason")
    for line in report.wrong:
        print(f" WRONG  {line}")
    pool = report.pool
    print(
        f"pool at the end: {pool.idle} ready of {plan.warm} ({report.warm_processes} processes);"
        f" {pool.started_total} were started, {pool.start_failures_total} failed to start,"
        f" {pool.killed_total} were killed by the worker, {pool.replaced_total} replaced while warm"
    )
    print(f"processes left behind: {len(report.left_behind)}")
    verdict = "good" if report.is_good(plan) else "NOT GOOD"
    print(f"{verdict}: {sum(report.right.values())} of {plan.jobs} in {report.seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
