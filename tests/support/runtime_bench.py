"""A bench on which tests drive a Runtime: a store whose commits wait for the test.

So a test sees both sides of each commit. What the runtime delivers and tells its witness is taken
down; time stands still until a test moves it. Left to others: an engine alone (`engine_bench`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random

import anyio
import anyio.lowlevel

from dispatcher.core.effects import (
    Message,
    NoteIgnored,
    Outcome,
    RecordMove,
    Reply,
    SendAssignment,
    StoreRequest,
)
from dispatcher.core.engine import Engine
from dispatcher.core.events import (
    Acceptance,
    Answer,
    DispatchRequested,
    OfferAnswered,
    Registration,
    StoreRecovered,
    StoreResult,
    WorkerRegistered,
    WorkerReported,
)
from dispatcher.core.jobs import (
    SECOND,
    Dispatch,
    Job,
    JobState,
    JobType,
    Lane,
    Nanoseconds,
    RestartPolicy,
)
from dispatcher.core.policy import Policy
from dispatcher.runtime import Overloaded, Runtime, RuntimeLimits
from dispatcher.store.contract import Retention
from protocol.errors import StoreError
from tests.support.memory_store import MemoryStore

RETENTION = Retention(3600 * SECOND, 1000, 3600 * SECOND, 1000)
LIMITS = RuntimeLimits(
    ask_timeout_seconds=5,
    commit_retry_seconds=0.001,
    commit_retry_seconds_max=0.002,
    drain_seconds=5,
    drain_poll_seconds=0.001,
)
LANE = Lane("p", "a")


class GatedStore(MemoryStore):
    """A store whose commits wait for the test, or fail as it wants."""

    def __init__(self) -> None:
        super().__init__()
        # does every commit pass at once?
        self.is_open_to_all = False
        # batches that arrived, and those that were let pass
        self.arrived: list[list[StoreRequest]] = []
        self.passed: list[list[StoreRequest]] = []
        # what each commit raises, while set
        self.error: StoreError | None = None
        self.opening_error: StoreError | None = None
        self.is_closed = False
        self._tickets = 0

    async def open(self, now: Nanoseconds) -> StoreRecovered:
        """Open, or fail as the test wants it."""
        if self.opening_error is not None:
            raise self.opening_error
        return await super().open(now)

    async def commit(
        self, requests: Sequence[StoreRequest], now: Nanoseconds
    ) -> Sequence[StoreResult]:
        """Wait to be let pass."""
        self.arrived.append(list(requests))
        while not self.is_open_to_all and not self._tickets and self.error is None:
            await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self._tickets = max(self._tickets - 1, 0)
        self.passed.append(list(requests))
        return self.database.apply(requests, now)

    async def set_position(self, name: str, sequence: int) -> None:
        """Keep it, or fail as the test wants."""
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        await super().set_position(name, sequence)

    async def close(self) -> None:
        """Close, and say so."""
        self.is_closed = True
        await super().close()

    def let_pass(self, count: int = 1) -> None:
        """Let so many commits pass."""
        self._tickets += count


class RuntimeBench:
    """A runtime on a gated store; takes down what it delivers and tells."""

    def __init__(self, policy: Policy | None = None, limits: RuntimeLimits = LIMITS) -> None:
        self.store = GatedStore()
        self.time: Nanoseconds = 1_000 * SECOND
        self.sent: list[Message] = []
        self.created_jobs: list[str] = []
        self.recorded_moves: list[RecordMove] = []
        self.ignored_notes: list[NoteIgnored] = []
        self.failures: list[StoreError] = []
        self.engine_errors: list[Exception] = []
        self.commit_sizes: list[int] = []
        self.recoveries = 0
        self.runtime = Runtime(
            Engine(policy or Policy(), Random(1)),
            self.store,
            self,
            lambda: self.time,
            self,
            RETENTION,
            limits,
        )
        self._numbers = 0

    # --- what the runtime talks to ---

    def deliver(self, message: Message) -> None:
        self.sent.append(message)

    def prepare(self, assignment: SendAssignment) -> Callable[[], None]:
        return lambda: self.sent.append(assignment)

    def created(self, job: Job, state: JobState) -> None:
        self.created_jobs.append(job.id)

    def recorded(self, move: RecordMove) -> None:
        self.recorded_moves.append(move)

    def ignored(self, note: NoteIgnored) -> None:
        self.ignored_notes.append(note)

    def engine_failed(self, error: Exception) -> None:
        self.engine_errors.append(error)

    def store_failing(self, error: StoreError) -> None:
        self.failures.append(error)

    def store_recovered(self) -> None:
        self.recoveries += 1

    def assigned(self, assignment: SendAssignment, now: Nanoseconds) -> None:
        pass

    def committed(self, requests: int, seconds: float) -> None:
        self.commit_sizes.append(requests)

    # --- what peers do ---

    def worker(self, worker: str = "w") -> None:
        """Register a worker that takes jobs at once."""
        said = Registration("p", "a", "", "", (JobType.ROOM,))
        self.runtime.submit(WorkerRegistered(worker, said))
        self.runtime.submit(WorkerReported(worker, 0.0, 0, False, False))

    def order(self, dispatch_id: str = "") -> Callable[[int], DispatchRequested]:
        """Return what makes the event of a dispatch, new if not named, with one new job."""
        self._numbers += 1
        id_ = dispatch_id or f"AD_{self._numbers}"
        dispatch = Dispatch(id_, "p", "room", "a", "", RestartPolicy.ON_FAILURE, b"", self.time)
        job = Job(f"AJ_{self._numbers}", id_, LANE, "room", b"", self.time)
        return lambda request: DispatchRequested(request, dispatch, (job,))

    async def ask(self) -> Reply:
        """Order a job and wait for the answer."""
        return await self.runtime.ask(self.order())

    async def ask_until_answered(self) -> Outcome:
        """Order jobs until one is answered in time; for a runtime that is soon out of patience."""
        with anyio.fail_after(60):
            while True:
                with suppress(Overloaded):
                    return (await self.ask()).outcome

    def accept(self, job: str, worker: str = "w") -> None:
        """Let the worker accept."""
        self.runtime.submit(OfferAnswered(worker, job, Answer.ACCEPTED, Acceptance()))

    def of(self, kind: type[Message]) -> list[Message]:
        """Return what was delivered of a kind."""
        return [message for message in self.sent if isinstance(message, kind)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds."""
        with anyio.fail_after(60):
            while not condition():
                await anyio.lowlevel.checkpoint()

    async def quiet(self) -> None:
        """Let everything run that can run without another commit."""
        for _ in range(20):
            await anyio.lowlevel.checkpoint()

    async def held_order(self) -> str:
        """Bring a job to be held by worker `w`; return its id."""
        self.store.is_open_to_all = True
        self.worker()
        reply = await self.ask()
        job = reply.dispatch_id.replace("AD", "AJ")
        self.accept(job)
        await self.until(lambda: self.of(SendAssignment))
        await self.quiet()
        self.store.is_open_to_all = False
        return job


@asynccontextmanager
async def running(bench: RuntimeBench) -> AsyncIterator[RuntimeBench]:
    """Run the bench's runtime meanwhile."""
    async with anyio.create_task_group() as tasks:
        await tasks.start(bench.runtime.run)
        yield bench
        tasks.cancel_scope.cancel()
