"""Checkers of the event log alone: one class for each invariant, with a name and a sentence.

A checker is told of each row with the case as it was before it (`event`), of each record of a
worker (`record`), of each case when all that is to be expected of it is there (`settle`), and of the
end (`finish`). It keeps next to nothing itself. What it finds it says with `blame`; what it cannot
judge with `pass_over`. The first row of a case whose beginning is not known has no row before it,
nor has one behind a gap in the log.

Left to others: what workers wrote down (`run_checkers`), what they are promised (`worker_checkers`),
time (`deadline_checkers`), the store and the callers (`store_checkers`), who calls them (`checking`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

from dispatcher.core.jobs import SECOND, Nanoseconds, RestartPolicy
from dispatcher.core.lifecycle import JOB_MOVES, JobPhase, JobTrigger
from dispatcher.history.case import Case, Draft
from dispatcher.history.evidence import Gone, JobFacts, MissingRecords, StoreFacts, WorkerRecord
from dispatcher.history.verdict import Assumptions, Evidence, Finding, Violation
from dispatcher.store.contract import EventRow

# what core/holding.py writes of an end that its worker reported
REPORTED = "reported by its worker"
# what it writes of jobs that a server finds when it starts
RESTARTED = "the server was restarted"
_AT_WORK = frozenset({JobPhase.ASSIGNED, JobPhase.RUNNING})
# phases in which a new job is stored
_FIRST_PHASES = frozenset({JobPhase.DELAYED, JobPhase.QUEUED, JobPhase.OFFERED})
_GAVE_UP = frozenset({JobTrigger.FAILED, JobTrigger.GAVE_UP_LOST})
_TRIED_AGAIN = frozenset({JobTrigger.RETRIED, JobTrigger.GRACE_EXPIRED})


class Checker:
    """Judges one invariant."""

    name: ClassVar[str]
    promise: ClassVar[str]
    # what `judged` counts
    of: ClassVar[str] = "jobs"

    def __init__(self, assumptions: Assumptions, store: StoreFacts | None = None) -> None:
        self.assumptions = assumptions
        self.store = store
        self.judged = 0
        self.violations = 0
        self.unjudged: Counter[str] = Counter()
        # when those lines should have been written whose absence is a violation
        self.absences: array[int] = array("q")
        # violations that are about no job
        self.loose: list[Violation] = []

    # --- what it is told ---

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """A row of the log. `case` is as it was before; `before` is its last row, where known."""

    def gone(self, gone: Gone) -> None:
        """Rows are missing here, and it is known why."""

    def record(self, case: Case, record: WorkerRecord) -> None:
        """A line of a worker, which is in the case already."""

    def missing(self, missing: MissingRecords) -> None:
        """Lines of workers are missing before what comes now."""

    def settle(self, case: Case) -> None:
        """No more is to be expected of this job."""

    def finish(self) -> None:
        """The history is over, and every case is settled."""

    # --- what it says ---

    def blame(
        self, case: Case, what: str, *marked: Evidence | None, absent_at: Nanoseconds = 0
    ) -> None:
        """The invariant does not hold for this job; `marked` shows it.

        With `absent_at` what shows it is that a worker wrote no line then: it is no violation where
        lines are known to be missing (`forgive`).
        """
        self.violations += 1
        if absent_at:
            self.absences.append(absent_at)
        if self.violations <= self.assumptions.violations_kept_max:
            shown = tuple(one for one in marked if one is not None)
            case.drafts.append(Draft(self.name, what, shown, absent_at))

    def blame_nobody(self, what: str, *shown: Evidence, job_id: str = "") -> None:
        """The invariant does not hold, and no open case is concerned."""
        self.violations += 1
        if self.violations <= self.assumptions.violations_kept_max:
            marked = frozenset(range(len(shown)))
            self.loose.append(Violation(self.name, job_id, what, shown, marked))

    def pass_over(self, why: str, count: int = 1) -> None:
        """Something could not be judged, for this reason."""
        self.unjudged[why] += count

    def forgive(self, is_gap: Callable[[Nanoseconds], bool]) -> None:
        """Lines of workers are missing at these times: what hangs on their absence is not judged."""
        forgiven = sum(map(is_gap, self.absences))
        if forgiven:
            self.violations -= forgiven
            self.judged = max(self.judged - forgiven, 0)
            self.pass_over("records of workers are missing there", forgiven)

    @property
    def finding(self) -> Finding:
        """What became of the invariant."""
        return Finding(
            self.name, self.promise, self.judged, self.violations, self.of, dict(self.unjudged)
        )


class Lifecycle(Checker):
    """The chain of moves, held against the table of lifecycles."""

    name = "lifecycle"
    promise = "each move is one that the lifecycle has, from the phase that the one before led to"

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Hold the move against the table."""
        if row.trigger is JobTrigger.CREATED:
            if before is not None:
                self.blame(case, "is created a second time", before, row)
            elif row.phase not in _FIRST_PHASES:
                self.blame(case, f"is created as {row.phase.value}", row)
            return
        if before is None:
            if case.is_known_from_creation and case.last is None:
                self.blame(case, "moves, and the log has no row of its creation", row)
            return
        if before.phase.is_ended:
            return  # `endings` says it
        if row.phase not in _led_to(before.phase, row.trigger):
            self.blame(
                case,
                f"was {before.phase.value}, and {row.trigger.value} made it {row.phase.value}",
                before,
                row,
            )

    def settle(self, case: Case) -> None:
        """Count it."""
        if case.last is not None:
            self.judged += 1


def _led_to(phase: JobPhase, trigger: JobTrigger) -> set[JobPhase]:
    """Return where the trigger leads from a phase that the log knows.

    A job that is offered from its queue is OFFERED in memory alone: the log has it QUEUED.
    """
    phases = {JOB_MOVES[phase].get(trigger)}
    if phase is JobPhase.QUEUED:
        phases.add(JOB_MOVES[JobPhase.OFFERED].get(trigger))
    return {one for one in phases if one is not None}


class Endings(Checker):
    """Ended is for good."""

    name = "endings"
    promise = "a job that has ended never moves again; when the run is over every job has ended"

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Nothing comes after an end."""
        if case.end is not None:
            moved = "moved" if row.phase != case.end.phase else "was ended"
            self.blame(
                case, f"{moved} again after it had ended as {case.end.phase.value}", case.end, row
            )

    def settle(self, case: Case) -> None:
        """Has it ended?"""
        if case.last is None:
            return
        self.judged += 1
        if self.assumptions.is_over and case.end is None:
            self.blame(case, f"has not ended: it is {case.last.phase.value}", case.last)


class Epochs(Checker):
    """The fencing token grows when a job is taken from its holder, and only then."""

    name = "epochs"
    promise = "an epoch never goes back, and grows by one exactly when a job leaves its holder"

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Compare with the row before."""
        if before is None:
            if row.trigger is JobTrigger.CREATED and row.epoch != 1:
                self.blame(case, f"is created at epoch {row.epoch}", row)
            return
        if row.epoch < before.epoch:
            self.blame(case, f"epoch {before.epoch} went back to {row.epoch}", before, row)
            return
        leaves_holder = before.phase.is_held and row.phase.is_waiting
        if leaves_holder and row.epoch == before.epoch:
            self.blame(
                case, f"left its holder, and the next one may have epoch {row.epoch}", before, row
            )
        elif row.epoch != before.epoch + leaves_holder:
            self.blame(case, f"epoch {before.epoch} became {row.epoch}", before, row)

    def settle(self, case: Case) -> None:
        """Count it."""
        if case.last is not None:
            self.judged += 1


class Attempts(Checker):
    """How often a job is tried."""

    name = "attempts"
    promise = "a job is tried no more often than the limit, and its attempts are counted one by one"

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Compare with the row before, and with the limit."""
        first = before is None and row.trigger is JobTrigger.CREATED
        least = 1 if first else before.attempt if before is not None else row.attempt
        grows = before is not None and row.epoch > before.epoch
        if not least <= row.attempt <= least + grows:
            told = "the first" if first else f"attempt {least} became"
            self.blame(case, f"{told} attempt {row.attempt}", before, row)
        if before is not None and grows and before.phase is JobPhase.ORPHANED:
            case.losses += 1
        limit = self.assumptions.attempts_max
        if limit is None or row.attempt <= limit or not (before is None or first or grows):
            return
        if not case.is_known_from_creation or not case.is_whole:
            self.pass_over("it is not known how often it was lost")
            return
        if case.losses:
            limit = self._limit_of_lost(limit, case)
        if row.attempt > limit:
            self.blame(case, f"attempt {row.attempt}, and the limit is {limit}", before, row)

    def _limit_of_lost(self, limit: int, case: Case) -> int:
        """Return the limit of a job of which another may have brought its workers down."""
        losses_max = self.assumptions.losses_max
        excused = limit + case.losses
        return excused if losses_max is None else min(excused, max(limit, losses_max))

    def settle(self, case: Case) -> None:
        """Count it."""
        if case.last is not None:
            self.judged += 1
            if self.assumptions.attempts_max is None:
                self.pass_over("the limit is not known (attempts_max)")


class Restarts(Checker):
    """Jobs that failed, or whose worker was lost: tried again, or not."""

    name = "restarts"
    promise = "a job that failed or was lost is tried again where its restart policy says so, and only there"
    of = "failures and losses"

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Was it given up too early, or tried again though it was not to be?"""
        if row.trigger in _GAVE_UP:
            self._given_up(case, before, row)
        elif row.trigger in _TRIED_AGAIN and before is not None:
            self._tried_again(case, before, row)

    def _given_up(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        limit = self.assumptions.attempts_max
        if limit is None:
            self.pass_over("the limit of attempts is not known (attempts_max)")
        elif row.attempt >= limit:
            self.judged += 1
        elif row.trigger is JobTrigger.FAILED and not row.detail.startswith(REPORTED):
            # A job that may well have run is not run again: who was given it says nothing.
            self.pass_over("nobody said that it failed")
        elif (facts := self._facts(row.job_id)) is None:
            self.pass_over("the restart policy is not known")
        elif facts.deletion_requested_at:
            self.pass_over("its dispatch was deleted")
        else:
            self.judged += 1
            if facts.restart_policy is RestartPolicy.ON_FAILURE:
                self.blame(
                    case,
                    f"was given up at attempt {row.attempt} of {limit}, and it is to be"
                    " tried again on failure",
                    before,
                    row,
                )

    def _tried_again(self, case: Case, before: EventRow, row: EventRow) -> None:
        started = case.starts.get(before.epoch)
        if row.attempt == before.attempt and started is None:
            return  # nobody got it, so that it was not tried
        if (facts := self._facts(row.job_id)) is None:
            self.pass_over("the restart policy is not known")
            return
        self.judged += 1
        if facts.restart_policy is RestartPolicy.NEVER:
            first = started[0] if started is not None else before
            self.blame(case, "was tried again, and its restart policy is NEVER", first, row)

    def _facts(self, job_id: str) -> JobFacts | None:
        return None if self.store is None else self.store.job(job_id)


class SameJob(Checker):
    """What was asked for is written once."""

    name = "config"
    promise = "what a job was asked for never changes: project, dispatch and room"

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Project and dispatch are those of the row before."""
        if before is None:
            return
        if row.project != before.project:
            self.blame(case, f"project {before.project!r} became {row.project!r}", before, row)
        if row.dispatch_id != before.dispatch_id:
            self.blame(
                case, f"dispatch {before.dispatch_id!r} became {row.dispatch_id!r}", before, row
            )

    def settle(self, case: Case) -> None:
        """All who ran it ran it in one room."""
        if case.last is not None:
            self.judged += 1
        for run in case.runs[1:]:
            first = case.runs[0].start
            if run.start.room and first.room and run.start.room != first.room:
                self.blame(case, f"room {first.room!r} became {run.start.room!r}", first, run.start)


class Sequence(Checker):
    """The numbers of the log, and its times."""

    name = "sequence"
    promise = (
        "events are numbered one by one, never twice, and none is missing but what was pruned; their"
        " times go back only where a server is started"
    )
    of = "events"

    def __init__(self, assumptions: Assumptions, store: StoreFacts | None = None) -> None:
        super().__init__(assumptions, store)
        self._last: EventRow | None = None
        # the number that comes next; 0: not known
        self._next = 0
        # where time went back last, and by how much; 0: nowhere that is still to be explained
        self._turned = 0
        self._by: Nanoseconds = 0

    def gone(self, gone: Gone) -> None:
        """Go on behind the gap."""
        self._next = gone.next

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Compare with the number before, and with the time."""
        last, expected = self._last, self._next
        self._last, self._next = row, row.sequence + 1
        self.judged += 1
        if last is None:
            return
        if row.at < last.at:
            self._turned, self._by = row.sequence, last.at - row.at
        if self._turned and before is not None:
            self._look_for_start(case, before, row)
        if row.sequence == expected:
            return
        if row.sequence <= last.sequence:
            self.blame(case, f"number {row.sequence} comes after {last.sequence}", row)
        elif self.assumptions.has_all_projects and row.sequence > expected:
            missing = row.sequence - expected
            self.blame(
                case,
                f"the log lacks {missing} event{'s'[: missing > 1]} before number {row.sequence}",
                row,
            )

    def _look_for_start(self, case: Case, before: EventRow, row: EventRow) -> None:
        """A server that starts says so of each job that a worker has, before all else of it."""
        if before.phase not in _AT_WORK or before.sequence >= self._turned:
            return
        turned, self._turned = self._turned, 0
        if row.detail != RESTARTED:
            what = (
                f"time went back by {self._by / SECOND:.3f} s at number {turned}, and no server was"
                " started there: this job went on"
            )
            self.blame(case, what, before, row)

    def finish(self) -> None:
        """Are the beginning and the end there? Say what could not be judged."""
        if not self.assumptions.has_all_projects and self.judged:
            self.pass_over("other projects have numbers too: gaps cannot be told", self.judged)
        if self.store is None:
            return
        has = self.store.numbers()
        pruned = f"was pruned after number {has.pruned}" if has.pruned else "was ever pruned"
        if has.first > has.pruned + 1:
            self.blame_nobody(
                f"the log begins with number {has.first}, not with {has.pruned + 1}: nothing {pruned}"
            )
        # A log that was pruned altogether is empty; one that has rows has the newest.
        reaches = has.last or has.pruned
        if has.mentioned > reaches:
            missing = has.mentioned - reaches
            why = "pruning takes the oldest" if has.last else f"nothing {pruned}"
            self.blame_nobody(
                f"the log lacks {missing} event{'s'[: missing > 1]} at its end: the store knows of"
                f" number {has.mentioned}, the log ends with {has.last}, and {why}"
            )
