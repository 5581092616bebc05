"""`console`: a user's job function runs here, without any server, and its end is one clear line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEADLINE_SECONDS = 60.0

PROGRAM = """
import anyio
from worker_sdk import JobContext, Worker

worker = Worker(agent_name="greeter")

{more}

@worker.job
async def greet(ctx: JobContext) -> None:
    ctx.log.info("greets", metadata=ctx.job.metadata, attributes=dict(ctx.job.attributes))
    match ctx.job.room:
        case "broken":
            raise LookupError("no such voice")
        case "long":
            await anyio.sleep_forever()

if __name__ == "__main__":
    worker.run()
"""


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path / "my_worker.py")


class Start:
    """Starts a worker program with `console`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, *arguments: str, more: str = "") -> subprocess.Popen[str]:
        self._path.write_text(PROGRAM.format(more=more))
        clean = {key: value for key, value in os.environ.items() if "LIVEKIT" not in key}
        return subprocess.Popen(
            [sys.executable, str(self._path), "console", *arguments],
            env=clean,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def test_a_job_that_succeeds(start: Start) -> None:
    process = start("--metadata", "hello", "--attribute", "voice=low")
    out, log = process.communicate(timeout=DEADLINE_SECONDS)
    assert re.fullmatch(r"job AJ_console in room 'console': success after \d+\.\d s\n", out)
    assert "greets" in log
    assert "hello" in log
    assert "low" in log
    assert process.returncode == 0


def test_a_job_that_fails_shows_its_error_and_where_it_was_raised(start: Start) -> None:
    process = start("--room", "broken")
    out, log = process.communicate(timeout=DEADLINE_SECONDS)
    assert "room 'broken': failed after" in out
    assert out.endswith(": LookupError: no such voice\n")
    assert "my_worker.py" in log
    assert process.returncode == 1


def test_ctrl_c_stops_the_job(start: Start) -> None:
    process = start("--room", "long")
    assert process.stderr is not None
    assert "greets" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert "room 'long': stopped after" in out
    assert process.returncode == 130


def test_a_request_handler_may_refuse(start: Start) -> None:
    handler = "@worker.request\nasync def decide(request):\n    request.decline()\n"
    process = start(more=handler)
    out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert out == "job AJ_console did not run: the request handler said decline\n"
    assert process.returncode == 1


def test_a_request_handler_that_raises_is_told_in_the_line(start: Start) -> None:
    handler = "@worker.request\nasync def decide(request):\n    request.accept(name=7)\n"
    process = start(more=handler)
    out, log = process.communicate(timeout=DEADLINE_SECONDS)
    told = "raised ConfigError: accept: name must be text, not 7, which declines"
    assert out == f"job AJ_console did not run: the request handler {told}\n"
    assert "my_worker.py" in log
    assert "typer" not in log
    assert process.returncode == 1


def test_the_prewarm_function_runs_first(start: Start) -> None:
    prewarm = "@worker.prewarm\ndef warm():\n    print('warm', flush=True)\n"
    process = start(more=prewarm)
    out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert out.splitlines()[0] == "warm"
    assert process.returncode == 0


def test_a_job_runs_in_a_process_where_the_program_says_so(start: Start) -> None:
    executor = (
        "from worker_sdk.executors import ProcessExecutor\n"
        "worker = Worker(agent_name='greeter', executor=ProcessExecutor(warm=1))\n"
    )
    process = start("--room", "broken", more=executor)
    out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert out.endswith(": LookupError: no such voice\n")
    assert process.returncode == 1
