"""Each way in which a job in a process can end, and the one line that says so."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
import structlog

from tests.integration.worker_sdk.pool import (
    is_alive,
    job_processes,
    opened,
    run,
    run_alone,
    wait_until,
)
from worker_sdk import ProcessExecutor
from worker_sdk.execution import Outcome, OutcomeKind

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
# Longer than a process that is well may have to wait for a processor.
PING_SECONDS_MAX = 1.5
KILLED_BY_OTHERS = (
    "the process was killed by SIGKILL (not by this worker: by the kernel for want of memory,"
    " or by hand)"
)


@pytest.fixture(autouse=True)
async def _nothing_is_left_behind() -> AsyncIterator[None]:
    before = set(job_processes())
    with structlog.testing.capture_logs():
        yield
    # The kernel ends what was killed in its own time.
    await wait_until(lambda: set(job_processes()) <= before)


async def test_a_job_that_returns_has_succeeded() -> None:
    assert await run_alone("succeed") == Outcome(OutcomeKind.SUCCESS)


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ("fail no such\nmodel", "ValueError: no such model"),
        ("exit_politely 3", "the job called exit(3)"),
        ("exit_at_once 4", "the process exited with code 4"),
        ("exit_at_once 0", "the process exited with code 0"),
        ("exit_in_a_task 5", "the process exited with code 5"),
        ("die_of SIGABRT", "the process was killed by SIGABRT"),
        ("die_of SIGUSR1", "the process was killed by SIGUSR1"),
        ("crash", "the process was killed by SIGSEGV"),
        (
            "die_of SIGKILL",
            KILLED_BY_OTHERS,
        ),
    ],
)
async def test_a_job_that_ends_otherwise_has_failed_with_the_reason(
    metadata: str, error: str
) -> None:
    assert await run_alone(metadata) == Outcome(OutcomeKind.FAILED, error)


async def test_a_job_that_is_cancelled_by_asyncio_itself_has_failed() -> None:
    assert await run_alone("cancel_itself") == Outcome(
        OutcomeKind.FAILED, "something that the job awaited was cancelled"
    )


async def test_a_job_over_its_memory_is_killed_and_the_numbers_are_told() -> None:
    outcome = await run_alone(f"use_memory {300 * MIB}", memory_bytes_max=200 * MIB)
    told = re.fullmatch(
        r"the process used (\d+) bytes of memory, 209715200 are allowed: it was killed",
        outcome.error,
    )
    assert told is not None
    assert 200 * MIB < int(told[1]) < 500 * MIB


async def test_what_a_job_starts_counts_as_its_memory() -> None:
    outcome = await run_alone(f"use_memory_in_a_child {300 * MIB}", memory_bytes_max=200 * MIB)
    assert outcome.error.endswith("209715200 are allowed: it was killed")


async def test_a_job_that_writes_to_its_worker_s_socket_is_killed() -> None:
    outcome = await run_alone("garble")
    assert outcome.error.startswith("what the process sent cannot be read: ")


async def test_a_job_over_its_time_is_cancelled_and_has_failed(tmp_path: Path) -> None:
    path = tmp_path / "tidy"
    outcome = await run_alone(f"tidy_up {path}", job_seconds_max=1.5)
    assert outcome == Outcome(
        OutcomeKind.FAILED, "the job ran for longer than the 1.5 s that are allowed"
    )
    assert path.read_text() == "tidied up"


async def test_a_job_over_its_time_that_does_not_stop_is_killed() -> None:
    outcome = await run_alone("ignore_cancellation", job_seconds_max=0.2, stop_seconds_max=0.2)
    assert outcome.error == "the job ran for longer than the 0.2 s that are allowed"


async def test_a_kill_is_logged_with_the_job_and_the_cause() -> None:
    with structlog.testing.capture_logs() as logs:
        outcome = await run_alone("hang", ping_seconds_max=PING_SECONDS_MAX)
    killed = [entry for entry in logs if entry["event"] == "process_killed"][-1]
    assert killed["job_id"].startswith("AJ_")
    assert killed["cause"] == outcome.error


@pytest.mark.parametrize("metadata", ["hang", "hang_in_c"])
async def test_a_job_that_hangs_is_killed(metadata: str) -> None:
    assert await run_alone(metadata, ping_seconds_max=PING_SECONDS_MAX) == Outcome(
        OutcomeKind.FAILED,
        f"the process hung: its event loop did not turn for {PING_SECONDS_MAX} s, and it was killed",
    )


async def test_a_job_that_is_told_to_stop_sees_a_cancellation(tmp_path: Path) -> None:
    path = tmp_path / "tidy"
    scope = anyio.CancelScope()
    async with opened(ProcessExecutor(warm=1)) as runner, anyio.create_task_group() as tasks:

        async def stop_soon() -> None:
            await wait_until(path.exists)
            scope.cancel()

        tasks.start_soon(stop_soon)
        assert await run(runner, f"tidy_up {path}", scope) == Outcome(OutcomeKind.STOPPED)
    assert path.read_text() == "tidied up"


@pytest.mark.parametrize("metadata", ["ignore_cancellation", "hang"])
async def test_a_job_that_does_not_stop_is_killed(metadata: str, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    scope = anyio.CancelScope()
    executor = ProcessExecutor(warm=1, stop_seconds_max=0.3)
    async with opened(executor) as runner, anyio.create_task_group() as tasks:

        async def stop_soon() -> None:
            await wait_until(path.exists)
            scope.cancel()

        tasks.start_soon(stop_soon)
        outcome = await run(runner, f"tell_pid_and {path} {metadata}", scope)
    assert outcome == Outcome(
        OutcomeKind.FAILED,
        "the job did not stop within 0.3 s of being told to, and its process was killed",
    )


async def test_a_job_that_is_stopped_before_it_had_a_process_never_runs() -> None:
    scope = anyio.CancelScope()
    scope.cancel()
    async with opened(ProcessExecutor(warm=0)) as runner:
        assert await run(runner, "fail", scope) == Outcome(OutcomeKind.STOPPED)


async def test_what_a_job_has_started_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    async with opened(ProcessExecutor(warm=0)) as runner:
        assert (await run(runner, f"leave_a_child {path}")).kind is OutcomeKind.SUCCESS
        pids = [int(pid) for pid in path.read_text().split()]
        await wait_until(lambda: not any(is_alive(pid) for pid in pids))


async def test_a_thread_that_a_job_leaves_does_not_keep_its_process() -> None:
    with structlog.testing.capture_logs() as logs:
        assert await run_alone("leave_a_thread") == Outcome(OutcomeKind.SUCCESS)
    (killed,) = [entry for entry in logs if entry["event"] == "process_killed"]
    assert "did not end within 5 s of being told to" in killed["cause"]


async def test_a_worker_that_is_cancelled_takes_its_jobs_with_it(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            async with opened(ProcessExecutor(warm=1)) as runner:
                await run(runner, f"leave_a_child_and_wait {path}")

        tasks.start_soon(serve)
        await wait_until(lambda: path.exists() and path.read_text().count(" ") == 1)
        tasks.cancel_scope.cancel()
    # The kernel ends what was killed in its own time.
    pids = [int(pid) for pid in path.read_text().split()]
    await wait_until(lambda: not any(is_alive(pid) for pid in pids))
