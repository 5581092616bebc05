"""What happened: everything that `Engine.handle` may be told, in the past tense.

Three sources: workers (their frames, and their coming and going), API callers, and the store (the
results of what effects asked of it). Ids are fresh and drawn by the shell; peers' strings have
passed the limits of `protocol.limits` already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from dispatcher.core.bridged import BridgeEvent
from dispatcher.core.jobs import (
    Dispatch,
    Job,
    JobState,
    JobStatus,
    JobType,
    Lane,
    Nanoseconds,
    RestartPolicy,
)
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.notes import Note
from dispatcher.core.room_events import RoomEvent, RoomSeen
from dispatcher.core.rules import Rule
from protocol.values import quick

# --- workers ---------------------------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class Registration:
    """What a worker says of itself once (LiveKit's RegisterWorkerRequest).

    `capacity` and `grace` are None where the worker declared none (every stock worker);
    `instance_id` is empty likewise. `types` has at least one entry. `version` is its SDK's.
    """

    project: str
    agent_name: str
    namespace: str
    deployment: str
    types: tuple[JobType, ...]
    capacity: int | None = None
    grace: Nanoseconds | None = None
    instance_id: str = ""
    version: str = ""


@quick
@dataclass(frozen=True, slots=True)
class WorkerRegistered:
    """A connection became a worker. `worker_id` names this connection; a reconnect gets another."""

    worker_id: str
    registration: Registration


@quick
@dataclass(frozen=True, slots=True)
class WorkerReported:
    """A worker told its status. `load` is 0 to 1 for most; `job_count` counts running jobs."""

    worker_id: str
    load: float
    job_count: int
    full: bool
    draining: bool


class Answer(Enum):
    """How a worker answered an offer."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    TERMINATED = "terminated"  # declined, and the job shall not run at all


@quick
@dataclass(frozen=True, slots=True)
class Acceptance:
    """The participant that the accepting worker wants its job to be."""

    identity: str = ""
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """A worker answered an offer (LiveKit's AvailabilityResponse)."""

    worker_id: str
    job_id: str
    answer: Answer
    acceptance: Acceptance


@quick
@dataclass(frozen=True, slots=True)
class JobReported:
    """A worker told a job's status. `epoch` and `sequence` are 0 where it sends none (stock)."""

    worker_id: str
    job_id: str
    status: JobStatus
    error: str = ""
    epoch: int = 0
    sequence: int = 0


@quick
@dataclass(frozen=True, slots=True)
class JobsMigrated:
    """A worker claims the jobs that it still runs (LiveKit's MigrateJobRequest).

    `epochs` are those that it says it holds, by job, of the jobs of which it says so.
    """

    worker_id: str
    job_ids: tuple[str, ...]
    epochs: Mapping[str, int] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class JobsHandedOver:
    """A worker gives jobs up, for another worker to resume them.

    `when_room`: each of them only when another worker has room for it; until then it runs on. The
    list takes the place of an earlier one of this connection.
    """

    worker_id: str
    job_ids: tuple[str, ...]
    when_room: bool = False


@quick
@dataclass(frozen=True, slots=True)
class AssignmentExpired:
    """A SendAssignment could go out only after it had expired, and was not sent."""

    job_id: str
    epoch: int


@quick
@dataclass(frozen=True, slots=True)
class JobSimulated:
    """A worker asked for a job for itself (LiveKit's SimulateJobRequest)."""

    worker_id: str
    job: Job


@quick
@dataclass(frozen=True, slots=True)
class WorkerPonged:
    """A worker answered the ping that `PingWorker` sent."""

    worker_id: str


@quick
@dataclass(frozen=True, slots=True)
class WorkerUnreachable:
    """A worker's connection ended; WorkerDisconnected follows, when there is time for its jobs."""

    worker_id: str


@quick
@dataclass(frozen=True, slots=True)
class WorkerDisconnected:
    """A worker's connection ended; `reason` says for people why."""

    worker_id: str
    reason: str = ""


# --- API callers -----------------------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class DispatchRequested:
    """A caller asks for a dispatch. `jobs` are the jobs that it makes at once.

    The same `dispatch.id` again is the same request repeated, and makes nothing new (A15).
    `request` names the caller's call, for `Reply`.
    """

    request: int
    dispatch: Dispatch
    jobs: tuple[Job, ...]


@quick
@dataclass(frozen=True, slots=True)
class DispatchDeletionRequested:
    """A caller deletes a dispatch of this project and room."""

    request: int
    project: str
    room: str
    dispatch_id: str


# --- rooms and rules -------------------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class RoomEventReported:
    """Something happened in a room. Reply: DONE, when what follows from it is durable.

    `event_id`: the same id again is the same event; empty: always news. Reply: EXISTED, where that
    was told before and nothing else would show it.
    """

    request: int
    event: RoomEvent
    event_id: str = ""


@quick
@dataclass(frozen=True, slots=True)
class RoomsListed:
    """The SFU's own list of the rooms of a project, asked for at `asked_at`.

    A room that started after that is not missing from it. `others_gone`: rooms that the list has
    not are over (else it is the list of some rooms alone).
    """

    project: str
    asked_at: Nanoseconds
    rooms: tuple[RoomSeen, ...]
    others_gone: bool = True


@dataclass(frozen=True, slots=True)
class RoomAnnounced:
    """A room of this name is about to be created that names its agents: no others are called."""

    project: str
    name: str


@dataclass(frozen=True, slots=True)
class RoomAnnouncementWithdrawn:
    """A room that was announced is not created."""

    project: str
    name: str


@dataclass(frozen=True, slots=True)
class RoomConfigurationCreationRequested:
    """A caller creates a room configuration. Reply: CREATED, EXISTED (just so), REFUSED (another).

    `config` is a serialised wire RoomConfiguration; equal ones have equal bytes.
    """

    request: int
    project: str
    name: str
    config: bytes


@dataclass(frozen=True, slots=True)
class RoomConfigurationChangeRequested:
    """A caller changes a room configuration. Reply: CHANGED, EXISTED (just so), NOT_FOUND."""

    request: int
    project: str
    name: str
    config: bytes


@dataclass(frozen=True, slots=True)
class RoomConfigurationDeletionRequested:
    """A caller deletes a room configuration. Reply: DELETED, NOT_FOUND."""

    request: int
    project: str
    name: str


@dataclass(frozen=True, slots=True)
class RuleApplyRequested:
    """A caller creates or changes a rule. Reply: CREATED, CHANGED, EXISTED (unchanged), STALE.

    With `rule.version` other than 0 the rule must be at that version now. The rule's times are set
    by the engine.
    """

    request: int
    project: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class RuleDeletionRequested:
    """A caller deletes a rule. Reply: DELETED, NOT_FOUND, STALE (if `version` is not 0)."""

    request: int
    project: str
    name: str
    version: int = 0


@quick
@dataclass(frozen=True, slots=True)
class WorkerDrainRequested:
    """An operator takes a worker out of service: it gets no more jobs.

    Those that it still has at `hand_over_at` are given to others to resume; 0: it keeps them.
    Reply: DONE, or NOT_FOUND.
    """

    request: int
    project: str
    worker_id: str
    hand_over_at: Nanoseconds = 0


@quick
@dataclass(frozen=True, slots=True)
class JobTerminationRequested:
    """An operator ends a job of this project, which is known to be there; `text` says why.

    Reply: DONE, when it has ended durably; NOT_FOUND for a job of another project.
    """

    request: int
    project: str
    job_id: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class DrainStarted:
    """This server is about to stop: it makes no more offers."""


# --- the store's results ---------------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job that a worker holds: what the engine must know of it meanwhile."""

    id: str
    dispatch_id: str
    room: str
    lane: Lane
    restart_policy: RestartPolicy
    queue_time: Nanoseconds
    state: JobState
    order: str = ""
    unique_key: str = ""


@dataclass(frozen=True, slots=True)
class OrderedJob:
    """A job of an order (`Job.order`) that has not ended."""

    id: str
    project: str
    order: str
    unique_key: str


@quick
@dataclass(frozen=True, slots=True)
class StoreRecovered:
    """The store was opened: what was there. Comes first, once.

    `held` are all jobs that are offered, assigned, running or orphaned, and those that wait though
    their dispatch was deleted (they were in hand then): this node holds them. `waiting` counts the other
    queued jobs of each lane; `next_due` is the earliest `until` of a delayed or queued job of
    these; `deletions` are the dispatches whose deletion was asked for and is not finished;
    `notes` are all notes, in no order; `ordered` are the jobs of orders that have not ended.
    """

    held: tuple[HeldJob, ...]
    waiting: Mapping[Lane, int]
    next_due: Nanoseconds | None
    deletions: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    ordered: tuple[OrderedJob, ...] = ()


@quick
@dataclass(frozen=True, slots=True)
class JobsCalledOff:
    """Result of CallOffJobs: which of those that were asked for were cancelled, and from where.

    `queued_by_lane` counts those of them that were queued.
    """

    asked: tuple[str, ...]
    cancelled: tuple[str, ...]
    queued_by_lane: Mapping[Lane, int]


@quick
@dataclass(frozen=True, slots=True)
class DispatchCreated:
    """Result of CreateDispatch. `created` is False where that id existed already."""

    request: int
    dispatch_id: str
    created: bool


@quick
@dataclass(frozen=True, slots=True)
class JobsClaimed:
    """Result of ClaimJobs: the first jobs of the lane, now held by this node.

    `waiting` counts those of the lane that are still queued, and not held.
    """

    lane: Lane
    jobs: tuple[tuple[Job, JobState], ...]
    waiting: int


@quick
@dataclass(frozen=True, slots=True)
class JobsDue:
    """Result of ClaimDue: jobs whose `until` has passed, delayed or queued, now held by this node.

    `next_due` is the earliest `until` of those that are left, None if there are none.
    """

    jobs: tuple[HeldJob, ...]
    next_due: Nanoseconds | None


@quick
@dataclass(frozen=True, slots=True)
class DispatchDeletionRecorded:
    """Result of DeleteDispatch. Jobs that waited and were not held are cancelled with it.

    `found` is False for an id that is unknown there, of another room, or deleted before.
    `cancelled_by_lane` counts the queued jobs that were cancelled.
    """

    request: int
    dispatch_id: str
    found: bool
    cancelled_by_lane: Mapping[Lane, int]


@quick
@dataclass(frozen=True, slots=True)
class MoveRefused:
    """Result of a RecordMove whose guard failed: the job has another epoch there, or has ended."""

    job_id: str
    epoch: int


@quick
@dataclass(frozen=True, slots=True)
class JobsLookedUp:
    """Result of LookUpJobs: the phases of those that are known; the others are absent."""

    worker_id: str
    job_ids: tuple[str, ...]
    phases: Mapping[str, JobPhase]


@quick
@dataclass(frozen=True, slots=True)
class DispatchesFound:
    """Result of FindDispatches: those that stand, oldest first."""

    project: str
    room: str
    dispatches: tuple[Dispatch, ...]


StoreResult = (
    DispatchCreated
    | DispatchesFound
    | JobsClaimed
    | JobsDue
    | DispatchDeletionRecorded
    | JobsCalledOff
    | MoveRefused
    | JobsLookedUp
)

Event = (
    WorkerRegistered
    | WorkerReported
    | OfferAnswered
    | JobReported
    | JobsMigrated
    | JobsHandedOver
    | AssignmentExpired
    | JobSimulated
    | WorkerPonged
    | WorkerUnreachable
    | WorkerDisconnected
    | DispatchRequested
    | DispatchDeletionRequested
    | RoomEventReported
    | RoomsListed
    | RoomAnnounced
    | RoomAnnouncementWithdrawn
    | RoomConfigurationCreationRequested
    | RoomConfigurationChangeRequested
    | RoomConfigurationDeletionRequested
    | RuleApplyRequested
    | RuleDeletionRequested
    | BridgeEvent
    | WorkerDrainRequested
    | JobTerminationRequested
    | DrainStarted
    | StoreRecovered
    | StoreResult
)
