"""Shutdown callbacks: when, in which order, with what, for how long, and what they cannot change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from typing import Any

import anyio
import pytest
import structlog

from protocol.errors import ConfigError
from tests.unit.worker_sdk.test_execution import context
from worker_sdk.execution import Outcome, OutcomeKind, execute
from worker_sdk.job import JobContext
from worker_sdk.shutdown import CALLBACKS_MAX, ShutdownCallbacks, ShutdownReason

pytestmark = pytest.mark.anyio
LOOPS = ["asyncio", *(["trio"] if find_spec("trio") else [])]


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The event loop of a test."""
    return request.param


class Shutdown:
    """A job that adds callbacks and ends in some way; what was called, and logged."""

    def __init__(self) -> None:
        self.called: list[object] = []
        self.logged: list[Any] = []
        self.scope = anyio.CancelScope()

    def saying(self, word: str) -> Callable[[], None]:
        """A callback that leaves a word."""
        return lambda: self.called.append(word)

    async def run(
        self,
        *callbacks: Callable[..., object],
        ending: Callable[[], object] = lambda: None,
        seconds_max: float = 30.0,
    ) -> Outcome:
        """Run the job to its end. `ending` is what its function does last."""

        async def job(ctx: JobContext) -> None:
            for callback in callbacks:
                ctx.add_shutdown_callback(callback)
            ending()
            await anyio.lowlevel.checkpoint()

        with structlog.testing.capture_logs() as self.logged, anyio.fail_after(60):
            return await execute(job, context(), self.scope, seconds_max)


async def test_the_last_added_is_called_first() -> None:
    job = Shutdown()
    await job.run(job.saying("first"), job.saying("second"), job.saying("third"))
    assert job.called == ["third", "second", "first"]


def fail() -> None:
    """As a job that fails."""
    raise ValueError("no model")


async def test_a_callback_with_a_parameter_is_told_how_the_function_ended() -> None:
    for ending, reason in ((lambda: None, "returned"), (fail, "failed")):
        job = Shutdown()
        await job.run(job.called.append, ending=ending)
        assert job.called == [ShutdownReason(reason)]


async def test_an_optional_parameter_is_not_the_reason() -> None:
    job = Shutdown()

    def close(code: int = 1000) -> None:
        job.called.append(code)

    await job.run(close)
    assert job.called == [1000]


async def test_a_job_that_is_cancelled_has_its_callbacks_called_to_their_ends() -> None:
    job = Shutdown()

    async def save(reason: ShutdownReason) -> None:
        await anyio.sleep(0.01)
        job.called.append(reason)

    assert await job.run(save, ending=job.scope.cancel) == Outcome(OutcomeKind.STOPPED)
    assert job.called == [ShutdownReason.STOPPED]


async def test_they_are_called_when_the_whole_worker_is_cancelled() -> None:
    job = Shutdown()

    async def save() -> None:
        await anyio.sleep(0.01)
        job.called.append("saved")

    with anyio.CancelScope() as worker:
        await job.run(save, ending=worker.cancel)
    assert worker.cancelled_caught
    assert job.called == ["saved"]


async def test_one_that_raises_is_logged_and_changes_nothing_else() -> None:
    job = Shutdown()

    def leave() -> None:
        raise SystemExit(3)

    def panic() -> None:
        raise BaseException("as an extension written in Rust does")

    outcome = await job.run(job.saying("first"), fail, leave, panic)
    assert outcome == Outcome(OutcomeKind.SUCCESS)
    assert job.called == ["first"]
    callbacks = [each["callback"].rpartition(".")[2] for each in job.logged]
    assert callbacks == ["panic", "leave", "fail"]
    assert {each["event"] for each in job.logged} == {"shutdown_callback_failed"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio cancels no single task
async def test_one_whose_own_work_was_cancelled_stops_no_other() -> None:
    job = Shutdown()

    async def impatient() -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    assert (await job.run(job.saying("first"), impatient)).kind is OutcomeKind.SUCCESS
    assert job.called == ["first"]
    assert [each["event"] for each in job.logged] == ["shutdown_callback_failed"]


async def test_all_have_one_deadline_together() -> None:
    job = Shutdown()

    async def hang() -> None:
        job.called.append("hangs")
        await anyio.sleep_forever()

    outcome = await job.run(job.saying("never"), job.saying("never"), hang, seconds_max=0.2)
    assert outcome == Outcome(OutcomeKind.SUCCESS)
    assert job.called == ["hangs"]
    (cut_off,) = job.logged
    assert (cut_off["event"], cut_off["not_called"]) == ("shutdown_cut_off", 2)


async def test_one_that_a_callback_adds_is_called_too() -> None:
    callbacks = ShutdownCallbacks()
    called: list[str] = []
    callbacks.add(lambda: called.append("first"))
    callbacks.add(lambda: callbacks.add(lambda: called.append("late")))
    await callbacks.run(ShutdownReason.RETURNED, 1.0, structlog.get_logger())
    assert called == ["late", "first"]


async def test_nothing_can_be_added_when_all_is_over() -> None:
    callbacks = ShutdownCallbacks()
    await callbacks.run(ShutdownReason.RETURNED, 1.0, structlog.get_logger())
    with pytest.raises(ConfigError, match="the job is over"):
        callbacks.add(print)


def takes_two(_first: object, _second: object) -> None:
    """No shutdown callback."""


def test_what_cannot_be_called_is_refused_when_it_is_added() -> None:
    callbacks = ShutdownCallbacks()
    with pytest.raises(ConfigError, match="takes_two must take no argument, or the reason alone"):
        callbacks.add(takes_two)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no function"):
        callbacks.add(None)  # type: ignore[arg-type]


def test_there_is_a_most_of_them() -> None:
    callbacks = ShutdownCallbacks()
    numbers = count()
    for _ in range(CALLBACKS_MAX):
        callbacks.add(lambda: next(numbers))
    with pytest.raises(ConfigError, match="at most"):
        callbacks.add(print)
