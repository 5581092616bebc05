"""The main program of a job process: load the worker's program, prewarm, run what is handed in.

    python -P -m worker_sdk.executors.child DESCRIPTOR

Started by `launching`, or forked by `nursery`, with its end of a socket pair. Everything is decided by
the worker, which tells it to leave; without a worker the process ends (`parent_watch`). SIGTERM and
SIGINT do nothing here: who stops a whole group of processes stops the jobs in the way that the worker
decides on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import anyio
import structlog

from protocol import executor_pb2
from worker_sdk.execution import (
    JobFunction,
    Outcome,
    OutcomeKind,
    PrewarmFunction,
    context_for,
    execute,
    prewarm,
)
from worker_sdk.executors.child_channel import ChildChannel
from worker_sdk.executors.child_logging import forward_logs
from worker_sdk.executors.parent_watch import kill_own_group, watch_parent
from worker_sdk.executors.program import find_function, load_program
from worker_sdk.executors.role import become_job_process
from worker_sdk.function_errors import error_line
from worker_sdk.job import Job
from worker_sdk.log_events import LogEvent
from worker_sdk.planner import Start

if TYPE_CHECKING:
    from types import FrameType

    from structlog.typing import FilteringBoundLogger

__all__ = ["main", "run"]

# What the end of a loop takes at most, from the first task that is cancelled to the last.
LOOP_END_SECONDS = 0.2

_KINDS = {
    OutcomeKind.SUCCESS: executor_pb2.Ended.SUCCESS,
    OutcomeKind.FAILED: executor_pb2.Ended.FAILED,
    OutcomeKind.STOPPED: executor_pb2.Ended.STOPPED,
}


def main() -> None:
    """Be a job process that was started with the socket of the first argument."""
    run(int(sys.argv[1]))


def run(descriptor: int) -> None:
    """Be a job process until the worker at this socket says that it is enough."""
    channel = ChildChannel(descriptor)
    watch_parent(descriptor)
    # Not SIG_IGN, which what a job starts would inherit.
    signal.signal(signal.SIGTERM, _do_nothing)
    signal.signal(signal.SIGINT, _do_nothing)
    become_job_process()
    first = channel.receive_first()
    if first is None:
        kill_own_group()
        return
    setup = first.setup
    _take_over_settings(setup)
    forward_logs(
        channel.send,
        structured_level=setup.structured_log_level,
        standard_level=setup.standard_log_level,
    )
    process = _JobProcess(channel, setup)
    if process.load():
        anyio.run(
            process.serve,
            backend=setup.event_loop,
            backend_options={"use_uvloop": True} if setup.uses_uvloop else {},
        )
    if process.is_orphaned:
        kill_own_group()


class _JobProcess:
    def __init__(self, channel: ChildChannel, setup: executor_pb2.Setup) -> None:
        self._channel = channel
        self._setup = setup
        self._log: FilteringBoundLogger = structlog.get_logger("callboard.worker")
        self._job: JobFunction
        self._prewarm: PrewarmFunction | None = None
        # Of the job that runs, or ran last.
        self._scope: anyio.CancelScope | None = None
        # The worker is gone.
        self.is_orphaned = False

    def load(self) -> bool:
        """Load the program, outside of any event loop, as it was in the worker."""
        setup = self._setup
        try:
            if setup.HasField("program"):
                load_program(setup.program)
            self._job = cast("JobFunction", find_function(setup.job))
            if setup.HasField("prewarm"):
                self._prewarm = find_function(setup.prewarm)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told to the worker
            self._tell_unusable("the program could not be loaded", error)
            return False
        return True

    async def serve(self) -> None:
        """Prewarm, then obey the worker."""
        if self._prewarm is not None:
            try:
                await prewarm(self._prewarm)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - told to the worker
                self._tell_unusable("the prewarm function raised", error)
                return
        self._channel.send(executor_pb2.ChildMessage(ready=executor_pb2.Ready()))
        async with anyio.create_task_group() as tasks:
            while (messages := await self._channel.receive()) is not None:
                for message in messages:
                    match message.WhichOneof("message"):
                        case "run":
                            self._scope = anyio.CancelScope()
                            tasks.start_soon(self._run, message.run, self._scope)
                        case "stop":
                            if self._scope is not None:
                                self._scope.cancel()
                        case "ping":
                            self._channel.send(executor_pb2.ChildMessage(pong=executor_pb2.Pong()))
                        case "leave":
                            tasks.cancel_scope.cancel()
                            return
                        case _:
                            pass
            self.is_orphaned = True
            tasks.cancel_scope.cancel()

    async def _run(self, run: executor_pb2.Run, scope: anyio.CancelScope) -> None:
        start = Start(
            job=Job.from_message(run.job),
            attempt=run.attempt,
            attempt_reason=run.attempt_reason,
            epoch=run.epoch if run.HasField("epoch") else None,
            resuming=run.resuming,
            url=run.url,
            token=run.token,
        )
        log = self._log.bind(job_id=start.job.id, room=start.job.room, attempt=start.attempt)
        self._channel.send(executor_pb2.ChildMessage(started=executor_pb2.Started()))
        outcome = await execute(
            self._job, context_for(start, log), scope, self._setup.shutdown_seconds_max
        )
        if outcome.kind is OutcomeKind.FAILED and self._is_cancelled_by_the_loop():
            await anyio.sleep(LOOP_END_SECONDS)
        self._tell_ended(outcome)

    def _is_cancelled_by_the_loop(self) -> bool:
        """Was this task cancelled by asyncio itself, not by a scope?

        So it is when an exit in some task of the job ends the loop: asyncio then cancels all tasks, in
        no order. The exit is the job's end, and the process's; this task has no time to tell another.
        """
        if self._setup.event_loop != "asyncio":
            return False
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def _tell_ended(self, outcome: Outcome) -> None:
        self._channel.send(
            executor_pb2.ChildMessage(
                ended=executor_pb2.Ended(kind=_KINDS[outcome.kind], error=outcome.error)
            )
        )

    def _tell_unusable(self, what: str, error: BaseException) -> None:
        self._log.error(LogEvent.PROGRAM_UNUSABLE, cause=what, exc_info=error)
        line = f"exit({error.code!r})" if isinstance(error, SystemExit) else error_line(error)
        self._channel.send(
            executor_pb2.ChildMessage(unusable=executor_pb2.Unusable(error=f"{what}: {line}"))
        )


def _take_over_settings(setup: executor_pb2.Setup) -> None:
    """Be as the worker was before it loaded its program."""
    _take_over_environment(setup)
    sys.path[:] = setup.import_path
    sys.argv[:] = setup.arguments
    # What a job printed is seen although its process is killed.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)


def _take_over_environment(setup: executor_pb2.Setup) -> None:
    """What was forked has the environment and the folder of an earlier moment."""
    wanted = {bytes(pair.name): bytes(pair.value) for pair in setup.environment}
    for name in set(os.environb) - set(wanted):
        del os.environb[name]
    os.environb.update(wanted)
    with suppress(OSError):  # it is gone: the worker has none to be in either
        os.chdir(setup.working_folder)


def _do_nothing(_signal: int, _frame: FrameType | None) -> None:
    pass


if __name__ == "__main__":
    main()
