"""Shutdown callbacks are called wherever a job runs, before its end is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import structlog
from structlog.typing import EventDict

from tests.integration.worker_sdk import shutdown_jobs
from tests.integration.worker_sdk.pool import run, wait_until
from worker_sdk import Executor, ProcessExecutor, TaskExecutor
from worker_sdk.execution import Outcome, OutcomeKind
from worker_sdk.executors import JobRunner, WorkerProgram

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize(
        "executor", [TaskExecutor(), ProcessExecutor(warm=0)], ids=["task", "process"]
    ),
]


@asynccontextmanager
async def opened(
    executor: Executor, seconds_max: float = 10.0, logged: list[EventDict] | None = None
) -> AsyncIterator[JobRunner]:
    """The executor at work; what is logged goes to `logged` when it is left."""
    program = WorkerProgram(shutdown_jobs.job, shutdown_seconds_max=seconds_max)
    with structlog.testing.capture_logs() as captured:
        async with executor.open(program, structlog.get_logger()) as runner:
            yield runner
    if logged is not None:
        logged += captured


async def test_when_the_function_returned(executor: Executor, tmp_path: Path) -> None:
    path = tmp_path / "said"
    async with opened(executor) as runner:
        assert await run(runner, str(path)) == Outcome(OutcomeKind.SUCCESS)
        assert path.read_text() == "closed, saved: returned"


async def test_when_the_job_was_stopped(executor: Executor, tmp_path: Path) -> None:
    path = tmp_path / "said"
    scope = anyio.CancelScope()
    async with opened(executor) as runner, anyio.create_task_group() as tasks:

        async def stop_soon() -> None:
            await wait_until(path.exists)
            scope.cancel()

        tasks.start_soon(stop_soon)
        outcome = await run(runner, f"{path} wait", scope)
        assert outcome == Outcome(OutcomeKind.STOPPED)
        assert path.read_text() == "closed, saved: stopped"


async def test_within_the_deadline_of_the_worker(executor: Executor, tmp_path: Path) -> None:
    path = tmp_path / "said"
    logged: list[EventDict] = []
    async with opened(executor, 0.05, logged) as runner:
        assert await run(runner, f"{path} late") == Outcome(OutcomeKind.SUCCESS)
        assert path.read_text() == ""
    (cut_off,) = [each for each in logged if each["event"] == "shutdown_cut_off"]
    assert (cut_off["seconds_max"], cut_off["not_called"]) == (0.05, 2)
