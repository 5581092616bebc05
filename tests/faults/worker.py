"""The worker of the fault runs: a job sleeps for the seconds that its metadata says."""

import os

import anyio

from worker_sdk import JobContext, Worker

worker = Worker(
    agent_name=os.environ.get("FAULTS_AGENT", "faults"),
    capacity=int(os.environ.get("FAULTS_CAPACITY", "50")),
)


@worker.job
async def sleep(ctx: JobContext) -> None:
    """Run for as long as the caller asked."""
    await anyio.sleep(float(ctx.job.metadata))


if __name__ == "__main__":
    worker.run()
