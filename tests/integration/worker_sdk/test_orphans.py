"""Job processes whose worker was killed end by themselves, with all that they have started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest

from tests.integration.worker_sdk.pool import NURSERIES, is_alive, wait_until

pytestmark = pytest.mark.anyio

# Serves no server: a pool of two, one of which runs the job that the argument names.
PROGRAM = """
import sys
import anyio
import structlog
from tests.integration.worker_sdk import jobs
from tests.integration.worker_sdk.pool import start
from worker_sdk import ProcessExecutor
from worker_sdk.executors import WorkerProgram

async def main():
    program = WorkerProgram(jobs.job)
    async with ProcessExecutor(warm=1).open(program, structlog.get_logger()) as runner:
        await runner.run(start(sys.argv[1]), anyio.CancelScope(), structlog.get_logger())

anyio.run(main)
"""


class Parent:
    """A worker in a process of its own."""

    def __init__(self, metadata: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, metadata],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def children(self) -> list[int]:
        """All that it and its children have started."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]


@pytest.fixture
def parents() -> Iterator[list[Parent]]:
    """Workers of the test, killed at its end."""
    started: list[Parent] = []
    yield started
    for parent in started:
        parent.process.kill()
        parent.process.wait()


@pytest.mark.parametrize(
    "action",
    [
        "wait",
        "hang",
        "ignore_cancellation",
        pytest.param(
            "hang_in_c",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux's own signal"),
        ),
    ],
)
async def test_job_processes_of_a_killed_worker_end(
    action: str, parents: list[Parent], tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    parent = Parent(f"tell_pid_and {path} {action}")
    parents.append(parent)
    # The job's, the one that is kept warm, and what forks them.
    await wait_until(lambda: path.exists() and len(parent.children) == 2 + NURSERIES)
    left = parent.children
    assert int(path.read_text()) in left
    parent.process.kill()
    await wait_until(lambda: not any(is_alive(pid) for pid in left))


@pytest.mark.parametrize("action", ["leave_a_child_and_wait", "leave_a_child_and_hang"])
async def test_what_a_job_has_started_ends_with_a_killed_worker(
    action: str, parents: list[Parent], tmp_path: Path
) -> None:
    path = tmp_path / "pids"
    parent = Parent(f"{action} {path}")
    parents.append(parent)
    await wait_until(lambda: path.exists() and path.read_text().count(" ") == 1)
    left = [int(pid) for pid in path.read_text().split()]
    parent.process.kill()
    await wait_until(lambda: not any(is_alive(pid) for pid in left))


async def test_a_job_is_cancelled_when_its_worker_was_killed(
    parents: list[Parent], tmp_path: Path
) -> None:
    path = tmp_path / "tidy"
    parent = Parent(f"tidy_up {path}")
    parents.append(parent)
    await wait_until(lambda: path.exists() and path.read_text() == "begun")
    parent.process.kill()
    await wait_until(lambda: path.read_text() == "tidied up")


async def test_signals_to_the_whole_group_of_a_worker_are_for_the_worker_alone(
    parents: list[Parent], tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    parent = Parent(f"tell_pid_and {path} wait")
    parents.append(parent)
    await wait_until(path.exists)
    pid = int(path.read_text())
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    # It answers another second long: the signals have been taken by then.
    with anyio.move_on_after(1.0):
        await wait_until(lambda: not is_alive(pid))
    assert is_alive(pid)
