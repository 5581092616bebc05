"""Histories that are told in words: a log that counts and remembers, records, a store in a dict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dispatcher.core.jobs import SECOND, Nanoseconds, RestartPolicy
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history import (
    Acknowledgement,
    Assumptions,
    Comparison,
    Contradiction,
    Gone,
    JobFacts,
    MissingRecords,
    Numbers,
    Verdict,
    WorkerRecord,
    check,
)
from dispatcher.store.contract import EventRow

JOB = "AJ_1"
BEGIN: Nanoseconds = 1_790_000_000 * SECOND
STEP: Nanoseconds = SECOND // 10
REPORTED = "reported by its worker"


class Log:
    """An event log: each move a tenth of a second after the one before, unless time is moved."""

    def __init__(self) -> None:
        self.rows: list[EventRow | Gone] = []
        self.now = BEGIN
        self.sequence = 0
        self._last: dict[str, EventRow] = {}

    def move(
        self, trigger: JobTrigger, phase: JobPhase, job_id: str = JOB, **changes: str | int
    ) -> EventRow:
        """Write a row; what `changes` does not say is as in the job's row before."""
        self.sequence += 1
        self.now += STEP
        before = self._last.get(job_id)
        row = EventRow(
            sequence=self.sequence,
            at=self.now,
            project="p",
            job_id=job_id,
            dispatch_id=f"AD_{job_id}",
            trigger=trigger,
            phase=phase,
            epoch=before.epoch if before else 1,
            attempt=before.attempt if before else 1,
            worker_id=before.worker_id if before else "",
            reason="",
            error="",
            detail=REPORTED if trigger is JobTrigger.SUCCEEDED else "",
        )
        row = replace(row, **changes)  # type: ignore[arg-type]
        self._last[job_id] = row
        self.rows.append(row)
        return row

    def created(self, job_id: str = JOB, **changes: str | int) -> EventRow:
        """A new job that waits."""
        return self.move(JobTrigger.CREATED, JobPhase.QUEUED, job_id, **changes)

    def assigned(self, job_id: str = JOB, worker_id: str = "AW_1") -> EventRow:
        """A worker has accepted it."""
        accepted, assigned = JobTrigger.OFFER_ACCEPTED, JobPhase.ASSIGNED
        return self.move(accepted, assigned, job_id, worker_id=worker_id)

    def started(self, job_id: str = JOB, **changes: str | int) -> EventRow:
        """It runs."""
        return self.move(JobTrigger.STARTED, JobPhase.RUNNING, job_id, **changes)

    def orphaned(self, job_id: str = JOB, **changes: str | int) -> EventRow:
        """Its worker is lost."""
        return self.move(JobTrigger.WORKER_LOST, JobPhase.ORPHANED, job_id, **changes)

    def requeued(self, job_id: str = JOB, **changes: str | int) -> EventRow:
        """It is given to others: the next epoch, the next attempt."""
        last = self._last[job_id]
        following: dict[str, str | int] = {
            "epoch": last.epoch + 1,
            "attempt": last.attempt + 1,
            "worker_id": "",
        }
        following |= changes
        return self.move(JobTrigger.GRACE_EXPIRED, JobPhase.QUEUED, job_id, **following)

    def succeeded(self, job_id: str = JOB, **changes: str | int) -> EventRow:
        """Its worker reported that it is done."""
        return self.move(JobTrigger.SUCCEEDED, JobPhase.SUCCEEDED, job_id, **changes)

    def whole_life(self, job_id: str = JOB) -> None:
        """A job that is created, runs and succeeds."""
        self.created(job_id)
        self.assigned(job_id)
        self.started(job_id)
        self.succeeded(job_id)

    def busy(self, seconds: float) -> None:
        """Let time pass in which the server shows, by other jobs, that it is there."""
        until = self.now + round(seconds * SECOND)
        while self.now < until:
            self.whole_life(f"AJ_busy_{self.sequence}")

    def silent(self, seconds: float) -> None:
        """Let time pass in which nothing is written."""
        self.now += round(seconds * SECOND)


def line(
    event: str, at: Nanoseconds, epoch: int = 1, instance_id: str = "one", **changes: str | int
) -> WorkerRecord:
    """A record of a worker, of JOB; an end is a success."""
    outcome = "success" if event == "end" else ""
    record = WorkerRecord(event, JOB, epoch, at, instance_id, "room", outcome)
    return replace(record, **changes)  # type: ignore[arg-type]


@dataclass
class Store:
    """What the store knows, as tests say it."""

    jobs: Mapping[str, JobFacts] = field(default_factory=dict)
    dispatches: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    found: tuple[Contradiction, ...] = ()
    unjudged: Mapping[str, int] = field(default_factory=dict)
    of_log: Numbers = Numbers()  # noqa: RUF009 (frozen)
    grace_seconds: Mapping[str, float] = field(default_factory=dict)

    def job(self, job_id: str) -> JobFacts | None:
        """Return what is kept of the job."""
        return self.jobs.get(job_id)

    def has_dispatch(self, dispatch_id: str) -> bool:
        """Is the dispatch kept?"""
        return dispatch_id in self.dispatches

    def ended_since(self, job_id: str, sequence: int) -> bool:
        """Has the job ended after the log was read?"""
        return job_id in self.ended

    def numbers(self) -> Numbers:
        """Return what is known of the log."""
        return self.of_log

    def comparison(self) -> Comparison:
        """Return what does not agree."""
        return Comparison(len(self.jobs), self.found, self.unjudged)

    def graces(self) -> Mapping[str, Nanoseconds]:
        """Return the grace time of each worker."""
        return {worker_id: round(one * SECOND) for worker_id, one in self.grace_seconds.items()}


def facts(
    last: EventRow,
    *,
    until: Nanoseconds = 0,
    policy: RestartPolicy = RestartPolicy.ON_FAILURE,
    queue_seconds: int = 300,
    deleted_at: Nanoseconds = 0,
) -> JobFacts:
    """What the store keeps of a job whose last row this is."""
    return JobFacts(
        job_id=last.job_id,
        restart_policy=policy,
        queue_time=queue_seconds * SECOND,
        phase=last.phase,
        epoch=last.epoch,
        until=until,
        last_event=last.sequence,
        deletion_requested_at=deleted_at,
    )


def judge(
    log: Log,
    records: Iterable[WorkerRecord | MissingRecords] = (),
    acknowledged: Iterable[str] = (),
    *,
    store: Store | None = None,
    **assumptions: float | bool | None,
) -> Verdict:
    """Check a history under these assumptions."""
    return check(
        iter(log.rows),
        iter(records),
        [Acknowledgement(one, BEGIN) for one in acknowledged],
        store=store,
        assumptions=Assumptions(**assumptions),  # type: ignore[arg-type]
    )


def broken(verdict: Verdict) -> set[str]:
    """Return the names of the invariants that do not hold."""
    return {finding.invariant for finding in verdict.findings if finding.violations}


def shown(verdict: Verdict, invariant: str) -> list[list[object]]:
    """Return the marked evidence of each violation of the invariant."""
    return [[one.timeline[place] for place in sorted(one.marked)] for one in verdict.of(invariant)]
