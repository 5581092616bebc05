"""A worker as our SDK is, seen from the server.

It declares a cap, keeps one instance id for all its connections, names the epoch of each status and
numbers it, sends it again until its receipt comes, claims all that it holds, with the epochs, in one
message, obeys verdicts, and hands jobs over when it has to leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.core.effects import SendAssignment, SendOffer, SendVerdicts, Verdict
from dispatcher.core.events import (
    Answer,
    JobReported,
    JobsHandedOver,
    JobsMigrated,
    Registration,
    WorkerReported,
)
from dispatcher.core.jobs import MILLISECOND, SECOND, JobStatus, Nanoseconds
from tests.simulation.network import Link
from tests.simulation.processes import STATUS_INTERVAL, Execution, WorkerProcess
from tests.simulation.scenario import Temper

if TYPE_CHECKING:
    from tests.simulation.simulator import World

# An accepted offer whose assignment has not come by then will not come.
RESERVATION: Nanoseconds = 20 * SECOND


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A status that waits for its receipt."""

    sequence: int
    job_id: str
    epoch: int
    status: JobStatus


class SdkWorker(WorkerProcess):
    """One process of a worker of ours."""

    doubles = True

    def __init__(self, world: World, name: str, registration: Registration, temper: Temper) -> None:
        super().__init__(world, name, registration, temper)
        assert registration.capacity is not None
        self._capacity = registration.capacity
        # room that is promised, by job id: since when
        self._reserved: dict[str, Nanoseconds] = {}
        # statuses without a receipt, oldest first
        self._outbox: dict[int, Unconfirmed] = {}
        self._sequence = 0
        # it drains, and would have others go on with its jobs, as they have room
        self._is_yielding = False

    @property
    def _held_count(self) -> int:
        now = self.world.timeline.now
        for job_id, since in list(self._reserved.items()):
            if now - since >= RESERVATION:
                del self._reserved[job_id]
        return len(self._reserved) + len(self.executions)

    # --- connections ---

    def reconnect_delay(self) -> Nanoseconds:
        """The pause before the next try: at once, then within a second."""
        return self.think(50 * MILLISECOND, 500 * MILLISECOND)

    def registered(self) -> None:
        """Claim, send again what has no receipt, tell the status."""
        epochs = {
            job_id: execution.epoch
            for job_id, (execution,) in self.executions.items()
            if not execution.is_stopping
        }
        epochs |= {
            report.job_id: report.epoch
            for report in self._outbox.values()
            if report.status is not JobStatus.RUNNING
        }
        if epochs:
            self.say(lambda worker_id: JobsMigrated(worker_id, tuple(epochs), epochs))
        for report in self._outbox.values():
            self._write(report)
        self.say_again()
        if self._is_yielding:
            self._yield_jobs()
        assert self.link is not None
        self._tell_status(self.link)

    def _tell_status(self, link: Link) -> None:
        if link is self.link:
            self.report_status()
            self.after(STATUS_INTERVAL, self._tell_status, link)

    def report_status(self) -> None:
        """Tell load and number of jobs."""
        count, draining = len(self.executions), self.is_draining
        full = draining or self._held_count >= self._capacity
        load = 0.0 if draining else min(1.0, count / self._capacity)
        self.say(lambda worker_id: WorkerReported(worker_id, load, count, full, draining))

    # --- offers ---

    def offered(self, offer: SendOffer) -> None:
        """Reserve room and decide."""
        job_id = offer.job.id
        if (
            self.is_draining
            or job_id in self.executions
            or (self._held_count >= self._capacity and job_id not in self._reserved)
        ):
            self.answer(job_id, Answer.DECLINED)
            return
        self._reserved[job_id] = self.world.timeline.now
        temper, random = self.temper, self.world.random
        drawn = random.random()
        decision = Answer.ACCEPTED
        if drawn < temper.declines:
            decision = Answer.DECLINED
        elif drawn < temper.declines + temper.terminates:
            decision = Answer.TERMINATED
        pause = self.think(0, 20 * MILLISECOND)
        if random.random() < temper.late:
            pause = self.think(0, 2 * self.world.policy.offer_timeout)
        self.after(pause, self._decide, self.link, job_id, decision)

    def _decide(self, link: Link, job_id: str, decision: Answer) -> None:
        if decision is not Answer.ACCEPTED or link is not self.link:
            self._reserved.pop(job_id, None)
        if link is self.link:
            self.answer(job_id, decision)

    def assigned(self, assignment: SendAssignment) -> None:
        """Run it; give it up if there is no room."""
        job_id = assignment.job.id
        if job_id in self.executions:
            return
        is_promised = self._reserved.pop(job_id, None) is not None
        if not is_promised and (self.is_draining or self._held_count >= self._capacity):
            self.say(lambda worker_id: JobsHandedOver(worker_id, (job_id,)))
            return
        self.begin(assignment)

    # --- jobs ---

    def report(self, execution: Execution, status: JobStatus) -> None:
        """Put it in the outbox, where a final status supersedes RUNNING."""
        job_id, epoch = execution.job.id, execution.epoch
        for report in list(self._outbox.values()):
            if (report.job_id, report.epoch) == (job_id, epoch):
                del self._outbox[report.sequence]
        self._sequence += 1
        report = Unconfirmed(self._sequence, job_id, epoch, status)
        self._outbox[report.sequence] = report
        self._write(report)

    def _write(self, report: Unconfirmed) -> None:
        self.say(
            lambda worker_id: JobReported(
                worker_id,
                report.job_id,
                report.status,
                epoch=report.epoch,
                sequence=report.sequence,
            ),
            report.epoch,
        )

    def confirmed(self, sequence: int) -> None:
        """The receipt came."""
        self._outbox.pop(sequence, None)
        self.after_end()

    def terminated(self, job_id: str) -> None:
        """Stop it, and report success; say so if nothing runs."""
        executions = self.executions.get(job_id)
        if executions is None:
            self._reserved.pop(job_id, None)
            self.say(lambda worker_id: JobReported(worker_id, job_id, JobStatus.CANCELLED))
            return
        self._stop(executions[0], is_fenced=False)

    def judged(self, verdicts: SendVerdicts) -> None:
        """Stop what is no longer ours, and tell nothing more of it."""
        for job_id, verdict in verdicts.verdicts.items():
            if verdict is Verdict.KEEP:
                continue
            for report in list(self._outbox.values()):
                if report.job_id == job_id:
                    del self._outbox[report.sequence]
            for execution in self.executions.get(job_id, ()):
                self._stop(execution, is_fenced=True)
            self._reserved.pop(job_id, None)

    def _stop(self, execution: Execution, *, is_fenced: bool) -> None:
        if not execution.is_stopping:
            execution.is_stopping = True
            self.after(self.think(0, self.temper.stop_max), self._stopped, execution, is_fenced)

    def _stopped(self, execution: Execution, is_fenced: bool) -> None:
        if execution.is_over:
            return
        self.end(execution)
        if not is_fenced:
            self.report(execution, JobStatus.SUCCESS)
        self.after_end()

    # --- leaving ---

    def sent_away(self, link: Link) -> None:
        """Close the connection in a moment, and come back with what runs."""
        self.after(self.think(0, 500 * MILLISECOND), self._go_away, link)

    def _go_away(self, link: Link) -> None:
        if link is self.link:
            link.close_by_worker()
            self.connection_lost(link)

    def drain(self) -> None:
        """Say so, then finish what runs or hand it over, and leave."""
        self.is_draining = True
        self.report_status()
        if self.executions and self.world.random.random() < 0.7:
            self._is_yielding = self._sequence % 2 == 0
            if self._is_yielding:
                self._yield_jobs()
            else:
                job_ids = tuple(self.executions)
                self.say(lambda worker_id: JobsHandedOver(worker_id, job_ids))
        self.after_end()

    def _yield_jobs(self) -> None:
        """Name what others shall go on with when they have room."""
        job_ids = tuple(self.executions)
        self.say(lambda worker_id: JobsHandedOver(worker_id, job_ids, when_room=True))

    def after_end(self) -> None:
        """Leave when nothing runs and all results are confirmed."""
        if self.is_draining and not self.executions and not self._outbox:
            self.leave()
