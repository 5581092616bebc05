"""What connected workers cost: idle, in memory, and in the CPU of a job that one of them gets.

Every worker reports its status each 2.5 s, as real ones do. Each sample has a server of its own, that
has worked before its memory is looked at, so that what it needs anyway is not counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from bench.client import Driver
from bench.scale.plan import CALLERS, Plan
from bench.servers import Kind, ServerProcess, serving

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FleetSample", "sample_fleet"]

WARM_UP_SECONDS = 2.0
SETTLE_SECONDS = 5.0
WARM_UP_WORKERS = 20


@dataclass(frozen=True, slots=True)
class FleetSample:
    """One fleet on one server."""

    workers: int
    # From the first connection until all are registered.
    connect_seconds: float
    # CPU of the idle server, in cores.
    idle_cores: float
    rss_bytes_before: int
    rss_bytes_connected: int
    jobs: int
    elapsed_seconds: float
    cpu_seconds: float

    @property
    def rss_bytes_per_worker(self) -> float:
        """Memory of the server for one connected worker."""
        return (self.rss_bytes_connected - self.rss_bytes_before) / self.workers

    @property
    def net_cpu_us_per_job(self) -> float:
        """CPU of the server for one job, without what the idle workers cost meanwhile."""
        return 1e6 * (self.cpu_seconds - self.idle_cores * self.elapsed_seconds) / self.jobs


async def sample_fleet(plan: Plan, workers: int, folder: Path) -> FleetSample:
    """Connect so many workers, look at the idle server, then have jobs done."""
    with serving(Kind.REAL, folder) as server:
        await _warm_up(server)
        rss_bytes_before = server.rss_bytes()
        driver = Driver(server.port)
        began_at = time.perf_counter()
        await driver.connect(workers, CALLERS)
        connect_seconds = time.perf_counter() - began_at
        try:
            await anyio.sleep(SETTLE_SECONDS)
            began_at, cpu_before = time.perf_counter(), server.cpu_seconds()
            await anyio.sleep(plan.idle_seconds)
            idle = (server.cpu_seconds() - cpu_before) / (time.perf_counter() - began_at)
            rss_bytes_connected = server.rss_bytes()
            await driver.run_load(WARM_UP_SECONDS)
            driver.load.clear()
            cpu_before = server.cpu_seconds()
            elapsed = await driver.run_load(plan.load_seconds)
            return FleetSample(
                workers=workers,
                connect_seconds=connect_seconds,
                idle_cores=idle,
                rss_bytes_before=rss_bytes_before,
                rss_bytes_connected=rss_bytes_connected,
                jobs=driver.load.jobs_done,
                elapsed_seconds=elapsed,
                cpu_seconds=server.cpu_seconds() - cpu_before,
            )
        finally:
            await driver.close()


async def _warm_up(server: ServerProcess) -> None:
    """Have some jobs done by workers that leave again."""
    driver = Driver(server.port)
    await driver.connect(WARM_UP_WORKERS, CALLERS)
    try:
        await driver.run_load(WARM_UP_SECONDS)
    finally:
        await driver.close()
    await anyio.sleep(SETTLE_SECONDS)
