"""The jobs of orders that have not ended: how many an order has, and who has which unique key.

An order is what `Job.order` says: a rule, or LiveKit's automatic dispatch. Left to others: whether
one more may be made (`ordering`), who waits for that (`waiting_lists`).
"""

from __future__ import annotations

from collections.abc import Collection

from dispatcher.core.events import OrderedJob

OrderKey = tuple[str, str]  # project, order


class LiveJobs:
    """The jobs of orders that have not ended."""

    def __init__(self) -> None:
        self._by_id: dict[str, OrderedJob] = {}
        self._by_order: dict[OrderKey, dict[str, None]] = {}
        # unique keys that a job has now
        self._unique: set[tuple[OrderKey, str]] = set()

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._by_id

    def add(self, job: OrderedJob) -> None:
        """A job is there."""
        key = job.project, job.order
        self._by_id[job.id] = job
        self._by_order.setdefault(key, {})[job.id] = None
        if job.unique_key:
            self._unique.add((key, job.unique_key))

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
        self._unique.discard((key, job.unique_key))
        return job

    def of(self, key: OrderKey) -> Collection[str]:
        """Return the ids of an order's jobs."""
        return self._by_order.get(key, ())

    def has(self, key: OrderKey, unique_key: str) -> bool:
        """Has one of an order's jobs this unique key?"""
        return (key, unique_key) in self._unique
