"""Runs each job as a task of the worker's own event loop: the default.

Cheapest, and right for jobs that wait: a job that computes without a pause stops the whole worker,
and one that crashes the interpreter takes all other jobs with it. `ProcessExecutor` is for those.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from protocol.errors import ConfigError
from worker_sdk.execution import Outcome, context_for, execute, prewarm
from worker_sdk.executors.executor import STOP_SECONDS_MAX, Executor, JobRunner, WorkerProgram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from structlog.typing import FilteringBoundLogger

    from worker_sdk.planner import Start

__all__ = ["TaskExecutor"]

PREWARM_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExecutor(Executor):
    """Each job is a task of the worker's loop.

    `stop_seconds_max`: a job that runs on so long after it was told to stop is reported FAILED (it
    keeps its room, for nothing can end it from outside). `prewarm_seconds_max`: an asynchronous
    prewarm that takes longer fails the start of the worker. ConfigError for a wrong value.
    """

    stop_seconds_max: float = STOP_SECONDS_MAX
    prewarm_seconds_max: float = PREWARM_SECONDS_MAX

    def __post_init__(self) -> None:
        for name in ("stop_seconds_max", "prewarm_seconds_max"):
            seconds = getattr(self, name)
            if not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
                raise ConfigError(f"TaskExecutor: {name} must be seconds above 0, not {seconds!r}")

    def check(self, program: WorkerProgram) -> None:
        """Any function can be a task."""

    @asynccontextmanager
    async def open(
        self, program: WorkerProgram, log: FilteringBoundLogger
    ) -> AsyncIterator[JobRunner]:
        """Run the prewarm function, in this loop: what it raises is raised here."""
        if program.prewarm is not None:
            with anyio.move_on_after(self.prewarm_seconds_max) as scope:
                await prewarm(program.prewarm)
            if scope.cancelled_caught:
                raise ConfigError(
                    f"the prewarm function did not end within {self.prewarm_seconds_max:g} s"
                )
        yield _TaskRunner(program, self.stop_seconds_max)


class _TaskRunner(JobRunner):
    def __init__(self, program: WorkerProgram, stop_seconds_max: float) -> None:
        self._program = program
        self._stop_seconds_max = stop_seconds_max

    @property
    def stop_report_seconds(self) -> float:
        return self._stop_seconds_max

    async def run(
        self, start: Start, scope: anyio.CancelScope, log: FilteringBoundLogger
    ) -> Outcome:
        program = self._program
        return await execute(
            program.job, context_for(start, log), scope, program.shutdown_seconds_max
        )
