"""A worker program of the drain tests: a job goes on until the file that its metadata names is there.

With a word after the path it is a bad one: `deaf` does not let itself be cancelled, `busy` blocks
the event loop.
"""

import time
from pathlib import Path

import anyio

from worker_sdk import JobContext, Worker

worker = Worker(agent_name="drained", capacity=50, grace_seconds=1.0)


@worker.job
async def hold(ctx: JobContext) -> None:
    """Wait for the file."""
    path, _, manner = ctx.job.metadata.partition(" ")
    while manner == "busy":
        time.sleep(0.05)  # noqa: ASYNC251 - as a bad job does
    with anyio.CancelScope(shield=manner == "deaf"):
        while not Path(path).exists():  # noqa: ASYNC110, ASYNC240 - what a test touches
            await anyio.sleep(0.05)


if __name__ == "__main__":
    worker.run()
