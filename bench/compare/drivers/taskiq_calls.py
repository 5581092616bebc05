"""Drives taskiq on Redis: callers here, the worker by its own command.

    python -m bench.compare.drivers.taskiq_calls WORKERS CALLERS

The environment is that of `taskiq_tasks.py`. `taskiq worker` runs one process with so many tasks at once
as there are workers elsewhere. A job counts as over when its function has returned: taskiq acknowledges
it after that, and nobody is told of it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from bench.compare.drivers.shapes import PAYLOAD_BYTES, JobBook, first_job_over, run_driver
from bench.compare.drivers.side_channel import Listener, payload_of
from bench.compare.drivers.taskiq_settings import SOCKET_VARIABLE
from bench.compare.drivers.taskiq_tasks import broker, run_job

TASKS = "bench.compare.drivers.taskiq_tasks"


class TaskiqClient:
    """The broker as callers have it, and the process of the worker."""

    async def open(self, book: JobBook, workers: int, callers: int) -> None:
        """Start the worker and wait until it has done a job."""
        del callers
        loop = asyncio.get_running_loop()
        await loop.create_unix_server(lambda: Listener(book), os.environ[SOCKET_VARIABLE])
        self._worker = self._start_worker(workers)
        await broker.startup()
        await first_job_over(self, book)

    async def call(self, number: int, due_ns: int) -> None:
        """Have the task queued."""
        del due_ns
        await run_job.kiq(payload_of(number, PAYLOAD_BYTES))

    async def close(self) -> None:
        """Disconnect."""
        self._worker.terminate()
        self._worker.wait()
        await broker.shutdown()

    def _start_worker(self, workers: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "taskiq", "worker", f"{TASKS}:broker", "--workers", "1"),
                *("--max-async-tasks", str(workers), "--log-level", "WARNING"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )


def main() -> None:
    """Drive the Redis that the environment names."""
    run_driver(TaskiqClient, int(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    main()
