"""Runs each job in a process of its own, taken from a pool of warm ones.

A job that crashes, leaks or computes without a pause harms itself alone; it is killed where it
exceeds its bounds, and its end, whatever it was, is reported with its reason. What a job starts
belongs to it and ends with its process.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from protocol.errors import ConfigError
from worker_sdk.execution import Outcome, OutcomeKind
from worker_sdk.executors.executor import (
    STOP_SECONDS_MAX,
    Executor,
    JobRunner,
    PoolCounts,
    WorkerProgram,
)
from worker_sdk.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from structlog.typing import FilteringBoundLogger

    from protocol import executor_pb2
    from worker_sdk.executors.job_process import JobProcess
    from worker_sdk.executors.pool import ProcessPool
    from worker_sdk.planner import Start

# What a pool needs is imported when one is opened: a worker without one does not pay for it.

__all__ = ["ProcessExecutor", "setup_of"]

# How often the memory of all processes is measured: a few milliseconds of CPU each time.
MEMORY_SAMPLE_SECONDS = 0.5
# Beyond the bound for stopping, until a job is reported as one that does not stop: its process is
# killed at that bound, so this is for one that the kernel does not let go.
_STOP_MARGIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExecutor(Executor):
    """Each job runs in a process. POSIX only. ConfigError for a wrong value.

    `warm`: processes that are kept ready for jobs, beside those that run one; 0: each job starts
    its own. `jobs_per_process`: how many jobs one process runs, one after the other.
    `memory_bytes_max`: resident bytes of a process and all that it started, after which it is
    killed. `job_seconds_max`: a job that takes longer is told to stop, and fails. `ping_seconds_max`:
    a process whose event loop does not turn for so long is killed; work that computes for longer
    belongs into a thread. `stop_seconds_max`: what a job that is told to stop has, until its process
    is killed. `prewarm_seconds_max`: from the start of a process until it has loaded the program and
    prewarmed. `process_wait_seconds_max`: a job that is given no process in this time fails.
    `rng` varies the delays after failed starts.
    """

    warm: int = 1
    jobs_per_process: int = 1
    memory_bytes_max: int | None = None
    job_seconds_max: float | None = None
    ping_seconds_max: float = 60.0
    stop_seconds_max: float = STOP_SECONDS_MAX
    prewarm_seconds_max: float = 60.0
    process_wait_seconds_max: float = 120.0
    rng: random.Random | None = None

    def __post_init__(self) -> None:
        for name, least in (("warm", 0), ("jobs_per_process", 1), ("memory_bytes_max", 1)):
            count = getattr(self, name)
            is_count = isinstance(count, int) and not isinstance(count, bool) and count >= least
            if not is_count and not self._has_no_limit(name):
                raise ConfigError(
                    f"ProcessExecutor: {name} must be a whole number, {least} or more, not {count!r}"
                )
        for name in (
            "job_seconds_max",
            "ping_seconds_max",
            "stop_seconds_max",
            "prewarm_seconds_max",
            "process_wait_seconds_max",
        ):
            seconds = getattr(self, name)
            is_time = isinstance(seconds, int | float) and 0 < seconds < math.inf
            if not is_time and not self._has_no_limit(name):
                raise ConfigError(
                    f"ProcessExecutor: {name} must be seconds above 0, not {seconds!r}"
                )

    def _has_no_limit(self, name: str) -> bool:
        return name in ("memory_bytes_max", "job_seconds_max") and getattr(self, name) is None

    def check(self, program: WorkerProgram) -> None:
        """Refuse a system without POSIX, and functions that a job process could not find."""
        if os.name != "posix":
            raise ConfigError("ProcessExecutor needs Linux, macOS or another POSIX system")
        if not sys.executable:
            raise ConfigError("ProcessExecutor needs to know the interpreter (sys.executable)")
        setup_of(program)

    @asynccontextmanager
    async def open(
        self, program: WorkerProgram, log: FilteringBoundLogger
    ) -> AsyncIterator[JobRunner]:
        """Keep the pool. When it is left, all processes are gone."""
        from worker_sdk.executors.job_process import JobProcess, ProcessLimits
        from worker_sdk.executors.launching import launching
        from worker_sdk.executors.pool import ProcessPool, StartBackoff

        setup = setup_of(program)
        setup.event_loop, setup.uses_uvloop = _event_loop()
        # A logger of another make says nothing of its level: all is sent, and it decides.
        setup.structured_log_level = getattr(log, "get_effective_level", int)()
        limits = ProcessLimits(self.ping_seconds_max, self.prewarm_seconds_max)

        def make_process(on_change: Callable[[JobProcess], None]) -> JobProcess:
            return JobProcess(setup, limits, launcher, log, on_change)

        async with launching(setup) as launcher, anyio.create_task_group() as tasks:
            pool = ProcessPool(
                make_process=make_process,
                warm=self.warm,
                jobs_per_process=self.jobs_per_process,
                backoff=StartBackoff(),
                rng=self.rng or random.SystemRandom(),
                tasks=tasks,
                log=log,
            )
            tasks.start_soon(pool.keep)
            if self.memory_bytes_max is not None:
                tasks.start_soon(_limit_memory, pool, self.memory_bytes_max)
            yield _ProcessRunner(self, pool)
            await pool.close()
            tasks.cancel_scope.cancel()


class _ProcessRunner(JobRunner):
    def __init__(self, options: ProcessExecutor, pool: ProcessPool) -> None:
        self._options = options
        self._pool = pool

    @property
    def stop_report_seconds(self) -> float:
        return self._options.stop_seconds_max + _STOP_MARGIN_SECONDS

    @property
    def pool(self) -> PoolCounts:
        return self._pool.counts

    async def run(
        self, start: Start, scope: anyio.CancelScope, log: FilteringBoundLogger
    ) -> Outcome:
        run = _Run(self._options, self._pool, start, log)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.obey, scope)
            outcome = await run.outcome()
            tasks.cancel_scope.cancel()
        return outcome


class _Run:
    """One job on its way through the pool."""

    def __init__(
        self, options: ProcessExecutor, pool: ProcessPool, start: Start, log: FilteringBoundLogger
    ) -> None:
        self._options = options
        self._pool = pool
        self._start = start
        self._log = log
        self._is_stop_ordered = False
        # Fires when the job is to stop, is given a process, or has got on in it.
        self._changed = Wakeup()

    async def obey(self, scope: anyio.CancelScope) -> None:
        """Stop the job when the scope is cancelled."""
        with scope:
            await anyio.sleep_forever()
        self._is_stop_ordered = True
        self._changed.fire()

    async def outcome(self) -> Outcome:
        """Run the job in the first process that begins it."""
        from worker_sdk.executors import endings

        wait_seconds_max = self._options.process_wait_seconds_max
        deadline = anyio.current_time() + wait_seconds_max
        while True:
            process = await self._take_process(deadline)
            if self._is_stop_ordered:
                if process is not None:
                    self._pool.release(process)
                return Outcome(OutcomeKind.STOPPED)
            if process is None:
                error = endings.no_process(wait_seconds_max, self._pool.last_failure)
                return Outcome(OutcomeKind.FAILED, error)
            try:
                # One that was dead or hung is replaced by the pool: another one takes the job.
                if await process.begin(self._start, self._changed, self._log):
                    return await self._see_through(process)
            finally:
                await self._let_go(process)

    async def _take_process(self, deadline: float) -> JobProcess | None:
        ticket = self._pool.queue(self._changed)
        is_taken = False
        try:
            while ticket.process is None and not self._is_stop_ordered:
                left_seconds = deadline - anyio.current_time()
                if left_seconds <= 0:
                    return None
                await self._changed.wait(left_seconds)
            is_taken = ticket.process is not None
            return ticket.process
        finally:
            if not is_taken:
                self._pool.leave_queue(ticket)

    async def _see_through(self, process: JobProcess) -> Outcome:
        from worker_sdk.executors import endings

        options = self._options
        over_time_at = anyio.current_time() + (options.job_seconds_max or math.inf)
        kill_at = math.inf
        failure = ""
        while process.outcome is None:
            now = anyio.current_time()
            is_over_time = now >= over_time_at
            if kill_at == math.inf and (self._is_stop_ordered or is_over_time):
                if is_over_time:
                    failure = endings.over_time(options.job_seconds_max or 0.0)
                process.stop_job()
                kill_at = now + options.stop_seconds_max
            elif now >= kill_at:
                process.kill(failure or endings.did_not_stop(options.stop_seconds_max))
            left_seconds = (over_time_at if kill_at == math.inf else kill_at) - now
            await self._changed.wait(left_seconds if 0 < left_seconds < math.inf else None)
        # What it did after its time was over is no success.
        return Outcome(OutcomeKind.FAILED, failure) if failure else process.outcome

    async def _let_go(self, process: JobProcess) -> None:
        if process.outcome is None:
            # The worker itself is cancelled: the job ends with it, at once.
            process.kill("the worker ended", is_news=False)
            with anyio.CancelScope(shield=True):
                await process.wait_gone()
        self._pool.release(process)


async def _limit_memory(pool: ProcessPool, allowed_bytes: int) -> None:
    from worker_sdk.executors import endings
    from worker_sdk.executors.memory import resident_bytes

    while True:
        pids = pool.pids
        if pids:
            used = await anyio.to_thread.run_sync(resident_bytes, pids)
            for pid, used_bytes in used.items():
                process = pool.process(pid)
                if process is not None and used_bytes > allowed_bytes:
                    process.kill(endings.over_memory(used_bytes, allowed_bytes))
        await anyio.sleep(MEMORY_SAMPLE_SECONDS)


def setup_of(program: WorkerProgram) -> executor_pb2.Setup:
    """What a job process is told first. Raises ConfigError for functions that it cannot find."""
    from protocol import executor_pb2
    from worker_sdk.executors.program import name_function, name_program

    job = name_function(program.job, "the job function")
    prewarm = (
        None if program.prewarm is None else name_function(program.prewarm, "the prewarm function")
    )
    is_in_main = not job.module or (prewarm is not None and not prewarm.module)
    return executor_pb2.Setup(
        program=name_program() if is_in_main else None,
        job=job,
        prewarm=prewarm,
        # "" is the folder that the worker is in now.
        import_path=[path or str(Path.cwd()) for path in sys.path],
        arguments=sys.argv,
        standard_log_level=logging.getLogger().getEffectiveLevel(),
        shutdown_seconds_max=program.shutdown_seconds_max,
    )


def _event_loop() -> tuple[str, bool]:
    """Anyio's name of the event loop that runs here, and whether it is uvloop's."""
    if anyio.get_cancelled_exc_class().__module__.startswith("trio"):
        return "trio", False
    return "asyncio", type(asyncio.get_running_loop()).__module__.startswith("uvloop")
