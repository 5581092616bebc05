"""One job process, seen from its worker: started, watched, given jobs, and in the end gone.

Invariants: a process that was given a job and has begun it says how the job ended, or its own end is
how it ended; a process that does not answer is killed; when `live` returns, the process is gone.
What it is to the operating system is in `system_process`; which process runs what is decided in `pool`.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import anyio

from protocol import executor_pb2
from worker_sdk.execution import Outcome, OutcomeKind
from worker_sdk.executors import endings
from worker_sdk.executors.child_logging import log_standard, log_structured
from worker_sdk.executors.framing import ChannelBroken
from worker_sdk.executors.system_process import SystemProcess
from worker_sdk.log_events import LogEvent
from worker_sdk.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from worker_sdk.executors.launching import Launcher
    from worker_sdk.planner import Start

__all__ = ["JobProcess", "ProcessLimits", "ProcessState"]

# A ready process that does not take a job within this is not ready.
TAKE_SECONDS_MAX = 5.0
# From the word to leave to the end: the interpreter's own end, with the program's exit functions.
LEAVE_SECONDS_MAX = 5.0
# From SIGKILL to the end, for a process that the kernel cannot end yet.
KILL_SECONDS_MAX = 5.0
# What was written before the end of a process is read within this; it is all there.
_DRAIN_SECONDS_MAX = 1.0
# Waits are counted in slices, so that a worker that stood itself blames no process for it.
_SLICES = 10


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """The bounds of one process; see `ProcessExecutor`."""

    ping_seconds_max: float
    prewarm_seconds_max: float


class ProcessState(Enum):
    """What a process is doing."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    LEAVING = "leaving"
    GONE = "gone"


_KINDS = {
    executor_pb2.Ended.SUCCESS: OutcomeKind.SUCCESS,
    executor_pb2.Ended.FAILED: OutcomeKind.FAILED,
    executor_pb2.Ended.STOPPED: OutcomeKind.STOPPED,
}


class JobProcess:
    """One process. `on_change` is called after each change of `state` or of the job's progress."""

    def __init__(
        self,
        setup: executor_pb2.Setup,
        limits: ProcessLimits,
        launcher: Launcher,
        log: FilteringBoundLogger,
        on_change: Callable[[JobProcess], None],
    ) -> None:
        self._setup = setup
        self._limits = limits
        self._log = log
        self._on_change = on_change
        self.state = ProcessState.STARTING
        # Jobs that it has begun.
        self.job_count = 0
        # Why it is no use any more, once it is not; the first reason counts.
        self.fault: str | None = None
        # Of the job that it was given last; its logger while it has one.
        self._job_log: FilteringBoundLogger | None = None
        self.has_begun = False
        self.outcome: Outcome | None = None
        self._job_changed = Wakeup()
        # What it was doing when it ended; None while it has not.
        self.ended_in: ProcessState | None = None
        self._became_ready_at: float | None = None
        # What it is to the operating system, and the socket to it.
        self._system = SystemProcess(launcher)
        self._wakeup = Wakeup()
        self._is_pong_due = False
        self._was_killed = False
        self._all_read = anyio.Event()

    def __repr__(self) -> str:
        return f"<JobProcess {self.pid or 'not started'} {self.state.value}>"

    @property
    def pid(self) -> int:
        """Its process id; 0 before it was started."""
        return self._system.pid

    @property
    def was_killed(self) -> bool:
        """Did the worker kill it?"""
        return self._was_killed

    @property
    def is_available(self) -> bool:
        """Can it be given a job?"""
        return self.state is ProcessState.IDLE and self.fault is None

    @property
    def has_failed_to_begin(self) -> bool:
        """Did it end after it was kept for a job, and before it began it?"""
        return self.ended_in is ProcessState.BUSY and not self.has_begun

    @property
    def ready_seconds(self) -> float | None:
        """For how long it has been ready; None where it never was."""
        ready_at = self._became_ready_at
        return None if ready_at is None else anyio.current_time() - ready_at

    # ---- what the pool says ----

    async def live(self) -> None:
        """Start the process and see it to its end. Cancelling this kills it."""
        try:
            await self._system.start(self._setup)
        except OSError as error:
            self._end(f"no process can be started: {error}")
            return
        except anyio.get_cancelled_exc_class():
            self._end("the worker ended")
            raise
        if self._was_killed:
            self._system.kill_group()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._talk)
                tasks.start_soon(self._system.write)
                tasks.start_soon(self._watch_start)
                tasks.start_soon(self._watch_answers)
                tasks.start_soon(self._watch_leaving)
                with anyio.CancelScope() as waiting:
                    tasks.start_soon(self._watch_kill, waiting)
                    await self._system.wait_exit()
                # Also what it has left behind, which may hold its end of the socket.
                self._system.kill_group()
                with anyio.move_on_after(_DRAIN_SECONDS_MAX):
                    await self._all_read.wait()
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._bury()

    def reserve(self) -> None:
        """Keep it for a job, which it will be given: `begin`, or `rest`."""
        self.has_begun, self.outcome = False, None
        self._become(ProcessState.BUSY)

    async def begin(self, start: Start, changed: Wakeup, log: FilteringBoundLogger) -> bool:
        """Give it a job. False: it is dead or does not answer, was killed, and has not begun it.

        Returns within a bound. `changed` fires when the job's `outcome` is there; `log` has the job's
        ids bound.
        """
        self._job_changed = changed
        self._job_log = log
        self._post(
            executor_pb2.ParentMessage(
                run=executor_pb2.Run(
                    job=start.job.message,
                    attempt=start.attempt,
                    attempt_reason=start.attempt_reason,
                    epoch=start.epoch,
                    resuming=start.resuming,
                    url=start.url,
                    token=start.token,
                )
            )
        )
        if not await self._wait_for(
            lambda: self.has_begun or self.state is ProcessState.GONE, TAKE_SECONDS_MAX
        ):
            self.kill(endings.did_not_take(TAKE_SECONDS_MAX))
            await self.wait_gone()
        return self.has_begun

    def stop_job(self) -> None:
        """Cancel the job that it runs."""
        self._post(executor_pb2.ParentMessage(stop=executor_pb2.Stop()))

    def rest(self) -> None:
        """Its job is over, or did not come: it waits for another one."""
        self._job_log = None
        self._become(ProcessState.IDLE)

    def dismiss(self) -> None:
        """Tell it to end; it is killed where it does not within a bound."""
        self._job_log = None
        self._become(ProcessState.LEAVING)
        self._post(executor_pb2.ParentMessage(leave=executor_pb2.Leave()))

    def kill(self, why: str, *, is_news: bool = True) -> None:
        """End it at once, with all that it started. The first `why` is the one that is told."""
        if self.state is ProcessState.GONE or self._was_killed:
            return
        self.fault = self.fault or why
        self._was_killed = True
        if is_news:
            log = self._job_log or self._log
            log.warning(LogEvent.PROCESS_KILLED, pid=self.pid, cause=why)
        self._system.kill_group()
        self._changed()

    async def wait_gone(self) -> None:
        """Wait until it is gone; after a kill within a bound."""
        while self.state is not ProcessState.GONE:
            await self._wakeup.wait()

    # ---- inside ----

    def _post(self, message: executor_pb2.ParentMessage) -> None:
        if self.state is not ProcessState.GONE:
            self._system.post(message)

    async def _talk(self) -> None:
        """Read until the socket ends; then the process has to end, too."""
        try:
            await self._system.read(self._received)
        except ChannelBroken as error:
            self.kill(f"what the process sent cannot be read: {error}")
            return
        finally:
            self._all_read.set()
        await anyio.sleep(LEAVE_SECONDS_MAX)
        self.kill(endings.CLOSED_ITS_SOCKET)

    def _received(self, message: executor_pb2.ChildMessage) -> None:
        match message.WhichOneof("message"):
            case "ready":
                if self.state is ProcessState.STARTING:
                    self._became_ready_at = anyio.current_time()
                    self._become(ProcessState.IDLE)
            case "unusable":
                self.fault = self.fault or message.unusable.error
                self._system.kill_group()
            case "started":
                self.has_begun = True
                self.job_count += 1
                log = self._job_log or self._log
                log.info(LogEvent.JOB_IN_PROCESS, pid=self.pid)
                self._changed()
            case "ended":
                self._job_ended(Outcome(_KINDS[message.ended.kind], message.ended.error))
            case "pong":
                self._is_pong_due = False
            case "structured_log":
                # Processors and handlers are the user's: what they raise ends no process.
                with suppress(Exception):
                    log_structured(message.structured_log, self._log.bind(pid=self.pid))
            case "standard_log":
                with suppress(Exception):
                    log_standard(message.standard_log, self.pid)
            case _:
                pass

    def _job_ended(self, outcome: Outcome) -> None:
        if self.has_begun and self.outcome is None:
            self.outcome = outcome
            self._changed()

    async def _watch_start(self) -> None:
        bound_seconds = self._limits.prewarm_seconds_max
        if not await self._wait_for(lambda: self.state is not ProcessState.STARTING, bound_seconds):
            self.kill(endings.not_ready(bound_seconds))

    async def _watch_leaving(self) -> None:
        while self.state is not ProcessState.LEAVING:
            await self._wakeup.wait()
        await anyio.sleep(LEAVE_SECONDS_MAX)
        self.kill(endings.did_not_leave(LEAVE_SECONDS_MAX))

    async def _watch_kill(self, waiting: anyio.CancelScope) -> None:
        """A process that the kernel does not let go is waited for no longer than a bound."""
        while not self._was_killed:
            await self._wakeup.wait()
        await anyio.sleep(KILL_SECONDS_MAX)
        waiting.cancel()

    async def _wait_for(self, condition: Callable[[], bool], seconds_max: float) -> bool:
        """Wait until the condition holds. False: it did not in all the time that we could look."""
        for _ in range(_SLICES):
            with anyio.move_on_after(seconds_max / _SLICES):
                while not condition():
                    await self._wakeup.wait()
                return True
        return condition()

    async def _watch_answers(self) -> None:
        slices_unanswered = 0
        while True:
            await anyio.sleep(self._limits.ping_seconds_max / _SLICES)
            if self.state not in (ProcessState.IDLE, ProcessState.BUSY):
                continue
            if not self._is_pong_due:
                slices_unanswered = 0
                self._is_pong_due = True
                self._post(executor_pb2.ParentMessage(ping=executor_pb2.Ping()))
                continue
            slices_unanswered += 1
            if slices_unanswered >= _SLICES:
                self.kill(endings.hung(self._limits.ping_seconds_max))
                return

    async def _bury(self) -> None:
        return_code = await self._system.bury(KILL_SECONDS_MAX)
        if return_code is None:
            self._log.error(LogEvent.PROCESS_NOT_GONE, pid=self.pid)
        self._end(endings.exited(-signal.SIGKILL if return_code is None else return_code))

    def _end(self, cause: str) -> None:
        self.fault = self.fault or cause
        self.ended_in = self.state
        self._job_ended(Outcome(OutcomeKind.FAILED, self.fault))
        self._become(ProcessState.GONE)

    def _become(self, state: ProcessState) -> None:
        if self.state is not ProcessState.GONE:
            self.state = state
            self._changed()

    def _changed(self) -> None:
        self._wakeup.fire()
        self._job_changed.fire()
        self._on_change(self)
