"""What a history is made of, besides the rows of the event log: the words of others.

Workers write down what they run (`worker_sdk/records.py`), callers what was acknowledged to them,
and the store keeps jobs beside their events. Values, and the forms in which they are written; who
reads files and sockets is `reading`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dispatcher.core.jobs import Nanoseconds, RestartPolicy
from dispatcher.core.lifecycle import JobPhase
from protocol.errors import CallboardError

RECORD_KINDS = frozenset({"start", "stop", "end"})
# what a worker writes when some of its lines could not be written
MISSING_KIND = "missing"

_RECORD_REMEDY = "give the file that CALLBOARD_RECORD_PATH named"
_ACKNOWLEDGEMENT_REMEDY = 'give a file with {"dispatch_id": ..} in each line'


class HistoryUnreadable(CallboardError):
    """Evidence that cannot be read: where it stands, and what is wrong with it."""


class LineTorn(HistoryUnreadable):
    """A line that was not written whole: the rest of its file may be well."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The rows of the log after `after` and before `next` are no longer kept, or not to be had."""

    after: int
    next: int


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """One line that a worker wrote of a job: it started it, was told to stop it, or it is over.

    `epoch` is 0 where the worker did not know it. `outcome` of an end: success, failed, stopped.
    `at` is of the worker's clock. Of a start: `capacity`, the most jobs of the worker at once, and
    `opened_at`, which tells its process from others of that name; 0 where it does not say.
    """

    event: str
    job_id: str
    epoch: int
    at: Nanoseconds
    instance_id: str
    room: str = ""
    outcome: str = ""
    reason: str = ""
    capacity: int = 0
    opened_at: Nanoseconds = 0


@dataclass(frozen=True, slots=True)
class MissingRecords:
    """Lines of workers are missing from one time to another, of their clocks.

    `count` lines by a worker's own word; 0: one line is torn. `place` is where that is seen.
    """

    since: Nanoseconds
    at: Nanoseconds
    place: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A caller was told that this dispatch is made. `at` 0: it did not say when."""

    dispatch_id: str
    at: Nanoseconds = 0


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What the store keeps of a job, beside its events.

    `deletion_requested_at` is of its dispatch, 0 where nobody deleted it. `last_event` is the
    number of the event that led to this state, `until` the deadline of its phase.
    """

    job_id: str
    restart_policy: RestartPolicy
    queue_time: Nanoseconds
    phase: JobPhase
    epoch: int
    until: Nanoseconds
    last_event: int
    deletion_requested_at: Nanoseconds = 0


@dataclass(frozen=True, slots=True)
class Contradiction:
    """The store and the log, or two tables of the store, say different things of a job."""

    job_id: str
    what: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison of all that a store keeps has found: the first hundred contradictions.

    `compared` counts jobs; `unjudged` says why others could not be compared, and how many.
    """

    compared: int
    found: tuple[Contradiction, ...] = ()
    unjudged: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of events in a store, all of one moment; each is 0 where there is none.

    `first` and `last` are of the rows that are there. `mentioned` is the highest that the store has
    elsewhere: it was given, so its row was there. Rows after `pruned` were never pruned.
    """

    first: int = 0
    last: int = 0
    mentioned: int = 0
    pruned: int = 0


class StoreFacts(Protocol):
    """What may be asked of the store whose log is checked. Asked after its events were read."""

    def job(self, job_id: str) -> JobFacts | None:
        """Return what is kept of the job; None: nothing."""
        ...

    def has_dispatch(self, dispatch_id: str) -> bool:
        """Is the dispatch kept?"""
        ...

    def ended_since(self, job_id: str, sequence: int) -> bool:
        """Has the job ended by an event after this number, or may it, by one that was pruned since?"""
        ...

    def numbers(self) -> Numbers:
        """Return from where to where the log goes, and from where to where it should."""
        ...

    def comparison(self) -> Comparison:
        """Compare all jobs and dispatches that are kept, as they are now, with the log."""
        ...

    def graces(self) -> Mapping[str, Nanoseconds]:
        """Return the grace time of each worker id, as far as jobs that are kept tell it."""
        ...


def worker_record_of(line: str, place: str) -> WorkerRecord | MissingRecords:
    """Return the record of one line. LineTorn, HistoryUnreadable, with `place`, for what is none."""
    said = _object(line, place, _RECORD_REMEDY)
    try:
        if said["event"] == MISSING_KIND:
            since, at = int(said["since_ns"]), int(said["at_ns"])
            return MissingRecords(since, at, place, int(said["count"]))
        if said["event"] not in RECORD_KINDS:
            raise ValueError(said["event"])
        return WorkerRecord(
            event=sys.intern(str(said["event"])),
            job_id=str(said["job_id"]),
            epoch=int(said["epoch"] or 0),
            at=int(said["at_ns"]),
            instance_id=sys.intern(str(said["instance_id"])),
            room=str(said.get("room", "")),
            outcome=sys.intern(str(said.get("outcome", ""))),
            reason=sys.intern(str(said.get("reason", ""))),
            capacity=int(said.get("capacity") or 0),
            opened_at=int(said.get("opened_at_ns") or 0),
        )
    except (KeyError, TypeError, ValueError):
        what = f"{place}: is not a record of a worker; {_RECORD_REMEDY}"
        raise HistoryUnreadable(what) from None


def acknowledgement_of(line: str, place: str) -> Acknowledgement:
    """Return the acknowledgement of one line. LineTorn, HistoryUnreadable, for what is none."""
    said = _object(line, place, _ACKNOWLEDGEMENT_REMEDY)
    try:
        return Acknowledgement(str(said["dispatch_id"]), int(said.get("at_ns", 0)))
    except (KeyError, TypeError, ValueError):
        what = f"{place}: is not an acknowledged dispatch; {_ACKNOWLEDGEMENT_REMEDY}"
        raise HistoryUnreadable(what) from None


def _object(line: str, place: str, remedy: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        raise LineTorn(f"{place}: is not JSON; {remedy}") from None
    if not isinstance(said, dict):
        raise LineTorn(f"{place}: is not a JSON object; {remedy}")
    return said
