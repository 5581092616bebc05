"""What an executor is: the way in which a worker runs its jobs.

An `Executor` is a value of options that a program makes; `open` gives the `JobRunner` that lives
while the worker serves. One contract for all (tests/integration/worker_sdk/test_executors.py):

- a job's end, whatever it was, is an `Outcome`; nothing that a job does raises here;
- whoever cancels the job's scope stops the job, which sees a cancellation as in any task;
- a cancellation from outside ends the job at once;
- when `open` is left, nothing of the executor is left behind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker_sdk.shutdown import SHUTDOWN_SECONDS_MAX_DEFAULT

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    import anyio
    from structlog.typing import FilteringBoundLogger

    from worker_sdk.execution import JobFunction, Outcome, PrewarmFunction
    from worker_sdk.planner import Start

__all__ = ["STOP_SECONDS_MAX", "Executor", "JobRunner", "PoolCounts", "WorkerProgram"]

# From the order to stop to the end or the report of a job that will not (as LiveKit's SDK has it).
STOP_SECONDS_MAX = 15.0


@dataclass(frozen=True, slots=True)
class WorkerProgram:
    """The functions of a worker's program that an executor calls.

    `shutdown_seconds_max`: what the shutdown callbacks of one job may take together.
    """

    job: JobFunction
    prewarm: PrewarmFunction | None = None
    shutdown_seconds_max: float = SHUTDOWN_SECONDS_MAX_DEFAULT


# Starts that failed in a row before a pool without a ready process is taken to be broken.
START_FAILURES_MAX = 3


@dataclass(frozen=True, slots=True)
class PoolCounts:
    """The processes of a pool now, and what it went through since it was opened."""

    starting: int = 0
    idle: int = 0  # ready, and waiting for a job
    busy: int = 0
    ending: int = 0
    jobs_waiting: int = 0
    started_total: int = 0  # became ready
    start_failures: int = 0  # in a row, until now
    start_failures_total: int = 0
    replaced_total: int = 0  # ended, or had to be killed, while they waited for a job
    killed_total: int = 0  # by us, for any reason

    @property
    def can_run_jobs(self) -> bool:
        """Is a process ready, or can one be started, for all that is known?"""
        return self.idle > 0 or self.start_failures < START_FAILURES_MAX


class JobRunner(ABC):
    """Runs jobs while a worker serves."""

    @property
    def is_able(self) -> bool:
        """Would a job that came now run? Not where no process can be started for it."""
        return self.pool is None or self.pool.can_run_jobs

    @property
    @abstractmethod
    def stop_report_seconds(self) -> float:
        """How long after the order to stop a job that still runs is reported as one that will not."""

    @property
    def pool(self) -> PoolCounts | None:
        """The state of the runner's processes; None where it has none."""
        return None

    @abstractmethod
    async def run(
        self, start: Start, scope: anyio.CancelScope, log: FilteringBoundLogger
    ) -> Outcome:
        """Run one job to its end. `scope` stops it; `log` has the job's ids bound."""


class Executor(ABC):
    """The options of one way to run jobs."""

    @abstractmethod
    def check(self, program: WorkerProgram) -> None:
        """Refuse a program that cannot run in this way: ConfigError. Before anything is started."""

    @abstractmethod
    def open(
        self, program: WorkerProgram, log: FilteringBoundLogger
    ) -> AbstractAsyncContextManager[JobRunner]:
        """Start what is needed. When it is left, nothing runs any more, and nothing is left."""
