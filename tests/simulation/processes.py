"""What every simulated worker process does: it lives, connects, hangs, loses its connection, dies.

A process runs `Execution`s: what really runs there, whatever anybody believes. Each has an agent,
which is seen in its room if there is one. What the process says and when is left to its kind: `stock_worker`, `node_worker`, `sdk_worker`, `hostile_worker`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dispatcher.core.effects import (
    Message,
    PingWorker,
    SendAssignment,
    SendGoAway,
    SendOffer,
    SendRegistered,
    SendStatusReceipt,
    SendTermination,
    SendVerdicts,
)
from dispatcher.core.events import (
    Acceptance,
    Answer,
    JobSimulated,
    OfferAnswered,
    Registration,
    WorkerPonged,
    WorkerRegistered,
)
from dispatcher.core.jobs import MILLISECOND, SECOND, Job, JobStatus, Nanoseconds
from dispatcher.core.room_events import DisconnectReason
from tests.simulation.network import Frame, Link
from tests.simulation.scenario import Temper
from tests.simulation.timeline import Action

if TYPE_CHECKING:
    from tests.simulation.simulator import World

STATUS_INTERVAL: Nanoseconds = 2500 * MILLISECOND


@dataclass(slots=True, eq=False)
class Execution:
    """One run of a job in one process."""

    job: Job
    epoch: int
    # its job process is up, and said so
    is_launched: bool = False
    is_over: bool = False
    is_stopping: bool = False
    # goes on until it is told to stop
    is_endless: bool = False


class WorkerProcess:
    """One process of a worker."""

    # may a checker count on it?
    is_honest = True
    # does it say again on a new connection what it said on the one before?
    doubles = False

    def __init__(self, world: World, name: str, registration: Registration, temper: Temper) -> None:
        self.world = world
        self.name = name
        self.registration = registration
        self.temper = temper
        self.is_alive = True
        self.is_draining = False
        self.hung_until: Nanoseconds = 0
        self.link: Link | None = None
        self.is_registered = False
        # tries to connect since the last registration
        self.failures = 0
        # frames of this connection, and of the last one, that may have been lost with it
        self.said_lately: deque[tuple[Frame, int]] = deque(maxlen=3)
        self._in_doubt: list[tuple[Frame, int]] = []
        # what runs here, by job id; a stock worker may run one job twice
        self.executions: dict[str, list[Execution]] = {}

    def __repr__(self) -> str:
        return self.name

    # --- time ---

    def after(self, delay: Nanoseconds, action: Action, *args: object) -> None:
        """Do this later, if the process then lives."""
        self.world.timeline.after(delay, self.wake, action, *args)

    def wake(self, action: Action, *args: object) -> None:
        """Do this now; a dead process never, one that hangs when it is itself again."""
        if not self.is_alive:
            return
        if self.hung_until > self.world.timeline.now:
            self.world.timeline.at(self.hung_until, self.wake, action, *args)
            return
        action(*args)

    def think(self, shortest: Nanoseconds, longest: Nanoseconds) -> Nanoseconds:
        """A random time between the two."""
        return shortest + int(self.world.random.random() * (longest - shortest))

    # --- connections ---

    def connect(self) -> None:
        """Try to connect, again and again."""
        if self.link is not None:
            return
        if not self.world.server.accepts:
            self.failures += 1
            self.after(self.reconnect_delay(), self.connect)
            return
        self.link = link = Link(self.world, self, self.world.new_id("AW"))
        self.is_registered = False
        self.said_lately.clear()
        self.world.server.accept(link)
        registration = self.registration
        link.say(lambda worker_id: WorkerRegistered(worker_id, registration))

    def reconnect_delay(self) -> Nanoseconds:
        """The pause before the next try: as the stock Python worker makes it."""
        return min(2 * self.failures, 10) * SECOND + MILLISECOND

    def connection_lost(self, link: Link) -> None:
        """The process learns that its connection is over."""
        if link is self.link:
            self.link = None
            self.is_registered = False
            self.failures = 0
            self._in_doubt = list(self.said_lately)
            if not self.is_draining or self.executions:
                self.after(self.think(0, 5 * MILLISECOND), self.connect)

    def say(self, frame: Frame, true_epoch: int = 0) -> None:
        """Write a frame, if there is a connection to write it on."""
        if self.link is not None and self.is_registered:
            self.link.say(frame, true_epoch)
            if self.doubles:
                self.said_lately.append((frame, true_epoch))

    def say_again(self) -> None:
        """On a new connection, say what was said last on the one before: it may have been lost."""
        in_doubt, self._in_doubt = self._in_doubt, []
        for frame, true_epoch in in_doubt:
            if self.world.random.random() < self.world.scenario.doubles:
                self.say(frame, true_epoch)

    def die(self, server_notices: Nanoseconds) -> None:
        """The whole process is killed, and all that runs in it."""
        for executions in list(self.executions.values()):
            for execution in list(executions):
                self.end(execution, DisconnectReason.CONNECTION_TIMEOUT)
        self.is_alive = False
        if self.link is not None:
            self.link.cut(server_notices, 0)
            self.link = None

    # --- what comes from the server ---

    def receive(self, link: Link, message: Message) -> None:
        """A frame arrived."""
        if isinstance(message, PingWorker):
            # The websocket answers, not the worker.
            link.say(WorkerPonged)
            return
        if link is not self.link:
            return
        match message:
            case SendRegistered():
                self.is_registered = True
                self.failures = 0
                self.registered()
            case SendOffer():
                self.offered(message)
            case SendAssignment():
                self.assigned(message)
            case SendTermination():
                self.terminated(message.job_id)
            case SendVerdicts():
                self.judged(message)
            case SendStatusReceipt():
                self.confirmed(message.sequence)
            case SendGoAway():
                self.sent_away(link)
            case _:
                pass

    def registered(self) -> None:
        """The connection is registered."""
        raise NotImplementedError

    def offered(self, offer: SendOffer) -> None:
        """An offer came."""
        raise NotImplementedError

    def assigned(self, assignment: SendAssignment) -> None:
        """An assignment came."""
        raise NotImplementedError

    def terminated(self, job_id: str) -> None:
        """A termination came."""
        raise NotImplementedError

    def judged(self, verdicts: SendVerdicts) -> None:
        """The answer to a claim came."""
        raise NotImplementedError

    def confirmed(self, sequence: int) -> None:
        """A receipt came."""

    def sent_away(self, link: Link) -> None:
        """The server asks to connect elsewhere. (Stock workers do not understand.)"""

    def answer(self, job_id: str, answer: Answer) -> None:
        """Answer an offer."""
        self.say(lambda worker_id: OfferAnswered(worker_id, job_id, answer, Acceptance()))

    def simulate_job(self, job: Job) -> None:
        """Ask for a job for itself; the server names it when it hears of it."""
        world = self.world
        self.say(lambda id_: JobSimulated(id_, replace(job, id=world.new_id("AJ"))))

    # --- running ---

    @property
    def running_count(self) -> int:
        """How many jobs run here."""
        return sum(len(executions) for executions in self.executions.values())

    def begin(self, assignment: SendAssignment) -> Execution:
        """Start to run a job, for a random time."""
        execution = Execution(assignment.job, assignment.state.epoch)
        execution.is_endless = self.world.is_endless(execution.job)
        self.executions.setdefault(execution.job.id, []).append(execution)
        self.world.trace.began(self, execution.job.id, execution.epoch)
        temper, random = self.temper, self.world.random
        launch = self.think(0, temper.launch_max)
        identity = assignment.state.participant_identity
        self.after(launch, self.launched, execution, identity)
        status = JobStatus.SUCCESS
        if random.random() < temper.fails:
            status = JobStatus.FAILED
        lasts = launch + self.think(0, temper.run_max)
        if status is JobStatus.FAILED and random.random() < 0.3:
            lasts = launch // 2  # it dies before it is up
        if not execution.is_endless or status is JobStatus.FAILED:
            self.after(lasts, self.finished, execution, status)
        return execution

    def launched(self, execution: Execution, identity: str) -> None:
        """The job is up, and its agent goes into its room."""
        if not execution.is_over:
            execution.is_launched = True
            self.report(execution, JobStatus.RUNNING)
            sfu = self.world.sfu
            if sfu is not None:
                sfu.agent_joins(execution, identity)

    def finished(self, execution: Execution, status: JobStatus) -> None:
        """The job is over by itself."""
        if not execution.is_over and not execution.is_stopping:
            reason = DisconnectReason.CLIENT_INITIATED
            if status is JobStatus.FAILED:
                reason = DisconnectReason.SIGNAL_CLOSE
            self.end(execution, reason)
            self.report(execution, status)
            if status is JobStatus.FAILED:
                self.world.callers.job_failed(execution.job)
            self.after_end()

    def end(
        self,
        execution: Execution,
        reason: DisconnectReason = DisconnectReason.CLIENT_INITIATED,
    ) -> None:
        """It runs no longer, and its agent leaves its room for this reason."""
        execution.is_over = True
        job_id = execution.job.id
        executions = self.executions[job_id]
        executions.remove(execution)
        if not executions:
            del self.executions[job_id]
        self.world.trace.ended(self, job_id, execution.epoch, reason)
        sfu = self.world.sfu
        if sfu is not None and execution.is_launched:
            delay = 0
            if reason is DisconnectReason.CONNECTION_TIMEOUT:  # which the SFU notices in a while
                delay = int(self.world.random.random() * 5 * SECOND)
            self.world.timeline.after(delay, sfu.agent_leaves, execution, reason)

    def report(self, execution: Execution, status: JobStatus) -> None:
        """Tell what became of a job."""
        raise NotImplementedError

    # --- leaving ---

    def drain(self) -> None:
        """Take no more jobs, and leave when the last one is over."""
        raise NotImplementedError

    def after_end(self) -> None:
        """A job is over; a draining process may leave."""
        if self.is_draining and not self.executions:
            self.leave()

    def leave(self) -> None:
        """End in good order."""
        self.is_alive = False
        if self.link is not None:
            self.link.close_by_worker()
            self.link = None
        self.world.gone(self)
