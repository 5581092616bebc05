"""What a check assumes, and what it finds: violations with their evidence, and a count of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.policy import Policy
from dispatcher.history.evidence import Acknowledgement, Gone, WorkerRecord
from dispatcher.store.contract import EventRow

Evidence = EventRow | WorkerRecord | Acknowledgement

_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is known of a run besides its evidence. The defaults accuse nobody wrongly.

    A bound that is None is not known: what hangs on it is not judged, and that is said. Where a
    time of the server's configuration is not known, a longer one than it has is safe.
    """

    # The run is over: a job that has not ended is lost.
    is_over: bool = False
    # The workers' records are those of all workers: what they do not have did not run.
    has_all_workers: bool = False
    # The run went on after the workers' logs were read: ends that come later (by the server's clock)
    # are not in them. 0: it did not.
    records_until: Nanoseconds = 0
    # The log has the events of all projects, so its numbers have no gap.
    has_all_projects: bool = True
    # the server's attempts_max; and its losses_max: a job that was lost with a worker, and may not be
    # to blame, is tried so often. None: as often as it was lost.
    attempts_max: int | None = None
    losses_max: int | None = _POLICY.losses_max
    # the most jobs that any worker may have at once; None: what the workers' records say
    capacity: int | None = None
    # the longest grace time of any worker; the default is the server's own upper bound
    grace_seconds_max: float = 3600.0
    # the shortest one; None: what the store knows of each worker
    grace_seconds_min: float | None = None
    # A move is in the log so soon after it was decided, unless the log itself shows that commits were
    # quicker: a disk that took nothing for longer makes a grace time look cut short.
    commit_seconds_max: float = 5.0
    # A commit of fewer moves left none behind, but unhurried ones (`core/commit.py`; its own bound is
    # greater, because it also counts what is no move).
    moves_a_commit: int = 1024
    # A worker says that it runs a job, and may be killed before it has written that down: nothing is
    # expected of one that was heard no more so long after, unless it was lost only after the second.
    start_seconds_max: float = 5.0
    loss_seconds_max: float = 60.0
    # the clocks of workers and server differ by no more
    clocks_differ_seconds: float = 10.0
    # the longest time for which a job is on offer, or waits for its next attempt
    offer_seconds_max: float = 600.0
    retry_seconds_max: float = 3600.0
    # the longest time in the queue; None: what the store knows of each job
    queue_seconds_max: float | None = None
    # How late a deadline may fire. A job that is on offer at its deadline is ended after that.
    slack_seconds: float = 30.0
    # A log that is silent for longer may be one of a server that was away: no deadline is judged.
    silence_seconds: float = 0.5
    # A worker that is told to stop a job has so long.
    stop_seconds_max: float = 30.0
    # Jobs that have ended and are remembered: for late words about them.
    ended_jobs_remembered_max: int = 10_000
    # Violations of one invariant that are kept with their evidence; all are counted.
    violations_kept_max: int = 100


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold for a job, and the evidence.

    `timeline` is what is known of the job, in order; `marked` are the places in it of the evidence
    that contradicts itself. `job_id` is empty where it is about no job.
    """

    invariant: str
    job_id: str
    what: str
    timeline: tuple[Evidence, ...] = ()
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one invariant: `judged` cases (jobs, where nothing else is said in `of`)."""

    invariant: str
    promise: str
    judged: int
    violations: int
    of: str = "jobs"
    # why something could not be judged -> how often
    unjudged: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_judged(self) -> bool:
        """Was there anything to judge?"""
        return bool(self.judged or self.violations)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a check: one finding for each invariant, violations in order of discovery."""

    findings: tuple[Finding, ...]
    violations: tuple[Violation, ...]
    events: int = 0
    jobs: int = 0
    ended_jobs: int = 0
    records: int = 0
    acknowledged: int = 0
    # numbers of the first and the last event that was read; 0: none
    first_sequence: int = 0
    last_sequence: int = 0
    first_at: Nanoseconds = 0
    last_at: Nanoseconds = 0
    # what the log no longer has
    gone: tuple[Gone, ...] = ()
    # lines of workers that they could not write, by their own word; and lines that are torn
    missing_records: int = 0
    torn_lines: int = 0

    @property
    def is_judged(self) -> bool:
        """Was there anything at all to judge?"""
        return any(finding.is_judged for finding in self.findings)

    @property
    def is_clean(self) -> bool:
        """Was no invariant found broken?"""
        return not any(finding.violations for finding in self.findings)

    def finding(self, invariant: str) -> Finding:
        """Return the finding of the invariant of this name. KeyError for none."""
        for finding in self.findings:
            if finding.invariant == invariant:
                return finding
        raise KeyError(invariant)

    def of(self, invariant: str) -> tuple[Violation, ...]:
        """Return the violations of the invariant of this name."""
        return tuple(one for one in self.violations if one.invariant == invariant)
