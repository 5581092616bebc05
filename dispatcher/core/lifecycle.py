"""The lifecycles of jobs and of workers, as two tables.

A job waits (delayed, queued, offered), is held by a worker (assigned, running) or by nobody for
a while (orphaned), and ends (succeeded, failed, cancelled). A worker settles, takes jobs, refuses
them for a reason, and goes. Every move is an entry of a table: (phase, trigger) -> phase. A move
that has no entry is a bug of ours and raises `LifecycleError`; what a peer may send at the wrong
moment is refused before it comes here.

A new job is stored OFFERED when a worker had room for it: it is reserved for that worker, which may
hold it from then on, whatever the store hears last. A job that is offered from the queue is OFFERED
in the engine's memory alone, and still QUEUED in the store (an offer promises nothing). All phases
of a worker are in memory, and gone with its connection.

Left to others: when a trigger happens (`engine`), what is written for it (`effects`).
"""

from __future__ import annotations

from enum import StrEnum

from protocol.errors import CallboardError


class LifecycleError(CallboardError):
    """A move that no lifecycle has: a bug of the dispatcher, never a peer's fault."""


class JobPhase(StrEnum):
    """Where a job is in its life. The value is what the store and the event log keep."""

    DELAYED = "delayed"  # waits for a time: a delay that was asked for, or a retry's backoff
    QUEUED = "queued"  # waits for a worker
    OFFERED = "offered"  # a worker has been asked and has not answered
    ASSIGNED = "assigned"  # a worker holds it and has not yet said that it runs
    RUNNING = "running"  # a worker holds it and runs it
    ORPHANED = "orphaned"  # its worker's connection is lost; held for the grace time
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_waiting(self) -> bool:
        """Is the job still to be given to a worker?"""
        return self in WAITING

    @property
    def is_held(self) -> bool:
        """Does a worker hold the job, or did one until a moment ago?"""
        return self in HELD

    @property
    def is_ended(self) -> bool:
        """Has the job ended? Ended phases never change."""
        return self in ENDED


WAITING = frozenset({JobPhase.DELAYED, JobPhase.QUEUED, JobPhase.OFFERED})
HELD = frozenset({JobPhase.ASSIGNED, JobPhase.RUNNING, JobPhase.ORPHANED})
ENDED = frozenset({JobPhase.SUCCEEDED, JobPhase.FAILED, JobPhase.CANCELLED})


class JobTrigger(StrEnum):
    """What moves a job. The value is the kind of its row in the event log."""

    CREATED = "created"  # the first row of a job; not a move
    BECAME_DUE = "became_due"
    OFFERED = "offered"
    OFFER_WITHDRAWN = "offer_withdrawn"  # declined, lapsed, or its worker was lost
    OFFER_ACCEPTED = "assigned"
    OFFER_TERMINATED = "terminated_by_worker"  # the answer said: do not run this job at all
    ASSIGNMENT_EXPIRED = "assignment_expired"  # accepted, and the store was slower than it waits
    STARTED = "started"
    WORKER_LOST = "orphaned"
    CLAIMED = "claimed"
    REDELIVERED = "redelivered"  # its worker is back, and may not have got the assignment
    GRACE_EXPIRED = "grace_expired"  # lost for good, to be given to another worker
    GAVE_UP_LOST = "gave_up_lost"  # lost for good, and the restart policy says no more
    SUCCEEDED = "succeeded"
    LEFT = "left"  # its agent left the room as one that is done, and nobody is there to say so
    RETRIED = "retried"  # failed, or lost again, to be tried again after a pause
    FAILED = "failed"
    HANDED_OVER = "handed_over"
    QUEUE_DEADLINE_PASSED = "no_capacity"
    CANCELLED = "cancelled"


JOB_MOVES: dict[JobPhase, dict[JobTrigger, JobPhase]] = {
    JobPhase.DELAYED: {
        JobTrigger.BECAME_DUE: JobPhase.QUEUED,
        JobTrigger.CANCELLED: JobPhase.CANCELLED,
    },
    JobPhase.QUEUED: {
        JobTrigger.OFFERED: JobPhase.OFFERED,
        JobTrigger.QUEUE_DEADLINE_PASSED: JobPhase.FAILED,
        JobTrigger.CANCELLED: JobPhase.CANCELLED,
    },
    JobPhase.OFFERED: {
        JobTrigger.OFFER_WITHDRAWN: JobPhase.QUEUED,
        JobTrigger.OFFER_ACCEPTED: JobPhase.ASSIGNED,
        JobTrigger.OFFER_TERMINATED: JobPhase.SUCCEEDED,
        JobTrigger.WORKER_LOST: JobPhase.ORPHANED,  # the server ended, and may have assigned it
        JobTrigger.CANCELLED: JobPhase.CANCELLED,
    },
    JobPhase.ASSIGNED: {
        JobTrigger.ASSIGNMENT_EXPIRED: JobPhase.QUEUED,
        JobTrigger.STARTED: JobPhase.RUNNING,
        JobTrigger.WORKER_LOST: JobPhase.ORPHANED,
        JobTrigger.CLAIMED: JobPhase.RUNNING,
        JobTrigger.SUCCEEDED: JobPhase.SUCCEEDED,
        JobTrigger.RETRIED: JobPhase.DELAYED,
        JobTrigger.FAILED: JobPhase.FAILED,
        JobTrigger.HANDED_OVER: JobPhase.QUEUED,
        JobTrigger.CANCELLED: JobPhase.CANCELLED,
    },
    JobPhase.RUNNING: {
        JobTrigger.WORKER_LOST: JobPhase.ORPHANED,
        JobTrigger.CLAIMED: JobPhase.RUNNING,
        JobTrigger.SUCCEEDED: JobPhase.SUCCEEDED,
        JobTrigger.RETRIED: JobPhase.DELAYED,
        JobTrigger.FAILED: JobPhase.FAILED,
        JobTrigger.HANDED_OVER: JobPhase.QUEUED,
        JobTrigger.CANCELLED: JobPhase.CANCELLED,
    },
    JobPhase.ORPHANED: {
        JobTrigger.CLAIMED: JobPhase.RUNNING,
        JobTrigger.REDELIVERED: JobPhase.ASSIGNED,
        JobTrigger.LEFT: JobPhase.SUCCEEDED,
        JobTrigger.GRACE_EXPIRED: JobPhase.QUEUED,
        JobTrigger.RETRIED: JobPhase.DELAYED,  # lost again: not at once, for it may be to blame
        JobTrigger.GAVE_UP_LOST: JobPhase.FAILED,
        JobTrigger.CANCELLED: JobPhase.CANCELLED,
    },
    JobPhase.SUCCEEDED: {},
    JobPhase.FAILED: {},
    JobPhase.CANCELLED: {},
}


def advance_job(phase: JobPhase, trigger: JobTrigger) -> JobPhase:
    """Return the phase that `trigger` moves a job to. Raises LifecycleError for no such move."""
    try:
        return JOB_MOVES[phase][trigger]
    except KeyError:
        raise LifecycleError(f"a job that is {phase.value} cannot be {trigger.value}") from None


class WorkerPhase(StrEnum):
    """Whether a connected worker may be offered a job, and if not, why."""

    SETTLING = "settling"  # registered; may still be about to claim its jobs
    AVAILABLE = "available"
    FULL = "full"  # it said WS_FULL
    BACKED_OFF = "backed_off"  # it declined or kept silent a moment ago
    DRAINING = "draining"  # it said that it takes no more jobs
    STALE = "stale"  # its status has not come for too long
    OUT_OF_SERVICE = "out_of_service"  # an operator said that it gets no more jobs
    GONE = "gone"


class WorkerTrigger(StrEnum):
    """What moves a worker."""

    SETTLED = "settled"
    REPORTED_AVAILABLE = "reported_available"
    REPORTED_FULL = "reported_full"
    REPORTED_DRAINING = "reported_draining"
    FELL_SILENT = "fell_silent"
    TAKEN_OUT = "taken_out"
    DECLINED = "declined"
    BACKOFF_ENDED = "backoff_ended"
    DISCONNECTED = "disconnected"


_REPORTS = {
    WorkerTrigger.REPORTED_AVAILABLE: WorkerPhase.AVAILABLE,
    WorkerTrigger.REPORTED_FULL: WorkerPhase.FULL,
    WorkerTrigger.REPORTED_DRAINING: WorkerPhase.DRAINING,
}
_ALWAYS = {
    WorkerTrigger.TAKEN_OUT: WorkerPhase.OUT_OF_SERVICE,
    WorkerTrigger.DISCONNECTED: WorkerPhase.GONE,
}
# A worker that has told its status once.
_HEARD = {**_REPORTS, **_ALWAYS, WorkerTrigger.FELL_SILENT: WorkerPhase.STALE}

WORKER_MOVES: dict[WorkerPhase, dict[WorkerTrigger, WorkerPhase]] = {
    WorkerPhase.SETTLING: {
        **_REPORTS,
        **_ALWAYS,
        WorkerTrigger.SETTLED: WorkerPhase.AVAILABLE,
    },
    WorkerPhase.AVAILABLE: {**_HEARD, WorkerTrigger.DECLINED: WorkerPhase.BACKED_OFF},
    # A full or draining worker may still decline an offer that was on its way.
    WorkerPhase.FULL: {**_HEARD, WorkerTrigger.DECLINED: WorkerPhase.FULL},
    WorkerPhase.DRAINING: {**_HEARD, WorkerTrigger.DECLINED: WorkerPhase.DRAINING},
    WorkerPhase.BACKED_OFF: {
        **_HEARD,
        # Status comes every 2.5 s whatever happens: it does not take a refusal back.
        WorkerTrigger.REPORTED_AVAILABLE: WorkerPhase.BACKED_OFF,
        WorkerTrigger.DECLINED: WorkerPhase.BACKED_OFF,
        WorkerTrigger.BACKOFF_ENDED: WorkerPhase.AVAILABLE,
    },
    WorkerPhase.STALE: {**_REPORTS, **_ALWAYS, WorkerTrigger.DECLINED: WorkerPhase.STALE},
    # Whatever it says of itself.
    WorkerPhase.OUT_OF_SERVICE: {
        **dict.fromkeys(_REPORTS, WorkerPhase.OUT_OF_SERVICE),
        WorkerTrigger.FELL_SILENT: WorkerPhase.OUT_OF_SERVICE,
        WorkerTrigger.DECLINED: WorkerPhase.OUT_OF_SERVICE,
        WorkerTrigger.DISCONNECTED: WorkerPhase.GONE,
    },
    WorkerPhase.GONE: {},
}


def advance_worker(phase: WorkerPhase, trigger: WorkerTrigger) -> WorkerPhase:
    """Return the phase that `trigger` moves a worker to. Raises LifecycleError for no move."""
    try:
        return WORKER_MOVES[phase][trigger]
    except KeyError:
        raise LifecycleError(f"a worker that is {phase.value} cannot be {trigger.value}") from None
