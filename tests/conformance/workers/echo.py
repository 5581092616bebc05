"""The smallest agent: takes any job, is done with it after a second."""

import asyncio

from livekit.agents import AgentServer, JobContext, cli

server = AgentServer(port=0, load_fnc=lambda: 0.0)


@server.rtc_session(agent_name="echo")
async def entry(ctx: JobContext) -> None:
    await asyncio.sleep(1)
    ctx.shutdown(reason="done")


if __name__ == "__main__":
    cli.run_app(server)
