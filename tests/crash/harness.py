"""Runs a server and workers, loads them, kills them at random moments, and calls the judge."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from protocol import api_pb2
from tests.crash.judge import Verdict, judge, read_log, read_records
from worker_sdk import DispatchClient

ROOT = Path(__file__).parents[2]
KEY, SECRET = "devkey", "secret"


@dataclass(frozen=True)
class Plan:
    """How much, how fast, and how often something is killed."""

    dispatches: int
    server_kills: int
    worker_kills: int
    seed: int
    rate_per_second: float = 60.0
    workers: int = 6
    callers: int = 16
    job_seconds_max: float = 1.5
    # how long the last jobs may take after the last kill
    settle_seconds: float = 90.0


@dataclass
class Outcome:
    """The judge's verdict, and what happened on the way."""

    verdict: Verdict
    server_kills: int
    worker_kills: int
    unfinished: int
    log_tail: str = ""


@dataclass
class Fleet:
    """The processes of a run."""

    plan: Plan
    folder: Path
    port: int
    server: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started_workers: int = 0

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self.port}"

    def start_server(self) -> None:
        """Start the server on the folder and port that it had before."""
        with (self.folder / "server.log").open("ab") as log:
            self.server = subprocess.Popen(
                [
                    *(sys.executable, "-m", "dispatcher.cli", "serve"),
                    *("--keys", f"{KEY}: {SECRET}"),
                    *("--port", str(self.port), "--data-dir", str(self.folder / "data")),
                ],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start one more worker, with a record file of its own."""
        self.started_workers += 1
        record = self.folder / f"worker-{self.started_workers}.jsonl"
        with (self.folder / "workers.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.crash.worker"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "LIVEKIT_URL": self.url,
                    "LIVEKIT_API_KEY": KEY,
                    "LIVEKIT_API_SECRET": SECRET,
                    "CALLBOARD_RECORD_PATH": str(record),
                },
            )

    def kill_server(self) -> None:
        """SIGKILL the server and start it again at once."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()
        self.start_server()

    def kill_worker(self, index: int) -> None:
        """SIGKILL a worker and start another."""
        self.workers[index].kill()
        self.workers[index].wait()
        self.workers[index] = self.start_worker()

    def end(self) -> None:
        """End everything: the server last, by SIGTERM, so that its log is whole."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            try:
                self.server.wait(30)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()


@contextmanager
def fleet_of(plan: Plan) -> Iterator[Fleet]:
    """Start a server and the workers in a new folder; end them in any case."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callboard-crash-")))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        fleet = Fleet(plan, folder, port)
        stack.callback(fleet.end)
        fleet.start_server()
        fleet.workers.extend(fleet.start_worker() for _ in range(plan.workers))
        yield fleet


async def run(plan: Plan) -> Outcome:
    """Run the plan; return the outcome. Nothing of it is left on the machine."""
    rng = random.Random(plan.seed)
    acknowledged: dict[str, str] = {}
    with fleet_of(plan) as fleet:
        async with DispatchClient(fleet.url, KEY, SECRET, retry_seconds_max=60.0) as client:
            with anyio.fail_after(60):
                await _serving(client)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(
                    _call_all, plan, client, acknowledged, random.Random(plan.seed + 1)
                )
                tasks.start_soon(_kill_all, plan, fleet, rng)
            unfinished = await _settle(plan, client)
        fleet.end()
        records = read_records(sorted(fleet.folder.glob("worker-*.jsonl")))
        verdict = judge(acknowledged, read_log(fleet.folder / "data" / "callboard.db"), records)
        tail = ""
        if not verdict.is_good:
            log = (fleet.folder / "server.log").read_text(errors="replace").splitlines()
            tail = "\n".join(log[-60:])
        return Outcome(verdict, plan.server_kills, plan.worker_kills, unfinished, tail)


async def _serving(client: DispatchClient) -> None:
    """Return when the server answers (the client tries again until it does)."""
    await client.list_workers(page_size=1)


async def _call_all(
    plan: Plan, client: DispatchClient, acknowledged: dict[str, str], rng: random.Random
) -> None:
    """Create all dispatches at the plan's rate, each by a caller that insists on an answer."""
    begun_at = anyio.current_time()
    callers = anyio.CapacityLimiter(plan.callers)

    async def call(number: int, job_seconds: float) -> None:
        async with callers:
            dispatch = await client.create_dispatch(
                f"room-{number}", "crash", metadata=f"{job_seconds:.3f}"
            )
        acknowledged[dispatch.id] = dispatch.state.jobs[0].id

    async with anyio.create_task_group() as tasks:
        for number in range(plan.dispatches):
            await anyio.sleep_until(begun_at + number / plan.rate_per_second)
            tasks.start_soon(call, number, rng.uniform(0.02, plan.job_seconds_max))


async def _kill_all(plan: Plan, fleet: Fleet, rng: random.Random) -> None:
    """Kill at random moments, spread over the time in which the callers call."""
    begun_at = anyio.current_time()
    span = plan.dispatches / plan.rate_per_second
    moments = [(rng.uniform(0.5, span), "server") for _ in range(plan.server_kills)]
    moments += [(rng.uniform(0.5, span), "worker") for _ in range(plan.worker_kills)]
    for moment, victim in sorted(moments):
        await anyio.sleep_until(begun_at + moment)
        if victim == "server":
            await anyio.to_thread.run_sync(fleet.kill_server)
        else:
            index = rng.randrange(len(fleet.workers))
            await anyio.to_thread.run_sync(fleet.kill_worker, index)


async def _settle(plan: Plan, client: DispatchClient) -> int:
    """Wait until no job is live; return how many still are when the time is up."""
    live = [
        api_pb2.DELAYED,
        api_pb2.QUEUED,
        api_pb2.OFFERED,
        api_pb2.ASSIGNED,
        api_pb2.RUNNING,
        api_pb2.ORPHANED,
    ]
    count = 1
    with anyio.move_on_after(plan.settle_seconds):
        while count:
            count = len((await client.list_jobs(phases=live, page_size=100)).jobs)
            await anyio.sleep(0.25)
    return count
