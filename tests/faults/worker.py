"""The worker of the fault runs: a job does what its metadata says (`jobs.Wish`)."""

import os
import signal

import anyio

from tests.faults.jobs import JobKind, Wish
from worker_sdk import JobContext, Worker

worker = Worker(
    agent_name=os.environ.get("FAULTS_AGENT", "faults"),
    capacity=int(os.environ.get("FAULTS_CAPACITY", "50")),
)


@worker.job
async def do(ctx: JobContext) -> None:
    """Run for as long as the caller asked, and end as the kind of job does."""
    kind, seconds = Wish.told(ctx.job.metadata)
    if kind is JobKind.KILLER:
        os.kill(os.getpid(), signal.SIGKILL)
    await anyio.sleep(seconds)
    is_first = kind is JobKind.FAILS_FIRST and ctx.attempt == 1
    if is_first or kind in (JobKind.FAILS_ALWAYS, JobKind.FAILS_ONCE):
        raise RuntimeError(f"a job that is to fail ({kind.value})")


if __name__ == "__main__":
    worker.run()
