"""What is measured, in which order, and how numbers come of it.

Everything that is compared is measured in turns in one run, so that the machine's mood hits both.
CPU is that of the server process with all its threads. Nothing here knows which server it drives.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.client import Driver
from bench.machine import environment, load_average, synced_write
from bench.servers import CpuParts, Kind, ServerProcess, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# What the ratio is measured with.
WORKERS = 20
CALLERS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    ratio_rounds: int
    load_seconds: float
    warm_up_seconds: float
    latency_rounds: int
    latency_jobs_per_round: int
    fleets: tuple[int, ...]
    fleet_rounds: int
    idle_seconds: float


FULL = Plan(
    ratio_rounds=7,
    load_seconds=5.0,
    warm_up_seconds=3.0,
    latency_rounds=5,
    latency_jobs_per_round=200,
    fleets=(10, 100, 1000, 5000),
    fleet_rounds=3,
    idle_seconds=7.5,
)
QUICK = Plan(
    ratio_rounds=3,
    load_seconds=2.0,
    warm_up_seconds=1.0,
    latency_rounds=2,
    latency_jobs_per_round=100,
    fleets=(10, 100, 1000),
    fleet_rounds=1,
    idle_seconds=5.0,
)

LATENCY_PAUSE_SECONDS = 0.005
# After its workers have registered, a server is left alone for a moment.
SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class LoadSample:
    """One window of load on one server."""

    jobs: int
    elapsed_seconds: float
    cpu_seconds: float
    # Of the same server and workers without jobs, per second.
    idle_cpu_seconds: float
    assign_p50_seconds: float
    assign_p99_seconds: float
    cpu_parts: CpuParts

    @property
    def cpu_per_job(self) -> float:
        """CPU seconds for one job, with all that the server does meanwhile."""
        return self.cpu_seconds / self.jobs

    @property
    def net_cpu_per_job(self) -> float:
        """CPU seconds for one job, without the cost of the idle connections."""
        return (self.cpu_seconds - self.idle_cpu_seconds * self.elapsed_seconds) / self.jobs


@dataclass(slots=True)
class Results:
    """All samples of a run, by server."""

    environment: dict[str, str] = field(default_factory=dict)
    plan: Plan = FULL
    ratio: dict[Kind, list[LoadSample]] = field(default_factory=dict)
    # From the call to its assignment, one job at a time.
    latency_seconds: dict[Kind, list[float]] = field(default_factory=dict)
    # By the number of connected workers.
    fleets: dict[int, dict[Kind, list[LoadSample]]] = field(default_factory=dict)


async def measure(plan: Plan, folder: Path) -> Results:
    """Measure everything; data and logs of the servers go below `folder`."""
    results = Results(environment=environment(), plan=plan)
    results.environment["synced write before"] = synced_write(folder)
    _say(f"ratio: {WORKERS} workers, {CALLERS} callers, {plan.ratio_rounds} rounds in turns")
    await _measure_ratio(plan, folder / "ratio", results)
    _say("latency on an idle server")
    await _measure_latency(plan, folder / "latency", results)
    names = itertools.count()
    for workers in plan.fleets:
        by_kind: dict[Kind, list[LoadSample]] = {kind: [] for kind in Kind}
        for _, kind in itertools.product(range(plan.fleet_rounds), Kind):
            with serving(kind, folder / f"fleet-{next(names)}") as server:
                sample = await _sample_fleet(plan, server, workers)
            by_kind[kind].append(sample)
            _say(
                f"{workers} workers, {kind.value}: {sample.net_cpu_per_job * 1e6:.0f} us a job net,"
                f" idle {sample.idle_cpu_seconds:.1%}, {sample.jobs} jobs"
            )
        results.fleets[workers] = by_kind
    results.environment["synced write after"] = synced_write(folder)
    results.environment["load average after"] = load_average()
    return results


async def _measure_ratio(plan: Plan, folder: Path, results: Results) -> None:
    async with _both(folder, WORKERS, CALLERS) as pairs:
        for _, driver in pairs:
            await driver.run_load(plan.warm_up_seconds)
        for _ in range(plan.ratio_rounds):
            for server, driver in pairs:
                sample = await _sample_load(server, driver, plan.load_seconds, 0.0)
                results.ratio.setdefault(server.kind, []).append(sample)
                _say(
                    f"{server.kind.value}: {sample.cpu_per_job * 1e6:.0f} us a job,"
                    f" {sample.jobs / sample.elapsed_seconds:.0f} jobs/s"
                )


async def _measure_latency(plan: Plan, folder: Path, results: Results) -> None:
    async with _both(folder, WORKERS, 1) as pairs:
        for _, driver in pairs:
            await driver.run_single(plan.latency_jobs_per_round, LATENCY_PAUSE_SECONDS)
            driver.load.clear()
        for _ in range(plan.latency_rounds):
            for server, driver in pairs:
                await driver.run_single(plan.latency_jobs_per_round, LATENCY_PAUSE_SECONDS)
                taken = results.latency_seconds.setdefault(server.kind, [])
                taken += driver.load.assign_seconds
                driver.load.clear()


async def _sample_fleet(plan: Plan, server: ServerProcess, workers: int) -> LoadSample:
    driver = Driver(server.port)
    await driver.connect(workers, CALLERS)
    try:
        await driver.run_load(plan.warm_up_seconds)
        await asyncio.sleep(SETTLE_SECONDS)
        cpu_before, began_at = server.cpu_seconds(), time.perf_counter()
        await asyncio.sleep(plan.idle_seconds)
        idle = (server.cpu_seconds() - cpu_before) / (time.perf_counter() - began_at)
        return await _sample_load(server, driver, plan.load_seconds, idle)
    finally:
        await driver.close()


async def _sample_load(
    server: ServerProcess, driver: Driver, seconds: float, idle_cpu_seconds: float
) -> LoadSample:
    driver.load.clear()
    cpu_before, parts_before = server.cpu_seconds(), server.cpu_parts()
    elapsed = await driver.run_load(seconds)
    cpu, parts = server.cpu_seconds() - cpu_before, server.cpu_parts().since(parts_before)
    quantiles = statistics.quantiles(driver.load.assign_seconds, n=100)
    return LoadSample(
        jobs=driver.load.jobs_done,
        elapsed_seconds=elapsed,
        cpu_seconds=cpu,
        idle_cpu_seconds=idle_cpu_seconds,
        assign_p50_seconds=quantiles[49],
        assign_p99_seconds=quantiles[98],
        cpu_parts=parts,
    )


@asynccontextmanager
async def _both(
    folder: Path, workers: int, callers: int
) -> AsyncIterator[list[tuple[ServerProcess, Driver]]]:
    """Both servers, with a connected driver each."""
    with ExitStack() as servers:
        pairs: list[tuple[ServerProcess, Driver]] = []
        for kind in Kind:
            server = servers.enter_context(serving(kind, folder / kind.name.lower()))
            pairs.append((server, Driver(server.port)))
        for _, driver in pairs:
            await driver.connect(workers, callers)
        await asyncio.sleep(SETTLE_SECONDS)
        try:
            yield pairs
        finally:
            for _, driver in pairs:
                await driver.close()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
