"""The executor that runs jobs in the worker's own loop."""

from __future__ import annotations

import anyio
import pytest
import structlog

from protocol.errors import ConfigError
from worker_sdk import JobContext
from worker_sdk.executors import TaskExecutor, WorkerProgram

pytestmark = pytest.mark.anyio


async def job(_ctx: JobContext) -> None:
    """Do nothing."""


@pytest.mark.parametrize("option", ["stop_seconds_max", "prewarm_seconds_max"])
def test_a_bound_that_is_none_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        TaskExecutor(**{option: 0.0})


async def test_a_prewarm_that_raises_ends_the_start() -> None:
    def prewarm() -> None:
        raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        async with TaskExecutor().open(WorkerProgram(job, prewarm), structlog.get_logger()):
            pass


async def test_a_prewarm_that_never_ends_ends_the_start() -> None:
    executor = TaskExecutor(prewarm_seconds_max=0.01)
    program = WorkerProgram(job, anyio.sleep_forever)
    with pytest.raises(ConfigError, match=r"did not end within 0\.01 s"):
        async with executor.open(program, structlog.get_logger()):
            pass


async def test_a_task_executor_has_no_pool() -> None:
    async with TaskExecutor().open(WorkerProgram(job), structlog.get_logger()) as runner:
        assert runner.pool is None
