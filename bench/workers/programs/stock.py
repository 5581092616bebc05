"""The agent on livekit-agents. The environment says how it is set up; nothing said is its default.

BENCH_AGENT       agent name
BENCH_EXECUTOR    process, thread
BENCH_IDLE        num_idle_processes
BENCH_CAP         a cap on jobs, as its documentation makes one: load by active jobs, threshold 0.9
BENCH_LOAD        a constant load
"""

import asyncio
import os
from typing import Any

from livekit.agents import AgentServer, JobContext, JobExecutorType, cli

from bench.workers.programs.notes import POLL_SECONDS, is_over, noted

LOAD_THRESHOLD = 0.9


def _options() -> dict[str, Any]:
    options: dict[str, Any] = {"port": 0}  # its health checks: any free port
    if executor := os.environ.get("BENCH_EXECUTOR"):
        options["job_executor_type"] = JobExecutorType(executor)
    if idle := os.environ.get("BENCH_IDLE"):
        options["num_idle_processes"] = int(idle)
    if load := os.environ.get("BENCH_LOAD"):
        options["load_fnc"] = lambda: float(load)
    if cap := os.environ.get("BENCH_CAP"):

        def load_by_jobs(server: AgentServer) -> float:
            return min(len(server.active_jobs) / int(cap), 1.0)

        options["load_fnc"] = load_by_jobs
        options["load_threshold"] = LOAD_THRESHOLD
    return options


server = AgentServer(**_options())


@server.rtc_session(agent_name=os.environ.get("BENCH_AGENT", ""))
async def work(ctx: JobContext) -> None:
    """End when it may; say when it began and when it ended."""
    with noted(ctx.job.id):
        while not is_over(ctx.job.metadata):  # noqa: ASYNC110 - another process says it
            await asyncio.sleep(POLL_SECONDS)
    ctx.shutdown(reason="done")


if __name__ == "__main__":
    cli.run_app(server)
