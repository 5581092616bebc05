"""What a worker holds: the jobs that it runs, and the room that it has promised.

Pure and synchronous; time is an argument (seconds of any one clock). Invariants: running, stopping
and reserved jobs together never exceed the capacity, from the offer to the end of the job; a job id
is held at most once, so a second offer of a job that still runs here is refused.

Left to others: what is said to the server, and the running itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Admission", "JobLedger", "Refusal", "StopReason"]

# An accepted offer whose assignment has not come by then will not come: its room is free again.
# The server gives an offer 10 s; the rest is for an assignment that crosses a reconnect.
RESERVATION_SECONDS_MAX = 20.0


class Refusal(Enum):
    """Why an offer is refused."""

    FULL = "full"
    DRAINING = "draining"
    HELD_ALREADY = "held_already"
    RESULTS_UNCONFIRMED = "results_unconfirmed"
    NO_PROCESS = "no_process"  # none can be started


class Admission(Enum):
    """What becomes of an assignment."""

    START = "start"
    DUPLICATE = "duplicate"  # this very job runs here already
    NO_ROOM = "no_room"  # it came without a reservation, and there is no room for it


class StopReason(Enum):
    """Why a running job was told to stop."""

    TERMINATED = "terminated"  # the server ends it: its result is reported
    FENCED = "fenced"  # it is no longer ours: no result of it counts
    WORKER_STOPPING = "worker_stopping"  # this process is told to stop: the job is handed over


@dataclass(frozen=True, slots=True)
class _Reservation:
    since: float
    # From the offer: an earlier holder may have left something behind.
    is_resuming: bool


class JobLedger:
    """The jobs of one worker, by job id."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        # No more jobs are taken; those that are held go on.
        self.is_draining = False
        # Offered or accepted jobs whose assignment has not come, oldest first.
        self._reserved: dict[str, _Reservation] = {}
        # Jobs that run, and why each was told to stop, if it was; and the epoch that each was
        # assigned with, of those that were assigned with one.
        self._active: dict[str, StopReason | None] = {}
        self._epochs: dict[str, int] = {}
        self._since: dict[str, float] = {}

    def __repr__(self) -> str:
        return (
            f"<JobLedger {len(self._active)} active + {len(self._reserved)} reserved"
            f" of {self.capacity}{', draining' if self.is_draining else ''}>"
        )

    @property
    def held_count(self) -> int:
        """Jobs that take up room: reserved, running or stopping."""
        return len(self._reserved) + len(self._active)

    @property
    def has_reservations(self) -> bool:
        """Is an assignment awaited?"""
        return bool(self._reserved)

    @property
    def active_count(self) -> int:
        """Jobs that run, or still run although told to stop; reservations excluded."""
        return len(self._active)

    @property
    def is_full(self) -> bool:
        """Is there no room for one more job?"""
        return self.held_count >= self.capacity

    @property
    def running_job_ids(self) -> tuple[str, ...]:
        """Jobs that run and were not told to stop: those that a claim names."""
        return tuple(job_id for job_id, reason in self._active.items() if reason is None)

    @property
    def held_job_ids(self) -> tuple[str, ...]:
        """Jobs that take up room: those that run, longest first, and those that are promised."""
        return (*self._active, *self._reserved)

    @property
    def active_job_ids(self) -> tuple[str, ...]:
        """Jobs that run, or still run although told to stop."""
        return tuple(self._active)

    @property
    def stopping_job_ids(self) -> tuple[str, ...]:
        """Jobs that were told to stop, and still run."""
        return tuple(job_id for job_id, reason in self._active.items() if reason is not None)

    def since(self, job_id: str) -> float | None:
        """When a running job was admitted; None for one that is only promised."""
        return self._since.get(job_id)

    def epoch(self, job_id: str) -> int:
        """The epoch that a running job was assigned with; 0 where the server gave none."""
        return self._epochs.get(job_id, 0)

    def reserve(self, job_id: str, now: float, *, is_resuming: bool = False) -> Refusal | None:
        """Promise room for an offered job, until `release` or `admit`. None: reserved."""
        self.expire_reservations(now)
        if self.is_draining:
            return Refusal.DRAINING
        if job_id in self._active:
            return Refusal.HELD_ALREADY
        # The server offers a job anew when the answer to its first offer did not reach it.
        if self._reserved.pop(job_id, None) is None and self.is_full:
            return Refusal.FULL
        self._reserved[job_id] = _Reservation(now, is_resuming)
        return None

    def release(self, job_id: str) -> None:
        """Take a promise back. A job that runs already is left alone."""
        self._reserved.pop(job_id, None)

    def is_resuming(self, job_id: str) -> bool:
        """Did the job's offer say that an earlier holder may have left something behind?"""
        reservation = self._reserved.get(job_id)
        return reservation is not None and reservation.is_resuming

    def admit(self, job_id: str, epoch: int | None = None, now: float = 0.0) -> Admission:
        """An assignment came. START: the job is running from now on.

        It may come without a reservation, after a reconnect or very late: the server counts the
        job as ours, so it runs if there is room.
        """
        if job_id in self._active:
            return Admission.DUPLICATE
        is_promised = self._reserved.pop(job_id, None) is not None
        if not is_promised and (self.is_full or self.is_draining):
            return Admission.NO_ROOM
        self._active[job_id] = None
        self._since[job_id] = now
        if epoch:
            self._epochs[job_id] = epoch
        return Admission.START

    def stop(self, job_id: str, reason: StopReason) -> bool:
        """A job is to stop. False where it does not run; FENCED overrides an earlier reason."""
        if job_id not in self._active:
            return False
        if self._active[job_id] is None or reason is StopReason.FENCED:
            self._active[job_id] = reason
        return True

    def stop_reason(self, job_id: str) -> StopReason | None:
        """Why the job was told to stop; None where it was not."""
        return self._active.get(job_id)

    def end(self, job_id: str) -> None:
        """A job has ended and its room is free."""
        del self._active[job_id]
        self._epochs.pop(job_id, None)
        self._since.pop(job_id, None)

    def expire_reservations(self, now: float) -> tuple[str, ...]:
        """Free the room of reservations whose assignment has not come. Returns their jobs."""
        expired: list[str] = []
        for job_id, reservation in self._reserved.items():
            if now - reservation.since < RESERVATION_SECONDS_MAX:
                break
            expired.append(job_id)
        for job_id in expired:
            del self._reserved[job_id]
        return tuple(expired)
