"""`check`: a history, judged by every checker, in one pass and with little memory.

Events come in the order of the log, records in the order in which each worker wrote them; both are
merged by time, which need not be exact: a case stays open for a while after its job has ended, and
what is decided from both sides is decided when it is settled. What is remembered are the jobs in
flight, a bounded number of ended ones, and a bitmap of those that were settled.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from heapq import merge

from dispatcher.core.jobs import Nanoseconds, seconds
from dispatcher.core.lifecycle import HELD, JobPhase, JobTrigger
from dispatcher.history.case import Case, Run
from dispatcher.history.checkers import (
    Attempts,
    Checker,
    Endings,
    Epochs,
    Lifecycle,
    Restarts,
    SameJob,
    Sequence,
)
from dispatcher.history.deadline_checkers import Deadlines
from dispatcher.history.evidence import (
    Acknowledgement,
    Gone,
    MissingRecords,
    StoreFacts,
    WorkerRecord,
)
from dispatcher.history.run_checkers import Durable, Holders, Results, Starts, Stops
from dispatcher.history.store_checkers import Acknowledged, Kept
from dispatcher.history.verdict import Assumptions, Verdict, Violation
from dispatcher.history.worker_checkers import Capacity, Grace, Offers
from dispatcher.store.contract import EventRow

_GIVEN = HELD | {JobPhase.OFFERED}
# A bit for each settled job, by its id's hash: a late word about one is no word about an unknown one.
_SETTLED_BITS = 1 << 24


def check(
    events: Iterable[EventRow | Gone],
    worker_records: Iterable[WorkerRecord | MissingRecords] = (),
    acknowledged: Iterable[Acknowledgement] = (),
    *,
    store: StoreFacts | None = None,
    assumptions: Assumptions = Assumptions(),  # noqa: B008 (frozen)
) -> Verdict:
    """Judge a history: the event log in its order, and what workers and callers wrote down.

    Where the log is a part of what there was (pruned, or read from a number on), say so with a
    `Gone` in its place: without one, rows that are missing are violations. Read workers' and callers'
    logs before the events (as far as they went then): what they have is to be in the log by then.
    `store` answers questions about jobs; without one, what hangs on it is not judged. Where records
    are missing (`MissingRecords`), no violation is found in that a worker did not write something.

    All is done when it returns; the iterables are consumed once, and nothing else is read or kept.
    """
    court = _Court(assumptions, store, acknowledged)
    for item in _merged(events, worker_records):
        match item:
            case EventRow():
                court.event(item)
            case WorkerRecord():
                court.record(item)
            case Gone():
                court.gone(item)
            case MissingRecords():
                court.missing(item)
    return court.verdict()


Item = EventRow | Gone | WorkerRecord | MissingRecords


def _merged(
    events: Iterable[EventRow | Gone], records: Iterable[WorkerRecord | MissingRecords]
) -> Iterator[Item]:
    """Return both by time; a gap stays before the row that follows it."""
    first = next(iter_records := iter(records), None)
    if first is None:
        yield from events
        return
    for _, _, item in merge(_timed_events(events), _timed_records(first, iter_records)):
        yield item


def _timed_events(
    events: Iterable[EventRow | Gone],
) -> Iterator[tuple[Nanoseconds, int, Item]]:
    at: Nanoseconds = 0
    for place, item in enumerate(events):
        at = item.at if isinstance(item, EventRow) else at
        yield at, place * 2, item


def _timed_records(
    first: WorkerRecord | MissingRecords, others: Iterator[WorkerRecord | MissingRecords]
) -> Iterator[tuple[Nanoseconds, int, Item]]:
    yield first.at, 1, first
    for place, record in enumerate(others, 1):
        yield record.at, place * 2 + 1, record


class _Court:
    """The cases, and the checkers that are told of them."""

    def __init__(
        self,
        assumptions: Assumptions,
        store: StoreFacts | None,
        acknowledged: Iterable[Acknowledgement],
    ) -> None:
        self._assumptions = assumptions
        callers = Acknowledged(assumptions, store, acknowledged)
        judges = (Lifecycle, Endings, Epochs, Holders, Results, Durable, Starts, Stops, SameJob)
        others = (Attempts, Restarts, Deadlines, Grace, Capacity, Offers, Sequence)
        self._checkers: list[Checker] = [
            callers,
            Kept(assumptions, store),
            *(judge(assumptions, store) for judge in (*judges, *others)),
        ]
        self._on_event = [one.event for one in self._checkers if _has(one, "event")]
        self._on_record = [one.record for one in self._checkers if _has(one, "record")]
        self._on_settle = [one.settle for one in self._checkers if _has(one, "settle")]
        self._on_gone = [one.gone for one in self._checkers if _has(one, "gone")]
        self._on_missing = [one.missing for one in self._checkers if _has(one, "missing")]
        self._open: dict[str, Case] = {}
        # those of ended jobs, the first to end first
        self._ended: OrderedDict[str, Case] = OrderedDict()
        self._settled = bytearray(_SETTLED_BITS // 8)
        self._violations: list[Violation] = []
        # violations of a line that is not there, and when it should have been written
        self._absent: list[tuple[Violation, Nanoseconds]] = []
        self._missing: list[MissingRecords] = []
        self._gone: list[Gone] = []
        self._first: EventRow | None = None
        self._last: EventRow | None = None
        self._events = self._records = self._jobs = self._ended_jobs = 0
        self._acknowledged = callers.acknowledged

    # --- what is heard ---

    def event(self, row: EventRow) -> None:
        """Take in the next row."""
        if self._first is None:
            self._first = row
            if row.sequence > 1 and not self._gone and self._assumptions.has_all_projects:
                self.gone(Gone(0, row.sequence))
        self._last = row
        self._events += 1
        case = self._case(row.job_id)
        before = case.last
        if before is None:
            self._jobs += 1
            case.is_known_from_creation = row.trigger is JobTrigger.CREATED or not self._gone
        elif not case.is_whole and row.sequence > self._gone[-1].after >= before.sequence:
            before = None  # what was between them is not known
        for tell in self._on_event:
            tell(case, before, row)
        case.add(row)
        if row.phase in _GIVEN:
            case.given_epochs |= 1 << min(row.epoch, 4096)
        if row.trigger is JobTrigger.OFFER_ACCEPTED:
            case.accepted = row
        if row.phase.is_ended and case.end is None:
            case.end = row
            self._ended_jobs += 1
            self._close(case)

    def record(self, record: WorkerRecord) -> None:
        """Take in the next line of a worker."""
        self._records += 1
        case = self._open.get(record.job_id) or self._ended.get(record.job_id)
        if case is None:
            if self._is_settled(record.job_id):
                return
            case = self._case(record.job_id)
        run = None if record.event == "start" else case.run_of(record)
        if run is None:
            if record.event != "start":
                return  # its start was written before this log begins
            case.runs.append(Run(record))
        elif record.event == "stop":
            run.stop = run.stop or record
        else:
            run.end = record
        for tell in self._on_record:
            tell(case, record)

    def gone(self, gone: Gone) -> None:
        """Rows are missing here."""
        self._gone.append(gone)
        for case in (*self._open.values(), *self._ended.values()):
            case.is_whole = False
        for tell in self._on_gone:
            tell(gone)

    def missing(self, missing: MissingRecords) -> None:
        """Lines of workers are missing here."""
        self._missing.append(missing)
        for tell in self._on_missing:
            tell(missing)

    def verdict(self) -> Verdict:
        """Settle everything, and say what was found."""
        for case in (*self._ended.values(), *self._open.values()):
            self._settle(case)
        self._ended.clear()
        self._open.clear()
        if self._missing:
            for checker in self._checkers:
                checker.forgive(self._is_gap)
        self._violations += [one for one, at in self._absent if not self._is_gap(at)]
        for checker in self._checkers:
            checker.finish()
            self._violations += checker.loose
        first, last = self._first, self._last
        return Verdict(
            findings=tuple(checker.finding for checker in self._checkers),
            violations=tuple(self._violations),
            events=self._events,
            jobs=self._jobs,
            ended_jobs=self._ended_jobs,
            records=self._records,
            acknowledged=self._acknowledged,
            first_sequence=first.sequence if first is not None else 0,
            last_sequence=last.sequence if last is not None else 0,
            first_at=first.at if first is not None else 0,
            last_at=last.at if last is not None else 0,
            gone=tuple(self._gone),
            missing_records=sum(one.count for one in self._missing),
            torn_lines=sum(not one.count for one in self._missing),
        )

    def _is_gap(self, at: Nanoseconds) -> bool:
        """May a line that is missing be one of this time, of the server's clock?"""
        apart = seconds(self._assumptions.clocks_differ_seconds)
        return any(one.since - apart <= at <= one.at + apart for one in self._missing)

    # --- cases ---

    def _case(self, job_id: str) -> Case:
        case = self._open.get(job_id) or self._ended.get(job_id)
        if case is None:
            case = self._open[job_id] = Case(job_id)
        return case

    def _close(self, case: Case) -> None:
        """Its job has ended: keep it for late words, and settle the one that has waited longest."""
        del self._open[case.job_id]
        self._ended[case.job_id] = case
        if len(self._ended) > self._assumptions.ended_jobs_remembered_max:
            _, oldest = self._ended.popitem(last=False)
            self._settle(oldest)

    def _settle(self, case: Case) -> None:
        for tell in self._on_settle:
            tell(case)
        bit = hash(case.job_id) % _SETTLED_BITS
        self._settled[bit >> 3] |= 1 << (bit & 7)
        if case.drafts:
            timeline = tuple(case.timeline())
            places = {id(one): place for place, one in enumerate(timeline)}
            for draft in case.drafts:
                marked = frozenset(places[id(one)] for one in draft.marked if id(one) in places)
                violation = Violation(draft.invariant, case.job_id, draft.what, timeline, marked)
                if draft.absent_at:
                    self._absent.append((violation, draft.absent_at))
                else:
                    self._violations.append(violation)

    def _is_settled(self, job_id: str) -> bool:
        bit = hash(job_id) % _SETTLED_BITS
        return bool(self._settled[bit >> 3] & 1 << (bit & 7))


def _has(checker: Checker, hook: str) -> bool:
    """Is the checker interested in this?"""
    return getattr(type(checker), hook) is not getattr(Checker, hook)
