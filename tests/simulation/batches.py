"""Many schedules, in one process or in several, and what of the engine's tables they went through.

A batch is a range of seeds. What it showed can be added up, so a batch may be cut into parts that
are played anywhere. Memory is collected between schedules, not in them: a schedule is all cycles.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from dispatcher.core.engine import Engine
from dispatcher.core.policy import Policy
from tests.simulation.coverage import Coverage, WatchedEngine, watched_tables
from tests.simulation.simulator import Parts, Report, simulate

# Schedules that one process plays before it is asked for the next.
PART = 200
# Schedules between two collections of memory.
_COLLECTED_EVERY = 50


@dataclass(slots=True)
class Played:
    """What a batch showed. `seconds` is CPU time of all processes."""

    schedules: int = 0
    seconds: float = 0.0
    failures: list[Report] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)

    def add(self, other: Played) -> None:
        """Take in what another batch showed."""
        self.schedules += other.schedules
        self.seconds += other.seconds
        self.failures += other.failures
        self.coverage.add(other.coverage)


@contextmanager
def _memory_waits() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def play(first: int, schedules: int, failures_max: int = 1) -> Played:
    """Play the seeds from `first` on, in this process; stop after so many failures."""
    played = Played()
    began = time.process_time()
    with watched_tables() as coverage, _memory_waits():

        def make_engine(policy: Policy, random: Random) -> Engine:
            return WatchedEngine(policy, random, coverage)

        parts = Parts(engine=make_engine)
        for seed in range(first, first + schedules):
            report = simulate(seed, parts)
            played.schedules += 1
            if report.violation is not None:
                played.failures.append(report)
                if len(played.failures) >= failures_max:
                    break
            if not played.schedules % _COLLECTED_EVERY:
                gc.collect()
    played.coverage.add(coverage)
    played.seconds = time.process_time() - began
    return played


def play_in_processes(
    first: int,
    schedules: int,
    processes: int,
    failures_max: int = 1,
    progress: Callable[[Played], None] | None = None,
) -> Played:
    """Play them in so many processes, part by part; stop soon after so many failures."""
    total = Played()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        parts = [
            pool.submit(play, seed, min(PART, first + schedules - seed), failures_max)
            for seed in range(first, first + schedules, PART)
        ]
        for part in parts:
            total.add(part.result())
            if progress is not None:
                progress(total)
            if len(total.failures) >= failures_max:
                pool.shutdown(cancel_futures=True)
                break
    return total
