"""How soon a server serves after a SIGKILL, with many jobs in its store: `python -m tests.faults.restart`.

Half of the jobs run and half wait. Measured from the start of the process: until `/readyz` says OK,
and until a new dispatch is acknowledged. Then it is killed and started again, as often as asked. The
answer must come within 3 s each time, and all jobs must still be there.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import anyio
import httpx2

from protocol import api_pb2
from tests.faults.seeding import seed_queued, seed_running
from worker_sdk import DispatchClient

__all__ = ["Restart", "measure_restarts"]

KEY = "restart"
SECRET = "a-secret-for-restarts-only-0000000001"
READY_SECONDS_MAX = 3.0
POLL_SECONDS = 0.02
# However slow the machine: then it counts as not started.
WAIT_SECONDS_MAX = 60.0
PAGE = 1000


class Restart:
    """One start: seconds from the spawn to readiness and to the first acknowledged dispatch."""

    def __init__(self, ready_seconds: float, dispatched_seconds: float) -> None:
        self.ready_seconds = ready_seconds
        self.dispatched_seconds = dispatched_seconds


async def measure_restarts(folder: Path, jobs: int, rounds: int) -> list[Restart]:
    """Fill a data folder, and start a server on it so often, each time after a SIGKILL."""
    await seed_running(folder, "busy", range(jobs // 2))
    await seed_queued(folder, "nobody", range(jobs // 2, jobs))
    return [await _start(folder, number) for number in range(rounds)]


async def count_jobs(folder: Path, phases: list[api_pb2.JobPhase], most: int) -> int:
    """Start a server once more, and count the jobs in these phases by its API, up to `most`."""
    with _Server(folder) as server:
        await server.ready()
        async with DispatchClient(server.url, KEY, SECRET) as client:
            count, token = 0, ""
            while count < most:
                page = await client.list_jobs(phases=phases, page_size=PAGE, page_token=token)
                count += len(page.jobs)
                token = page.next_page_token
                if not token:
                    break
            return count


async def _start(folder: Path, number: int) -> Restart:
    with _Server(folder) as server:
        ready = await server.ready()
        async with DispatchClient(server.url, KEY, SECRET) as client:
            await client.create_dispatch(f"new-{number}", "nobody")
        return Restart(ready, time.monotonic() - server.began)


class _Server:
    """`callboard serve` on a data folder; killed with SIGKILL when the context ends."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self._folder = folder
        self.url = f"ws://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "dispatcher.cli", "serve"),
                *("--port", str(self._port), "--data-dir", str(self._folder)),
            ],
            env={**os.environ, "CALLBOARD_KEYS": f"{KEY}: {SECRET}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    async def ready(self) -> float:
        """Wait until it serves; return the seconds since its start."""
        async with httpx2.AsyncClient() as client:
            while time.monotonic() - self.began < WAIT_SECONDS_MAX:
                try:
                    answer = await client.get(f"http://127.0.0.1:{self._port}/readyz")
                except httpx2.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 200:
                    return time.monotonic() - self.began
                await anyio.sleep(POLL_SECONDS)
        raise SystemExit(f"the server was not ready within {WAIT_SECONDS_MAX:g} s")


def main() -> None:
    """Measure, print, and exit with 1 where it took too long or a job is gone."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.restart", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    jobs, rounds = arguments.jobs, arguments.rounds
    with tempfile.TemporaryDirectory(prefix="callboard-restart-") as name:
        folder = Path(name) / "data"
        starts = anyio.run(measure_restarts, folder, jobs, rounds)
        print(f"{jobs // 2} jobs run and {jobs - jobs // 2} wait; {rounds} starts after a SIGKILL")
        for each in starts:
            print(
                f"ready after {each.ready_seconds:.2f} s,"
                f" a new dispatch acknowledged after {each.dispatched_seconds:.2f} s"
            )
        # That a job is held for its worker is written down when there is time.
        held = anyio.run(count_jobs, folder, [api_pb2.RUNNING, api_pb2.ORPHANED], jobs)
        queued = anyio.run(count_jobs, folder, [api_pb2.QUEUED], 2 * jobs)
    print(f"there in the end: {held} held for their workers, {queued} queued")
    worst = max(each.ready_seconds for each in starts)
    is_good = (
        worst <= READY_SECONDS_MAX and held == jobs // 2 and queued == jobs - jobs // 2 + rounds
    )
    print(
        f"slowest: {worst:.2f} s, at most {READY_SECONDS_MAX:g}: {'good' if is_good else 'NOT GOOD'}"
    )
    raise SystemExit(0 if is_good else 1)


if __name__ == "__main__":
    main()
