"""A real server, real worker processes that are told to end, and what becomes of their jobs."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol import api_pb2
from tests.conformance.processes import API_KEY, API_SECRET, Process, Server
from tests.conformance.waiting import eventually
from worker_sdk import DispatchClient

PROGRAM = Path(__file__).with_name("draining_worker.py")
_numbers = itertools.count(1)

# A phase of JobRecord that ends a job.
ENDED = (api_pb2.SUCCEEDED, api_pb2.FAILED, api_pb2.CANCELLED)


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a job function, as its worker wrote it down."""

    job_id: str
    epoch: int
    at_ns: int


class DrainedWorker(Process):
    """One worker process, its log and its own record."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        self.name = f"worker-{next(_numbers)}"
        self._records = folder / f"{self.name}.jsonl"
        super().__init__(
            [sys.executable, str(PROGRAM)],
            folder / f"{self.name}.log",
            {
                "LIVEKIT_URL": url,
                "LIVEKIT_API_KEY": API_KEY,
                "LIVEKIT_API_SECRET": API_SECRET,
                "CALLBOARD_RECORD_PATH": str(self._records),
                "CALLBOARD_WORKER_LOAD": "jobs",
                **{f"CALLBOARD_WORKER_{name.upper()}": text for name, text in settings.items()},
            },
        )

    def said(self, event: str) -> list[Mapping[str, Any]]:
        """The log lines of this event."""
        lines = (json.loads(line) for line in self.lines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]

    async def registered(self) -> None:
        """Wait until it is connected."""
        await eventually(f"{self.name} registers", lambda: self.said("worker_registered"))

    def runs(self) -> list[Run]:
        """The job functions that were called here."""
        return [
            Run(str(line["job_id"]), int(line["epoch"]), int(line["at_ns"]))
            for line in self.recorded("start")
        ]

    def recorded(self, event: str) -> list[Mapping[str, Any]]:
        """The worker's own record of this event."""
        if not self._records.exists():
            return []
        # What follows the last line break is still being written.
        lines = map(json.loads, self._records.read_text().split("\n")[:-1])
        return [line for line in lines if line["event"] == event]

    async def started(self, count: int, seconds: float = 60.0) -> None:
        """Wait until so many jobs were started here."""
        await eventually(
            f"{count} jobs start on {self.name}", lambda: len(self.runs()) >= count, seconds=seconds
        )


class DrainStage:
    """Starts workers of one agent, and asks for jobs of it."""

    def __init__(self, folder: Path, server: Server, client: DispatchClient) -> None:
        self._folder = folder
        self._server = server
        self._client = client
        self._room = f"room-{time.time_ns()}"
        self._release = folder / "release"
        self.agent_name = f"drained-{time.time_ns()}"
        self.workers: list[DrainedWorker] = []

    async def worker(self, **settings: str) -> DrainedWorker:
        """Start a worker, and wait until it is registered."""
        worker = DrainedWorker(
            self._folder, self._server.url, agent_name=self.agent_name, **settings
        )
        self.workers.append(worker)
        await worker.registered()
        return worker

    async def dispatch(self, count: int, manner: str = "") -> None:
        """Ask for so many jobs, each in a room of its own."""
        metadata = f"{self._release} {manner}".strip()
        for number in range(count):
            await self._client.create_dispatch(
                f"{self._room}-{number}", self.agent_name, metadata=metadata
            )

    def release(self) -> None:
        """Let all jobs come to their ends."""
        self._release.touch()

    async def jobs(self) -> list[api_pb2.JobRecord]:
        """All jobs, as the server knows them."""
        answer = await self._client.list_jobs(agent_name=self.agent_name, page_size=500)
        return list(answer.jobs)

    async def phases(self) -> dict[str, int]:
        """How many jobs are in each phase."""
        found: dict[str, int] = {}
        for job in await self.jobs():
            name = api_pb2.JobPhase.Name(job.phase)
            found[name] = found.get(name, 0) + 1
        return found

    async def all_in(self, phase: str, count: int, seconds: float = 60.0) -> None:
        """Wait until so many jobs, and no other, are in this phase."""

        async def are_there() -> bool:
            return await self.phases() == {phase: count}

        await eventually(f"{count} jobs are {phase}", are_there, seconds=seconds)

    def clean_up(self) -> None:
        """End what is left of it."""
        for worker in self.workers:
            worker.clean_up()
