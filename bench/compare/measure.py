"""What is measured, in which order: each shape in rounds, each round all contenders in turns.

CPU is that of the server process with all its threads; the driver's and the workers' is told beside it,
since with two cores whoever needs much of the second one slows the first.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.compare.contenders import (
    BARE,
    CALLBOARD,
    CALLERS,
    NATS,
    STOCK,
    TASKIQ,
    TASKIQ_LIST,
    Contender,
    Running,
)
from bench.machine import environment, load_average, synced_write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["FULL", "HALF", "QUICK", "STOCK_RATE", "Plan", "Results", "Sample", "measure"]

# Near all that stock livekit-server bears.
STOCK_RATE = 40.0
# What stands for "half of callboard's own closed-loop maximum" until that is known.
HALF = 0.0
# By the rate of an open loop: who is measured at it.
OPEN_LOOPS: dict[float, Sequence[Contender]] = {
    STOCK_RATE: (CALLBOARD, STOCK),
    50.0: (CALLBOARD, BARE, NATS, TASKIQ, TASKIQ_LIST),
    500.0: (CALLBOARD, BARE, NATS, TASKIQ, TASKIQ_LIST),
    HALF: (CALLBOARD, BARE),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    rounds: int
    warm_up_seconds: float
    closed_seconds: float
    open_seconds: float


FULL = Plan(rounds=5, warm_up_seconds=3.0, closed_seconds=5.0, open_seconds=12.0)
QUICK = Plan(rounds=1, warm_up_seconds=1.0, closed_seconds=2.0, open_seconds=3.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn of one contender."""

    jobs: int
    elapsed_seconds: float
    server_cpu_seconds: float
    clients_cpu_seconds: float
    # From when the call was due to the assignment at the worker, or the start of its task.
    start_us: list[int]
    unfinished: int
    errors: int
    first_error: str
    # How late the driver itself made its calls.
    late_us_p99: int

    @property
    def jobs_per_second(self) -> float:
        """Jobs that ended, by the time until the last of them had."""
        return self.jobs / self.elapsed_seconds if self.elapsed_seconds else 0.0

    @property
    def cpu_us_per_job(self) -> float:
        """CPU of the server for one job, with all that it does meanwhile."""
        return 1e6 * self.server_cpu_seconds / self.jobs if self.jobs else 0.0

    @property
    def clients_cores(self) -> float:
        """What the driver and the workers used of the machine."""
        return self.clients_cpu_seconds / self.elapsed_seconds if self.elapsed_seconds else 0.0


@dataclass(slots=True)
class Results:
    """All samples of a run, by the contender's name."""

    plan: Plan
    environment: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    # Why one was left out.
    missing: dict[str, str] = field(default_factory=dict)
    closed: dict[str, list[Sample]] = field(default_factory=dict)
    # By the rate.
    open: dict[float, dict[str, list[Sample]]] = field(default_factory=dict)
    half_rate: float = 0.0


async def measure(
    plan: Plan, folder: Path, python: str, contenders: Sequence[Contender]
) -> Results:
    """Measure everything; data and logs go below `folder`, the other clients run on this Python."""
    results = Results(plan, environment())
    results.environment["synced write before"] = synced_write(folder)
    present: list[Contender] = []
    for contender in contenders:
        reason = contender.missing(python)
        if reason:
            results.missing[contender.name] = reason
            _say(f"{contender.name}: left out, {reason}")
        else:
            present.append(contender)
            results.versions[contender.name] = contender.version()
    with ExitStack() as servers:
        turns = [_Turns(contender, folder, python, plan.warm_up_seconds) for contender in present]
        for each in turns:
            await each.start(servers)
        await _closed(plan, turns, results)
        for rate, who in OPEN_LOOPS.items():
            chosen = [each for each in turns if each.contender in who]
            await _open(plan, chosen, rate, results)
    results.environment["synced write after"] = synced_write(folder)
    results.environment["load average after"] = load_average()
    return results


class _Turns:
    """One contender, running from the first turn to the last, or anew in each."""

    def __init__(self, contender: Contender, folder: Path, python: str, warm_up: float) -> None:
        self.contender = contender
        self._folder = folder / contender.name.replace(" ", "-").replace(",", "")
        self._python = python
        self._warm_up_seconds = warm_up
        self._running: Running | None = None
        self._count = 0

    async def start(self, servers: ExitStack) -> None:
        """Have it run until this stack is closed, if it is not to be started in each turn."""
        if not self.contender.is_fresh:
            self._running = servers.enter_context(self._run())
            await self._get_ready(self._running)

    async def closed(self, seconds: float) -> Sample:
        """A turn of the closed loop."""
        return await self._take(0.0, seconds)

    async def open(self, rate: float, seconds: float) -> Sample:
        """A turn of an open loop."""
        return await self._take(rate, seconds)

    async def _take(self, rate: float, seconds: float) -> Sample:
        if self._running is not None:
            return await _sample(self._running, rate, seconds)
        with self._run() as running:
            await self._get_ready(running)
            return await _sample(running, rate, seconds)

    def _run(self) -> AbstractContextManager[Running]:
        self._count += 1
        return self.contender.running(self._folder / str(self._count), self._python)

    async def _get_ready(self, running: Running) -> None:
        await running.driver.ready()
        await running.driver.closed(CALLERS, self._warm_up_seconds)


async def _sample(running: Running, rate: float, seconds: float) -> Sample:
    server_before, clients_before = running.cpu_seconds(), running.driver.cpu_seconds()
    if rate:
        taken = await running.driver.open(rate, seconds)
    else:
        taken = await running.driver.closed(CALLERS, seconds)
    return Sample(
        server_cpu_seconds=running.cpu_seconds() - server_before,
        clients_cpu_seconds=running.driver.cpu_seconds() - clients_before,
        **taken,
    )


async def _closed(plan: Plan, turns: Sequence[_Turns], results: Results) -> None:
    for _ in range(plan.rounds):
        for each in turns:
            sample = await each.closed(plan.closed_seconds)
            results.closed.setdefault(each.contender.name, []).append(sample)
            _say(
                f"{each.contender.name}: {sample.jobs_per_second:.0f} jobs/s,"
                f" {sample.cpu_us_per_job:.0f} us of CPU a job{_troubles(sample)}"
            )


async def _open(plan: Plan, turns: Sequence[_Turns], rate: float, results: Results) -> None:
    if rate == HALF:
        of_callboard = results.closed.get(CALLBOARD.name)
        if not of_callboard:
            return
        rate = statistics.median(sample.jobs_per_second for sample in of_callboard) / 2
        results.half_rate = rate
    by_name = results.open.setdefault(rate, {})
    for _ in range(plan.rounds):
        for each in turns:
            sample = await each.open(rate, plan.open_seconds)
            by_name.setdefault(each.contender.name, []).append(sample)
            middle = statistics.median(sample.start_us) / 1e3 if sample.start_us else 0.0
            _say(f"{each.contender.name} at {rate:.0f}/s: p50 {middle:.2f} ms{_troubles(sample)}")


def _troubles(sample: Sample) -> str:
    if not sample.errors and not sample.unfinished:
        return ""
    return f", {sample.unfinished} unfinished, {sample.errors} errors: {sample.first_error}"


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
