"""A pool of job processes for a test, its jobs, and what is left of them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import anyio
import psutil
import structlog

from protocol import wire_pb2
from tests.integration.worker_sdk import jobs
from worker_sdk.execution import JobFunction, Outcome, PrewarmFunction
from worker_sdk.executors import Executor, JobRunner, ProcessExecutor, WorkerProgram
from worker_sdk.job import Job
from worker_sdk.planner import Start

# For what takes a fraction of a second on an idle machine.
DEADLINE_SECONDS = 60.0
# Processes of a pool that run no jobs.
NURSERIES = 1 if sys.platform == "linux" else 0
_ids = count(1)


def start(metadata: str, **details: object) -> Start:
    """A job that was assigned here."""
    job_id = f"AJ_{next(_ids)}"
    message = wire_pb2.Job(id=job_id, metadata=metadata, room=wire_pb2.Room(name="lobby"))
    values: dict[str, object] = {
        "attempt": 1,
        "attempt_reason": "",
        "epoch": 1,
        "resuming": False,
        "url": "ws://sfu.example",
        "token": "room-token",
        **details,
    }
    return Start(job=Job.from_message(message), **values)  # type: ignore[arg-type]


@asynccontextmanager
async def opened(
    executor: Executor,
    job: JobFunction = jobs.job,
    prewarm: PrewarmFunction | None = None,
) -> AsyncIterator[JobRunner]:
    """The executor at work."""
    program = WorkerProgram(job, prewarm)
    executor.check(program)
    async with executor.open(program, structlog.get_logger()) as runner:
        yield runner


async def run(
    runner: JobRunner, metadata: str, scope: anyio.CancelScope | None = None, **details: object
) -> Outcome:
    """Run one job to its end, within the deadline."""
    job = start(metadata, **details)
    log = structlog.get_logger().bind(job_id=job.job.id)
    with anyio.fail_after(DEADLINE_SECONDS):
        return await runner.run(job, scope or anyio.CancelScope(), log)


async def run_alone(metadata: str, **options: object) -> Outcome:
    """Run one job in a pool of its own, of one process that starts for it."""
    executor = ProcessExecutor(**{"warm": 0, **options})  # type: ignore[arg-type]
    async with opened(executor) as runner:
        return await run(runner, metadata)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition of this process, with a deadline."""
    with anyio.fail_after(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - looks at what has no event of its own
            await anyio.sleep(0.01)


async def in_background(work: Callable[[], Awaitable[object]]) -> None:
    """For a task group: do work, and forget what comes of it."""
    await work()


def is_alive(pid: int) -> bool:
    """Is there such a process, not counting one that only waits to be reaped?"""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def job_processes() -> list[int]:
    """The job processes of this test process, and what they have started, that run.

    Servers that other tests of this process share are its children, too.
    """
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        module = executor_module(child)
        with contextlib.suppress(psutil.NoSuchProcess):
            if module == "child":
                found += [child, *child.children(recursive=True)]
            elif module == "nursery":
                found += child.children(recursive=True)
    return [process.pid for process in found if runs(process)]


def nurseries() -> list[int]:
    """The processes of this test process that fork job processes."""
    children = psutil.Process().children()
    return [child.pid for child in children if executor_module(child) == "nursery" and runs(child)]


def executor_module(process: psutil.Process) -> str:
    """Which module of the executors it was started with; empty: none."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    prefix = "worker_sdk.executors."
    return next((word.removeprefix(prefix) for word in words if word.startswith(prefix)), "")


def runs(process: psutil.Process) -> bool:
    """Is it neither gone nor a zombie? (Who is cancelled does not wait for whom it has killed.)"""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
