"""The job processes of a worker: kept warm in a number, handed to jobs, replaced when they end.

Invariants: a job is given a process that is ready, or none; jobs get processes in the order in which
they came; nothing here waits for ever; whatever ends, or cannot be started, is said in the log and
replaced, after a delay that grows while starts fail.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from worker_sdk.executors.executor import PoolCounts
from worker_sdk.executors.job_process import JobProcess, ProcessState
from worker_sdk.log_events import LogEvent
from worker_sdk.wakeup import Wakeup

if TYPE_CHECKING:
    import random

    from anyio.abc import TaskGroup
    from structlog.typing import FilteringBoundLogger

__all__ = ["ProcessPool", "StartBackoff", "Ticket"]

MakeProcess = Callable[[Callable[[JobProcess], None]], JobProcess]

# Starting is work for the CPU; more at once only delay each other.
STARTING_MAX = max(1, min(4, os.cpu_count() or 1))
# A warm process that ends sooner counts as one that failed to start.
STABLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class StartBackoff:
    """Delays before a process is started again after one that could not be."""

    first_seconds: float = 1.0
    seconds_max: float = 30.0

    def delay_seconds(self, failures: int, rng: random.Random) -> float:
        """The delay after so many failures in a row (1 or more), with jitter of a half."""
        bound = min(self.seconds_max, self.first_seconds * 2.0 ** min(failures - 1, 16))
        return bound * rng.uniform(0.5, 1.0)


class Ticket:
    """A job's place in the queue for processes; `changed` fires when it is served."""

    def __init__(self, changed: Wakeup) -> None:
        self.process: JobProcess | None = None
        self._changed = changed

    def serve(self, process: JobProcess) -> None:
        """Here it is."""
        self.process = process
        self._changed.fire()


class ProcessPool:
    """Keeps `warm` processes ready beside those that run jobs. Its tasks run in `tasks`."""

    def __init__(
        self,
        *,
        make_process: MakeProcess,
        warm: int,
        jobs_per_process: int,
        backoff: StartBackoff,
        rng: random.Random,
        tasks: TaskGroup,
        log: FilteringBoundLogger,
    ) -> None:
        self._make_process = make_process
        self._warm = warm
        self._jobs_per_process = jobs_per_process
        self._backoff = backoff
        self._rng = rng
        self._tasks = tasks
        self._log = log
        # All that are not gone; those of them that have been ready; those that wait for a job,
        # longest first.
        self._processes: set[JobProcess] = set()
        self._ready: set[JobProcess] = set()
        self._idle: deque[JobProcess] = deque()
        self._queue: deque[Ticket] = deque()
        # Starts that failed in a row, the reason of the last, and until when nothing is started.
        self._failures = 0
        self.last_failure: str | None = None
        self._no_start_before = -math.inf
        self._is_closing = False
        self._wakeup = Wakeup()
        self._started_total = 0
        self._start_failures_total = 0
        self._replaced_total = 0
        self._killed_total = 0

    def __repr__(self) -> str:
        return f"<ProcessPool {self.counts}>"

    @property
    def counts(self) -> PoolCounts:
        """What there is now."""
        states = [process.state for process in self._processes]
        return PoolCounts(
            starting=states.count(ProcessState.STARTING),
            idle=len(self._idle),
            busy=states.count(ProcessState.BUSY),
            ending=states.count(ProcessState.LEAVING),
            jobs_waiting=len(self._queue),
            started_total=self._started_total,
            start_failures=self._failures,
            start_failures_total=self._start_failures_total,
            replaced_total=self._replaced_total,
            killed_total=self._killed_total,
        )

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that are ready or run a job."""
        alive = (ProcessState.IDLE, ProcessState.BUSY)
        return tuple(process.pid for process in self._processes if process.state in alive)

    def process(self, pid: int) -> JobProcess | None:
        """The process with this pid, while it is not gone."""
        return next((process for process in self._processes if process.pid == pid), None)

    # ---- jobs ----

    def queue(self, changed: Wakeup) -> Ticket:
        """Ask for a process. It is the job's own until `release`."""
        ticket = Ticket(changed)
        self._queue.append(ticket)
        self._hand_out()
        self._wakeup.fire()
        return ticket

    def leave_queue(self, ticket: Ticket) -> None:
        """The job does not wait any longer; a process that it was given meanwhile goes back."""
        if ticket.process is not None:
            self.release(ticket.process)
        else:
            self._queue.remove(ticket)

    def release(self, process: JobProcess) -> None:
        """The job is over: the process takes another one, or ends."""
        if process.state is ProcessState.GONE or process.was_killed:
            return
        is_reusable = (
            not self._is_closing
            and process.fault is None
            and process.job_count < self._jobs_per_process
            and len(self._idle) < self._warm + len(self._queue)
        )
        if is_reusable:
            process.rest()
        else:
            process.dismiss()

    # ---- life ----

    async def keep(self) -> None:
        """Start processes where some are missing, and end those that are too many; until closed."""
        while not self._is_closing:
            while len(self._idle) > self._warm:
                self._idle[-1].dismiss()
            now = anyio.current_time()
            starting = self.counts.starting
            missing = self._warm + len(self._queue) - len(self._idle) - starting
            # While starts fail, one at a time is tried.
            allowed = (1 if self._failures else STARTING_MAX) - starting
            if now >= self._no_start_before:
                for _ in range(min(missing, allowed)):
                    process = self._make_process(self._process_changed)
                    self._processes.add(process)
                    self._tasks.start_soon(process.live, name="job process")
            wait_seconds = self._no_start_before - now
            await self._wakeup.wait(wait_seconds if wait_seconds > 0 else None)

    async def close(self) -> None:
        """End all processes: those that are ready in their own way, the others at once."""
        self._is_closing = True
        self._wakeup.fire()
        for process in tuple(self._processes):
            if process.is_available:
                process.dismiss()
            elif process.state is not ProcessState.LEAVING:
                process.kill("the worker ends", is_news=False)
        while self._processes:
            await self._wakeup.wait()

    # ---- inside ----

    def _process_changed(self, process: JobProcess) -> None:
        was_idle = process in self._idle
        if was_idle and not process.is_available:
            self._idle.remove(process)
        elif process.is_available and not was_idle:
            if process not in self._ready:
                self._became_ready(process)
            self._idle.append(process)
            self._hand_out()
        if process.state is ProcessState.GONE and process in self._processes:
            self._processes.remove(process)
            self._ready.discard(process)
            self._gone(process)
        self._wakeup.fire()

    def _became_ready(self, process: JobProcess) -> None:
        self._ready.add(process)
        self._started_total += 1
        self._failures = 0
        self.last_failure = None
        self._log.debug(LogEvent.PROCESS_READY, pid=process.pid)

    def _hand_out(self) -> None:
        while self._queue and self._idle:
            process = self._idle.popleft()
            process.reserve()
            self._queue.popleft().serve(process)

    def _gone(self, process: JobProcess) -> None:
        self._killed_total += process.was_killed
        if self._is_closing:
            return
        if process.ended_in is ProcessState.STARTING:
            self._start_failures_total += 1
            self._failed(process)
        elif process.ended_in is ProcessState.IDLE or process.has_failed_to_begin:
            self._replaced_total += 1
            self._log.warning(LogEvent.PROCESS_REPLACED, pid=process.pid, cause=process.fault)
            if (process.ready_seconds or 0.0) < STABLE_SECONDS:
                self._failed(process)

    def _failed(self, process: JobProcess) -> None:
        """Wait a while with the next start: the cause may be there still."""
        self._failures += 1
        self.last_failure = process.fault
        delay_seconds = self._backoff.delay_seconds(self._failures, self._rng)
        self._no_start_before = anyio.current_time() + delay_seconds
        self._log.error(
            LogEvent.PROCESS_START_FAILED,
            pid=process.pid,
            cause=process.fault,
            failures=self._failures,
            retry_seconds=round(delay_seconds, 3),
        )
