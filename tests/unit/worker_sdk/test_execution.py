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


async def test_a_function_that_is_not_async_has_failed_with_what_to_do() -> None:
    def job(_: JobContext) -> None:
        pass

    outcome = await run(job)  # type: ignore[arg-type]
    told = "ConfigError: the job function must be defined with `async def`"
    assert outcome == Outcome(OutcomeKind.FAILED, told)


async def test_a_failed_task_group_tells_what_its_tasks_raised() -> None:
    async def fail(error: Exception) -> None:
        raise error

    async def job(_: JobContext) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail, ValueError("no such voice"))

    assert await run(job) == Outcome(OutcomeKind.FAILED, "ValueError: no such voice")


async def test_of_many_exceptions_in_a_group_some_are_told() -> None:
    async def job(_: JobContext) -> None:
        inner = ExceptionGroup("inner", [KeyError("a"), OSError("b")])
        raise ExceptionGroup("outer", [inner, *(ValueError(n) for n in range(5))])

    told = "KeyError: 'a'; OSError: b; ValueError: 0; ValueError: 1; ValueError: 2; and 2 more"
    assert await run(job) == Outcome(OutcomeKind.FAILED, told)


async def test_an_error_whose_text_cannot_be_sent_is_escaped() -> None:
    async def job(_: JobContext) -> None:
        raise FileNotFoundError("no \udcff.wav")

    assert await run(job) == Outcome(OutcomeKind.FAILED, "FileNotFoundError: no \\udcff.wav")


async def test_an_error_without_a_text_that_can_be_had_is_named() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def job(_: JobContext) -> None:
        raise Mute

    assert await run(job) == Outcome(OutcomeKind.FAILED, "Mute: (its text raised)")


async def test_a_panic_that_is_no_exception_of_pythons_fails_the_job_alone() -> None:
    class Panic(BaseException):  # as extensions written in Rust raise
        pass

    async def job(_: JobContext) -> None:
        raise Panic("index out of range")

    assert await run(job) == Outcome(OutcomeKind.FAILED, "Panic: index out of range")


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_task_that_raises_while_its_job_is_stopped_fails_the_job_alone() -> None:
    scope = anyio.CancelScope()

    async def clean_up_badly() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("half written")

    async def job(_: JobContext) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clean_up_badly)
            tasks.start_soon(anyio.sleep_forever)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.sleep_forever()

    with structlog.testing.capture_logs():
        outcome = await execute(job, context(), scope)
    assert outcome == Outcome(OutcomeKind.FAILED, "ValueError: half written")


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
