"""Workers as users write them, for the tests of `worker_sdk.testing`."""

from __future__ import annotations

from typing import Any

import anyio

from worker_sdk import JobContext, JobsLoad, Worker

__all__ = ["Agent"]


class Agent:
    """A worker that does what a job's metadata says, and keeps what each attempt was told.

    `wait` waits until it is released or cancelled, `room` does so in the room, `fail` and `fail once`
    raise, anything else returns.
    """

    def __init__(self, agent_name: str = "greeter", **options: Any) -> None:
        self.worker = Worker(agent_name, load=JobsLoad(), **options)
        self.worker.job(self._run)
        self.attempts: list[JobContext] = []
        self.cancelled: list[int] = []
        self.released = anyio.Event()

    @property
    def told(self) -> list[tuple[int, bool]]:
        """Attempt and `resuming` of each call."""
        return [(ctx.attempt, ctx.resuming) for ctx in self.attempts]

    async def _run(self, ctx: JobContext) -> None:
        self.attempts.append(ctx)
        what = ctx.job.metadata
        if what == "fail" or (what == "fail once" and ctx.attempt == 1):
            raise ValueError("as the test wants")
        try:
            if what == "wait":
                await self.released.wait()
            elif what == "room":
                async with ctx.room():
                    await self.released.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(ctx.attempt)
            raise
