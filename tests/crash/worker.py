"""The worker of the crash runs: a job sleeps for the seconds that its metadata says."""

import anyio

from worker_sdk import JobContext, Worker

worker = Worker(agent_name="crash", capacity=20)


@worker.job
async def sleep(ctx: JobContext) -> None:
    """Run for as long as the caller asked."""
    await anyio.sleep(float(ctx.job.metadata))


if __name__ == "__main__":
    worker.run()
