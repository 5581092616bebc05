"""`dev` starts a program anew when its file changes, and leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import psutil
import pytest

from tests.conformance.waiting import eventually
from tests.support.scripted_server import ScriptedServer

pytestmark = pytest.mark.anyio

START_SECONDS = 60.0

PROGRAM = """
import anyio
from worker_sdk import JobContext, Worker

worker = Worker(agent_name="{name}")

@worker.job
async def hold(ctx: JobContext) -> None:
    await anyio.sleep_forever()

if __name__ == "__main__":
    worker.run()
"""


class Developer:
    """Has a program open in an editor, and runs it with `dev`."""

    def __init__(self, folder: Path, server: ScriptedServer) -> None:
        self.path = folder / "my_worker.py"
        self.server = server
        self._process: subprocess.Popen[bytes] | None = None

    def save(self, text: str) -> None:
        """Save the program, in one piece."""
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.rename(self.path)

    def run(self) -> subprocess.Popen[bytes]:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, str(self.path), "dev"],
            env={**os.environ, "LIVEKIT_URL": self.server.url, "LIVEKIT_API_SECRET": "s" * 32},
            cwd=self.path.parent,
            stderr=subprocess.DEVNULL,
        )
        return self._process

    def clean_up(self) -> None:
        """Kill the reloader, after which its worker ends by itself."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
async def developer(tmp_path: Path) -> AsyncIterator[Developer]:
    """Somebody who writes a worker."""
    async with ScriptedServer() as server:
        developer = Developer(tmp_path, server)
        try:
            yield developer
        finally:
            developer.clean_up()


async def test_a_change_ends_the_old_worker_with_its_jobs_handed_over_and_starts_the_new_one(
    developer: Developer,
) -> None:
    developer.save(PROGRAM.format(name="before"))
    developer.run()
    connection, said = await developer.server.accept_registration(START_SECONDS)
    assert said.agent_name == "before"
    await connection.give("AJ_1")
    developer.save(PROGRAM.format(name="after"))
    with anyio.fail_after(START_SECONDS):
        await connection.is_closed.wait()
    assert list((await connection.expect("hand_over")).hand_over.job_ids) == ["AJ_1"]
    _, said = await developer.server.accept_registration(START_SECONDS)
    assert said.agent_name == "after"


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which signals wait")
async def test_a_worker_that_is_too_busy_to_take_a_signal_hands_its_jobs_over_all_the_same(
    developer: Developer,
) -> None:
    developer.save(PROGRAM.format(name="before"))
    process = developer.run()
    connection, _ = await developer.server.accept_registration(START_SECONDS)
    await connection.give("AJ_1")
    (worker,) = psutil.Process(process.pid).children()
    worker.suspend()
    developer.save(PROGRAM.format(name="after"))
    await eventually(
        "both signals wait", lambda: signals_waiting(worker.pid) >= {signal.SIGTERM, signal.SIGINT}
    )
    worker.resume()
    assert list((await connection.expect("hand_over")).hand_over.job_ids) == ["AJ_1"]


def signals_waiting(pid: int) -> set[int]:
    """The signals that a process has been sent and has not taken."""
    (line,) = re.findall(
        r"^ShdPnd:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
    )
    mask = int(line, 16)
    return {number for number in range(1, 65) if mask & 1 << number - 1}


async def test_a_mistake_is_waited_out_until_the_next_change(developer: Developer) -> None:
    developer.save(PROGRAM.format(name="good"))
    process = developer.run()
    connection, _ = await developer.server.accept_registration(START_SECONDS)
    developer.save("this is no Python")
    with anyio.fail_after(START_SECONDS):
        await connection.is_closed.wait()
    developer.save(PROGRAM.format(name="mended"))
    _, said = await developer.server.accept_registration(START_SECONDS)
    assert said.agent_name == "mended"
    assert process.poll() is None


async def test_ctrl_c_ends_both_processes_with_code_0(developer: Developer) -> None:
    developer.save(PROGRAM.format(name="agent"))
    process = developer.run()
    connection, _ = await developer.server.accept_registration(START_SECONDS)
    process.send_signal(signal.SIGINT)
    with anyio.fail_after(START_SECONDS):
        assert await connection.expect_closed() == 1000
    await eventually("the reloader ends", lambda: process.poll() is not None)
    assert process.returncode == 0


async def test_a_worker_whose_reloader_was_killed_ends_too(developer: Developer) -> None:
    developer.save(PROGRAM.format(name="agent"))
    process = developer.run()
    connection, _ = await developer.server.accept_registration(START_SECONDS)
    process.kill()
    with anyio.fail_after(START_SECONDS):
        await connection.is_closed.wait()
    assert connection.close_code == 1000
