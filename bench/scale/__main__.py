"""Measure and report: `python -m bench.scale [--quick] [--parts NAMES] [--output FOLDER]`."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from pathlib import Path

import anyio

from bench.arguments import add_names, parser_of
from bench.machine import environment, load_average, synced_write
from bench.scale.fleet import sample_fleet
from bench.scale.plan import FULL, QUICK, Plan
from bench.scale.queue import QueueSide
from bench.scale.report import Results, write_report

PARTS = ("fleet", "queue")


def main() -> None:
    """Measure everything and write the report."""
    parser = arguments()
    given = parser.parse_args()
    parts = given.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    plan = QUICK if given.quick else FULL
    with tempfile.TemporaryDirectory(prefix="callboard-scale-") as folder:
        results = anyio.run(
            _measure, plan, parts, Path(folder), backend_options={"use_uvloop": True}
        )
    print(write_report(results, given.output))


def arguments() -> argparse.ArgumentParser:
    """What may be typed."""
    parser = parser_of("bench.scale", __doc__)
    add_names(parser, "--parts", PARTS)
    return parser


async def _measure(plan: Plan, parts: list[str], folder: Path) -> Results:
    results = Results(plan, environment())
    results.environment["synced write"] = synced_write(folder)
    if "fleet" in parts:
        await _measure_fleets(plan, folder, results)
    if "queue" in parts:
        await _measure_queues(plan, folder, results)
    results.environment["load average after"] = load_average()
    return results


async def _measure_fleets(plan: Plan, folder: Path, results: Results) -> None:
    for number in range(plan.rounds):
        for workers in (plan.workers_few, plan.workers_many):
            sample = await sample_fleet(plan, workers, folder / f"fleet-{workers}-{number}")
            results.fleets.setdefault(workers, []).append(sample)
            _say(
                f"{workers} workers: idle {sample.idle_cores:.2f} cores,"
                f" {sample.rss_bytes_per_worker / 1024:.1f} KiB each,"
                f" {sample.net_cpu_us_per_job:.0f} us a job net"
            )


async def _measure_queues(plan: Plan, folder: Path, results: Results) -> None:
    sides = [
        QueueSide(plan, queued, folder / f"queue-{queued}")
        for queued in (plan.queued_few, plan.queued_many)
    ]
    try:
        for side in sides:
            await side.start()
            _say(
                f"{side.sample.queued} queued: seeded in {side.sample.seed_seconds:.0f} s,"
                f" started in {side.sample.start_seconds:.1f} s"
            )
        # The first one is the warm-up.
        for _ in range(plan.rounds + 1):
            for side in sides:
                taken = await side.enqueue()
                _say(f"{side.sample.queued} queued: {taken.cpu_us_per_job:.0f} us an enqueue")
            for side in sides:
                taken = await side.claim()
                _say(f"{side.sample.queued} queued: {taken.cpu_us_per_job:.0f} us a claim")
            await sides[0].rest()
    finally:
        for side in sides:
            side.finish()
    for side in sides:
        del side.sample.enqueues[0], side.sample.claims[0]
        results.queues.append(side.sample)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
