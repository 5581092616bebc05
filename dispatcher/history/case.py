"""All that is known of one job while it is looked at: small, because many jobs are in flight.

A case is open from the first word about its job until the job has ended and so many others have
ended after it that no late word is to be expected (`Assumptions.ended_jobs_remembered_max`).
"""

from __future__ import annotations

from dispatcher.core.jobs import Nanoseconds
from dispatcher.history.evidence import WorkerRecord
from dispatcher.history.verdict import Evidence
from dispatcher.store.contract import EventRow

# Of a job with more events than both together, those in between are not kept.
FIRST_EVENTS_KEPT = 6
LAST_EVENTS_KEPT = 18


class Run:
    """One run of a job in one worker process, as the worker wrote it down."""

    __slots__ = ("end", "start", "stop")

    def __init__(self, start: WorkerRecord) -> None:
        self.start = start
        self.stop: WorkerRecord | None = None
        self.end: WorkerRecord | None = None


class Draft:
    """A violation whose timeline is not yet complete."""

    __slots__ = ("absent_at", "invariant", "marked", "what")

    def __init__(
        self, invariant: str, what: str, marked: tuple[Evidence, ...], absent_at: Nanoseconds
    ) -> None:
        self.invariant = invariant
        self.what = what
        self.marked = marked
        # when a line should have been written that is not there; 0: it is not about one
        self.absent_at = absent_at


class Case:
    """One job: its events, and its runs."""

    __slots__ = (
        "accepted",
        "drafts",
        "end",
        "events",
        "failures",
        "given_epochs",
        "is_known_from_creation",
        "is_whole",
        "job_id",
        "last",
        "losses",
        "runs",
        "starts",
    )

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        # the rows that are kept, in order
        self.events: list[EventRow] = []
        self.last: EventRow | None = None
        # its first row is that of its creation, or it should be
        self.is_known_from_creation = True
        # no row between the first and the last can be missing
        self.is_whole = True
        # the row that ended it
        self.end: EventRow | None = None
        # the last row by which a worker accepted it
        self.accepted: EventRow | None = None
        # epochs at which a worker may have had it, as bits
        self.given_epochs = 0
        # how often it was lost with its worker, and was tried again
        self.losses = 0
        # by epoch: the row by which a worker said that it failed; the one by which it said that it
        # runs, with the row after that
        self.failures: dict[int, EventRow] = {}
        self.starts: dict[int, tuple[EventRow, EventRow | None]] = {}
        self.runs: list[Run] = []
        self.drafts: list[Draft] = []

    def add(self, row: EventRow) -> None:
        """Take in its next row."""
        self.last = row
        self.events.append(row)
        if len(self.events) > FIRST_EVENTS_KEPT + LAST_EVENTS_KEPT:
            del self.events[FIRST_EVENTS_KEPT]

    def run_of(self, record: WorkerRecord) -> Run | None:
        """Return the newest run that a stop or an end is about."""
        for run in reversed(self.runs):
            start = run.start
            if (
                start.instance_id == record.instance_id
                and start.epoch == record.epoch
                and run.end is None
            ):
                return run
        return None

    def timeline(self) -> list[Evidence]:
        """Return all that is known, in the order of the log, records at their times between."""
        records: list[WorkerRecord] = []
        for run in self.runs:
            records += [one for one in (run.start, run.stop, run.end) if one is not None]
        records.sort(key=lambda record: record.at)
        timeline: list[Evidence] = []
        for row in self.events:
            while records and records[0].at < row.at:
                timeline.append(records.pop(0))
            timeline.append(row)
        return timeline + records
