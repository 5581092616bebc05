"""Checkers of what workers are promised, and of what is promised about them: grace, capacity, offers.

A row of the log tells when its batch was handed to the store, which is later than its move was
decided. How much later is shown by the log itself, where it is busy: a batch takes all that waits,
so what is in it was decided after the batch before it was taken, which is after the one before that
was; only unhurried moves (`core/commit.py`) may wait on, while there are some in each batch. Where
the log is quiet, `commit_seconds_max` is the bound.

Left to others: that an orphan is settled at all (`deadline_checkers`).
"""

from __future__ import annotations

from collections.abc import Mapping

from dispatcher.core.commit import UNHURRIED
from dispatcher.core.jobs import SECOND, Nanoseconds, seconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history.case import Case, Run
from dispatcher.history.checkers import Checker
from dispatcher.history.evidence import Gone, MissingRecords, StoreFacts, WorkerRecord
from dispatcher.history.verdict import Assumptions
from dispatcher.store.contract import EventRow

# moves by which a job that is held for its worker goes elsewhere
_TAKEN_AWAY = frozenset({JobTrigger.GRACE_EXPIRED, JobTrigger.GAVE_UP_LOST, JobTrigger.RETRIED})
# A grace time that is shorter by so little was kept: a busy disk makes as much of a difference.
_NEAR: Nanoseconds = SECOND // 4
_RUNS = frozenset({JobPhase.ASSIGNED, JobPhase.RUNNING})


class Grace(Checker):
    """Jobs of workers that are away."""

    name = "grace"
    promise = "an orphan is held for the grace time of its worker, unless there is evidence that it is gone"
    of = "orphans"

    def __init__(self, assumptions: Assumptions, store: StoreFacts | None = None) -> None:
        super().__init__(assumptions, store)
        shortest = assumptions.grace_seconds_min
        self._shortest = None if shortest is None else seconds(shortest)
        self._commit = seconds(assumptions.commit_seconds_max)
        self._silence = seconds(assumptions.silence_seconds)
        # by worker, when it was asked for
        self._graces: Mapping[str, Nanoseconds] | None = None
        # by job: the row that made it an orphan, and since when it may have been one
        self._orphans: dict[str, tuple[EventRow, Nanoseconds]] = {}
        # The batch whose rows come now: its time, its rows and how many of them are unhurried; the
        # time of the one before; what is in a later one was decided after `_decided_after`.
        self._batch_at: Nanoseconds = 0
        self._rows = self._unhurried = 0
        self._batch_before: Nanoseconds = 0
        self._decided_after: Nanoseconds = 0
        # when the log was last silent for so long that a server may have been started in it
        self._silent_until: Nanoseconds = 0

    def gone(self, gone: Gone) -> None:
        """What became of the orphans is not known."""
        self._orphans.clear()

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """A job becomes an orphan, or is one no longer."""
        self._note_batch(row)
        orphan = self._orphans.pop(row.job_id, None)
        if orphan is not None and row.trigger in _TAKEN_AWAY:
            self._judge(case, *orphan, row)
        if row.phase is JobPhase.ORPHANED:
            after = max(self._decided_after, row.at - self._commit)
            self._orphans[row.job_id] = row, min(after, row.at)

    def _note_batch(self, row: EventRow) -> None:
        if row.at < self._batch_at:
            self._turned_back()
        if row.at > self._batch_at + self._silence:
            self._silent_until = row.at
        if row.at != self._batch_at:
            if not self._unhurried and self._rows < self.assumptions.moves_a_commit:
                self._decided_after = self._batch_before
            self._batch_before, self._batch_at = self._batch_at, row.at
            self._rows = self._unhurried = 0
        self._rows += 1
        self._unhurried += row.trigger in UNHURRIED

    def _turned_back(self) -> None:
        """Another run of a server began, by a clock that was set back: times do not compare."""
        if self._orphans:
            self.pass_over("the clock was set back meanwhile", len(self._orphans))
        self._orphans.clear()
        self._batch_at = self._batch_before = self._decided_after = self._silent_until = 0

    def _judge(self, case: Case, orphan: EventRow, since: Nanoseconds, row: EventRow) -> None:
        grace = self._grace_of(orphan.worker_id)
        if _has_evidence(row):
            self.judged += 1
        elif not self.assumptions.has_all_projects:
            self.pass_over("other projects have events, too: how late rows are cannot be told")
        elif grace is None:
            self.pass_over("the grace time of its worker is not known (grace_seconds_min)")
        elif row.at - orphan.at >= grace - _NEAR:
            self.judged += 1
        elif row.at - since >= grace:
            self.pass_over("its loss may have been written down late")
        elif self._silent_until > orphan.at:
            # It counts the grace time anew, and its clock may have been set back.
            self.pass_over("the log was silent: a server may have been started by another clock")
        else:
            self.judged += 1
            held = (row.at - orphan.at) / SECOND
            what = (
                f"was held for {held:.3f} s, and the grace time of {orphan.worker_id} is"
                f" {grace / SECOND:g} s"
            )
            self.blame(case, what, orphan, row)

    def _grace_of(self, worker_id: str) -> Nanoseconds | None:
        if self._graces is None:
            self._graces = {} if self.store is None else self.store.graces()
        return self._graces.get(worker_id, self._shortest)


def _has_evidence(row: EventRow) -> bool:
    """Does the row say why its worker was not waited for? (core/holding.py: `_lost_for_good`)"""
    if row.trigger is JobTrigger.GAVE_UP_LOST:
        return bool(row.detail)
    return bool(row.detail.partition("; ")[2])


class Capacity(Checker):
    """How much one worker has at once."""

    name = "capacity"
    promise = "no worker is given more jobs, or runs more, at once than it may have"
    of = "assignments and starts"

    def __init__(self, assumptions: Assumptions, store: StoreFacts | None = None) -> None:
        super().__init__(assumptions, store)
        self._given = 0
        # the worker of each job that one has, and the jobs of each
        self._holders: dict[str, str] = {}
        self._jobs: dict[str, set[str]] = {}
        # runs that are not over, by process
        self._running: dict[tuple[str, Nanoseconds], dict[Run, None]] = {}

    # --- by the log ---

    def gone(self, gone: Gone) -> None:
        """Who has what is learned anew."""
        self._holders.clear()
        self._jobs.clear()

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Count the jobs of each worker, and look when it is given one.

        A claim may bring a worker more than it may have: it has them already.
        """
        is_given = row.trigger is JobTrigger.OFFER_ACCEPTED
        self._given += is_given
        capacity = self.assumptions.capacity
        if capacity is None:
            return
        self._let_go(row.job_id)
        if row.phase not in _RUNS or not row.worker_id:
            return
        self._holders[row.job_id] = row.worker_id
        jobs = self._jobs.setdefault(row.worker_id, set())
        jobs.add(row.job_id)
        if is_given:
            self.judged += 1
            if len(jobs) > capacity:
                has = f"{row.worker_id} was given a job, and has {len(jobs)} at once"
                self.blame(case, f"{has} (limit {capacity})", row)

    def _let_go(self, job_id: str) -> None:
        holder = self._holders.pop(job_id, None)
        if holder is not None:
            jobs = self._jobs[holder]
            jobs.discard(job_id)
            if not jobs:
                del self._jobs[holder]

    # --- by the workers' records ---

    def record(self, case: Case, record: WorkerRecord) -> None:
        """Count the runs of each process that says how many it may have."""
        if record.event == "end":
            run = next((one for one in reversed(case.runs) if one.end is record), None)
            if run is not None:
                self._over(run)
        elif record.event == "start" and record.capacity:
            self.judged += 1
            runs = self._running.setdefault(_process_of(record), {})
            runs[case.runs[-1]] = None
            if len(runs) > record.capacity:
                what = (
                    f"{record.instance_id} ran {len(runs)} jobs at once (limit {record.capacity})"
                )
                self.blame(case, what, record)

    def missing(self, missing: MissingRecords) -> None:
        """Ends may be missing: what runs is learned anew."""
        self._running.clear()

    def settle(self, case: Case) -> None:
        """Ends that come later are not heard."""
        for run in case.runs:
            if run.end is None:
                self._over(run)

    def _over(self, run: Run) -> None:
        runs = self._running.get(_process_of(run.start))
        if runs is not None:
            runs.pop(run, None)
            if not runs:
                del self._running[_process_of(run.start)]

    def finish(self) -> None:
        """Say what could not be judged."""
        unjudged = self._given - self.judged
        if self.assumptions.capacity is None and unjudged > 0:
            why = "the limit is not known (capacity), and no record of its worker says it"
            self.pass_over(why, unjudged)


def _process_of(record: WorkerRecord) -> tuple[str, Nanoseconds]:
    return record.instance_id, record.opened_at


class Offers(Checker):
    """What no log shows: it is named, so that nobody takes it for judged."""

    name = "offers"
    promise = "a queued job is offered within a bound where a worker of its lane is free"

    def __init__(self, assumptions: Assumptions, store: StoreFacts | None = None) -> None:
        super().__init__(assumptions, store)
        self._jobs = 0

    def settle(self, case: Case) -> None:
        """Count it."""
        self._jobs += case.last is not None

    def finish(self) -> None:
        """Say why it is not judged."""
        if self._jobs:
            why = "the log has neither offers nor who was free: only the simulator judges it"
            self.pass_over(why, self._jobs)
