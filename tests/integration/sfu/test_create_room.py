"""CreateRoom through us, without the bridge: its agents are ours to dispatch, not LiveKit's."""

from __future__ import annotations

import time

import httpx2
import pytest
from livekit import api

from dispatcher.server.create_room import NOBODY
from dispatcher.server.limits import ServerLimits
from dispatcher.server.passthrough import Passthrough
from dispatcher.sfu.access import SfuAccess
from protocol import wire_pb2
from tests.support.livekit_server import LiveKitServer, needs_livekit_server
from tests.support.server import KEY, KEYS, mint

pytestmark = [pytest.mark.anyio, needs_livekit_server]


@pytest.mark.parametrize("agents", [[], ["greeter", "scribe"]], ids=["none", "two"])
async def test_livekit_dispatches_none_of_the_agents_and_none_by_itself(
    sfu: LiveKitServer, room: str, agents: list[str]
) -> None:
    taken: list[tuple[str, list[str]]] = []

    async def take(project: str, request: wire_pb2.CreateRoomRequest) -> None:
        taken.append((project, [agent.agent_name for agent in request.agents]))

    passthrough = Passthrough(
        SfuAccess(sfu.url, sfu.key, sfu.secret, knows_ours=True),
        KEYS,
        "default",
        time.time_ns,
        ServerLimits(),
        on_create_room=take,
    )
    request = api.CreateRoomRequest(
        name=room,
        metadata="words",
        agents=[api.RoomAgentDispatch(agent_name=name) for name in agents],
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=passthrough)) as caller:
        answer = await caller.post(
            "http://callboard/twirp/livekit.RoomService/CreateRoom",
            content=request.SerializeToString(),
            headers={
                "content-type": "application/protobuf",
                "authorization": f"Bearer {mint(KEY, room_create=True)}",
            },
        )
    await passthrough.close()
    async with sfu.calling() as direct:
        theirs = await direct.agent_dispatch.list_dispatch(room)

    created = api.Room.FromString(answer.content)
    assert (created.name, created.metadata) == (room, "words")
    assert [each.agent_name for each in theirs] == [NOBODY]
    assert taken == [("default", agents)]
