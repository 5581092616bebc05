"""`console`: one job of a worker, here and now, without a server or an SFU.

The job is made up from what the command line says; the request handler is asked as for a real offer,
the job runs through the worker's own executor, and how it ended is one line on standard output. Its
log goes to standard error. There is no room behind it: the job's URL and token are empty.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from protocol import wire_pb2
from worker_sdk.execution import Outcome, OutcomeKind
from worker_sdk.job import Job, JobType
from worker_sdk.job_request import Decision, JobRequest, RequestHandler, ask
from worker_sdk.planner import Start
from worker_sdk.signals import SignalCount

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from worker_sdk.executors.executor import Executor, WorkerProgram

__all__ = ["ConsoleJob", "run_in_console"]

JOB_ID = "AJ_console"
INTERRUPTED_EXIT_CODE = 130


@dataclass(frozen=True, slots=True)
class ConsoleJob:
    """What the made-up job is."""

    room: str = "console"
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    type: JobType = JobType.ROOM
    # of a publisher's or a participant's job
    participant: str = ""

    def as_job(self, agent_name: str, deployment: str) -> Job:
        """The job, as it would come from a server."""
        message = wire_pb2.Job(
            id=JOB_ID,
            type=f"JT_{self.type.name}",
            room=wire_pb2.Room(name=self.room),
            agent_name=agent_name,
            deployment=deployment,
            metadata=self.metadata,
            attributes=self.attributes,
        )
        if self.participant:
            message.participant.identity = self.participant
        return Job.from_message(message)


async def run_in_console(
    job: Job,
    program: WorkerProgram,
    executor: Executor,
    request_handler: RequestHandler | None,
    log: FilteringBoundLogger,
) -> int:
    """Run the job to its end and print how it ended. Returns the exit code."""
    if request_handler is not None:
        request = JobRequest(job, resuming=False, attempt=1, attempt_reason="")
        wrong = await ask(request_handler, request, log)
        if request.decision is not Decision.ACCEPT:
            if wrong or request.decision is None:
                said = f"{wrong or 'said nothing'}, which declines"
            else:
                said = f"said {request.decision.value}"
            return _say(f"job {job.id} did not run: the request handler {said}", 1)
    start = Start(
        job=job,
        attempt=1,
        attempt_reason="",
        epoch=1,
        resuming=False,
        url="",
        token="",
    )
    scope = anyio.CancelScope()
    signals = SignalCount()
    outcome = Outcome(OutcomeKind.STOPPED)
    with signals.counting():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_signal, signals, scope)
            async with executor.open(program, log) as runner:
                began_at = time.monotonic()
                bound = log.bind(job_id=job.id, room=job.room, attempt=1)
                outcome = await runner.run(start, scope, bound)
                seconds = time.monotonic() - began_at
            tasks.cancel_scope.cancel()
    text = f"job {job.id} in room {job.room!r}: {outcome.kind.value} after {seconds:.1f} s"
    if outcome.error:
        text += f": {outcome.error}"
    if outcome.kind is OutcomeKind.STOPPED:
        return _say(text, INTERRUPTED_EXIT_CODE)
    return _say(text, 0 if outcome.kind is OutcomeKind.SUCCESS else 1)


async def _cancel_on_signal(signals: SignalCount, scope: anyio.CancelScope) -> None:
    await signals.next(0)
    scope.cancel()


def _say(text: str, code: int) -> int:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return code
