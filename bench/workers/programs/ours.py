"""The agent on our SDK. Everything but what a job does is said by the environment."""

import anyio

from bench.workers.programs.notes import POLL_SECONDS, is_over, noted
from worker_sdk import JobContext, Worker

worker = Worker()


@worker.job
async def work(ctx: JobContext) -> None:
    """End when it may; say when it began and when it ended."""
    with noted(ctx.job.id):
        while not is_over(ctx.job.metadata):  # noqa: ASYNC110 - another process says it
            await anyio.sleep(POLL_SECONDS)


if __name__ == "__main__":
    worker.run()
