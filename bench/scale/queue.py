"""What a job costs that joins a long queue, and one that is taken from it; and the memory of the queue.

Two servers at once, one with few jobs waiting and one with many, their data folders seeded by the store
itself. In each round, in turns: calls while no worker is there (the enqueue), then workers that take so
many jobs from the front (the claim: offer, answer, assignment, RUNNING, SUCCESS). So the lengths of both
queues stay what they were.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from bench.client import AGENT_NAME, Driver
from bench.scale.plan import CALLERS, Plan
from bench.servers import Kind, ServerProcess, serving
from tests.faults.seeding import seed_queued

if TYPE_CHECKING:
    from pathlib import Path

    from bench.client import CallerSocket

__all__ = ["QueueSample", "QueueSide", "TurnSample"]

WORKERS = 20
METADATA = "x" * 200
START_SECONDS_MAX = 300.0
# It has nothing to do any more when it used less of a core than this for so long.
CALM_CORES_MAX = 0.02
CALM_SECONDS = 3.0
# After workers were cut off: what they had is queued again when their grace of 3 s is over.
GRACE_SECONDS = 5.0
IDLE_SECONDS = 5.0
CLAIM_SECONDS_MAX = 300.0


@dataclass(frozen=True, slots=True)
class TurnSample:
    """A batch of calls, or of jobs that were taken."""

    jobs: int
    elapsed_seconds: float
    cpu_seconds: float

    @property
    def cpu_us_per_job(self) -> float:
        """CPU of the server for one of them."""
        return 1e6 * self.cpu_seconds / self.jobs


@dataclass(slots=True)
class QueueSample:
    """One length of queue."""

    queued: int
    seed_seconds: float = 0.0
    # From the start of the process until it listens.
    start_seconds: float = 0.0
    # Until it has read its queue, which it does while it serves.
    calm_seconds: float = 0.0
    idle_cores: float = 0.0
    rss_bytes_started: int = 0
    rss_bytes_after: int = 0
    database_bytes: int = 0
    enqueues: list[TurnSample] = field(default_factory=list)
    claims: list[TurnSample] = field(default_factory=list)


class QueueSide:
    """One of the two servers."""

    def __init__(self, plan: Plan, queued: int, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._rooms = (f"queue-{queued}-{n}" for n in itertools.count())
        self.sample = QueueSample(queued)
        self._serving = serving(Kind.REAL, folder, start_seconds_max=START_SECONDS_MAX)
        self._server: ServerProcess | None = None

    async def start(self) -> None:
        """Fill its data folder, and start it."""
        began_at = time.perf_counter()
        data = self._folder / "data"
        await seed_queued(data, AGENT_NAME, range(self.sample.queued), metadata=METADATA)
        self.sample.seed_seconds = time.perf_counter() - began_at
        self.sample.database_bytes = _folder_bytes(data)
        began_at = time.perf_counter()
        server = self._server = self._serving.__enter__()
        self.sample.start_seconds = time.perf_counter() - began_at
        await _calm(server)
        self.sample.calm_seconds = time.perf_counter() - began_at
        self.sample.rss_bytes_started = server.rss_bytes()
        began_at, cpu_before = time.perf_counter(), server.cpu_seconds()
        await anyio.sleep(IDLE_SECONDS)
        spent = server.cpu_seconds() - cpu_before
        self.sample.idle_cores = spent / (time.perf_counter() - began_at)

    async def enqueue(self) -> TurnSample:
        """Call so often while no worker is there."""
        server = self._running()
        driver = Driver(server.port, metadata=METADATA)
        callers = [await driver.connect_caller() for _ in range(CALLERS)]
        rooms = iter([next(self._rooms) for _ in range(self._plan.queue_batch)])

        async def call_on(caller: CallerSocket) -> None:
            for room in rooms:
                await caller.create_dispatch(room)

        began_at, cpu_before = time.perf_counter(), server.cpu_seconds()
        async with anyio.create_task_group() as tasks:
            for caller in callers:
                tasks.start_soon(call_on, caller)
        sample = self._sample(began_at, cpu_before, self._plan.queue_batch)
        for caller in callers:
            caller.close()
        self.sample.enqueues.append(sample)
        return sample

    async def claim(self) -> TurnSample:
        """Have so many jobs taken from the front; then the workers are cut off."""
        server = self._running()
        driver = Driver(server.port)
        enough = anyio.Event()

        def count(_room: str) -> None:
            if driver.load.jobs_done >= self._plan.queue_batch:
                enough.set()

        driver.load.on_done = count
        began_at, cpu_before = time.perf_counter(), server.cpu_seconds()
        await driver.connect(WORKERS, 0)
        with anyio.fail_after(CLAIM_SECONDS_MAX):
            await enough.wait()
        sample = self._sample(began_at, cpu_before, driver.load.jobs_done)
        await driver.close()
        self.sample.claims.append(sample)
        return sample

    async def rest(self) -> None:
        """Wait until what cut off workers had is queued again."""
        await anyio.sleep(GRACE_SECONDS)

    def finish(self) -> None:
        """Stop it."""
        if self._server is not None:
            self.sample.rss_bytes_after = self._server.rss_bytes()
            self._server = None
            self._serving.__exit__(None, None, None)

    def _running(self) -> ServerProcess:
        assert self._server is not None
        return self._server

    def _sample(self, began_at: float, cpu_before: float, jobs: int) -> TurnSample:
        spent = self._running().cpu_seconds() - cpu_before
        return TurnSample(jobs, time.perf_counter() - began_at, spent)


async def _calm(server: ServerProcess) -> None:
    """Wait until it does nothing. Raises TimeoutError."""
    with anyio.fail_after(START_SECONDS_MAX):
        is_calm = False
        while not is_calm:
            cpu_before = server.cpu_seconds()
            await anyio.sleep(CALM_SECONDS)
            is_calm = server.cpu_seconds() - cpu_before < CALM_CORES_MAX * CALM_SECONDS


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
