"""What the bridge tells the engine: jobs that the SFU asks for, and the dispatches that it has.

One call is one job of one dispatch there: its key is the dispatch, the job type and the
participant's connection. The SFU's own job id is not part of it, because the SFU may lose that job
and offer another for the same.

Left to others: what becomes of a call (`bridging`), how one is heard (`dispatcher.bridge`).
"""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.core.jobs import Job, JobType, Nanoseconds
from protocol.values import quick

# What `Job.order` of such a job begins with; the SFU's dispatch follows.
BRIDGE_ORDER = "bridge:"


@quick
@dataclass(frozen=True, slots=True)
class Served:
    """What jobs are offered by: an agent name, a job type and a deployment, matched exactly."""

    agent_name: str
    job_type: JobType = JobType.ROOM
    deployment: str = ""


@quick
@dataclass(frozen=True, slots=True)
class SfuCall:
    """One job that the SFU asks for. The participant is empty for a ROOM job."""

    project: str
    room: str
    room_sid: str
    dispatch_id: str
    served: Served
    participant_sid: str = ""
    participant_identity: str = ""

    @property
    def key(self) -> str:
        """What it is known by, in its project."""
        return f"{self.dispatch_id}|{int(self.served.job_type)}|{self.participant_sid}"

    @property
    def order(self) -> str:
        """What `Job.order` says of the job that is made for it."""
        return f"{BRIDGE_ORDER}{self.dispatch_id}"


@quick
@dataclass(frozen=True, slots=True)
class BridgeOffered:
    """The SFU offers a job. `job` is what it becomes, unless there is one for it already.

    `after_outage`: the SFU may have been restarted a moment ago; `dispatch_ids` are those that the
    room has now, None if they are not known. Reply, once it is durable: CREATED, EXISTED, or REFUSED
    for a bound.
    """

    request: int
    call: SfuCall
    job: Job
    after_outage: bool = False
    dispatch_ids: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class DispatchesOfRoom:
    """The dispatches that a room has at the SFU, and the calls that they mean, each with its job.

    `calls` may leave out those that the engine knows.
    """

    room: str
    room_sid: str
    dispatch_ids: frozenset[str]
    calls: tuple[tuple[SfuCall, Job], ...] = ()


@dataclass(frozen=True, slots=True)
class BridgeDispatchesListed:
    """All rooms of the SFU with their dispatches, asked for at `asked_at`.

    `silent`: names of rooms that are there, and of which it could tell no more.

    `after_outage`: as in BridgeOffered; then a room that is missing may be on its way back.
    """

    project: str
    asked_at: Nanoseconds
    rooms: tuple[DispatchesOfRoom, ...]
    after_outage: bool = False
    silent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BridgeDispatchEnded:
    """The SFU said that a dispatch is no longer there; `room_is_there` says why."""

    project: str
    room: str
    dispatch_id: str
    room_is_there: bool


@dataclass(frozen=True, slots=True)
class AgentServed:
    """Workers of ours serve this: to be remembered, so that the SFU is told before they are back."""

    project: str
    served: Served


@dataclass(frozen=True, slots=True)
class AgentForgotten:
    """A caller has an agent forgotten that nobody serves any longer.

    Reply: DELETED, NOT_FOUND, or REFUSED while workers of it are connected.
    """

    request: int
    project: str
    agent_name: str


BridgeEvent = (
    BridgeOffered | BridgeDispatchesListed | BridgeDispatchEnded | AgentServed | AgentForgotten
)
