"""The same worker on the real livekit-agents, with records of the same form as `worker_sdk`'s.

A stock worker is told of an epoch by its job's attributes alone, from the second attempt on.
"""

import asyncio
import os
import uuid
from pathlib import Path

from livekit.agents import AgentServer, JobContext, JobExecutorType, cli

from tests.faults.jobs import Wish
from worker_sdk.records import RECORD_PATH_VARIABLE, JobRecords

INSTANCE_ID = f"stock-{uuid.uuid4()}"
records = JobRecords(Path(os.environ[RECORD_PATH_VARIABLE]), INSTANCE_ID)
server = AgentServer(
    port=0,
    load_fnc=lambda: 0.0,
    # Light, and it goes with the process, as the jobs of killed processes do.
    job_executor_type=JobExecutorType.THREAD,
    num_idle_processes=2,
)


@server.rtc_session(agent_name=os.environ.get("FAULTS_AGENT", "faults-stock"))
async def entry(ctx: JobContext) -> None:
    """Run for as long as the caller asked."""
    epoch = int(ctx.job.attributes.get("callboard.epoch", "1"))
    attempt = int(ctx.job.attributes.get("callboard.attempt", "1"))
    job_id, room = ctx.job.id, ctx.job.room.name
    records.write("start", job_id=job_id, epoch=epoch, attempt=attempt, room=room)
    outcome = "stopped"
    try:
        _, seconds = Wish.told(ctx.job.metadata)
        await asyncio.sleep(seconds)
        outcome = "success"
    finally:
        records.write(
            "end", job_id=job_id, epoch=epoch, attempt=attempt, room=room, outcome=outcome
        )
    ctx.shutdown(reason="done")


if __name__ == "__main__":
    cli.run_app(server)
