"""What a job function and a request handler are given: the job, and how it came here.

Values are read-only views of what the server sent. `Job.message` is the wire message itself, for
what has no name here; treat it as read-only too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from protocol import wire_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

__all__ = ["Decision", "Job", "JobContext", "JobRequest", "JobType", "Participation"]

_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


class JobType(IntEnum):
    """What one job is for (LiveKit's JobType, by number)."""

    ROOM = 0
    PUBLISHER = 1
    PARTICIPANT = 2


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
            message=message,
        )


@dataclass(frozen=True, slots=True)
class JobContext:
    """One attempt at one job: the argument of a job function.

    The function returns: the job has succeeded. It raises: the job has failed, with the error's
    text. It is cancelled: the job is over, or is no longer this worker's; clean up and let the
    cancellation pass.
    """

    job: Job
    # Counts tries of the job from 1; `attempt_reason` says why this one was needed.
    attempt: int
    attempt_reason: str
    # The fencing token: other systems can refuse writes of an older epoch. None: stock LiveKit.
    epoch: int | None
    # Whether an earlier holder may have left something behind.
    resuming: bool
    # To join the room with: the SFU's address, and the agent's token.
    url: str
    token: str = field(repr=False)
    # A structlog logger with the job's ids bound.
    log: FilteringBoundLogger = field(repr=False, compare=False)


class Decision(Enum):
    """How an offer is answered."""

    ACCEPT = "accept"
    DECLINE = "decline"  # not here, not now: the server asks another worker, or later
    TERMINATE = "terminate"  # nowhere: the job ends without having run


@dataclass(frozen=True, slots=True)
class Participation:
    """The participant that the agent is to be in the room."""

    identity: str = ""
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: _NO_ATTRIBUTES)


class JobRequest:
    """An offered job: the argument of a request handler, which makes exactly one decision.

    The answer is sent when the handler returns. A handler that decides nothing, raises or takes
    too long declines; the last decision counts.
    """

    def __init__(self, job: Job, *, resuming: bool, attempt: int, attempt_reason: str) -> None:
        self.job = job
        self.resuming = resuming
        self.attempt = attempt
        self.attempt_reason = attempt_reason
        # What was decided so far; read by the worker.
        self.decision: Decision | None = None
        self.participation = Participation()

    def __repr__(self) -> str:
        return f"<JobRequest {self.job.id} {self.decision.value if self.decision else 'undecided'}>"

    def accept(
        self,
        *,
        identity: str = "",
        name: str = "",
        metadata: str = "",
        attributes: Mapping[str, str] = _NO_ATTRIBUTES,
    ) -> None:
        """Take the job. `identity` empty: `agent-<job id>`, as LiveKit's SDK has it."""
        self.decision = Decision.ACCEPT
        self.participation = Participation(identity, name, metadata, dict(attributes))

    def decline(self) -> None:
        """Not here, not now."""
        self.decision = Decision.DECLINE

    def terminate(self) -> None:
        """End the job without running it anywhere."""
        self.decision = Decision.TERMINATE
