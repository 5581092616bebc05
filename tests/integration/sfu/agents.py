"""Workers of ours inside a test's own event loop, and what became of their jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from tests.support.server import KEY, SECRET
from worker_sdk import JobContext, JobsLoad, JobType, Worker

DEADLINE_SECONDS = 60.0


@dataclass
class Agent:
    """A worker whose job function is the test's, with the contexts that it was given."""

    worker: Worker
    contexts: list[JobContext] = field(default_factory=list)
    # how each job's function ended: the error, or None where it returned
    ends: list[BaseException | None] = field(default_factory=list)
    has_left: anyio.Event = field(default_factory=anyio.Event)

    @property
    def only_end(self) -> BaseException | None:
        """How its one job ended."""
        (end,) = self.ends
        return end


@asynccontextmanager
async def agent(
    url: str,
    name: str,
    function: Callable[[JobContext], Awaitable[None]],
    *types: JobType,
) -> AsyncIterator[Agent]:
    """Serve the server at `url`; registered when the block begins."""
    worker = Worker(
        agent_name=name,
        url=url,
        api_key=KEY,
        api_secret=SECRET,
        types=types or None,
        load=JobsLoad(),
    )
    seen = Agent(worker)

    async def run(ctx: JobContext) -> None:
        seen.contexts.append(ctx)
        try:
            await function(ctx)
        except BaseException as error:
            seen.ends.append(error)
            raise
        seen.ends.append(None)

    async def serve() -> None:
        await worker.serve()
        seen.has_left.set()

    worker.job(run)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        with anyio.fail_after(DEADLINE_SECONDS):
            await worker.wait_registered()
        yield seen
        tasks.cancel_scope.cancel()
