"""The checker of deadlines: what waits for a time is settled soon after it, while a server is there.

The log does not say when a server was there. What it shows is this: between two rows that are close
together no server was stopped and another one started. So time counts only while the log is busy
(`silence_seconds`), and begins anew with each silence, each step back of the clock, and each row by
which a server that starts takes over what it finds; as the server itself counts the grace time of
an orphan anew when it starts. In a log with few events no deadline can be judged, which is said.
"""

from __future__ import annotations

from dispatcher.core.deadlines import Deadlines as DeadlinesByJob
from dispatcher.core.jobs import SECOND, Nanoseconds, seconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history.case import Case
from dispatcher.history.checkers import RESTARTED, Checker
from dispatcher.history.evidence import StoreFacts
from dispatcher.history.verdict import Assumptions
from dispatcher.store.contract import EventRow

# A queued job is looked up in the store only if it waits for longer than most do.
_LOOK_UP_AFTER: Nanoseconds = 30 * SECOND

_TOLD = {
    JobPhase.OFFERED: "on offer",
    JobPhase.QUEUED: "queued",
    JobPhase.DELAYED: "delayed",
    JobPhase.ORPHANED: "an orphan",
}


class Deadlines(Checker):
    """Offers, queues, retries and orphans."""

    name = "deadlines"
    promise = "an offer, a wait in the queue, a retry and an orphan are settled by their deadline"

    def __init__(self, assumptions: Assumptions, store: StoreFacts | None = None) -> None:
        super().__init__(assumptions, store)
        self._slack = seconds(assumptions.slack_seconds)
        self._silence = seconds(assumptions.silence_seconds)
        queue = assumptions.queue_seconds_max
        self._queue: Nanoseconds | None = None if queue is None else seconds(queue)
        # how long each phase may last
        self._bounds: dict[JobPhase, Nanoseconds] = {
            JobPhase.OFFERED: seconds(assumptions.offer_seconds_max),
            JobPhase.DELAYED: seconds(assumptions.retry_seconds_max),
            JobPhase.ORPHANED: seconds(assumptions.grace_seconds_max),
        }
        if self._queue is not None:
            self._bounds[JobPhase.QUEUED] = self._queue
        elif store is not None:
            self._bounds[JobPhase.QUEUED] = _LOOK_UP_AFTER
        # since when the log shows without a break that a server was there
        self._since: Nanoseconds = 0
        self._now: Nanoseconds = 0
        # when to look at a job that waits, and its case
        self._looks: DeadlinesByJob[str] = DeadlinesByJob()
        self._waiting: dict[str, Case] = {}
        # jobs whose wait was blamed
        self._late: set[str] = set()

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """Time passes; a wait ends, another begins."""
        if not self._now <= row.at <= self._now + self._silence or row.detail == RESTARTED:
            self._since = row.at
        self._now = row.at
        while (job_id := self._looks.pop_due(self._now)) is not None:
            if job_id != row.job_id:
                self._look(self._waiting[job_id])
        if before is not None:
            self._waited(before, row)
        self._looks.cancel(row.job_id)
        self._waiting.pop(row.job_id, None)
        self._late.discard(row.job_id)
        bound = self._bounds.get(row.phase)
        if bound is not None and not _has_unknown_bound(row):
            self._waiting[row.job_id] = case
            self._looks.schedule(row.job_id, row.at + bound + self._slack)

    def _look(self, case: Case) -> None:
        """Has a server been there for all of the time of this wait, which is still not over?"""
        row = case.last
        assert row is not None, "a job that waits has a row"
        bound = self._bound_of(row)
        if bound is None:
            self.pass_over("its deadline is not known")
            return
        self._judge(case, row, row.at + bound)

    def _judge(self, case: Case, row: EventRow, until: Nanoseconds) -> None:
        """Blame, or look again when it may be."""
        due = self._due(row, until)
        if due <= self._now:
            self._late.add(row.job_id)
            self.judged += 1
            late = (self._now - due + self._slack) / SECOND
            self.blame(
                case,
                f"is {_TOLD[row.phase]} {late:.1f} s after its deadline, and the server was there",
                row,
            )
        else:
            self._looks.schedule(row.job_id, due)

    def _due(self, row: EventRow, until: Nanoseconds) -> Nanoseconds:
        """When a wait that ends at `until` is certainly late."""
        if row.phase is JobPhase.ORPHANED:  # a server that starts counts anew
            return max(until, self._since + until - row.at) + self._slack
        return max(until, self._since) + self._slack

    def _bound_of(self, row: EventRow) -> Nanoseconds | None:
        if row.phase is not JobPhase.QUEUED or self._queue is not None:
            return self._bounds[row.phase]
        facts = None if self.store is None else self.store.job(row.job_id)
        return None if facts is None else facts.queue_time

    def _waited(self, before: EventRow, row: EventRow) -> None:
        """A wait is over: count it, as judged or not."""
        bound = self._bounds.get(before.phase)
        if bound is None or _has_unknown_bound(before) or row.job_id in self._late:
            return
        if before.phase is JobPhase.QUEUED and self._queue is None:
            if row.at - before.at < bound + self._slack:
                self.judged += 1  # a moment, of which no queue is too short
                return
            known = self._bound_of(before)
            if known is None:
                self.pass_over("its deadline is not known")
                return
            bound = known
        if row.at <= before.at + bound + self._slack:
            self.judged += 1
        else:
            self.pass_over("it was late, and the server may have been away")

    def settle(self, case: Case) -> None:
        """One that still waits is held against what the store knows of its deadline."""
        row = case.last
        if row is None or row.phase not in _TOLD or self.store is None:
            return
        if row.job_id in self._late:
            return
        facts = self.store.job(row.job_id)
        if facts is None or facts.last_event != row.sequence or not facts.until:
            return
        if facts.until + self._slack > self._now:
            self.judged += 1
        elif self._due(row, facts.until) <= self._now:
            self._judge(case, row, facts.until)
        else:
            self.pass_over("it is late, and the server may be away")


def _has_unknown_bound(row: EventRow) -> bool:
    """Was the job asked for at a time that the log does not say?"""
    return row.phase is JobPhase.DELAYED and row.trigger is JobTrigger.CREATED
