"""How a job function ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
import structlog

from protocol import wire_pb2
from worker_sdk.execution import Outcome, OutcomeKind, execute
from worker_sdk.job import Job, JobContext

pytestmark = pytest.mark.anyio


def context() -> JobContext:
    """Some job's context, whose logger says nothing."""
    return JobContext(
        job=Job.from_message(wire_pb2.Job(id="AJ_1")),
        attempt=1,
        attempt_reason="",
        epoch=1,
        resuming=False,
        url="",
        token="",
        log=structlog.get_logger(),
    )


async def run(function: Callable[[JobContext], Awaitable[None]]) -> Outcome:
    """Run a function to its end."""
    with structlog.testing.capture_logs():
        return await execute(function, context(), anyio.CancelScope())


async def test_a_function_that_returns_has_succeeded() -> None:
    async def job(_: JobContext) -> None:
        await anyio.lowlevel.checkpoint()

    assert await run(job) == Outcome(OutcomeKind.SUCCESS)


async def test_a_function_that_raises_has_failed_with_its_error_in_one_line() -> None:
    async def job(_: JobContext) -> None:
        raise LookupError("no such\nmodel")

    assert await run(job) == Outcome(OutcomeKind.FAILED, "LookupError: no such model")


async def test_a_function_that_exits_has_failed_and_the_worker_goes_on() -> None:
    async def job(_: JobContext) -> None:
        raise SystemExit(3)

    assert (await run(job)).kind is OutcomeKind.FAILED


async def test_a_function_whose_own_task_was_cancelled_has_failed() -> None:
    async def job(_: JobContext) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    assert (await run(job)).kind is OutcomeKind.FAILED


async def test_a_function_that_is_cancelled_was_stopped() -> None:
    scope = anyio.CancelScope()

    async def job(_: JobContext) -> None:
        scope.cancel()
        await anyio.sleep_forever()

    assert await execute(job, context(), scope) == Outcome(OutcomeKind.STOPPED)


async def test_a_function_that_finishes_although_cancelled_has_succeeded() -> None:
    scope = anyio.CancelScope()

    async def job(_: JobContext) -> None:
        scope.cancel()

    assert await execute(job, context(), scope) == Outcome(OutcomeKind.SUCCESS)


async def test_a_cancellation_from_outside_the_job_passes() -> None:
    async def job(_: JobContext) -> None:
        await anyio.sleep_forever()

    with anyio.CancelScope() as outer:
        outer.cancel()
        await execute(job, context(), anyio.CancelScope())
    assert outer.cancelled_caught
