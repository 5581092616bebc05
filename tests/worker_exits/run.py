"""One run: a worker with so many jobs is told to end; when it did, how, and what became of the jobs.

Real processes and a real server. Nobody's word is taken for it: the exit code is the system's, and a
job's fate is what the server has of it after all workers have had their time.
"""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import anyio

from protocol import api_pb2
from tests.conformance.processes import Process, Server, Worker
from tests.conformance.waiting import eventually
from tests.integration.worker_sdk.drain_stage import DrainedWorker
from worker_sdk import DispatchClient

# The longest that a worker may take to end, and the jobs to end after that.
EXIT_SECONDS_MAX = 60.0
JOBS_SECONDS_MAX = 60.0
START_SECONDS_MAX = 120.0
# Between the signals, and before the jobs are let go.
PAUSE_SECONDS = 0.5


class Ending(Enum):
    """Whose worker it is, and how it is told to end."""

    WAIT = "ours, waits for its jobs"
    HAND_OVER = "ours, hands its jobs over"
    SECOND_SIGNAL = "ours, told twice"
    STOCK = "livekit-agents, waits for its jobs"
    STOCK_SECOND_SIGNAL = "livekit-agents, told twice"

    @property
    def is_stock(self) -> bool:
        """Is it livekit-agents' worker?"""
        return self in (Ending.STOCK, Ending.STOCK_SECOND_SIGNAL)

    @property
    def is_told_twice(self) -> bool:
        """Is there a second signal?"""
        return self in (Ending.SECOND_SIGNAL, Ending.STOCK_SECOND_SIGNAL)

    @property
    def waits(self) -> bool:
        """Do its jobs end where they are?"""
        return self in (Ending.WAIT, Ending.STOCK)


class Fate(Enum):
    """What became of a job."""

    ENDED_THERE = "ended there"
    HANDED_OVER = "handed over"
    STARTED_AGAIN = "started again"
    NOT_RUN_TO_ITS_END = "not run to its end"


@dataclass(frozen=True, slots=True)
class Exit:
    """How one worker ended. `code` None: it did not, and was killed."""

    code: int | None
    seconds: float
    fates: Counter[Fate] = field(default_factory=Counter)


class _Team(ABC):
    """The workers of one run."""

    metadata: str
    agent_name: str

    @abstractmethod
    async def start(self) -> Process:
        """Start one more, and wait until it is registered."""

    @abstractmethod
    def release(self) -> None:
        """Let all jobs come to their ends."""


class _Ours(_Team):
    def __init__(self, folder: Path, server: Server, name: str, ending: Ending) -> None:
        self._folder, self._server = folder, server
        self._release = folder / "release"
        self._policy = "hand_over" if ending is Ending.HAND_OVER else "wait"
        self.agent_name, self.metadata = name, str(self._release)

    async def start(self) -> Process:
        worker = DrainedWorker(
            self._folder,
            self._server.url,
            agent_name=self.agent_name,
            drain_policy=self._policy,
        )
        await worker.registered()
        return worker

    def release(self) -> None:
        self._release.touch()


class _Stock(_Team):
    metadata = "hold"

    def __init__(self, folder: Path, server: Server, name: str) -> None:
        self._folder, self._server = folder, server
        self.agent_name = name
        self._workers: list[Worker] = []

    async def start(self) -> Process:
        worker = Worker(
            self._folder / f"stock-{len(self._workers)}",
            self._server.url,
            mode="start",
            settings={"CONFORMANCE_AGENT": self.agent_name},
        )
        self._workers.append(worker)
        await worker.registered(seconds=START_SECONDS_MAX)
        return worker

    def release(self) -> None:
        for worker in self._workers:
            worker.finish_jobs()


async def run(
    folder: Path, server: Server, client: DispatchClient, ending: Ending, jobs: int
) -> Exit:
    """Play one run in this folder."""
    name = f"exits-{time.time_ns()}"
    team = _Stock(folder, server, name) if ending.is_stock else _Ours(folder, server, name, ending)
    started: list[Process] = []
    try:
        worker = await team.start()
        started.append(worker)
        for number in range(jobs):
            await client.create_dispatch(f"{name}-{number}", name, metadata=team.metadata)

        async def all_run() -> bool:
            return await _running(client, name) == jobs

        await eventually(f"{jobs} jobs run", all_run, seconds=START_SECONDS_MAX)
        if not ending.waits:
            started.append(await team.start())
        code, seconds = await _end(worker, team, ending)
        team.release()
        return Exit(code, seconds, await _fates(client, name, jobs))
    finally:
        for process in started:
            process.clean_up()


async def _end(worker: Process, team: _Team, ending: Ending) -> tuple[int | None, float]:
    worker.send_signal(signal.SIGTERM)
    told_at = time.monotonic()
    if ending.is_told_twice or ending.waits:
        await anyio.sleep(PAUSE_SECONDS)
        told_at = time.monotonic()
    if ending.is_told_twice:
        # Another one for ours: two of a kind may be one to a process that is busy.
        worker.send_signal(signal.SIGTERM if ending.is_stock else signal.SIGINT)
    elif ending.waits:
        team.release()
    try:
        code = await worker.exit_code(seconds=EXIT_SECONDS_MAX)
    except AssertionError:
        worker.kill()
        return None, EXIT_SECONDS_MAX
    return code, time.monotonic() - told_at


async def _running(client: DispatchClient, name: str) -> int:
    answer = await client.list_jobs(agent_name=name, phases=[api_pb2.RUNNING], page_size=500)
    return len(answer.jobs)


async def _fates(client: DispatchClient, name: str, count: int) -> Counter[Fate]:
    """What became of the jobs, as soon as all have ended or have had their time."""
    fates: Counter[Fate] = Counter()
    with anyio.move_on_after(JOBS_SECONDS_MAX):
        while True:
            fates = Counter(map(_fate, (await client.list_jobs(agent_name=name)).jobs))
            if count == sum(fates.values()) and not fates[Fate.NOT_RUN_TO_ITS_END]:
                break
            await anyio.sleep(PAUSE_SECONDS)
    return fates


def _fate(job: api_pb2.JobRecord) -> Fate:
    if job.phase != api_pb2.SUCCEEDED:
        return Fate.NOT_RUN_TO_ITS_END
    if job.attempt > 1:
        return Fate.STARTED_AGAIN
    return Fate.ENDED_THERE if job.epoch == 1 else Fate.HANDED_OVER
