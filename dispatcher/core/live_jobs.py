"""The jobs of orders that have not ended: how many an order has, and who has which unique key.

An order is what `Job.order` says: a rule, or LiveKit's automatic dispatch. Left to others: whether
one more may be made (`ordering`), who waits for that (`waiting_lists`).
"""

from __future__ import annotations

from collections.abc import Collection

from dispatcher.core.events import OrderedJob
from dispatcher.core.room_states import Place

OrderKey = tuple[str, str]  # project, order


class LiveJobs:
    """The jobs of orders that have not ended."""

    def __init__(self) -> None:
        self._by_id: dict[str, OrderedJob] = {}
        self._by_order: dict[OrderKey, dict[str, None]] = {}
        # which job has a unique key now
        self._unique: dict[tuple[OrderKey, str], str] = {}
        # for whom a job was made, where that is known
        self._places: dict[str, Place] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._by_id

    def add(self, job: OrderedJob, place: Place | None = None) -> None:
        """A job is there; `place`: for whom it was made."""
        key = job.project, job.order
        self._by_id[job.id] = job
        self._by_order.setdefault(key, {})[job.id] = None
        if job.unique_key:
            self._unique[key, job.unique_key] = job.id
        if place is not None:
            self._places[job.id] = place

    def made_for(self, job_id: str, place: Place) -> None:
        """Note for whom a job was made, if it has not ended."""
        if job_id in self._by_id:
            self._places[job_id] = place

    def get(self, job_id: str) -> OrderedJob | None:
        """Return a job that has not ended."""
        return self._by_id.get(job_id)

    def place_of(self, job_id: str) -> Place | None:
        """Return for whom a job was made, None where that is not known."""
        return self._places.get(job_id)

    def remove(self, job_id: str) -> OrderedJob | None:
        """A job has ended; returns what it was, None for one that no order made."""
        job = self._by_id.pop(job_id, None)
        if job is None:
            return None
        key = job.project, job.order
        of_order = self._by_order[key]
        del of_order[job_id]
        if not of_order:
            del self._by_order[key]
        if self._unique.get((key, job.unique_key)) == job_id:
            del self._unique[key, job.unique_key]
        self._places.pop(job_id, None)
        return job

    def of(self, key: OrderKey) -> Collection[str]:
        """Return the ids of an order's jobs."""
        return self._by_order.get(key, ())

    def holder(self, key: OrderKey, unique_key: str) -> str | None:
        """Return which of an order's jobs has this unique key."""
        return self._unique.get((key, unique_key))
