"""A pool keeps its size: what dies, hangs or cannot be started is replaced, and said."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import psutil
import pytest
import structlog
from structlog.typing import EventDict

from tests.integration.worker_sdk import jobs
from tests.integration.worker_sdk.pool import (
    job_processes,
    opened,
    run,
    wait_until,
)
from worker_sdk import ProcessExecutor
from worker_sdk.execution import Outcome, OutcomeKind
from worker_sdk.executors import JobRunner, PoolCounts

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def logs() -> AsyncIterator[list[EventDict]]:
    """What is logged in the test; nothing is left behind."""
    before = set(job_processes())
    with structlog.testing.capture_logs() as captured:
        yield captured
    # The kernel ends what was killed in its own time.
    await wait_until(lambda: set(job_processes()) <= before)


def counts(runner: JobRunner) -> PoolCounts:
    """The pool's state."""
    assert runner.pool is not None
    return runner.pool


async def wait_warm(runner: JobRunner, number: int) -> None:
    """Wait until so many processes are ready."""
    await wait_until(lambda: counts(runner).idle == number and counts(runner).starting == 0)


def events(logs: list[EventDict], name: str) -> list[EventDict]:
    """The log lines of one kind."""
    return [entry for entry in logs if entry["event"] == name]


async def test_a_pool_has_its_size_again_after_each_job() -> None:
    async with opened(ProcessExecutor(warm=2)) as runner:
        await wait_warm(runner, 2)
        for _ in range(3):
            await run(runner, "succeed")
        await wait_warm(runner, 2)
        await wait_until(lambda: counts(runner).ending == 0)
        assert len(job_processes()) == 2


async def test_each_job_has_a_process_of_its_own(tmp_path: Path) -> None:
    async with opened(ProcessExecutor(warm=1)) as runner:
        for number in range(2):
            await run(runner, f"tell {tmp_path / str(number)}")
    pids = {eval((tmp_path / str(number)).read_text())["pid"] for number in range(2)}
    assert len(pids) == 2


async def test_a_process_takes_as_many_jobs_as_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_start = tmp_path / "may"
    may_start.touch()
    monkeypatch.setenv("PREWARM_MAY", str(may_start))
    executor = ProcessExecutor(warm=1, jobs_per_process=2)
    async with opened(executor, prewarm=jobs.prewarm_once_it_may) as runner:
        await wait_warm(runner, 1)
        # One that rests is kept while no other is ready.
        may_start.unlink()
        for number in range(2):
            await run(runner, f"tell {tmp_path / str(number)}")
        may_start.touch()
        await run(runner, f"tell {tmp_path / '2'}")
    pids = [eval((tmp_path / str(number)).read_text())["pid"] for number in range(3)]
    assert pids[0] == pids[1] != pids[2]


async def test_a_job_learns_in_its_process_what_it_would_learn_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "told"
    async with opened(ProcessExecutor(warm=0)) as runner:
        await run(
            runner,
            f"tell {path}",
            attempt=3,
            attempt_reason="lost",
            epoch=7,
            resuming=True,
        )
    told = eval(path.read_text())
    assert told["job"][1:] == ("lobby", 3, "lost", 7)
    assert told["more"] == (True, "ws://sfu.example", "room-token")
    assert told["python_path"] == os.environ.get("PYTHONPATH")


async def test_jobs_that_find_no_warm_process_wait_for_one_each() -> None:
    outcomes: list[Outcome] = []
    async with opened(ProcessExecutor(warm=1)) as runner, anyio.create_task_group() as tasks:

        async def one() -> None:
            outcomes.append(await run(runner, "succeed"))

        for _ in range(5):
            tasks.start_soon(one)
    assert outcomes == [Outcome(OutcomeKind.SUCCESS)] * 5


async def test_processes_that_no_job_waits_for_any_longer_are_ended() -> None:
    scopes = [anyio.CancelScope() for _ in range(3)]
    async with opened(ProcessExecutor(warm=1)) as runner:
        await wait_warm(runner, 1)
        async with anyio.create_task_group() as tasks:
            for scope in scopes:
                tasks.start_soon(run, runner, "wait", scope)
            await wait_until(lambda: counts(runner).starting > 0)
            for scope in scopes:
                scope.cancel()
        await wait_warm(runner, 1)
        await wait_until(lambda: counts(runner).ending == 0)
        assert len(job_processes()) == 1


async def test_a_warm_process_that_was_killed_is_replaced_and_said(logs: list[EventDict]) -> None:
    async with opened(ProcessExecutor(warm=1)) as runner:
        await wait_warm(runner, 1)
        (pid,) = job_processes()
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: counts(runner).replaced_total == 1)
        await wait_warm(runner, 1)
        assert job_processes() != [pid]
    (said,) = events(logs, "process_replaced")
    assert said["pid"] == pid
    assert said["cause"].startswith("the process was killed by SIGKILL")


async def test_a_warm_process_that_hangs_is_killed_replaced_and_said(
    logs: list[EventDict],
) -> None:
    async with opened(ProcessExecutor(warm=1, ping_seconds_max=1.0)) as runner:
        await wait_warm(runner, 1)
        (pid,) = job_processes()
        os.kill(pid, signal.SIGSTOP)
        await wait_until(lambda: pid not in job_processes())
        await wait_until(lambda: counts(runner).replaced_total > 0)
        await wait_warm(runner, 1)
        await wait_until(lambda: not psutil.pid_exists(pid))
    (said,) = (entry for entry in events(logs, "process_replaced") if entry["pid"] == pid)
    assert said["cause"].startswith("the process hung")


async def test_a_worker_that_stood_itself_blames_no_process() -> None:
    async with opened(ProcessExecutor(warm=1, ping_seconds_max=1.5)) as runner:
        await wait_warm(runner, 1)
        for _ in range(2):
            time.sleep(2.0)  # noqa: ASYNC251 - it stands
            await anyio.sleep(0.02)
        # Long enough for the answers to what it has asked.
        await anyio.sleep(0.5)
        assert counts(runner).killed_total == 0


async def test_a_worker_that_stood_while_a_process_started_does_not_blame_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prewarmed"
    monkeypatch.setenv("PREWARM_SAYS", str(path))
    executor = ProcessExecutor(warm=1, prewarm_seconds_max=4.0)
    async with opened(executor, prewarm=jobs.prewarm_and_say_so) as runner:
        await wait_until(path.exists)
        time.sleep(4.5)  # noqa: ASYNC251 - it stands
        await wait_warm(runner, 1)
        assert counts(runner).killed_total == 0


async def test_a_job_is_not_lost_to_a_warm_process_that_hangs(
    logs: list[EventDict], tmp_path: Path
) -> None:
    path = tmp_path / "told"
    async with opened(ProcessExecutor(warm=1)) as runner:
        await wait_warm(runner, 1)
        (pid,) = job_processes()
        os.kill(pid, signal.SIGSTOP)
        assert await run(runner, f"tell {path}") == Outcome(OutcomeKind.SUCCESS)
    assert eval(path.read_text())["pid"] != pid
    (said,) = events(logs, "process_replaced")
    assert "did not take a job within 5 s" in said["cause"]


async def test_a_warm_process_over_the_memory_is_replaced_after_a_delay(
    logs: list[EventDict],
) -> None:
    async with opened(ProcessExecutor(warm=1, memory_bytes_max=1024 * 1024)) as runner:
        await wait_until(lambda: counts(runner).replaced_total == 2)
    assert "1048576 are allowed" in events(logs, "process_replaced")[0]["cause"]
    assert [entry["failures"] for entry in events(logs, "process_start_failed")] == [1, 1]


# ---- prewarm ----


async def test_each_process_is_prewarmed_before_its_first_job(tmp_path: Path) -> None:
    path = tmp_path / "told"
    for function, left in (
        (jobs.prewarm, ["model"]),
        (jobs.prewarm_asynchronously, ["connection"]),
    ):
        async with opened(ProcessExecutor(warm=1), prewarm=function) as runner:
            await run(runner, f"tell {path}")
        assert eval(path.read_text())["prewarmed"] == left


async def test_a_prewarm_that_raises_is_said_and_tried_again_more_and_more_slowly(
    logs: list[EventDict],
) -> None:
    executor = ProcessExecutor(warm=1, rng=random.Random(1))
    async with opened(executor, prewarm=jobs.prewarm_raises) as runner:
        await wait_until(lambda: counts(runner).start_failures_total == 3)
    failed = events(logs, "process_start_failed")
    reason = "the prewarm function raised: FileNotFoundError: no model in /models"
    assert [(entry["cause"], entry["failures"]) for entry in failed] == [
        (reason, 1),
        (reason, 2),
        (reason, 3),
    ]
    for entry, longest in zip(failed, (1, 2, 4), strict=True):
        assert longest / 2 <= entry["retry_seconds"] <= longest
    assert "FileNotFoundError" in events(logs, "program_unusable")[0]["exception"]


async def test_a_prewarm_that_hangs_is_killed_and_said(logs: list[EventDict]) -> None:
    executor = ProcessExecutor(warm=1, prewarm_seconds_max=1.5)
    async with opened(executor, prewarm=jobs.prewarm_hangs) as runner:
        await wait_until(lambda: counts(runner).start_failures_total == 1)
    (said,) = events(logs, "process_start_failed")
    assert said["cause"] == (
        "the program was not loaded and prewarmed within 1.5 s, and the process was killed"
    )


@pytest.mark.parametrize(
    ("prewarm", "reason"),
    [
        (
            jobs.prewarm_raises,
            "the prewarm function raised: FileNotFoundError: no model in /models",
        ),
        (jobs.prewarm_exits, "the process exited with code 9"),
    ],
)
async def test_a_job_that_gets_no_process_fails_with_the_reason_after_a_bound(
    prewarm: object, reason: str
) -> None:
    executor = ProcessExecutor(warm=1, process_wait_seconds_max=0.5)
    async with opened(executor, prewarm=prewarm) as runner:  # type: ignore[arg-type]
        await wait_until(lambda: counts(runner).start_failures_total > 0)
        assert await run(runner, "succeed") == Outcome(
            OutcomeKind.FAILED,
            f"no process became ready for the job within 0.5 s; the last one failed: {reason}",
        )


async def test_a_job_is_told_where_all_processes_are_still_starting() -> None:
    executor = ProcessExecutor(warm=0, process_wait_seconds_max=0.5)
    async with opened(executor, prewarm=jobs.prewarm_hangs) as runner:
        outcome = await run(runner, "succeed")
    assert outcome.error.endswith("within 0.5 s; all are still starting")


async def test_a_pool_recovers_when_prewarm_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "may"
    monkeypatch.setenv("PREWARM_MAY", str(path))
    async with opened(ProcessExecutor(warm=2), prewarm=jobs.prewarm_once_it_may) as runner:
        await wait_until(lambda: counts(runner).start_failures_total == 2)
        path.touch()
        assert (await run(runner, "succeed")).kind is OutcomeKind.SUCCESS
        await wait_warm(runner, 2)


async def test_processes_that_end_soon_after_they_were_ready_are_not_replaced_at_once(
    logs: list[EventDict],
) -> None:
    async with opened(ProcessExecutor(warm=1), prewarm=jobs.prewarm_and_end_soon) as runner:
        await wait_until(lambda: counts(runner).replaced_total == 1)
        await wait_until(lambda: counts(runner).starting == 1)
    failed, *_ = events(logs, "process_start_failed")
    assert failed["cause"] == "the process exited with code 5"
    assert failed["retry_seconds"] >= 0.5
