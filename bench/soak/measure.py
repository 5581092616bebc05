"""The long run: callboard at half of its closed-loop maximum, looked at every few seconds.

The maximum is taken first, on the same server. Retention is set so short that from the first minutes on
as many rows are deleted as are written. Calls come in an open loop, a minute at a time, and latencies
count from when each call was due.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from bench.compare.contenders import CALLERS, WORKERS
from bench.compare.driving import DriverProcess, driving
from bench.machine import environment, load_average, synced_write
from bench.servers import Kind, ServerProcess, serving

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FULL", "QUICK", "Look", "Minute", "Plan", "Results", "measure"]

SHARES = (0.5, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, and what is kept. A "minute" may be shorter in a quick run."""

    minutes: int
    minute_seconds: float
    # Of the end of the run: what is judged.
    judged_minutes: int
    look_seconds: float
    closed_seconds: float
    ended_jobs_max: int
    events_max: int


FULL = Plan(
    minutes=30,
    minute_seconds=60.0,
    judged_minutes=20,
    look_seconds=5.0,
    closed_seconds=15.0,
    ended_jobs_max=50_000,
    events_max=250_000,
)
QUICK = Plan(
    minutes=6,
    minute_seconds=10.0,
    judged_minutes=4,
    look_seconds=2.0,
    closed_seconds=3.0,
    ended_jobs_max=1_000,
    events_max=5_000,
)


@dataclass(frozen=True, slots=True)
class Look:
    """The server at a moment, in minutes since the calls began."""

    at_minute: float
    rss_bytes: int
    database_bytes: int
    wal_bytes: int


@dataclass(frozen=True, slots=True)
class Minute:
    """What became of the calls of one minute."""

    number: int
    jobs: int
    unfinished: int
    errors: int
    cpu_us_per_job: float
    # p50, p99, p99.9
    start_ms: tuple[float, float, float]
    driver_late_ms_p99: float


@dataclass(slots=True)
class Results:
    """The whole run."""

    plan: Plan
    environment: dict[str, str] = field(default_factory=dict)
    jobs_per_second_max: float = 0.0
    rate: float = 0.0
    looks: list[Look] = field(default_factory=list)
    minutes: list[Minute] = field(default_factory=list)


async def measure(plan: Plan, folder: Path) -> Results:
    """Run it; the server's data and logs go below `folder`."""
    results = Results(plan, environment())
    results.environment["synced write"] = synced_write(folder)
    settings = {
        "CALLBOARD_RETENTION_ENDED_JOBS_MAX": str(plan.ended_jobs_max),
        "CALLBOARD_RETENTION_EVENTS_MAX": str(plan.events_max),
    }
    with serving(Kind.REAL, folder, settings=settings) as server:
        command = [
            *(sys.executable, "-m", "bench.compare.drivers.dispatching"),
            *(str(server.port), str(WORKERS), str(CALLERS)),
        ]
        with driving(command, {}, folder / "driver.log") as driver:
            await driver.ready()
            taken = await driver.closed(CALLERS, plan.closed_seconds)
            results.jobs_per_second_max = taken["jobs"] / taken["elapsed_seconds"]
            results.rate = results.jobs_per_second_max / 2
            _say(
                f"at most {results.jobs_per_second_max:.0f} jobs/s: {results.rate:.0f}/s from now on"
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_look_on, plan, server, folder / "data", results)
                await _call(plan, server, driver, results)
                tasks.cancel_scope.cancel()
    results.environment["load average after"] = load_average()
    return results


async def _call(plan: Plan, server: ServerProcess, driver: DriverProcess, results: Results) -> None:
    for number in range(1, plan.minutes + 1):
        cpu_before = server.cpu_seconds()
        taken = await driver.open(results.rate, plan.minute_seconds)
        spent = server.cpu_seconds() - cpu_before
        ordered = sorted(taken["start_us"])
        p50, p99, p999 = (
            ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e3 if ordered else 0.0
            for share in SHARES
        )
        minute = Minute(
            number=number,
            jobs=taken["jobs"],
            unfinished=taken["unfinished"],
            errors=taken["errors"],
            cpu_us_per_job=1e6 * spent / max(1, taken["jobs"]),
            start_ms=(p50, p99, p999),
            driver_late_ms_p99=taken["late_us_p99"] / 1e3,
        )
        results.minutes.append(minute)
        look = results.looks[-1]
        _say(
            f"minute {number}: p50 {p50:.2f} ms, p99 {p99:.2f} ms,"
            f" memory {look.rss_bytes / 2**20:.1f} MiB, database {look.database_bytes / 2**20:.0f}"
            f" + {look.wal_bytes / 2**20:.0f} MiB, {minute.unfinished + minute.errors} lost"
        )


async def _look_on(plan: Plan, server: ServerProcess, data: Path, results: Results) -> None:
    began_at = time.monotonic()
    while True:
        results.looks.append(
            Look(
                at_minute=(time.monotonic() - began_at) / plan.minute_seconds,
                rss_bytes=server.rss_bytes(),
                database_bytes=_size(data / "callboard.db"),
                wal_bytes=_size(data / "callboard.db-wal"),
            )
        )
        await anyio.sleep(plan.look_seconds)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
