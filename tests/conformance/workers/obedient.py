"""An agent that does what a test tells it, and writes down what it saw.

The environment says how the worker behaves:
    CONFORMANCE_RECORDS   file for what it saw, one JSON object a line
    CONFORMANCE_ANSWER    how it answers an offer: accept, reject (and end the job), decline,
                          raise, silent; `raise:2` raises twice, then accepts
    CONFORMANCE_EXECUTOR  thread (light, even with a hundred jobs) or process (the SDK's default)
    CONFORMANCE_SIMULATE  a room name: once registered, ask the server to simulate a job there

The metadata of a job says how the job behaves:
    (nothing)   ends at once
    hold        runs until a file `finish` stands beside the records, or it is told to stop
    die         its process kills itself
    die once    its process kills itself, unless a file `died` stands beside the records
    raise       its entrypoint raises
"""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

from livekit import api
from livekit.agents import AgentServer, JobContext, JobExecutorType, JobRequest, cli
from livekit.agents.worker import WorkerPermissions
from livekit.protocol import agent, models

RECORDS = Path(os.environ["CONFORMANCE_RECORDS"])
EXECUTOR = JobExecutorType(os.environ.get("CONFORMANCE_EXECUTOR", "thread"))
SIMULATE = os.environ.get("CONFORMANCE_SIMULATE", "")
ANSWER, _, TIMES = os.environ.get("CONFORMANCE_ANSWER", "accept").partition(":")

offers_seen = 0
# Kept so that a job which runs on after its entrypoint is not collected.
running: set[asyncio.Task[None]] = set()

server = AgentServer(
    port=0,
    load_fnc=lambda: 0.0,
    job_executor_type=EXECUTOR,
    permissions=WorkerPermissions(
        can_publish="no-publish" not in os.environ.get("CONFORMANCE_PERMISSIONS", ""),
        hidden="hidden" in os.environ.get("CONFORMANCE_PERMISSIONS", ""),
    ),
)


def record(event: str, job_id: str, **fields: object) -> None:
    """Append one line to the records; a single short write, so that lines never mix."""
    line = {"event": event, "job_id": job_id, "pid": os.getpid(), "at": time.time(), **fields}
    with RECORDS.open("a") as file:
        file.write(json.dumps(line) + "\n")


async def answer(request: JobRequest) -> None:
    """Answer an offer as CONFORMANCE_ANSWER says."""
    global offers_seen
    offers_seen += 1
    record("offered", request.id)
    if TIMES and offers_seen > int(TIMES):
        await accept(request)
        return
    match ANSWER:
        case "accept":
            await accept(request)
        case "reject":
            await request.reject()
        case "decline":
            await request.reject(terminate=False)
        case "raise":
            raise RuntimeError("the request handler raised, as the test wants it")
        case "silent":
            await asyncio.sleep(3600)
        case _:
            raise ValueError(f"unknown answer {ANSWER!r}")


async def accept(request: JobRequest) -> None:
    """Accept with everything that an agent may say about itself, where the test asks for it."""
    if identity := os.environ.get("CONFORMANCE_IDENTITY"):
        await request.accept(
            identity=identity,
            name="Ada",
            metadata="of the agent",
            attributes={"mood": "calm"},
        )
    else:
        await request.accept()


async def hold(ctx: JobContext) -> None:
    """End the job once the test says so."""
    while not RECORDS.with_name("finish").exists():  # noqa: ASYNC110 - another process says it
        await asyncio.sleep(0.1)
    ctx.shutdown(reason="finished")


@server.rtc_session(
    agent_name=os.environ.get("CONFORMANCE_AGENT", "obedient"),
    on_request=answer,
)
async def entry(ctx: JobContext) -> None:
    claims = api.TokenVerifier(
        os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"]
    ).verify(ctx._info.token)
    record(
        "started",
        ctx.job.id,
        room=ctx.job.room.name,
        agent_name=ctx.job.agent_name,
        dispatch_id=ctx.job.dispatch_id,
        deployment=ctx.job.deployment,
        metadata=ctx.job.metadata,
        attributes=dict(ctx.job.attributes),
        type=agent.JobType.Name(ctx.job.type),
        url=ctx._info.url,
        worker_id=ctx._info.worker_id,
        identity=claims.identity,
        token=ctx._info.token,
        name=claims.name,
        participant_metadata=claims.metadata,
        participant_attributes=dict(claims.attributes or {}),
    )

    async def say_ended(reason: str) -> None:
        record("ended", ctx.job.id, reason=reason)

    ctx.add_shutdown_callback(say_ended)
    match ctx.job.metadata:
        case "hold":
            task = asyncio.create_task(hold(ctx))
            running.add(task)
            task.add_done_callback(running.discard)
            return
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once" if not RECORDS.with_name("died").exists():
            RECORDS.with_name("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise RuntimeError("the entrypoint raised, as the test wants it")
        case _:
            pass
    ctx.shutdown(reason="done")


@server.on("worker_registered")
def simulate(*_: object) -> None:
    """Ask for a simulated job, as the Node SDK's simulateJob does; Python's own never asks."""
    if SIMULATE:
        request = agent.WorkerMessage(
            simulate_job=agent.SimulateJobRequest(
                type=agent.JobType.JT_ROOM, room=models.Room(name=SIMULATE, sid="RM_simulated")
            )
        )
        task = asyncio.ensure_future(server._queue_msg(request))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    cli.run_app(server)
