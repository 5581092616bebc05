"""Options that cannot be used are refused where they are written; nothing is loaded needlessly."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from protocol.errors import ConfigError
from worker_sdk import JobContext, ProcessExecutor, Worker
from worker_sdk.executors import WorkerProgram


async def job(_ctx: JobContext) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    "options",
    [
        {"warm": -1},
        {"warm": 1.5},
        {"jobs_per_process": 0},
        {"memory_bytes_max": 0},
        {"job_seconds_max": 0.0},
        {"ping_seconds_max": float("nan")},
        {"stop_seconds_max": -1.0},
        {"prewarm_seconds_max": float("inf")},
        {"process_wait_seconds_max": 0.0},
    ],
)
def test_an_option_that_cannot_be_used_is_refused_by_name(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"ProcessExecutor: {name} must be"):
        ProcessExecutor(**options)  # type: ignore[arg-type]


def test_a_system_without_posix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(ConfigError, match="POSIX"):
        ProcessExecutor().check(WorkerProgram(job))


@pytest.mark.anyio
async def test_a_worker_refuses_a_job_function_that_its_processes_could_not_find() -> None:
    worker = Worker(
        "greeter",
        url="ws://127.0.0.1:1",
        api_key="k",
        api_secret="s",
        executor=ProcessExecutor(),
    )

    @worker.job
    async def inside(_ctx: JobContext) -> None:
        pass

    with pytest.raises(ConfigError, match="define it with `async def`"):
        await worker.serve()


def test_a_worker_without_processes_loads_nothing_that_only_they_need() -> None:
    code = (
        "import sys; from worker_sdk import ProcessExecutor, Worker; ProcessExecutor();"
        "print([name for name in ('psutil', 'protocol.executor_pb2', 'worker_sdk.executors.pool')"
        " if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
