"""What is to be done: everything that `Engine.handle` may answer, in the imperative.

Two kinds. A `StoreRequest` goes to the store, in order; some have a result, which comes back as
an event. A `Message` goes to a worker or an API caller. Messages of `SENT_AT_ONCE` promise nothing
and go out at once; every other waits until all store requests that were made before it are
durable (`commit.GroupCommit`): an acknowledgement, an assignment or a verdict that is sent is true
after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from dispatcher.core.events import Acceptance
from dispatcher.core.jobs import Dispatch, Job, JobState, JobStateReason, Lane, Nanoseconds
from dispatcher.core.lifecycle import JobTrigger
from dispatcher.core.notes import Note, NoteKind
from protocol.values import quick

# --- to the store ----------------------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class CreateDispatch:
    """Create the dispatch and its jobs, if that id is not there. Result: DispatchCreated.

    A new job that is OFFERED is reserved: held by this node, for the worker that its state names.
    """

    request: int
    dispatch: Dispatch
    jobs: tuple[tuple[Job, JobState], ...]


@quick
@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create a job of no dispatch, or of one that is there."""

    job: Job
    state: JobState


@quick
@dataclass(frozen=True, slots=True)
class RecordMove:
    """Write a job's new state, and a row of the event log. Result, if refused: MoveRefused.

    Guard: the job has not ended and its stored epoch is `epoch` (before the move). A job that is
    moved to a waiting phase is released by it; one that is moved to an ended phase is done with.
    `detail` is the evidence, for people.
    """

    job_id: str
    epoch: int
    trigger: JobTrigger
    state: JobState
    detail: str = ""


@quick
@dataclass(frozen=True, slots=True)
class ReleaseJobs:
    """Give held jobs back to their queues, at their old places. Nothing durable changes."""

    job_ids: tuple[str, ...]


@quick
@dataclass(frozen=True, slots=True)
class ClaimJobs:
    """Hold the first `limit` queued jobs of the lane. Result: JobsClaimed, always."""

    lane: Lane
    limit: int


@quick
@dataclass(frozen=True, slots=True)
class ClaimDue:
    """Hold at most `limit` waiting jobs whose `until` is not after `now`. Result: JobsDue."""

    now: Nanoseconds
    limit: int


@quick
@dataclass(frozen=True, slots=True)
class DeleteDispatch:
    """Mark the dispatch, and cancel those of its jobs that wait and that no node holds.

    Result: DispatchDeletionRecorded, always.
    """

    request: int
    project: str
    room: str
    dispatch_id: str
    now: Nanoseconds
    reason: JobStateReason = JobStateReason.DISPATCH_DELETED


@quick
@dataclass(frozen=True, slots=True)
class FindDispatches:
    """Tell the dispatches of a room that nobody deleted. Result: DispatchesFound, always."""

    project: str
    room: str


@quick
@dataclass(frozen=True, slots=True)
class CallOffJobs:
    """Cancel those of these jobs that wait and that no node holds. Result: JobsCalledOff, always."""

    job_ids: tuple[str, ...]
    reason: JobStateReason
    detail: str
    now: Nanoseconds


@quick
@dataclass(frozen=True, slots=True)
class PutNote:
    """Keep this note, in place of the one of its name."""

    note: Note


@quick
@dataclass(frozen=True, slots=True)
class DropNotes:
    """Forget the note of this key, or with None all of this scope."""

    kind: NoteKind
    project: str
    scope: str
    key: str | None


@quick
@dataclass(frozen=True, slots=True)
class FinishDeletion:
    """Set the dispatch's `deleted_at`: the last of its jobs has ended."""

    dispatch_id: str
    deleted_at: Nanoseconds


@quick
@dataclass(frozen=True, slots=True)
class LookUpJobs:
    """Tell the phases of these jobs of this project. Result: JobsLookedUp."""

    worker_id: str
    project: str
    job_ids: tuple[str, ...]


StoreRequest = (
    CreateDispatch
    | CreateJob
    | RecordMove
    | ReleaseJobs
    | ClaimJobs
    | ClaimDue
    | DeleteDispatch
    | FinishDeletion
    | CallOffJobs
    | FindDispatches
    | LookUpJobs
    | PutNote
    | DropNotes
)

# --- to workers ------------------------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class SendRegistered:
    """Tell the worker that it is registered (RegisterWorkerResponse)."""

    worker_id: str


@quick
@dataclass(frozen=True, slots=True)
class SendOffer:
    """Ask the worker whether it takes the job (AvailabilityRequest)."""

    worker_id: str
    job: Job
    state: JobState
    resuming: bool


@quick
@dataclass(frozen=True, slots=True)
class SendAssignment:
    """Give the worker the job, with a token for the room (JobAssignment).

    If it can go out only after `expires_at`, it is not sent, and AssignmentExpired is the answer:
    its worker waits for it no longer. Of a job that `is_reserved` for the worker the store knows
    enough once it is created: the assignment waits for that alone.
    """

    worker_id: str
    job: Job
    state: JobState
    acceptance: Acceptance
    expires_at: Nanoseconds
    is_reserved: bool = False


@quick
@dataclass(frozen=True, slots=True)
class SendTermination:
    """Tell the worker to stop the job (JobTermination)."""

    worker_id: str
    job_id: str


class Verdict(Enum):
    """The answer to a claim. The values are the wire's numbers."""

    KEEP = 0
    STOP_REASSIGNED = 1
    STOP_UNKNOWN = 2
    STOP_ENDED = 3


@quick
@dataclass(frozen=True, slots=True)
class SendVerdicts:
    """Answer a claim, all jobs in one message. A stock worker gets a termination for each stop."""

    worker_id: str
    verdicts: Mapping[str, Verdict]


@quick
@dataclass(frozen=True, slots=True)
class SendStatusReceipt:
    """Confirm that the status of this sequence number is durable, or of no consequence."""

    worker_id: str
    sequence: int


@quick
@dataclass(frozen=True, slots=True)
class PingWorker:
    """Ask the worker's connection for a sign of life. Answer: WorkerPonged."""

    worker_id: str


@quick
@dataclass(frozen=True, slots=True)
class SendGoAway:
    """Tell the worker to connect elsewhere, with its jobs (GoAway). Stock workers ignore it."""

    worker_id: str


class DropReason(Enum):
    """Why the dispatcher ends a worker's connection."""

    TAKEN_OVER = "taken_over"  # another connection of the same worker is here
    INSTANCE_SHARED = "instance_shared"  # and again and again: two workers say one instance_id
    STATUS_STALE = "status_stale"  # it hangs: its status comes no more


@quick
@dataclass(frozen=True, slots=True)
class DropWorker:
    """Close the worker's connection. The engine has forgotten it already."""

    worker_id: str
    reason: DropReason


# --- to API callers and to the operator ------------------------------------------------------


class Outcome(Enum):
    """How a caller's request ended."""

    CREATED = "created"
    EXISTED = "existed"
    CHANGED = "changed"
    DELETED = "deleted"
    NOT_FOUND = "not_found"
    STALE = "stale"  # the caller knows an older version
    DONE = "done"
    REFUSED = "refused"  # over a bound, which `detail` names


@quick
@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the caller's request."""

    request: int
    outcome: Outcome
    # the dispatch that it is about, if it is about one
    dispatch_id: str = ""
    # for the caller, where the outcome alone does not tell enough
    detail: str = ""
    # what it says is in the store already: it need not wait for what else is on the way there
    is_durable: bool = False


class Ignored(Enum):
    """Why something that a worker said was of no consequence."""

    UNKNOWN_WORKER = "unknown_worker"
    REGISTERED_TWICE = "registered_twice"
    NOT_OFFERED = "not_offered"
    NOT_HOLDER = "not_holder"
    STALE_EPOCH = "stale_epoch"
    UNKNOWN_JOB = "unknown_job"
    STATUS_WITHOUT_MEANING = "status_without_meaning"


@quick
@dataclass(frozen=True, slots=True)
class NoteIgnored:
    """Count and log what was ignored."""

    worker_id: str
    job_id: str
    why: Ignored


Message = (
    SendRegistered
    | SendOffer
    | SendAssignment
    | SendTermination
    | SendVerdicts
    | SendStatusReceipt
    | PingWorker
    | SendGoAway
    | DropWorker
    | Reply
    | NoteIgnored
)

# They promise nothing. (A Reply says of itself whether what it tells is durable already.)
SENT_AT_ONCE = (SendRegistered, SendOffer, PingWorker, SendGoAway, DropWorker, NoteIgnored)

Effect = StoreRequest | Message
