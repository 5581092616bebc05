"""A worker of ours that serves a scripted server, inside a test's own event loop."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from tests.support.scripted_server import DEADLINE_SECONDS, ScriptedServer
from worker_sdk import JobContext, Worker
from worker_sdk.load import JobsLoad

__all__ = [
    "KEYS",
    "make_worker",
    "return_at_once",
    "running",
    "serving",
    "until_cancelled",
    "wait_until",
]

KEYS = {"devkey": "a-secret-that-is-long-enough-for-hs256"}


def make_worker(url: str, **options: object) -> Worker:
    """A worker of this server, without a job function."""
    return Worker(
        agent_name="greeter",
        url=url,
        api_key="devkey",
        api_secret=KEYS["devkey"],
        rng=random.Random(1),
        **{"load": JobsLoad(), **options},  # type: ignore[arg-type]
    )


@asynccontextmanager
async def serving(worker: Worker) -> AsyncIterator[None]:
    """The worker serves; it is cancelled at the end if it has not ended by itself."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.serve)
        yield
        tasks.cancel_scope.cancel()


async def until_cancelled(_: JobContext) -> None:
    """A job that never ends by itself."""
    await anyio.sleep_forever()


async def return_at_once(_: JobContext) -> None:
    """A job that is done at once."""
    await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def running(
    function: Callable[[JobContext], Awaitable[None]] = until_cancelled,
    extensions: tuple[str, ...] = ("status_receipt",),
    **options: object,
) -> AsyncIterator[tuple[ScriptedServer, Worker]]:
    """A scripted server and a worker that serves."""
    async with ScriptedServer(extensions) as server:
        worker = make_worker(server.url, **options)
        worker.job(function)
        async with serving(worker):
            yield server, worker


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition of this process, with a deadline."""
    with anyio.fail_after(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - looks at what has no event of its own
            await anyio.sleep(0.005)
