"""`run_job`: a worker's job function, called once with a job that is made up, in the test's own loop.

The function gets a JobContext like every other, its shutdown callbacks are called, its errors are kept.
There is no server, no queue and no second attempt: `attempt` and `resuming` say what the job is told.
Left to others: what becomes of a job over its whole life (`in_process`), `python worker.py console`.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import anyio
import structlog

from protocol import wire_pb2
from protocol.errors import ConfigError
from protocol.tokens import mint_assignment_token
from worker_sdk.execution import OutcomeKind, context_for, execute, prewarm
from worker_sdk.job import Job, JobContext, JobType
from worker_sdk.job_request import Decision, JobRequest
from worker_sdk.planner import Start
from worker_sdk.room_opener import room_opener
from worker_sdk.settings import Settings
from worker_sdk.testing.fake_room import FakeRoom, opened
from worker_sdk.testing.waiting import WaitedInVain

if TYPE_CHECKING:
    from worker_sdk.worker import Worker

__all__ = ["JobRun", "RunOutcome", "run_job"]

RUN_SECONDS_MAX = 30.0
API_KEY, API_SECRET = "devkey", "secret"
URL = "ws://in-process"


class RunOutcome(StrEnum):
    """How it went."""

    SUCCEEDED = "succeeded"  # the function returned
    FAILED = "failed"  # it raised
    CANCELLED = "cancelled"  # it was cancelled and let the cancellation pass
    DECLINED = "declined"  # the request handler did not take the job
    TERMINATED = "terminated"  # the request handler ended it


@dataclass(frozen=True, slots=True)
class JobRun:
    """How one call of a job function went.

    `error` is what it raised, `error_line` what the server would be told of it. `request` is what the
    request handler decided on, None without a handler; `context` what the function was given, None
    where it was not called.
    """

    outcome: RunOutcome
    error: BaseException | None = None
    error_line: str = ""
    request: JobRequest | None = None
    context: JobContext | None = None
    # What `ctx.room()` gives: the room of the argument, else a FakeRoom.
    room: object = field(default=None, repr=False)

    @property
    def succeeded(self) -> bool:
        """Did the function return?"""
        return self.outcome is RunOutcome.SUCCEEDED

    @property
    def failed(self) -> bool:
        """Did it raise?"""
        return self.outcome is RunOutcome.FAILED

    def raise_failure(self) -> None:
        """Raise what the function raised, if it did, with its traceback."""
        if self.error is not None:
            raise self.error


async def run_job(
    worker: Worker,
    *,
    room: object = "test-room",
    metadata: str = "",
    attributes: Mapping[str, str] | None = None,
    type: JobType | None = None,  # noqa: A002 - as the field is called
    participant: str | wire_pb2.ParticipantInfo | None = None,
    attempt: int = 1,
    attempt_reason: str = "",
    resuming: bool = False,
    epoch: int | None = None,
    job_id: str = "AJ_test",
    prewarm_first: bool = True,
    scope: anyio.CancelScope | None = None,
    seconds_max: float = RUN_SECONDS_MAX,
) -> JobRun:
    """Call the worker's job function once, and tell how it went.

    `room` is the room's name, or what `ctx.room()` is to give: a FakeRoom, or any object with a `name`.
    `participant` is whom the job is about, an identity or a message; then `type` is the one of PUBLISHER
    and PARTICIPANT that the worker takes. `epoch` None: as `attempt`. The request handler is asked
    first, if there is one, and before all the prewarm function is called, unless `prewarm_first` is
    False; what these raise is raised here. Whoever cancels `scope` stops the job, as a server does.
    Raises WaitedInVain for a job that runs on after `seconds_max`, ConfigError for a worker without
    a job function.
    """
    # A worker has no door for this: tests alone call its functions past it.
    settings = worker._resolve({}, {})
    function, handler = worker._job_function, worker._request_handler
    if function is None:
        raise ConfigError("no job function: decorate one with @worker.job")
    given = FakeRoom(room) if isinstance(room, str) else room
    job = _job(job_id, settings, _name_of(given), metadata, attributes or {}, type, participant)
    if prewarm_first and worker._prewarm_function is not None:
        await prewarm(worker._prewarm_function)
    request = None
    identity = f"agent-{job.id}"
    if handler is not None:
        request = JobRequest(job, resuming=resuming, attempt=attempt, attempt_reason=attempt_reason)
        deciding = handler(request)
        if inspect.isawaitable(deciding):
            await deciding
        if request.decision is not Decision.ACCEPT:
            is_over = request.decision is Decision.TERMINATE
            outcome = RunOutcome.TERMINATED if is_over else RunOutcome.DECLINED
            return JobRun(outcome, request=request, room=given)
        identity = request.participation.identity or identity
    start = Start(
        job=job,
        attempt=attempt,
        attempt_reason=attempt_reason,
        epoch=attempt if epoch is None else epoch,
        resuming=resuming,
        url=URL,
        token=mint_assignment_token(
            API_KEY,
            API_SECRET,
            room=job.room,
            identity=identity,
            now_ns=time.time_ns(),
            agent_name=job.agent_name,
        ),
    )
    log = structlog.get_logger("callboard.worker", agent_name=settings.agent_name)
    context = context_for(start, log.bind(job_id=job.id, room=job.room, attempt=attempt))
    raised: list[BaseException] = []

    async def keep_error(ctx: JobContext) -> None:
        try:
            await function(ctx)
        except (Exception, SystemExit) as error:
            raised.append(error)
            raise

    rooms = room_opener.set(lambda ctx: opened(given, ctx))
    try:
        with anyio.move_on_after(seconds_max) as limit:
            ended = await execute(
                keep_error, context, scope or anyio.CancelScope(), settings.shutdown_seconds_max
            )
    finally:
        room_opener.reset(rooms)
    if limit.cancelled_caught:
        raise WaitedInVain(f"the job ran for longer than seconds_max={seconds_max:g}")
    error = raised[0] if raised and ended.kind is OutcomeKind.FAILED else None
    return JobRun(_OUTCOMES[ended.kind], error, ended.error, request, context, given)


_OUTCOMES = {
    OutcomeKind.SUCCESS: RunOutcome.SUCCEEDED,
    OutcomeKind.FAILED: RunOutcome.FAILED,
    OutcomeKind.STOPPED: RunOutcome.CANCELLED,
}


def _job(
    job_id: str,
    settings: Settings,
    room: str,
    metadata: str,
    attributes: Mapping[str, str],
    job_type: JobType | None,
    participant: str | wire_pb2.ParticipantInfo | None,
) -> Job:
    if job_type is None:
        takes_publishers = JobType.PUBLISHER in settings.types
        takes_publishers = takes_publishers and JobType.PARTICIPANT not in settings.types
        about = JobType.PUBLISHER if takes_publishers else JobType.PARTICIPANT
        job_type = JobType.ROOM if participant is None else about
    if isinstance(participant, str):
        participant = wire_pb2.ParticipantInfo(
            identity=participant, sid="PA_test", state=wire_pb2.ParticipantInfo.ACTIVE
        )
    message = wire_pb2.Job(
        id=job_id,
        type=f"JT_{job_type.name}",
        room=wire_pb2.Room(name=room),
        agent_name=settings.agent_name,
        deployment=settings.deployment,
        metadata=metadata,
        attributes=attributes,
        participant=participant,
    )
    return Job.from_message(message)


def _name_of(room: object) -> str:
    name = getattr(room, "name", None)
    if not isinstance(name, str):
        raise ConfigError("room: must be a name, or an object with a name")
    return name
