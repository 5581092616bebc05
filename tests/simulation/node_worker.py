"""A worker as the stock Node client is, seen from the server: it never reports and never claims.

The end of its jobs is invisible on the socket; all that can tell is their agents' leaving. What it
would say while it has no connection is dropped.
"""

from __future__ import annotations

from dispatcher.core.effects import SendAssignment
from dispatcher.core.events import Answer, WorkerReported
from dispatcher.core.jobs import SECOND, JobStatus, Nanoseconds
from tests.simulation.processes import Execution
from tests.simulation.stock_worker import StockWorker


class NodeWorker(StockWorker):
    """One process of the Node client."""

    def registered(self) -> None:
        """Tell the status, and nothing of what runs."""
        assert self.link is not None
        worker_id = self.link.worker_id
        self.world.unclaimed |= {(worker_id, id_) for id_ in self.executions}
        self._tell_status(self.link)

    def reconnect_delay(self) -> Nanoseconds:
        """The pause before the next try: never at once."""
        return min(2 * max(self.failures, 1), 10) * SECOND

    def report_status(self) -> None:
        """Tell the load; of jobs it tells nothing."""
        load = min(1.0, self.running_count * 0.15)
        full = not self.is_draining and self.running_count >= self.temper.full_at
        self.say(lambda worker_id: WorkerReported(worker_id, load, 0, full, draining=False))

    def answer(self, job_id: str, answer: Answer) -> None:
        """Answer on the connection that there is."""
        if self.link is not None and self.is_registered:
            super().answer(job_id, answer)

    def assigned(self, assignment: SendAssignment) -> None:
        """Run it, however late it is."""
        if self._accepted.pop(assignment.job.id, 0):
            self.begin(assignment)

    def report(self, execution: Execution, status: JobStatus) -> None:
        """It never does."""
