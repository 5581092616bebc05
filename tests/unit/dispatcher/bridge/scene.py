"""A scene for tests of the bridge: a runtime in memory, its bridge, and an SFU that a test directs.

The store's commits may be held back, or fail. Nobody hears what the runtime sends to workers: what
they do, a test says. Left to others: the SFU (`fake_sfu`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import anyio

from dispatcher.bridge.bridge import Bridge
from dispatcher.bridge.limits import BridgeLimits
from dispatcher.clock import steady_clock
from dispatcher.core.effects import Message, NoteIgnored, RecordMove, SendAssignment, StoreRequest
from dispatcher.core.engine import Engine
from dispatcher.core.events import Registration, StoreResult, WorkerRegistered, WorkerReported
from dispatcher.core.jobs import SECOND, Job, JobState, JobType, Nanoseconds
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import Policy
from dispatcher.runtime import Runtime, RuntimeLimits
from dispatcher.sfu.access import SfuAccess
from dispatcher.store.contract import JobFilter, Retention, StoredJob
from protocol.errors import StoreError
from tests.conformance.waiting import eventually
from tests.support.memory_store import MemoryDatabase, MemoryStore
from tests.unit.dispatcher.bridge.fake_sfu import FakeSfu

PROJECT = "project"
ACCESS = SfuAccess("ws://sfu:7880", "key", "secret-of-at-least-thirty-two-bytes")
RETENTION = Retention(3600 * SECOND, 1000, 3600 * SECOND, 1000)
LIMITS = BridgeLimits(
    answer_seconds=60,
    status_seconds=0.05,
    look_seconds=0.02,
    sweep_seconds=600,  # only when something makes one necessary
    outage_seconds=0.0,
    retry_seconds_min=0.01,
    retry_seconds_max=0.02,
)


class HeldStore(MemoryStore):
    """A store whose commits may be held back, or fail."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.gate = anyio.Event()
        self.gate.set()
        self.error: StoreError | None = None
        # commits that have come to the gate
        self.come = 0

    def hold(self) -> None:
        """Let no commit pass until `gate` is set."""
        self.gate = anyio.Event()
        self.come = 0

    async def commit(
        self, requests: Sequence[StoreRequest], now: Nanoseconds
    ) -> Sequence[StoreResult]:
        """Commit, once the gate is open."""
        self.come += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return await super().commit(requests, now)


class Nobody:
    """Takes messages to workers, and hears what the runtime does."""

    def deliver(self, message: Message) -> None: ...

    def prepare(self, assignment: SendAssignment) -> Callable[[], None]:
        return lambda: None

    def created(self, job: Job, state: JobState) -> None: ...

    def recorded(self, move: RecordMove) -> None: ...

    def ignored(self, note: NoteIgnored) -> None: ...

    def engine_failed(self, error: Exception) -> None:
        raise error

    def store_failing(self, error: StoreError) -> None: ...

    def store_recovered(self) -> None: ...
    def assigned(self, assignment: SendAssignment, now: Nanoseconds) -> None: ...

    def committed(self, requests: int, seconds: float) -> None: ...


class Scene:
    """A runtime, its bridge, and the SFU."""

    def __init__(
        self,
        database: MemoryDatabase,
        sfu: FakeSfu,
        policy: Policy,
        limits: BridgeLimits,
        urls: Sequence[str],
        others: Sequence[FakeSfu] = (),
    ) -> None:
        self.sfu = sfu
        self.store = HeldStore(database)
        self.runtime = Runtime(
            engine=Engine(policy, Random(7)),
            store=self.store,
            delivery=Nobody(),
            clock=steady_clock(),
            witness=Nobody(),
            retention=RETENTION,
            limits=RuntimeLimits(commit_retry_seconds=0.001, commit_retry_seconds_max=0.002),
        )
        self.bridge = Bridge(self.runtime, sfu, ACCESS, urls, PROJECT, limits, sfu.open, others)

    def work(self, agent: str = "greeter", *, job_type: JobType = JobType.ROOM) -> str:
        """A worker of this name comes; return its id."""
        worker = f"AW_{agent}"
        said = Registration(PROJECT, agent, "", "", (job_type,))
        self.runtime.submit(WorkerRegistered(worker, said))
        self.runtime.submit(WorkerReported(worker, 0.0, 0, full=True, draining=False))
        return worker

    async def jobs(self) -> list[StoredJob]:
        """All jobs, oldest first."""
        return list(reversed(await self.store.list_jobs(JobFilter(PROJECT), 1_000)))

    async def only(self, *phases: JobPhase) -> StoredJob:
        """Wait until there is a job, in one of these phases, and no other."""

        async def found() -> StoredJob | None:
            jobs = await self.jobs()
            assert len(jobs) <= 1
            return next((j for j in jobs if not phases or j.state.phase in phases), None)

        return await eventually(f"one job {phases}", found)

    async def swept(self) -> None:
        """Wait for a sweep that begins after this."""
        before = self.sfu.sweeps
        assert await self.bridge.sweep()
        assert self.sfu.sweeps > before


@asynccontextmanager
async def scene(
    sfu: FakeSfu | None = None,
    database: MemoryDatabase | None = None,
    *,
    policy: Policy | None = None,
    limits: BridgeLimits = LIMITS,
    urls: Sequence[str] = (ACCESS.url,),
    others: Sequence[FakeSfu] = (),
) -> AsyncIterator[Scene]:
    """Run a bridge; at the end all of it is gone but the SFU and the disk, as after a kill."""
    disk = database or MemoryDatabase()
    one = Scene(disk, sfu or FakeSfu(), policy or Policy(), limits, urls, others)
    async with anyio.create_task_group() as tasks:
        await tasks.start(one.runtime.run)
        tasks.start_soon(one.bridge.run)
        try:
            yield one
        finally:
            tasks.cancel_scope.cancel()
