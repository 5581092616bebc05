"""The job statuses that the server has not confirmed yet.

Pure: no clock, no socket. A status stays here from the moment at which it becomes true until its
receipt comes; each new connection writes all that is left again, in order, with the same sequence
numbers. A final status is never dropped: when the outbox is full, the worker takes no more jobs
(`is_full`). Of one job and epoch at most one status waits: a final one supersedes RUNNING.

A server that gives no receipts (stock LiveKit) gets each status once: there it is forgotten as
soon as it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["OUTBOX_STATUSES_MAX", "ReportedStatus", "StatusOutbox", "StatusReport"]

# Statuses that wait for their receipts; beyond it no more jobs are accepted.
OUTBOX_STATUSES_MAX = 20_000


class ReportedStatus(Enum):
    """What a worker may say of a job. The values are LiveKit's JobStatus numbers."""

    RUNNING = 1
    SUCCESS = 2
    FAILED = 3
    CANCELLED = 4

    @property
    def is_final(self) -> bool:
        """Does the job's run end with it?"""
        return self is not ReportedStatus.RUNNING


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One status of one job, as it goes over the wire (LiveKit's UpdateJobStatus).

    `epoch` None: the server gave none with the assignment (stock LiveKit).
    """

    sequence: int
    job_id: str
    epoch: int | None
    status: ReportedStatus
    error: str = ""


class StatusOutbox:
    """Statuses in order of their sequence numbers, which count from 1 for each worker process."""

    def __init__(self, statuses_max: int = OUTBOX_STATUSES_MAX) -> None:
        self._statuses_max = statuses_max
        self._last_sequence = 0
        # Unconfirmed statuses, oldest first (a dict keeps the order in which they were put).
        self._reports: dict[int, StatusReport] = {}
        # The one status of each job and epoch.
        self._latest: dict[tuple[str, int | None], int] = {}
        # Those of `_reports` that have not been written on this connection.
        self._unwritten: dict[int, None] = {}
        # Whether the server of this connection confirms statuses.
        self._has_receipts = True

    def __repr__(self) -> str:
        return f"<StatusOutbox {len(self._reports)} unconfirmed, {len(self._unwritten)} unwritten>"

    def __len__(self) -> int:
        return len(self._reports)

    @property
    def is_full(self) -> bool:
        """Is there no room for the results of more jobs?"""
        return len(self._reports) >= self._statuses_max

    @property
    def has_unwritten(self) -> bool:
        """Is there something to write on this connection?"""
        return bool(self._unwritten)

    @property
    def ended_jobs(self) -> dict[str, int]:
        """The jobs whose results are not confirmed, with their epochs (0: not known).

        For the server this worker holds them.
        """
        return {r.job_id: r.epoch or 0 for r in self._reports.values() if r.status.is_final}

    def has_result(self, job_id: str, epoch: int | None) -> bool:
        """Is there a result of this job and epoch that is not confirmed?"""
        sequence = self._latest.get((job_id, epoch))
        return sequence is not None and self._reports[sequence].status.is_final

    def put(
        self, job_id: str, epoch: int | None, status: ReportedStatus, error: str = ""
    ) -> StatusReport:
        """Add a status. It supersedes what waits for the same job and epoch."""
        superseded = self._latest.pop((job_id, epoch), None)
        if superseded is not None:
            self._forget(superseded)
        self._last_sequence += 1
        report = StatusReport(self._last_sequence, job_id, epoch, status, error)
        self._reports[report.sequence] = report
        self._latest[job_id, epoch] = report.sequence
        self._unwritten[report.sequence] = None
        return report

    def reconnected(self, *, has_receipts: bool) -> None:
        """A new connection: everything that is left is to be written again."""
        self._has_receipts = has_receipts
        self._unwritten = dict.fromkeys(self._reports)

    def next_unwritten(self) -> StatusReport | None:
        """The oldest status that is to be written now."""
        for sequence in self._unwritten:
            return self._reports[sequence]
        return None

    def written(self, sequence: int) -> None:
        """The status has been written on this connection; it waits for its receipt now."""
        self._unwritten.pop(sequence, None)
        if not self._has_receipts:
            self._forget(sequence)

    def confirm(self, sequence: int) -> bool:
        """The server's receipt. False for a number that nothing waits for, which is harmless."""
        return self._forget(sequence)

    def withdraw(self, job_id: str) -> None:
        """Drop what waits for this job: the server has said that its result does not count."""
        for report in [r for r in self._reports.values() if r.job_id == job_id]:
            self._forget(report.sequence)

    def _forget(self, sequence: int) -> bool:
        report = self._reports.pop(sequence, None)
        if report is None:
            return False
        self._unwritten.pop(sequence, None)
        key = (report.job_id, report.epoch)
        if self._latest.get(key) == sequence:
            del self._latest[key]
        return True
