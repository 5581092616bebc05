"""A worker as the unmodified LiveKit Python SDK is, seen from the server.

No capacity, no instance id, no epochs, a new worker id for each connection. After a reconnect:
register, the statuses that queued up meanwhile, a claim if jobs are active (those that are still
launching are left out), its status. What it wrote on a connection that was dying is lost for good.
An offer of a job that it runs is accepted like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.core.effects import SendAssignment, SendOffer, SendVerdicts, Verdict
from dispatcher.core.events import (
    Answer,
    JobReported,
    JobsMigrated,
    Registration,
    WorkerReported,
)
from dispatcher.core.jobs import MILLISECOND, SECOND, JobStatus, Nanoseconds
from tests.simulation.network import Frame, Link
from tests.simulation.processes import STATUS_INTERVAL, Execution, WorkerProcess
from tests.simulation.scenario import Temper

if TYPE_CHECKING:
    from tests.simulation.simulator import World

# The SDK drops an assignment that comes later than this after its answer.
ASSIGNMENT_TIMEOUT: Nanoseconds = 7500 * MILLISECOND


class StockWorker(WorkerProcess):
    """One stock worker process."""

    def __init__(self, world: World, name: str, registration: Registration, temper: Temper) -> None:
        super().__init__(world, name, registration, temper)
        # written when there is no connection: what goes out after the next registration
        self._queued: list[tuple[Frame, int]] = []
        # accepted, by job id: until when the assignment is waited for
        self._accepted: dict[str, Nanoseconds] = {}

    def registered(self) -> None:
        """Send what queued up, claim, tell the status."""
        queued, self._queued = self._queued, []
        for frame, true_epoch in queued:
            self.say(frame, true_epoch)
        active = tuple(
            job_id
            for job_id, executions in self.executions.items()
            if any(execution.is_launched for execution in executions)
        )
        assert self.link is not None
        worker_id = self.link.worker_id
        self.world.unclaimed |= {(worker_id, id_) for id_ in self.executions if id_ not in active}
        if active:
            self.say(lambda worker_id: JobsMigrated(worker_id, active))
        self._tell_status(self.link)

    def _tell_status(self, link: Link) -> None:
        if link is self.link:
            self.report_status()
            self.after(STATUS_INTERVAL, self._tell_status, link)

    def report_status(self) -> None:
        """Tell load and number of jobs."""
        count, draining = self.running_count, self.is_draining
        full = draining or count >= self.temper.full_at
        load = 0.0 if draining else min(1.0, count * 0.15)
        self.say(lambda worker_id: WorkerReported(worker_id, load, count, full, draining))

    def _say_or_queue(self, frame: Frame, true_epoch: int = 0) -> None:
        if self.link is not None and self.is_registered:
            self.say(frame, true_epoch)
        else:
            self._queued.append((frame, true_epoch))

    # --- offers ---

    def offered(self, offer: SendOffer) -> None:
        """Accept, decline, reject, answer late or not at all."""
        temper, random = self.temper, self.world.random
        drawn = random.random()
        job_id = offer.job.id
        if self.is_draining or drawn < temper.declines:
            self.after(self.think(0, 50 * MILLISECOND), self.answer, job_id, Answer.DECLINED)
            return
        drawn -= temper.declines
        if drawn < temper.terminates:
            self.after(self.think(0, 50 * MILLISECOND), self.answer, job_id, Answer.TERMINATED)
            return
        drawn -= temper.terminates
        if drawn < temper.silent:
            return
        drawn -= temper.silent
        pause = self.think(0, 50 * MILLISECOND)
        if drawn < temper.late:
            pause = self.think(0, 2 * self.world.policy.offer_timeout)
        self.after(pause, self._accept, job_id)

    def _accept(self, job_id: str) -> None:
        self._accepted[job_id] = self.world.timeline.now + ASSIGNMENT_TIMEOUT
        self.answer(job_id, Answer.ACCEPTED)

    def answer(self, job_id: str, answer: Answer) -> None:
        """Answer on the connection that there is, or on the next one."""
        if self.link is not None and self.is_registered:
            super().answer(job_id, answer)
        elif self.world.random.random() < 0.5:
            self.after(SECOND, self.answer, job_id, answer)

    def assigned(self, assignment: SendAssignment) -> None:
        """Run it, if it was accepted and is not late."""
        until = self._accepted.pop(assignment.job.id, 0)
        if until >= self.world.timeline.now:
            self.begin(assignment)

    # --- jobs ---

    def report(self, execution: Execution, status: JobStatus) -> None:
        """Tell it: on a connection that is dying, for the last time."""
        job_id = execution.job.id
        self._say_or_queue(
            lambda worker_id: JobReported(worker_id, job_id, status), execution.epoch
        )

    def terminated(self, job_id: str) -> None:
        """Stop what runs of it, in a while, and report success."""
        for execution in self.executions.get(job_id, ()):
            if not execution.is_stopping:
                execution.is_stopping = True
                self.after(self.think(0, self.temper.stop_max), self._stopped, execution)

    def _stopped(self, execution: Execution) -> None:
        if not execution.is_over:
            self.end(execution)
            self.report(execution, JobStatus.SUCCESS)
            self.after_end()

    def judged(self, verdicts: SendVerdicts) -> None:
        """The socket tells a stock worker of each stop by a termination."""
        for job_id, verdict in verdicts.verdicts.items():
            if verdict is not Verdict.KEEP:
                self.terminated(job_id)

    def drain(self) -> None:
        """Say so, finish what runs, leave."""
        self.is_draining = True
        self.report_status()
        self.after_end()
