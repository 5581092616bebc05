"""One server, workers on it, jobs for them, and what became of these."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from bench.servers import API_KEY, API_SECRET, Kind, serving
from bench.workers.process_tree import ProcessTree
from bench.workers.programs.notes import NOTES_VARIABLE
from protocol import api_pb2
from worker_sdk import DispatchClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
    from pathlib import Path

    from bench.workers.subjects import Subject

__all__ = ["ENDED", "Agent", "Note", "RunningWorker", "Stage", "eventually", "staged"]

POLL_SECONDS = 0.02
# Where all jobs of an agent are listed each time.
LIST_POLL_SECONDS = 0.1
# From its start until it takes jobs.
REGISTER_SECONDS_MAX = 60.0
# For a job, from the call to its end.
JOB_SECONDS_MAX = 60.0
# For a worker that is told to end, or killed.
EXIT_SECONDS_MAX = 60.0
_JOBS_PER_PAGE = 500

ENDED = (api_pb2.SUCCEEDED, api_pb2.FAILED, api_pb2.CANCELLED)


async def eventually(
    what: str,
    condition: Callable[[], Awaitable[bool]],
    *,
    seconds: float,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Wait until the condition holds. Raises TimeoutError that says what was waited for."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        await anyio.sleep(poll_seconds)


@dataclass(frozen=True, slots=True)
class Note:
    """A job function that was called or returned, by the worker's own word."""

    is_start: bool
    job_id: str
    at_seconds: float


class RunningWorker:
    """A worker process."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], folder: Path, notes: Path
    ) -> None:
        self.folder = folder
        self._notes = notes
        with (folder / "worker.log").open("ab") as log:
            # Monotonic seconds, before there is a process.
            self.began_at = time.monotonic()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment, NOTES_VARIABLE: str(notes)},
                start_new_session=True,
            )
        self.tree = ProcessTree(self._process.pid)

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._process.pid

    def notes(self) -> list[Note]:
        """What its jobs have noted until now, in order."""
        if not self._notes.exists():
            return []
        words = (line.split() for line in self._notes.read_text().splitlines())
        return [
            Note(event == "started", job_id, int(at_ns) / 1e9) for event, job_id, at_ns in words
        ]

    def started(self) -> list[Note]:
        """The job functions that were called in it until now, in order."""
        return [note for note in self.notes() if note.is_start]

    def terminate(self) -> None:
        """Tell it to end, by SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    async def exit_code(self, *, seconds: float = EXIT_SECONDS_MAX) -> int | None:
        """Wait for its end. None: it did not end in this time."""
        deadline = time.monotonic() + seconds
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                return None
            await anyio.sleep(POLL_SECONDS)
        return self._process.returncode

    def kill(self) -> None:
        """Kill what is left of it."""
        self.tree.kill()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(EXIT_SECONDS_MAX)


class Agent:
    """One agent name, which no other figure uses: its worker, and jobs for it."""

    def __init__(self, stage: Stage, subject: Subject, name: str) -> None:
        self._stage = stage
        self._client = stage.client
        self._rooms = itertools.count()
        self.subject = subject
        self.name = name
        self.folder = stage.folder / name
        self.folder.mkdir()

    def release_path(self, name: str = "release") -> Path:
        """The file that ends the jobs whose metadata names it."""
        return self.folder / name

    @contextmanager
    def worker(
        self, *, url: str = "", settings: Mapping[str, str] | None = None
    ) -> Iterator[RunningWorker]:
        """Run its worker. `settings` are of `Subject.environment`; it is killed at the end."""
        connection = {
            "LIVEKIT_URL": url or f"ws://127.0.0.1:{self._stage.port}",
            "LIVEKIT_API_KEY": API_KEY,
            "LIVEKIT_API_SECRET": API_SECRET,
        }
        worker = RunningWorker(
            self.subject.command,
            {**connection, **(settings or self.subject.environment(self.name))},
            self.folder,
            self.folder / "notes",
        )
        try:
            yield worker
        finally:
            worker.kill()

    async def registered(self) -> None:
        """Wait until the server has its worker."""

        async def is_there() -> bool:
            return bool((await self._client.list_workers(agent_name=self.name)).workers)

        await eventually(f"{self.name} registers", is_there, seconds=REGISTER_SECONDS_MAX)

    async def dispatch(self, release: Path | None = None) -> str:
        """Ask for one job in a room of its own; return the dispatch's id.

        The job ends at once, or when the file `release` is there.
        """
        created = await self._client.create_dispatch(
            f"{self.name}-{next(self._rooms)}", self.name, metadata=str(release or "")
        )
        return created.id

    async def ended(self, dispatch_id: str) -> api_pb2.JobRecord:
        """Wait for the end of a dispatch's job; return it as the server has it."""
        found: list[api_pb2.JobRecord] = []

        async def has_ended() -> bool:
            answer = await self._client.list_jobs(dispatch_id=dispatch_id)
            found[:] = [job for job in answer.jobs if job.phase in ENDED]
            return bool(found)

        await eventually(f"the job of {dispatch_id} ends", has_ended, seconds=JOB_SECONDS_MAX)
        return found[0]

    async def jobs(self) -> list[api_pb2.JobRecord]:
        """All its jobs, as the server has them."""
        rows = self._client.iterate_jobs(agent_name=self.name, page_size=_JOBS_PER_PAGE)
        return [job async for job in rows]

    async def all_in(
        self, phases: tuple[api_pb2.JobPhase, ...], count: int, *, seconds: float = JOB_SECONDS_MAX
    ) -> None:
        """Wait until so many of its jobs are in these phases."""

        async def are_there() -> bool:
            return sum(job.phase in phases for job in await self.jobs()) >= count

        what = f"{count} jobs of {self.name} are {phases}"
        await eventually(what, are_there, seconds=seconds, poll_seconds=LIST_POLL_SECONDS)


class Stage:
    """The server."""

    def __init__(self, port: int, client: DispatchClient, folder: Path) -> None:
        self.port = port
        self.client = client
        self.folder = folder
        self._numbers = itertools.count(1)

    def agent(self, subject: Subject) -> Agent:
        """A new agent name."""
        return Agent(self, subject, f"{subject.name.lower()}-{next(self._numbers)}")


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    """Serve, with data and logs below `folder`."""
    with serving(Kind.REAL, folder) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with DispatchClient(url, API_KEY, API_SECRET) as client:
            yield Stage(server.port, client, folder)
