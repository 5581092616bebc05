"""What a job is: its config, written once, and its state, which moves.

`Dispatch` and `Job` are what was asked for and never change. `JobState` is what became of a job;
each durable move writes a new one. They are separate values here and separate tables in a store;
the wire's `Job.state` is filled at the edge only.

All times are `Nanoseconds` since the Unix epoch (0: not set), as in LiveKit's JobState. Numbers of
the enums are LiveKit's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from dispatcher.core.lifecycle import JobPhase
from protocol.values import quick

Nanoseconds = int
SECOND: Nanoseconds = 1_000_000_000
MILLISECOND: Nanoseconds = 1_000_000


def seconds(value: float) -> Nanoseconds:
    """Return `value` seconds in nanoseconds."""
    return round(value * SECOND)


class JobType(IntEnum):
    """LiveKit's JobType: what one job is for."""

    ROOM = 0
    PUBLISHER = 1
    PARTICIPANT = 2


class JobStatus(IntEnum):
    """LiveKit's JobStatus: a job's phase as the wire tells it."""

    PENDING = 0
    RUNNING = 1
    SUCCESS = 2
    FAILED = 3
    CANCELLED = 4


class JobStateReason(IntEnum):
    """LiveKit's JobStateReason: why the status is what it is."""

    UNSPECIFIED = 0
    NO_CAPACITY = 1
    ROOM_CLOSED = 2
    DISPATCH_DELETED = 3
    RETRYING = 4


class RestartPolicy(IntEnum):
    """LiveKit's JobRestartPolicy: is a job that failed, or whose worker was lost, tried again?"""

    ON_FAILURE = 0
    NEVER = 1


class AttemptReason(StrEnum):
    """Why a job is tried once more. Travels to the worker as it is."""

    FIRST = ""
    FAILED = "failed"
    WORKER_LOST = "worker_lost"
    HANDED_OVER = "handed_over"
    NOT_DELIVERED = "not_delivered"

    @property
    def counts(self) -> bool:
        """Was the job tried? A hand-over goes on with the same attempt."""
        return self in (AttemptReason.FAILED, AttemptReason.WORKER_LOST)

    @property
    def is_resuming(self) -> bool:
        """Did the work go on until another worker gave it up? (LiveKit's `resuming`)"""
        return self in (AttemptReason.WORKER_LOST, AttemptReason.HANDED_OVER)


WIRE_STATUS: dict[JobPhase, JobStatus] = {
    JobPhase.DELAYED: JobStatus.PENDING,
    JobPhase.QUEUED: JobStatus.PENDING,
    JobPhase.OFFERED: JobStatus.PENDING,
    JobPhase.ASSIGNED: JobStatus.RUNNING,
    JobPhase.RUNNING: JobStatus.RUNNING,
    JobPhase.ORPHANED: JobStatus.RUNNING,
    JobPhase.SUCCEEDED: JobStatus.SUCCESS,
    JobPhase.FAILED: JobStatus.FAILED,
    JobPhase.CANCELLED: JobStatus.CANCELLED,
}


# A worker process over all its connections: project, agent name, namespace, deployment, and the
# instance id that it says. With an empty one it says none, and each connection is another process.
ProcessKey = tuple[str, str, str, str, str]


@quick
@dataclass(frozen=True, slots=True)
class Lane:
    """The jobs that the same workers can take; its pending jobs form one queue.

    Every field is matched exactly: an empty deployment goes to workers of none (A13), an empty
    namespace likewise (A14).
    """

    project: str
    agent_name: str
    namespace: str = ""
    job_type: JobType = JobType.ROOM
    deployment: str = ""

    def __hash__(self) -> int:
        # What tells most lanes apart; strings remember their hash, tuples do not.
        return hash((self.agent_name, self.project))

    def process(self, instance_id: str) -> ProcessKey:
        """Return the process of this instance id that serves the lane."""
        return self.project, self.agent_name, self.namespace, self.deployment, instance_id


@quick
@dataclass(frozen=True, slots=True)
class Dispatch:
    """A standing order, one agent name in one room (LiveKit's AgentDispatch).

    `config` is the serialised wire AgentDispatch without its state. `deletion_requested_at` is
    set when a caller deleted it; `deleted_at` when its last job has ended after that.
    """

    id: str
    project: str
    room: str
    agent_name: str
    deployment: str
    restart_policy: RestartPolicy
    config: bytes
    created_at: Nanoseconds
    deletion_requested_at: Nanoseconds = 0
    deleted_at: Nanoseconds = 0


@quick
@dataclass(frozen=True, slots=True)
class Job:
    """What was asked of a worker: written once, never changed.

    `config` is the serialised wire Job without its state: what a worker reads. `dispatch_id` is
    empty for a simulated job. `order` is what it was made for besides a dispatch ("rule:greeter"),
    and `unique_key` is the rule's, filled in. Of two queued jobs of a lane the one with the higher `priority` goes
    first, then the one that came first. `queue_time` of waiting, counted anew whenever it is
    queued again, end it for lack of capacity.
    """

    id: str
    dispatch_id: str
    lane: Lane
    room: str
    config: bytes
    created_at: Nanoseconds
    restart_policy: RestartPolicy = RestartPolicy.ON_FAILURE
    priority: int = 0
    queue_time: Nanoseconds = 300 * SECOND
    order: str = ""
    unique_key: str = ""


@quick
@dataclass(frozen=True, slots=True)
class JobState:
    """What became of a job. Each durable move writes a new one.

    `epoch` is the fencing token: it grows whenever the job is given up by its holder, so a result
    that names an older one does not count. `attempt` counts tries (a hand-over is none). `until` is
    the deadline of the phase: when a delayed job is due, a queued one fails, an orphaned one is
    given to another worker. `grace` is how long its holder may be away.
    """

    phase: JobPhase
    epoch: int = 1
    attempt: int = 1
    attempt_reason: AttemptReason = AttemptReason.FIRST
    until: Nanoseconds = 0
    worker_id: str = ""
    participant_identity: str = ""
    grace: Nanoseconds = 0
    reason: JobStateReason = JobStateReason.UNSPECIFIED
    error: str = ""
    started_at: Nanoseconds = 0
    ended_at: Nanoseconds = 0
    updated_at: Nanoseconds = 0

    @property
    def wire_status(self) -> JobStatus:
        """The LiveKit status that tells this phase."""
        return WIRE_STATUS[self.phase]
