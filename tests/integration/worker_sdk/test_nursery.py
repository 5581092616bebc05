"""Job processes come from a nursery on Linux, and as new interpreters elsewhere; both are the same."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest
import structlog

from tests.integration.worker_sdk.pool import (
    in_background,
    is_alive,
    job_processes,
    nurseries,
    opened,
    run,
    start,
    wait_until,
)
from worker_sdk import JobContext, ProcessExecutor
from worker_sdk.execution import OutcomeKind
from worker_sdk.executors import WorkerProgram
from worker_sdk.executors.job_process import JobProcess, ProcessLimits, ProcessState
from worker_sdk.executors.launching import Starts
from worker_sdk.executors.process_executor import setup_of
from worker_sdk.wakeup import Wakeup

pytestmark = pytest.mark.anyio
linux = pytest.mark.skipif(sys.platform != "linux", reason="there is a nursery on Linux only")

VARIABLE = "CALLBOARD_TEST_VARIABLE"


async def tell_surroundings(ctx: JobContext) -> None:
    """Write down what the process has of the worker's surroundings."""
    told = f"{os.environ.get(VARIABLE)} {Path.cwd()}"
    await anyio.Path(ctx.job.metadata).write_text(told)


async def wait(ctx: JobContext) -> None:
    """Say that it runs; go on for ever."""
    await anyio.Path(ctx.job.metadata).touch()
    await anyio.sleep_forever()


@linux
async def test_one_nursery_forks_all_job_processes_and_goes_with_the_executor(
    tmp_path: Path,
) -> None:
    async with opened(ProcessExecutor(warm=2), tell_surroundings) as runner:
        assert (await run(runner, str(tmp_path / "told"))).kind is OutcomeKind.SUCCESS
        await wait_until(lambda: runner.pool is not None and runner.pool.idle == 2)
        (nursery,) = nurseries()
    await wait_until(lambda: not is_alive(nursery))
    await wait_until(lambda: job_processes() == [])


async def test_a_job_process_has_the_environment_and_the_folder_of_the_moment_of_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    monkeypatch.setenv(VARIABLE, "early")
    async with opened(ProcessExecutor(warm=0), tell_surroundings) as runner:
        await run(runner, str(told))
        assert told.read_text() == f"early {Path.cwd()}"
        folder = tmp_path / "folder"
        folder.mkdir()
        monkeypatch.setenv(VARIABLE, "late")
        monkeypatch.chdir(folder)
        await run(runner, str(told))
        assert told.read_text() == f"late {folder}"
        monkeypatch.delenv(VARIABLE)
        await run(runner, str(told))
        assert told.read_text() == f"None {folder}"


@linux
async def test_jobs_run_again_after_the_nursery_was_killed(tmp_path: Path) -> None:
    async with opened(ProcessExecutor(warm=1), tell_surroundings) as runner:
        await run(runner, str(tmp_path / "before"))
        (nursery,) = nurseries()
        os.kill(nursery, signal.SIGKILL)
        assert (await run(runner, str(tmp_path / "after"))).kind is OutcomeKind.SUCCESS
        assert nurseries() != [nursery]
    await wait_until(lambda: nurseries() == [])


@linux
async def test_a_job_whose_nursery_was_killed_has_failed(tmp_path: Path) -> None:
    running = tmp_path / "running"
    outcomes = []

    async def run_job() -> None:
        outcomes.append(await run(runner, str(running)))

    async with (
        opened(ProcessExecutor(warm=0), wait) as runner,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(in_background, run_job)
        await wait_until(running.exists)
        (nursery,) = nurseries()
        os.kill(nursery, signal.SIGKILL)
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.FAILED]
    await wait_until(lambda: job_processes() == [])


async def test_where_there_is_no_nursery_a_job_process_is_a_new_interpreter(
    tmp_path: Path,
) -> None:
    told = tmp_path / "told"
    setup = setup_of(WorkerProgram(tell_surroundings))
    setup.event_loop = "asyncio"
    changed = Wakeup()
    log = structlog.get_logger()
    process = JobProcess(
        setup, ProcessLimits(60.0, 60.0), Starts(setup), log, lambda _: changed.fire()
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.live)
        await wait_until(lambda: process.state is ProcessState.IDLE)
        process.reserve()
        assert await process.begin(start(str(told)), changed, log)
        await wait_until(lambda: process.outcome is not None)
        process.dismiss()
    assert process.outcome is not None
    assert process.outcome.kind is OutcomeKind.SUCCESS
    assert process.fault == "the process exited with code 0"
    assert told.exists()
