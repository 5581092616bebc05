"""Checkers of who held and ran a job: the log's word, and what the workers wrote down themselves.

The promises of records (`worker_sdk/records.py`): a line is written before the program goes on, so a
run that is reported as a success has its end written down, and each line outlives its worker.
"""

from __future__ import annotations

from dispatcher.core.jobs import SECOND, Nanoseconds, seconds
from dispatcher.core.lifecycle import HELD, JOB_MOVES, JobPhase, JobTrigger
from dispatcher.history.case import Case, Run
from dispatcher.history.checkers import REPORTED, Checker
from dispatcher.history.evidence import StoreFacts, WorkerRecord
from dispatcher.history.verdict import Assumptions
from dispatcher.store.contract import EventRow

SUCCESS = "success"
# what core/holding.py writes of a failure that its worker reported, and that is tried again
FAILED_ON = "failed on "
NO_LOG = "no log of its worker"
READ_EARLIER = "its worker's log was read before its end"
# moves by which a job comes to a worker, or back to its own, which has a new id then
_COMES_TO_WORKER = frozenset(
    {
        JobTrigger.OFFER_ACCEPTED,
        *(move for move, phase in JOB_MOVES[JobPhase.ORPHANED].items() if phase in HELD),
    }
)
# moves that a worker asks for
_IS_HEARD = frozenset({JobTrigger.OFFER_ACCEPTED, JobTrigger.STARTED, JobTrigger.CLAIMED})
# A process that was suspended has a moment to do what it was told before.
_WAKING: Nanoseconds = SECOND


class Holders(Checker):
    """One epoch, one holder."""

    name = "holders"
    promise = "one epoch of a job is given to one worker, and is started by one process, once"

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """A worker accepts a job once an epoch."""
        accepted = case.accepted
        if row.trigger is not JobTrigger.OFFER_ACCEPTED:
            return
        if accepted is not None and accepted.epoch == row.epoch:
            self.blame(
                case,
                f"epoch {row.epoch} was given to {accepted.worker_id} and to {row.worker_id}",
                accepted,
                row,
            )
        elif (
            before is not None
            and before.phase is JobPhase.OFFERED
            and before.worker_id != row.worker_id
        ):
            self.blame(
                case,
                f"was reserved for {before.worker_id}, and given to {row.worker_id}",
                before,
                row,
            )

    def settle(self, case: Case) -> None:
        """Each epoch was started once."""
        if case.last is not None or case.runs:
            self.judged += 1
        first: dict[int, Run] = {}
        for run in case.runs:
            epoch = run.start.epoch
            other = first.setdefault(epoch, run)
            if epoch and other is not run:
                mine, its = run.start.instance_id, other.start.instance_id
                by = f"twice by {mine}" if mine == its else f"by {its} and by {mine}"
                self.blame(case, f"epoch {epoch} was started {by}", other.start, run.start)


class Results(Checker):
    """Who ends a job is who holds it, and it ends as that one says."""

    name = "results"
    promise = (
        "no result of an older epoch counts: who starts and ends a job is its holder, and a job ends"
        " as its worker wrote it down"
    )

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """The worker is the one of the row before."""
        if row.trigger is JobTrigger.FAILED and row.detail.startswith(REPORTED):
            case.failures[row.epoch] = row
        elif row.trigger is JobTrigger.RETRIED and row.detail.startswith(FAILED_ON):
            case.failures[row.epoch - 1] = row
        if before is None or row.trigger in _COMES_TO_WORKER:
            return
        was_given = before.phase in HELD or before.phase is JobPhase.OFFERED
        stays = row.phase in HELD or row.phase.is_ended
        if was_given and stays and row.worker_id and row.worker_id != before.worker_id:
            self.blame(
                case,
                f"{row.trigger.value} by {row.worker_id}, and its holder is {before.worker_id}",
                before,
                row,
            )

    def settle(self, case: Case) -> None:
        """A reported success was one, at that epoch, and a reported failure none."""
        for epoch, row in case.failures.items():
            self._failed(case, epoch, row)
        end = case.end
        if end is None:
            return
        self.judged += 1
        if end.trigger is JobTrigger.SUCCEEDED and end.detail == REPORTED:
            self._succeeded(case, end)

    def _succeeded(self, case: Case, end: EventRow) -> None:
        until = self.assumptions.records_until
        if until and end.at > until:
            self.pass_over(READ_EARLIER)
            return
        runs = [run for run in case.runs if run.start.epoch == end.epoch]
        if any(run.end is not None and run.end.outcome == SUCCESS for run in runs):
            return
        ended = next((run.end for run in runs if run.end is not None), None)
        if runs or self.assumptions.has_all_workers:
            older = next(
                (run.end for run in case.runs if run.end and run.end.outcome == SUCCESS), None
            )
            told = f"; epoch {older.epoch} was finished" if older is not None else ""
            self.blame(
                case,
                f"succeeded at epoch {end.epoch}, and no worker finished that{told}",
                end,
                older or ended or (runs[0].start if runs else None),
                absent_at=0 if ended is not None else end.at,
            )
        else:
            self.pass_over(NO_LOG)

    def _failed(self, case: Case, epoch: int, row: EventRow) -> None:
        """Its worker did not write down before that it was a success."""
        runs = [run for run in case.runs if run.start.epoch == epoch]
        ends = [run.end for run in runs if run.end is not None and run.end.at <= row.at]
        if not ends:
            self.pass_over("no end in its worker's log before it" if runs else NO_LOG)
            return
        # Who was told to stop, and does not in time, is reported as failed, whatever comes then.
        if any(run.stop is not None for run in runs):
            return
        if all(end.outcome == SUCCESS for end in ends):
            what = f"failed at epoch {epoch} by its worker's report, and that finished it"
            self.blame(case, what, ends[0], row)


class Starts(Checker):
    """What runs by the log's word ran."""

    name = "starts"
    promise = "a job that the log calls started was started: a worker wrote that down itself"
    of = "starts"

    def __init__(self, assumptions: Assumptions, store: StoreFacts | None = None) -> None:
        super().__init__(assumptions, store)
        self._start = seconds(assumptions.start_seconds_max)
        self._loss = seconds(assumptions.loss_seconds_max)
        self._now: Nanoseconds = 0
        # when each worker was heard last
        self._heard: dict[str, Nanoseconds] = {}

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Note a start, what came next, and signs of life."""
        self._now = max(row.at, self._now)
        if before is not None and before.trigger is JobTrigger.STARTED:
            case.starts[before.epoch] = before, row
        if row.trigger is JobTrigger.STARTED:
            case.starts[row.epoch] = row, None
        if row.worker_id and (row.trigger in _IS_HEARD or row.detail == REPORTED):
            self._heard[row.worker_id] = row.at

    def settle(self, case: Case) -> None:
        """Each start was written down, where all workers write."""
        epochs = {run.start.epoch for run in case.runs}
        until = self.assumptions.records_until
        for epoch, (row, following) in case.starts.items():
            if epoch in epochs:
                self.judged += 1
            elif not self.assumptions.has_all_workers:
                self.pass_over(NO_LOG)
            elif 0 in epochs:
                self.pass_over("its worker did not know the epoch")
            elif until and row.at > until:
                self.pass_over("its worker's log was read before its start")
            elif not self._had_time(row, following):
                self.pass_over("its worker may not have come to write it down")
            else:
                self.judged += 1
                what = f"epoch {epoch} was started by the log, and no worker wrote that down"
                self.blame(case, what, row, absent_at=row.at)

    def _had_time(self, row: EventRow, following: EventRow | None) -> bool:
        """Did the worker live on for long enough to write the start down?"""
        if following is not None and following.detail == REPORTED:
            return True
        if self._heard.get(row.worker_id, 0) - row.at >= self._start:
            return True
        gone_at = self._now if following is None else following.at
        return gone_at - row.at >= self._loss


class Durable(Checker):
    """What runs is in the log."""

    name = "durable"
    promise = "a worker runs only what the log has given away: nothing is sent before it is durable"
    of = "runs"

    def __init__(self, assumptions: Assumptions, store: StoreFacts | None = None) -> None:
        super().__init__(assumptions, store)
        # the time that the log covers
        self._first_at: Nanoseconds = 0
        self._last_at: Nanoseconds = 0

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Note the time that the log covers."""
        if not self._first_at:
            self._first_at = row.at
        self._last_at = max(self._last_at, row.at)

    def settle(self, case: Case) -> None:
        """Each run has a row that gave it."""
        for run in case.runs:
            start = run.start
            if case.last is None:
                if not self.assumptions.has_all_projects:
                    self.pass_over("may be of another project")
                elif self._first_at <= start.at <= self._last_at:
                    self.judged += 1
                    self.blame(case, "was run, and the log has nothing of it", start)
                else:
                    self.pass_over("the log does not cover its time")
            elif not start.epoch:
                self.pass_over("its worker did not know the epoch")
            elif case.is_known_from_creation and case.is_whole:
                self.judged += 1
                if not case.given_epochs >> start.epoch & 1:
                    self.blame(
                        case,
                        f"epoch {start.epoch} was run, and the log gave it to nobody",
                        case.last,
                        start,
                    )
            else:
                self.pass_over("rows of its job are gone")


class Stops(Checker):
    """Who is told to stop, stops."""

    name = "stops"
    promise = "a worker that is told to stop a job stops it within the bound"
    of = "orders"

    def __init__(self, assumptions: Assumptions, store: StoreFacts | None = None) -> None:
        super().__init__(assumptions, store)
        self._bound = seconds(assumptions.stop_seconds_max)
        # by process: runs that were told to stop -> case, and when the process lived past the bound
        self._open: dict[str, dict[Run, tuple[Case, Nanoseconds]]] = {}

    def record(self, case: Case, record: WorkerRecord) -> None:
        """Every line of a process is a sign of its life."""
        stopping = self._open.setdefault(record.instance_id, {})
        if record.event == "stop":
            run = next((one for one in case.runs if one.stop is record), None)
            if run is not None:
                self.judged += 1
                stopping[run] = (case, 0)
        for run, (its_case, lived_at) in list(stopping.items()):
            stop = run.stop
            assert stop is not None, "only who was told to stop is here"
            if lived_at and record.at >= lived_at + _WAKING:
                del stopping[run]
                late = (record.at - stop.at) / SECOND
                self.blame(
                    its_case,
                    f"{record.instance_id} was told to stop epoch {stop.epoch}, and ran it"
                    f" still after {late:.1f} s (bound {self._bound / SECOND:g} s)",
                    stop,
                    record,
                )
            elif run.end is not None:
                del stopping[run]
            elif not lived_at and record.at > stop.at + self._bound:
                stopping[run] = (its_case, record.at)
        if not stopping:
            del self._open[record.instance_id]
