"""A worker that lies: it answers offers that it never got, reports on others' jobs, claims them.

It has a valid token, so its word is heard; it must not harm any other worker or job beyond what a
stock worker's word is believed for (an orphan that nobody else can claim with more right).
"""

from __future__ import annotations

from dispatcher.core.effects import SendAssignment
from dispatcher.core.events import (
    Acceptance,
    Answer,
    JobReported,
    JobsHandedOver,
    JobsMigrated,
    OfferAnswered,
    WorkerRegistered,
    WorkerReported,
)
from dispatcher.core.jobs import MILLISECOND, SECOND, JobStatus
from tests.simulation.network import Frame, Link
from tests.simulation.stock_worker import StockWorker


class HostileWorker(StockWorker):
    """One process that lies."""

    is_honest = False

    def registered(self) -> None:
        """Begin to lie."""
        super().registered()
        assert self.link is not None
        self.after(self.think(0, SECOND), self._lie, self.link)

    def assigned(self, assignment: SendAssignment) -> None:
        """Take it, and do nothing."""

    def _lie(self, link: Link) -> None:
        if link is not self.link:
            return
        random = self.world.random
        known = self.world.job_ids
        job_id = random.choice(known) if known and random.random() < 0.9 else "AJ_nobody"
        epoch = random.choice((0, 0, 1, 2, 99))
        status = random.choice(tuple(JobStatus))
        answer = random.choice(tuple(Answer))
        registration = self.registration
        load, full, draining = random.random() * 2, random.random() < 0.5, random.random() < 0.5
        lies: tuple[Frame, ...] = (
            lambda worker_id: OfferAnswered(worker_id, job_id, answer, Acceptance()),
            lambda worker_id: JobReported(
                worker_id, job_id, status, epoch=epoch, sequence=random.randrange(3)
            ),
            lambda worker_id: JobsMigrated(worker_id, (job_id, "AJ_nobody", job_id)),
            lambda worker_id: JobsHandedOver(worker_id, (job_id,)),
            lambda worker_id: WorkerRegistered(worker_id, registration),
            lambda worker_id: WorkerReported(worker_id, load, random.randrange(5), full, draining),
        )
        self.say(random.choice(lies))
        self.after(self.think(10 * MILLISECOND, 1500 * MILLISECOND), self._lie, link)
