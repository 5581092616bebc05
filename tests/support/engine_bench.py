"""A bench on which tests drive an Engine: a clock that they move, a store in memory, a wire.

It does what the runtime does, at once and in one thread: requests are committed together, and
messages that promise something are seen only after that. With `holds_commits` nothing is
committed until the test calls `commit`, for everything that can happen meanwhile.

A job is named by its id, a worker by its own; words for what peers do are methods, and questions
about jobs read the engine first and the store where the engine has nothing. Words for what happens in
rooms and to rules are in `room_words`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import TypeVar

from dispatcher.core.commit import GroupCommit, void_jobs
from dispatcher.core.effects import (
    Effect,
    Ignored,
    Message,
    NoteIgnored,
    Outcome,
    Reply,
    SendAssignment,
    SendOffer,
    SendTermination,
    SendVerdicts,
    StoreRequest,
    Verdict,
)
from dispatcher.core.engine import Engine
from dispatcher.core.events import (
    Acceptance,
    Answer,
    AssignmentExpired,
    DispatchDeletionRequested,
    DispatchRequested,
    DrainStarted,
    Event,
    JobReported,
    JobsHandedOver,
    JobSimulated,
    JobsMigrated,
    OfferAnswered,
    Registration,
    WorkerDisconnected,
    WorkerDrainRequested,
    WorkerPonged,
    WorkerRegistered,
    WorkerReported,
)
from dispatcher.core.jobs import (
    Dispatch,
    Job,
    JobState,
    JobStatus,
    JobType,
    Lane,
    Nanoseconds,
    RestartPolicy,
    seconds,
)
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import Policy
from dispatcher.core.room_states import RoomLimits
from dispatcher.store.contract import EventRow, StoredJob
from tests.support.memory_store import MemoryDatabase
from tests.support.room_words import AGENT, PROJECT, START, RoomWords

__all__ = ["AGENT", "PROJECT", "START", "EngineBench"]

AnyMessage = TypeVar("AnyMessage", bound=Message)


class EngineBench(RoomWords):
    """One engine, its store, and all that was sent."""

    def __init__(
        self,
        policy: Policy | None = None,
        seed: int = 7,
        watch: Callable[[EngineBench], None] | None = None,
        room_limits: RoomLimits | None = None,
    ) -> None:
        self.policy = policy or Policy()
        self.seed = seed
        self._room_limits = room_limits
        # called after each event and each commit: holds the engine against its invariants
        self._watch = watch
        self.now = START
        self.database = MemoryDatabase()
        # is a batch committed only when the test says so?
        self.holds_commits = False
        # every message that went out, and every batch that was committed, in order
        self.sent: list[Message] = []
        self.batches: list[list[StoreRequest]] = []
        # the last status of each worker, and those that tell it no more
        self._statuses: dict[str, WorkerReported] = {}
        self._statuses_told_at = START
        self.hung: set[str] = set()
        self._numbers = 0
        self._requests = 0
        self._starts = 0
        self._start()

    def _start(self) -> None:
        # Ids that the engine draws are other ones after a restart.
        self.engine = Engine(self.policy, Random(f"{self.seed} {self._starts}"), self._room_limits)
        self._starts += 1
        self.commits = GroupCommit()
        self.tell(self.database.open())

    # --- the engine -----------------------------------------------------------------------

    def tell(self, event: Event) -> list[Effect]:
        """Tell the engine what happened; return the effects of this turn alone."""
        return self.carry_out(self.engine.handle(event, self.now))

    def carry_out(self, effects: Iterable[Effect]) -> list[Effect]:
        """Do what a turn of the engine wants done; return it."""
        effects = list(effects)
        self._release(self.commits.add(effects))
        if self._watch is not None:
            self._watch(self)
        if not self.holds_commits:
            self.settle()
        return effects

    def commit(self) -> bool:
        """Commit one batch and tell the engine its results; return False if there is none."""
        batch = self.commits.take()
        if not batch:
            return False
        self.batches.append(list(batch))
        results = self.database.apply(batch, self.now)
        self._release(self.commits.committed(void_jobs(batch, results)))
        for result in results:
            self._turn(result)
        return True

    def _turn(self, event: Event) -> None:
        self._release(self.commits.add(self.engine.handle(event, self.now)))
        if self._watch is not None:
            self._watch(self)

    def _release(self, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, SendAssignment) and message.expires_at < self.now:
                self._turn(AssignmentExpired(message.job.id, message.state.epoch))
            else:
                self.sent.append(message)

    def settle(self) -> None:
        """Commit until nothing is left to commit."""
        for _ in range(10_000):
            if not self.commit():
                return
        raise AssertionError("the engine and its store never come to rest")

    def release_commits(self) -> None:
        """Commit what was held back, and from now on at once."""
        self.holds_commits = False
        self.settle()

    def pass_time(self, time_seconds: float) -> None:
        """Move the clock on, and let each deadline pass at its time.

        Workers that told their status do so again before it is missed, as it was; but `hung` ones.
        """
        until = self.now + seconds(time_seconds)
        pause = self.policy.status_stale_time * 3 // 4
        while self._statuses_told_at + pause < until:
            self._pass_time_until(max(self.now, self._statuses_told_at + pause))
            self._statuses_told_at = self.now
            for status in list(self._statuses.values()):
                if status.worker_id in self.engine.workers and status.worker_id not in self.hung:
                    self.tell(status)
        self._pass_time_until(until)

    def _pass_time_until(self, until: Nanoseconds) -> None:
        for _ in range(100_000):
            at = self.engine.next_deadline()
            if at is None or at > until:
                self.now = until
                return
            self.now = max(self.now, at)
            self.carry_out(self.engine.expire(self.now))
        raise AssertionError("deadlines without end")

    def restart(self) -> None:
        """Kill the server with all that is not durable, and start it again."""
        self.database.crash()
        self.holds_commits = False
        self._start()

    def drain(self) -> None:
        """Let the server make no more offers."""
        self.tell(DrainStarted())

    def drain_worker(self, worker: str, hand_over_seconds: float = 0) -> Outcome | None:
        """Let an operator take the worker out of service."""
        self._requests += 1
        at = self.now + seconds(hand_over_seconds) if hand_over_seconds else 0
        self.tell(WorkerDrainRequested(self._requests, PROJECT, worker, at))
        return self.outcome(self._requests)

    # --- workers --------------------------------------------------------------------------

    def connect(
        self,
        worker: str,
        *,
        agent: str = AGENT,
        project: str = PROJECT,
        namespace: str = "",
        deployment: str = "",
        types: tuple[JobType, ...] = (JobType.ROOM,),
        capacity: int | None = None,
        grace_seconds: float | None = None,
        instance: str = "",
        version: str = "",
    ) -> str:
        """Register a worker, which has told no status yet."""
        grace = seconds(grace_seconds) if grace_seconds is not None else None
        said = Registration(
            project, agent, namespace, deployment, types, capacity, grace, instance, version
        )
        self.tell(WorkerRegistered(worker, said))
        return worker

    def worker(
        self,
        worker: str,
        *,
        agent: str = AGENT,
        project: str = PROJECT,
        namespace: str = "",
        deployment: str = "",
        types: tuple[JobType, ...] = (JobType.ROOM,),
        capacity: int | None = None,
        grace_seconds: float | None = None,
        instance: str = "",
        load: float = 0.0,
    ) -> str:
        """Register a worker that takes jobs at once."""
        self.connect(
            worker,
            agent=agent,
            project=project,
            namespace=namespace,
            deployment=deployment,
            types=types,
            capacity=capacity,
            grace_seconds=grace_seconds,
            instance=instance,
        )
        self.report(worker, load)
        return worker

    def report(
        self,
        worker: str,
        load: float = 0.0,
        jobs: int = 0,
        *,
        full: bool = False,
        draining: bool = False,
    ) -> None:
        """Let the worker tell its status."""
        self._statuses[worker] = WorkerReported(worker, load, jobs, full, draining)
        self.tell(self._statuses[worker])

    def lose(self, worker: str) -> None:
        """Let the worker's connection end."""
        self.tell(WorkerDisconnected(worker))

    def pong(self, worker: str) -> None:
        """Let the worker give a sign of life."""
        self.tell(WorkerPonged(worker))

    def claim(self, worker: str, *jobs: str, epoch: int = 0) -> dict[str, Verdict]:
        """Let the worker claim jobs, of an epoch; return the verdicts that it has by now."""
        before = len(self.sent)
        self.tell(JobsMigrated(worker, jobs, dict.fromkeys(jobs, epoch) if epoch else {}))
        return self.verdicts(worker, before)

    def verdicts(self, worker: str, since: int = 0) -> dict[str, Verdict]:
        """Return all verdicts that the worker was sent, since this place in `sent`."""
        verdicts: dict[str, Verdict] = {}
        for message in self.sent[since:]:
            if isinstance(message, SendVerdicts) and message.worker_id == worker:
                verdicts.update(message.verdicts)
        return verdicts

    # --- offers and jobs --------------------------------------------------------------------

    def answer(
        self, job: str, answer: Answer, *, worker: str | None = None, identity: str = ""
    ) -> None:
        """Let the worker that was offered the job answer, or another one."""
        if worker is None:
            worker = self.offered(job)
            assert worker is not None, f"{job} is offered to nobody"
        self.tell(OfferAnswered(worker, job, answer, Acceptance(identity=identity)))

    def accept(self, job: str, *, worker: str | None = None, identity: str = "") -> None:
        """Let the worker accept."""
        self.answer(job, Answer.ACCEPTED, worker=worker, identity=identity)

    def decline(self, job: str, *, worker: str | None = None) -> None:
        """Let the worker decline."""
        self.answer(job, Answer.DECLINED, worker=worker)

    def terminate(self, job: str, *, worker: str | None = None) -> None:
        """Let the worker say that the job shall not run at all."""
        self.answer(job, Answer.TERMINATED, worker=worker)

    def job_status(
        self,
        job: str,
        status: JobStatus,
        *,
        worker: str | None = None,
        error: str = "",
        epoch: int = 0,
        sequence: int = 0,
    ) -> None:
        """Let the worker that holds the job report, or another one."""
        if worker is None:
            worker = self.holder(job)
            assert worker is not None, f"nobody holds {job}"
        self.tell(JobReported(worker, job, status, error, epoch, sequence))

    def start(self, job: str) -> None:
        """Let its worker say that it runs."""
        self.job_status(job, JobStatus.RUNNING)

    def succeed(self, job: str) -> None:
        """Let its worker say that it succeeded."""
        self.job_status(job, JobStatus.SUCCESS)

    def fail(self, job: str, error: str = "") -> None:
        """Let its worker say that it failed."""
        self.job_status(job, JobStatus.FAILED, error=error)

    def hand_over(self, worker: str, *jobs: str, when_room: bool = False) -> None:
        """Let the worker give jobs up for others: at once, or as others have room."""
        self.tell(JobsHandedOver(worker, jobs, when_room))

    def running(
        self, room: str = "room", *, restart: RestartPolicy = RestartPolicy.ON_FAILURE
    ) -> str:
        """Dispatch a job and bring it to run on whichever worker is offered it."""
        job = self.dispatch(room, restart=restart)
        self.accept(job)
        self.start(job)
        return job

    # --- callers ----------------------------------------------------------------------------

    def new_job(
        self,
        room: str = "room",
        *,
        agent: str = AGENT,
        project: str = PROJECT,
        namespace: str = "",
        deployment: str = "",
        job_type: JobType = JobType.ROOM,
        dispatch_id: str = "",
        restart: RestartPolicy = RestartPolicy.ON_FAILURE,
        priority: int = 0,
        queue_seconds: float = 300,
    ) -> Job:
        """Return a job with a fresh id."""
        self._numbers += 1
        return Job(
            id=f"AJ_{self._numbers}",
            dispatch_id=dispatch_id,
            lane=Lane(project, agent, namespace, job_type, deployment),
            room=room,
            config=b"",
            created_at=self.now,
            restart_policy=restart,
            priority=priority,
            queue_time=seconds(queue_seconds),
        )

    def request(self, dispatch_id: str, *jobs: Job, room: str = "room") -> int:
        """Ask for a dispatch of these jobs; return the number of the call."""
        self._requests += 1
        dispatch = Dispatch(
            dispatch_id, PROJECT, room, AGENT, "", RestartPolicy.ON_FAILURE, b"", self.now
        )
        self.tell(DispatchRequested(self._requests, dispatch, jobs))
        return self._requests

    def dispatch(
        self,
        room: str = "room",
        *,
        agent: str = AGENT,
        namespace: str = "",
        deployment: str = "",
        dispatch_id: str = "",
        restart: RestartPolicy = RestartPolicy.ON_FAILURE,
        priority: int = 0,
        queue_seconds: float = 300,
    ) -> str:
        """Dispatch one job; return its id. The dispatch's id is `AD_` and the room, if not given."""
        dispatch_id = dispatch_id or f"AD_{room}"
        job = self.new_job(
            room,
            agent=agent,
            namespace=namespace,
            deployment=deployment,
            dispatch_id=dispatch_id,
            restart=restart,
            priority=priority,
            queue_seconds=queue_seconds,
        )
        self.request(dispatch_id, job, room=room)
        return job.id

    def delete(self, dispatch_id: str, room: str = "room", project: str = PROJECT) -> int:
        """Delete a dispatch; return the number of the call."""
        self._requests += 1
        self.tell(DispatchDeletionRequested(self._requests, project, room, dispatch_id))
        return self._requests

    def simulate(self, worker: str, room: str = "room") -> str:
        """Let a worker ask for a job for itself; return the job's id."""
        job = self.new_job(room)
        self.tell(JobSimulated(worker, job))
        return job.id

    def outcome(self, request: int) -> Outcome | None:
        """Return how the call was answered, None while it is not."""
        outcomes = [m.outcome for m in self.of(Reply) if m.request == request]
        assert len(outcomes) <= 1, f"call {request} was answered {len(outcomes)} times"
        return outcomes[0] if outcomes else None

    # --- questions --------------------------------------------------------------------------

    def of(self, kind: type[AnyMessage], worker: str | None = None) -> list[AnyMessage]:
        """Return the messages of a kind that went out, to this worker if it is named."""
        return [
            message
            for message in self.sent
            if isinstance(message, kind)
            and (worker is None or getattr(message, "worker_id", None) == worker)
        ]

    def offered(self, job: str) -> str | None:
        """Return the worker that is asked whether it takes the job."""
        hand = self.engine.jobs.get(job)
        if hand is None or hand.phase is not JobPhase.OFFERED or hand.worker is None:
            return None
        return hand.worker.id

    def holder(self, job: str) -> str | None:
        """Return the worker that holds the job."""
        hand = self.engine.jobs.get(job)
        if hand is None or not hand.phase.is_held or hand.worker is None:
            return None
        return hand.worker.id

    def offers(self, job: str) -> list[str]:
        """Return the workers that were ever asked, in order."""
        return [message.worker_id for message in self.of(SendOffer) if message.job.id == job]

    def assignments(self, job: str) -> list[SendAssignment]:
        """Return all assignments of the job that went out."""
        return [message for message in self.of(SendAssignment) if message.job.id == job]

    def stops(self, worker: str) -> list[str]:
        """Return the jobs that the worker was told to stop, verdicts aside."""
        return [message.job_id for message in self.of(SendTermination, worker)]

    def stored(self, job: str, project: str = PROJECT) -> StoredJob | None:
        """Return the job as the store has it."""
        return self.database.get_job(project, job)

    def state(self, job: str) -> JobState:
        """Return the job's durable state."""
        stored = self.stored(job)
        assert stored is not None, f"the store has no {job}"
        return stored.state

    def phase(self, job: str) -> JobPhase:
        """Return where the job is now: offered in memory, all else as it is stored."""
        return JobPhase.OFFERED if self.offered(job) is not None else self.state(job).phase

    def events(self, job: str) -> list[EventRow]:
        """Return the job's rows of the event log."""
        return self.database.job_events(PROJECT, job)

    def ignored(self) -> list[Ignored]:
        """Return why things were ignored, in order."""
        return [message.why for message in self.of(NoteIgnored)]
