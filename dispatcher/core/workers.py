"""What the engine knows of a connected worker, and how much more it may be asked.

Estimate, don't trust: a worker's word on its load is up to 2.5 s old and leaves out what it was
given since. So its load is what it reported plus what it was given since, and its jobs are ours and
those that it counted beyond ours (one that it has not claimed yet, because it is still starting it).

Left to others: which worker is chosen (`placement`), when a worker's phase moves (`offering`,
`holding`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dispatcher.core.effects import SendAssignment
from dispatcher.core.events import HeldJob, JobReported, Registration
from dispatcher.core.jobs import Job, JobState, Lane, Nanoseconds, ProcessKey
from dispatcher.core.lifecycle import JobPhase, WorkerPhase, WorkerTrigger, advance_worker
from dispatcher.core.policy import Policy
from dispatcher.core.recent import Recent
from dispatcher.core.room_events import DisconnectReason

# Jobs of which it is remembered how often a worker refused them, for each worker that does.
REFUSED_JOBS_MAX = 32


@dataclass(frozen=True, slots=True)
class Absence:
    """An agent is not in its room."""

    since: Nanoseconds
    reason: DisconnectReason


@dataclass(slots=True, eq=False)
class JobInHand:
    """A job that this engine is offering, or that a worker holds."""

    held: HeldJob  # what never changes of it; its `state` is the one it came with
    # of `held`, where they are asked for most
    id: str = field(init=False)
    lane: Lane = field(init=False)
    # its last durable state
    state: JobState
    # its phase now: a job that is OFFERED from the queue is QUEUED in `state`
    phase: JobPhase
    # the whole config: there only while the job waits to be offered or answered
    job: Job | None = None
    # who was offered it, or holds it; None while nobody does
    worker: Worker | None = None
    offered_at: Nanoseconds = 0
    # the process that holds it, empty where that did not say who it is; None: not known, because
    # the server was restarted and no holder has named the epoch since
    instance_id: str | None = ""
    # what gave it to its worker, while that has not said that it got it
    assignment: SendAssignment | None = None
    # it was lost with a worker that another of its jobs may have brought down
    is_excused: bool = False
    # how its agent left the room, while it may still come back
    parting: DisconnectReason | None = None
    # how it left the room, and has not come back, though its worker says that it runs
    absence: Absence | None = None

    def __post_init__(self) -> None:
        self.id = self.held.id
        self.lane = self.held.lane

    @property
    def is_reserved(self) -> bool:
        """Does the store know to whom it is offered? Then that worker may hold it at once."""
        return self.state.phase is JobPhase.OFFERED


@dataclass(slots=True)
class RefusedJob:
    """How often a worker declined one job, and how often it did not answer its offer."""

    declined: int = 0
    unanswered: int = 0


@dataclass(slots=True, eq=False)
class Worker:
    """One registered connection."""

    id: str
    registration: Registration
    lanes: tuple[Lane, ...]
    # most jobs at once; None: as many as it accepts
    capacity: int | None
    grace: Nanoseconds
    connected_at: Nanoseconds
    phase: WorkerPhase = WorkerPhase.SETTLING
    # its last word
    reported_load: float = 0.0
    reported_jobs: int = 0
    reported_at: Nanoseconds = 0
    # jobs that it counted then and that were not ours
    unclaimed_jobs: int = 0
    # has it ever counted a job on this connection, and since when does it count none, though it was
    # given some (0: it does not)
    counts_jobs: bool = False
    uncounted_since: Nanoseconds = 0
    # jobs that it was given or offered since it last reported; fades with each report
    unreported_jobs: float = 0.0
    # connections of its process before it that were taken over, one soon after the other
    takeovers: int = 0
    # refusals and silences in a row
    refusals: int = 0
    backed_off_at: Nanoseconds = 0
    backed_off_until: Nanoseconds = 0
    # the jobs that it refused last, for who asks why they wait; None: it never refused one
    refused: Recent[str, RefusedJob] | None = None
    # by job id: offers that it has not answered, jobs that it holds
    offers: dict[str, JobInHand] = field(default_factory=dict)
    jobs: dict[str, JobInHand] = field(default_factory=dict)
    # out of service: when its jobs are to go to others (0: never)
    hand_over_at: Nanoseconds = 0
    # jobs that it would give to others as soon as they have room
    yielding: set[str] = field(default_factory=set)
    # the last pause between two looks for room for what it gives up
    hand_over_pause: Nanoseconds = 0
    # jobs whose offers it let lapse, oldest first; it may yet accept them
    lapsed: dict[str, bool] = field(default_factory=dict)
    # jobs that are its own no longer and that it may still be running
    stopping: set[str] = field(default_factory=set)
    # disputes over jobs with another connection, by (older, claimant): each job with the last
    # report that the claimant made of it
    contests: dict[tuple[str, str], dict[str, JobReported | None]] = field(default_factory=dict)

    @property
    def process(self) -> ProcessKey:
        """The process that this connection is of."""
        return self.lanes[0].process(self.registration.instance_id)

    def note_refusal(self, job_id: str, *, is_answer: bool) -> None:
        """Note that it declined an offer of this job (`is_answer`), or did not answer it."""
        if self.refused is None:
            self.refused = Recent(REFUSED_JOBS_MAX)
        job = self.refused.get(job_id) or RefusedJob()
        job.declined += is_answer
        job.unanswered += not is_answer
        self.refused.note(job_id, job)

    def advance(self, trigger: WorkerTrigger) -> None:
        """Move along the worker lifecycle."""
        self.phase = advance_worker(self.phase, trigger)

    @property
    def jobs_count(self) -> int:
        """Jobs that run there: ours, and those that only it knows of."""
        return self.unclaimed_jobs + len(self.jobs) + len(self.stopping)

    @property
    def is_at_capacity(self) -> bool:
        """Do as many jobs run there as it said that it takes at once?"""
        return self.capacity is not None and self.jobs_count >= self.capacity

    def load(self, policy: Policy) -> float:
        """Estimated load now: as reported, and what was given since."""
        per_job = policy.load_per_job
        if self.reported_jobs > 0:
            per_job = self.reported_load / self.reported_jobs
        return self.reported_load + self.unreported_jobs * per_job

    def pressure(self, policy: Policy) -> float:
        """How full it is, 0 (idle) to 1 (full) and above: by load, and by count where capped."""
        load = self.load(policy)
        if self.capacity:
            return max(load, (self.jobs_count + len(self.offers)) / self.capacity)
        return load

    def room(self, policy: Policy) -> int:
        """How many more jobs it may be offered now."""
        if self.phase is not WorkerPhase.AVAILABLE:
            return 0
        offers = len(self.offers)
        room = policy.offers_in_flight_max - offers
        if self.capacity is not None:
            free = self.capacity - self.jobs_count - offers
            if free < room:
                room = free
        return max(0, room)

    def may_run(self, job_id: str) -> bool:
        """May it still be running this job? Then it is not offered it: it would run it twice."""
        return job_id in self.stopping or self.may_hold(job_id)

    def may_hold(self, job_id: str) -> bool:
        """Is this job its own, or has it claimed it of another connection that may have it?"""
        if job_id in self.jobs:
            return True
        return bool(self.contests) and any(job_id in contest for contest in self.contests.values())
