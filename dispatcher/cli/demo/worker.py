"""What each worker process of the demo runs: a job that takes as long as its metadata says.

Started as `python -m dispatcher.cli.demo.worker NAME [GRACE_SECONDS]`; where the server is comes from LIVEKIT_URL,
the record file from CALLBOARD_RECORD_PATH.
"""

from __future__ import annotations

import json
import sys

import anyio

from worker_sdk import JobContext, Worker

AGENT_NAME = "demo"
CAPACITY = 3
# Back within this after a lost connection, or the jobs go to others. For so long, too, a worker
# looks for its server every half second: longer than a server's start on a very busy machine.
GRACE_SECONDS = 10.0


def main(name: str, grace_seconds: float = GRACE_SECONDS) -> None:
    """Serve until SIGTERM."""
    worker = Worker(AGENT_NAME, capacity=CAPACITY, grace_seconds=grace_seconds, instance_id=name)

    @worker.job
    async def talk(ctx: JobContext) -> None:
        await anyio.sleep(float(json.loads(ctx.job.metadata)["seconds"]))

    worker.run([])


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:3]))
