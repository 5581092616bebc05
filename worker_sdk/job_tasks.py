"""The running jobs of a worker: one task each, stopped on order, recorded, their results handed on.

Invariants: a job that was told to stop before its task began never runs; each job is recorded as
started before its function is called and as ended after it is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from worker_sdk.execution import Outcome, OutcomeKind
from worker_sdk.log_events import LogEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anyio.abc import TaskGroup
    from structlog.typing import FilteringBoundLogger

    from worker_sdk.executors.executor import JobRunner
    from worker_sdk.planner import Order, Planner, Start, Stop
    from worker_sdk.records import JobRecords, RecordEvent

__all__ = ["JobTasks"]


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    start: Start
    scope: anyio.CancelScope
    is_over: anyio.Event


class JobTasks:
    """Runs jobs in `tasks`. `on_orders` carries out what the planner asks for after a job's end."""

    def __init__(
        self,
        *,
        runner: JobRunner,
        planner: Planner,
        records: JobRecords,
        tasks: TaskGroup,
        on_orders: Callable[[Iterable[Order]], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._runner = runner
        self._planner = planner
        self._records = records
        self._tasks = tasks
        self._on_orders = on_orders
        self._log = log
        self._runs: dict[str, _Run] = {}

    @property
    def is_able(self) -> bool:
        """Would a job that came now run?"""
        return self._runner.is_able

    def start(self, start: Start) -> None:
        """Run a job that the planner admitted."""
        run = _Run(start, anyio.CancelScope(), anyio.Event())
        self._runs[start.job.id] = run
        self._tasks.start_soon(self._run, run, name=f"job {start.job.id}")

    def stop(self, stop: Stop) -> None:
        """Cancel a running job at once, and report it if it does not end within the bound."""
        run = self._runs.get(stop.job_id)
        if run is None:
            return
        self._log.info(LogEvent.JOB_STOP_ORDERED, job_id=stop.job_id, reason=stop.reason.value)
        self._record("stop", run.start, reason=stop.reason.value)
        run.scope.cancel()
        self._tasks.start_soon(self._insist, run, name=f"stop {stop.job_id}")

    async def _run(self, run: _Run) -> None:
        start = run.start
        job = start.job
        log = self._log.bind(job_id=job.id, room=job.room, attempt=start.attempt)
        outcome = Outcome(OutcomeKind.STOPPED)
        if not run.scope.cancel_called:
            log.info(LogEvent.JOB_STARTED, epoch=start.epoch, resuming=start.resuming)
            self._record("start", start)
            try:
                outcome = await self._runner.run(start, run.scope, log)
            finally:
                # Also when the whole worker is cancelled: the function is over.
                self._record("end", start, outcome=outcome.kind.value)
        run.is_over.set()
        del self._runs[job.id]
        details = {"error": outcome.error} if outcome.error else {}
        log.info(LogEvent.JOB_ENDED, outcome=outcome.kind.value, **details)
        self._on_orders(self._planner.ended(job.id, start.epoch, outcome))

    async def _insist(self, run: _Run) -> None:
        bound_seconds = self._runner.stop_report_seconds
        with anyio.move_on_after(bound_seconds):
            await run.is_over.wait()
            return
        job_id = run.start.job.id
        error = f"the job did not stop within {bound_seconds:g} s of being told to"
        self._log.error(LogEvent.JOB_DOES_NOT_STOP, job_id=job_id)
        if self._planner.did_not_stop(job_id, run.start.epoch, error):
            self._on_orders(())

    def _record(self, event: RecordEvent, start: Start, **details: str) -> None:
        self._records.write(
            event,
            job_id=start.job.id,
            epoch=start.epoch,
            attempt=start.attempt,
            room=start.job.room,
            **details,
        )
