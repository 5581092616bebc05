"""CreateRoom with agents, by the stock client through us to LiveKit's own server: called once, by us.

Stock workers of the same names are registered with LiveKit's server too, and hear nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import agent

from tests.conformance.conftest import StartWorker, calling
from tests.conformance.dispatches import Caller, new_room
from tests.conformance.processes import API_KEY, API_SECRET, Server
from tests.conformance.waiting import eventually, throughout
from tests.support.livekit_server import LiveKitServer, needs_livekit_server

pytestmark = [pytest.mark.anyio, needs_livekit_server]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[tuple[Server, LiveKitServer]]:
    """Our server in front of LiveKit's, whose webhooks come to us."""
    ours = Server(tmp_path / "callboard")
    ours.folder.mkdir()
    sfu = LiveKitServer(
        tmp_path / "livekit",
        keys={API_KEY: API_SECRET},
        webhook_urls=[f"{ours.http_url}/webhooks/livekit"],
    )
    ours.settings = {
        "room_url": sfu.url,
        "room_configurations": {"staffed": {"agents": [{"agent_name": "greeter"}]}},
    }
    try:
        await sfu.start()
        await ours.start()
        yield ours, sfu
    finally:
        ours.clean_up()
        sfu.clean_up()


async def test_the_agents_of_a_new_room_are_called_once_and_by_us_alone(
    stage: tuple[Server, LiveKitServer], start_worker: StartWorker
) -> None:
    ours, sfu = stage
    greeter = start_worker(ours, "greeter")
    unnamed = start_worker(ours, "")
    theirs = [start_worker(ours, name, url=sfu.url) for name in ("greeter", "")]
    for worker in (greeter, unnamed, *theirs):
        await worker.registered()

    async with calling(ours) as caller:
        named, preset = new_room("named"), new_room("preset")
        asked = api.RoomAgentDispatch(agent_name="greeter", attributes={"tier": "vip"})
        created = await caller.client.room.create_room(
            api.CreateRoomRequest(name=named, agents=[asked])
        )
        await caller.client.room.create_room(
            api.CreateRoomRequest(name=preset, room_preset="staffed")
        )
        await greeter.job_started(jobs=2)
        # asked again, as a backend does that makes sure of its room
        await caller.client.room.create_room(api.CreateRoomRequest(name=named, agents=[asked]))
        started = {record.text("room"): record for record in greeter.records("started")}
        assert set(started) == {named, preset}
        assert started[named].texts("attributes") == {"tier": "vip"}
        assert started[named].text("url") == sfu.url
        assert await ended_well(caller, named)
        assert created.sid

    await throughout(
        "nobody else is called",
        lambda: (
            len(greeter.records("offered")) == 2
            and not any(worker.records("offered") for worker in (unnamed, *theirs))
        ),
        seconds=3,
    )


async def ended_well(caller: Caller, room: str) -> bool:
    """Has the room one dispatch, whose job succeeds?"""

    async def jobs_that_succeeded() -> list[agent.Job]:
        (dispatch,) = await caller.client.agent_dispatch.list_dispatch(room)
        return [
            job for job in dispatch.state.jobs if job.state.status == agent.JobStatus.JS_SUCCESS
        ]

    return len(await eventually(f"the job of {room} has succeeded", jobs_that_succeeded)) == 1
