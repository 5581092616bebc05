"""What a job function is given: the job, and how it came here.

Values are read-only views of what the server sent. `Job.message` is the wire message itself, for
what has no name here; treat it as read-only too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from protocol import wire_pb2
from protocol.errors import CallboardError
from worker_sdk.room_opener import room_opener
from worker_sdk.shutdown import ShutdownCallback, ShutdownCallbacks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from livekit import rtc
    from structlog.typing import FilteringBoundLogger

__all__ = [
    "Job",
    "JobContext",
    "JobParticipant",
    "JobType",
    "NoFencingToken",
]


class JobType(IntEnum):
    """What one job is for (LiveKit's JobType, by number)."""

    ROOM = 0
    PUBLISHER = 1
    PARTICIPANT = 2


@dataclass(frozen=True, slots=True)
class JobParticipant:
    """Whom a job is about, as they were when the job was made."""

    # of their connection: another one of the same identity has another
    sid: str
    identity: str
    name: str
    metadata: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked: written once by the dispatcher, the same in every attempt."""

    id: str
    type: JobType
    # The room's name.
    room: str
    agent_name: str
    metadata: str
    attributes: Mapping[str, str]
    dispatch_id: str
    deployment: str
    # Of a PUBLISHER or PARTICIPANT job; None: the job is the whole room's.
    participant: JobParticipant | None
    message: wire_pb2.Job = field(repr=False, compare=False)

    @classmethod
    def from_message(cls, message: wire_pb2.Job) -> Job:
        """The view of a wire message. Raises ValueError for a job type that is not known."""
        return cls(
            id=message.id,
            type=JobType(message.type),
            room=message.room.name,
            agent_name=message.agent_name,
            metadata=message.metadata,
            attributes=MappingProxyType(dict(message.attributes)),
            dispatch_id=message.dispatch_id,
            deployment=message.deployment,
            participant=_participant_of(message),
            message=message,
        )


def _participant_of(message: wire_pb2.Job) -> JobParticipant | None:
    if message.type == wire_pb2.JT_ROOM or not message.HasField("participant"):
        return None
    participant = message.participant
    return JobParticipant(
        sid=participant.sid,
        identity=participant.identity,
        name=participant.name,
        metadata=participant.metadata,
        attributes=MappingProxyType(dict(participant.attributes)),
    )


class NoFencingToken(CallboardError):
    """The server that this job came from gives no fencing tokens: LiveKit's own does not."""

    def __str__(self) -> str:
        return (
            "there is no fencing token: this job came from a server of LiveKit's, which gives none."
            " Dispatch it through Callboard, or do without what the token would guard"
        )


# The server's words for why a job is tried once more (AttemptReason), for people.
_ATTEMPT_REASONS = {
    "": "this is its first attempt",
    "failed": "the attempt before failed",
    "worker_lost": "the worker that ran it was lost",
    "handed_over": "the worker that ran it gave it to another one",
    "not_delivered": "the worker that had taken it was gone before the job came to it",
}


@dataclass(frozen=True, slots=True)
class JobContext:
    """One attempt at one job: the argument of a job function.

    The function returns: the job has succeeded. It raises: the job has failed, with the error's
    text. It is cancelled: the job is over, or is no longer this worker's; clean up and let the
    cancellation pass.
    """

    job: Job
    # Counts tries of the job from 1.
    attempt: int
    # Why this one was needed, in a word of the server's: "" (it is the first), failed, worker_lost,
    # handed_over, not_delivered. Empty also where the server does not tell (LiveKit's own).
    attempt_reason: str
    # Grows with each assignment of the job: see `fencing_token`. None: stock LiveKit.
    epoch: int | None
    # Whether an earlier holder may have left something behind.
    resuming: bool
    # To join the room with: the SFU's address, and the agent's token. The token lets one join within
    # an hour of the assignment; who is in the room by then stays for as long as they like.
    url: str
    token: str = field(repr=False)
    # A structlog logger with the ids of the job, the room and the participant bound, and the attempt.
    log: FilteringBoundLogger = field(repr=False, compare=False)
    # Called by whoever runs the job, when its function has ended.
    shutdown_callbacks: ShutdownCallbacks = field(
        default_factory=ShutdownCallbacks, init=False, repr=False, compare=False
    )

    @property
    def participant(self) -> JobParticipant | None:
        """Whom a PUBLISHER or PARTICIPANT job is about; None: the job is the whole room's."""
        return self.job.participant

    @property
    def attempt_reason_text(self) -> str:
        """Why this attempt was needed, in words for people."""
        reason = self.attempt_reason
        if not reason and self.resuming:
            return "another worker had it before"
        return _ATTEMPT_REASONS.get(reason) or reason.replace("_", " ")

    @property
    def fencing_token(self) -> int:
        """A number to hand to other systems with each write that this attempt makes there.

        Each holder of the job has a greater one than all before it. A system that remembers the
        greatest token that it saw for a job's id, and refuses a smaller one, is safe from a holder
        that was cut off and does not know yet that another worker has the job. Raises NoFencingToken
        where the job came from a server of LiveKit's.
        """
        if self.epoch is None:
            raise NoFencingToken
        return self.epoch

    def room(self, options: rtc.RoomOptions | None = None) -> AbstractAsyncContextManager[rtc.Room]:
        """Join the job's room for as long as the block lasts, as `agent-<job id>` or as accepted.

            async with ctx.room() as room:
                ...

        The room is LiveKit's own `rtc.Room`; handlers that are set before the block first awaits
        miss nothing. When the room ends, or the agent is removed from it, the block is left, as by
        `anyio.move_on_after`. Raises RoomUnreachable where it cannot be joined, RoomLost (in the
        block, which is cancelled) where the connection is lost for good, ConfigError where PyPI's
        `livekit` is not installed (`pip install "callboard[room]"`) or the loop is not asyncio's.
        """
        if (opener := room_opener.get()) is not None:
            return opener(self)
        from worker_sdk.room import joined_room

        return joined_room(self.url, self.token, self.job.room, options)

    def add_shutdown_callback(self, callback: ShutdownCallback) -> None:
        """Have a function called when the job's function has ended, in whatever way.

        It may be synchronous or not, and is given the ShutdownReason if it has a parameter for it.
        The last added is called first. All have `shutdown_seconds_max` of the worker together, also
        when the job was cancelled. What they raise is logged, and changes nothing of the job's
        result. Raises ConfigError for a function that cannot be called like this.
        """
        self.shutdown_callbacks.add(callback)
