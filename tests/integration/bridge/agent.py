"""An agent that joins its room, answers data messages, and stays until it is told to go.

It writes down what it saw beside CONFORMANCE_RECORDS, as the workers of tests/conformance do.
"""

import asyncio
import json
import os
import time
from pathlib import Path

from livekit import rtc
from livekit.agents import AgentServer, AutoSubscribe, JobContext, JobExecutorType, cli

RECORDS = Path(os.environ["CONFORMANCE_RECORDS"])
EXECUTOR = JobExecutorType(os.environ.get("CONFORMANCE_EXECUTOR", "thread"))

server = AgentServer(port=0, load_fnc=lambda: 0.0, job_executor_type=EXECUTOR)


def record(event: str, job_id: str, **fields: object) -> None:
    """Append one line to the records; a single short write, so that lines never mix."""
    line = {"event": event, "job_id": job_id, "pid": os.getpid(), "at": time.time(), **fields}
    with RECORDS.open("a") as file:
        file.write(json.dumps(line) + "\n")


@server.rtc_session(agent_name=os.environ.get("CONFORMANCE_AGENT", ""))
async def entry(ctx: JobContext) -> None:
    """Join, and echo."""
    job_id = ctx.job.id
    answers: set[asyncio.Task[None]] = set()

    def on_data(packet: rtc.DataPacket) -> None:
        async def answer() -> None:
            await ctx.room.local_participant.publish_data(b"echo " + packet.data, topic="echo")

        task = asyncio.create_task(answer())
        answers.add(task)
        task.add_done_callback(answers.discard)

    async def say_ended(reason: str) -> None:
        record("ended", job_id, reason=reason)

    ctx.room.on("data_received", on_data)
    ctx.add_shutdown_callback(say_ended)
    record("started", job_id, room=ctx.job.room.name, metadata=ctx.job.metadata)
    await ctx.connect(auto_subscribe=AutoSubscribe.SUBSCRIBE_NONE)
    record(
        "joined",
        job_id,
        room=ctx.room.name,
        identity=ctx.room.local_participant.identity,
        others=sorted(ctx.room.remote_participants),
    )


if __name__ == "__main__":
    cli.run_app(server)
