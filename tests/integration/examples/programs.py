"""Worker programs as processes, and what became of their jobs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.processes import API_KEY, API_SECRET, Process
from tests.conformance.waiting import eventually
from worker_sdk import DispatchClient
from worker_sdk.client.messages import JobPhase, JobRecord

EXAMPLES = Path(__file__).parents[3] / "examples"


class Programs:
    """Starts examples against one server."""

    def __init__(self, url: str, folder: Path) -> None:
        self._environment = {
            "LIVEKIT_URL": url,
            "LIVEKIT_API_KEY": API_KEY,
            "LIVEKIT_API_SECRET": API_SECRET,
            "PYTHONWARNINGS": "error",
        }
        self._folder = folder
        self._started: list[Process] = []

    def start(self, name: str, environment: Mapping[str, str] | None = None) -> Process:
        """Start an example by its name."""
        return self.start_file(EXAMPLES / f"{name}.py", environment)

    def start_file(self, path: Path, environment: Mapping[str, str] | None = None) -> Process:
        """Start a program."""
        process = Process(
            [sys.executable, str(path), "start"],
            self._folder / f"{path.stem}-{len(self._started)}.log",
            {**self._environment, **(environment or {})},
        )
        self._started.append(process)
        return process

    def clean_up(self) -> None:
        """Kill what still runs, and show what it said."""
        for process in self._started:
            process.clean_up()


async def ended(client: DispatchClient, room: str, *, seconds: float = 60.0) -> JobRecord:
    """Wait for the end of the room's one job."""
    over = {JobPhase.SUCCEEDED, JobPhase.FAILED, JobPhase.CANCELLED}

    async def found() -> JobRecord | None:
        jobs = [record async for record in client.iterate_jobs(room=room)]
        assert len(jobs) <= 1, jobs
        return jobs[0] if jobs and jobs[0].phase in over else None

    return await eventually(f"the job of {room} has ended", found, seconds=seconds)
