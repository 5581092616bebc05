"""What every executor promises, on every event loop: one suite for all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import anyio
import pytest
import structlog

from tests.integration.worker_sdk import jobs
from tests.integration.worker_sdk.pool import job_processes, opened, run, wait_until
from worker_sdk import Executor, ProcessExecutor, TaskExecutor
from worker_sdk.execution import Outcome, OutcomeKind

pytestmark = pytest.mark.anyio

EXECUTORS: list[Executor] = [TaskExecutor(), ProcessExecutor(warm=0), ProcessExecutor(warm=1)]
LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    *([pytest.param(("trio", {}), id="trio")] if find_spec("trio") else []),
]


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The event loop of a test."""
    return request.param


@pytest.fixture(params=EXECUTORS, ids=["task", "process", "pool"])
def executor(request: pytest.FixtureRequest) -> Executor:
    """An executor; the test passes for each."""
    value: Executor = request.param
    return value


@pytest.fixture(autouse=True)
async def _quiet_and_tidy() -> AsyncIterator[None]:
    jobs.prewarmed.clear()
    before = set(job_processes())
    with structlog.testing.capture_logs():
        yield
    # The kernel ends what was killed in its own time.
    await wait_until(lambda: set(job_processes()) <= before)


async def test_a_job_that_returns_has_succeeded(executor: Executor) -> None:
    async with opened(executor) as runner:
        assert await run(runner, "succeed") == Outcome(OutcomeKind.SUCCESS)


@pytest.mark.parametrize(
    ("metadata", "error"),
    [("fail no\nmodel", "ValueError: no model"), ("exit_politely 3", "the job called exit(3)")],
)
async def test_a_job_that_raises_has_failed_with_one_line(
    metadata: str, error: str, executor: Executor
) -> None:
    async with opened(executor) as runner:
        assert await run(runner, metadata) == Outcome(OutcomeKind.FAILED, error)


async def test_a_job_whose_scope_is_cancelled_sees_a_cancellation(
    executor: Executor, tmp_path: Path
) -> None:
    path = tmp_path / "tidy"
    scope = anyio.CancelScope()
    async with opened(executor) as runner, anyio.create_task_group() as tasks:

        async def stop_soon() -> None:
            await wait_until(path.exists)
            scope.cancel()

        tasks.start_soon(stop_soon)
        assert await run(runner, f"tidy_up {path}", scope) == Outcome(OutcomeKind.STOPPED)
    assert path.read_text() == "tidied up"


async def test_a_cancellation_from_outside_ends_the_job_and_passes(
    executor: Executor, tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    async with opened(executor) as runner:
        with anyio.CancelScope() as outer:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, runner, f"tell_pid_and {path} wait")
                await wait_until(path.exists)
                outer.cancel()
        assert outer.cancelled_caught


@pytest.mark.parametrize("prewarm", [jobs.prewarm, jobs.prewarm_asynchronously])
async def test_a_job_finds_what_was_prewarmed(
    prewarm: object, executor: Executor, tmp_path: Path
) -> None:
    path = tmp_path / "told"
    async with opened(executor, prewarm=prewarm) as runner:  # type: ignore[arg-type]
        assert (await run(runner, f"tell {path}")).kind is OutcomeKind.SUCCESS
    assert len(eval(path.read_text())["prewarmed"]) == 1


async def test_jobs_run_on_the_worker_s_kind_of_loop(
    executor: Executor, tmp_path: Path, anyio_backend: tuple[str, dict[str, bool]]
) -> None:
    path = tmp_path / "loop"
    async with opened(executor) as runner:
        await run(runner, f"loop_name {path}")
    name, options = anyio_backend
    assert path.read_text() == ("uvloop" if options.get("use_uvloop") else name)
