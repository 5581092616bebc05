"""CreateRoom through us, without the bridge: its agents are ours to dispatch, not LiveKit's.

The stock Python client calls us; LiveKit's own server stands behind.
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx2
import pytest
from livekit import api

from dispatcher.server.create_room import NOBODY
from protocol import wire_pb2
from tests.support.livekit_server import LiveKitServer, needs_livekit_server
from tests.support.server import KEY, SECRET, RunningServer, mint
from worker_sdk.client import DispatchClient

pytestmark = [pytest.mark.anyio, needs_livekit_server]


def asked(room: str, *agents: str) -> api.CreateRoomRequest:
    return api.CreateRoomRequest(
        name=room,
        metadata="words",
        agents=[api.RoomAgentDispatch(agent_name=name) for name in agents],
    )


async def names(client: api.LiveKitAPI, room: str) -> list[str]:
    """The agents of a room's dispatches."""
    return [each.agent_name for each in await client.agent_dispatch.list_dispatch(room)]


@pytest.mark.parametrize("agents", [[], ["greeter", "scribe"]], ids=["none", "two"])
async def test_its_agents_are_dispatched_by_us_and_livekit_dispatches_none_by_itself(
    client: api.LiveKitAPI, sfu: LiveKitServer, room: str, agents: Sequence[str]
) -> None:
    created = await client.room.create_room(asked(room, *agents))

    assert (created.name, created.metadata) == (room, "words")
    assert await names(client, room) == list(agents)
    async with sfu.calling() as direct:
        assert await names(direct, room) == [NOBODY]


async def test_an_agent_is_dispatched_with_all_that_was_said_of_it(
    client: api.LiveKitAPI, room: str
) -> None:
    agent = api.RoomAgentDispatch(
        agent_name="greeter",
        metadata="m",
        deployment="blue",
        attributes={"tier": "vip"},
        restart_policy=api.JobRestartPolicy.JRP_NEVER,
    )
    created = await client.room.create_room(api.CreateRoomRequest(name=room, agents=[agent]))

    (made,) = await client.agent_dispatch.list_dispatch(room)
    assert (made.agent_name, made.metadata, made.deployment) == ("greeter", "m", "blue")
    assert dict(made.attributes) == {"tier": "vip"}
    assert made.restart_policy == api.JobRestartPolicy.JRP_NEVER
    (job,) = made.state.jobs
    assert (job.room.name, job.room.sid) == (room, created.sid)


async def test_a_call_in_json_is_as_good(
    client: api.LiveKitAPI, server: RunningServer, sfu: LiveKitServer, room: str
) -> None:
    agent = {"agentName": "greeter", "attributes": {"tier": "vip"}, "restartPolicy": "JRP_NEVER"}
    async with httpx2.AsyncClient(timeout=60) as caller:
        answer = await caller.post(
            f"{server.http_url}/twirp/livekit.RoomService/CreateRoom",
            json={"name": room, "emptyTimeout": 77, "agents": [agent]},
            headers={"authorization": f"Bearer {mint(KEY, room_create=True)}"},
        )

    assert answer.status_code == 200
    assert answer.json()["empty_timeout"] == 77
    (made,) = await client.agent_dispatch.list_dispatch(room)
    assert (made.agent_name, dict(made.attributes)) == ("greeter", {"tier": "vip"})
    async with sfu.calling() as direct:
        assert await names(direct, room) == [NOBODY]


async def test_a_repeated_call_makes_nothing_new(client: api.LiveKitAPI, room: str) -> None:
    await client.room.create_room(asked(room, "greeter", "greeter"))
    before = await client.agent_dispatch.list_dispatch(room)
    await client.room.create_room(asked(room, "greeter", "greeter"))
    after = await client.agent_dispatch.list_dispatch(room)

    assert len(before) == 2
    assert [each.id for each in after] == [each.id for each in before]


@pytest.mark.parametrize("first", [[], ["greeter"]], ids=["without agents", "with others"])
async def test_a_room_that_was_there_keeps_the_agents_that_it_has(
    client: api.LiveKitAPI, room: str, first: Sequence[str]
) -> None:
    await client.room.create_room(asked(room, *first))
    await client.room.create_room(asked(room, "scribe", "second"))

    assert await names(client, room) == list(first)


async def test_a_room_that_was_not_created_through_us_gets_no_agents(
    client: api.LiveKitAPI, sfu: LiveKitServer, room: str
) -> None:
    async with sfu.calling() as direct:
        await direct.room.create_room(api.CreateRoomRequest(name=room))
    await client.room.create_room(asked(room, "greeter"))

    assert await names(client, room) == []


async def test_a_room_that_comes_again_gets_its_agents_again(
    client: api.LiveKitAPI, room: str
) -> None:
    await client.room.create_room(asked(room, "greeter"))
    (before,) = await client.agent_dispatch.list_dispatch(room)
    await client.room.delete_room(api.DeleteRoomRequest(room=room))
    await client.room.create_room(asked(room, "greeter"))

    found = await client.agent_dispatch.list_dispatch(room)
    assert [each.agent_name for each in found if each.id != before.id] == ["greeter"]


async def test_a_preset_gives_what_the_request_leaves_open(
    client: api.LiveKitAPI, server: RunningServer, room: str
) -> None:
    preset = wire_pb2.RoomConfiguration(name=f"of-{room}", metadata="preset", max_participants=7)
    preset.empty_timeout = 77
    preset.agents.add(agent_name="greeter")
    async with DispatchClient(server.http_url, KEY, SECRET) as ours:
        await ours.create_room_configuration(preset)

    created = await client.room.create_room(
        api.CreateRoomRequest(name=room, room_preset=preset.name, max_participants=3)
    )

    assert (created.metadata, created.empty_timeout) == ("preset", 77)
    assert created.max_participants == 3
    assert await names(client, room) == ["greeter"]


async def test_an_unknown_preset_is_refused_with_the_names_that_there_are_and_makes_no_room(
    client: api.LiveKitAPI, server: RunningServer, room: str
) -> None:
    async with DispatchClient(server.http_url, KEY, SECRET) as ours:
        await ours.create_room_configuration(wire_pb2.RoomConfiguration(name=f"a-{room}"))

    with pytest.raises(api.TwirpError) as refused:
        await client.room.create_room(api.CreateRoomRequest(name=room, room_preset="nothing"))

    assert refused.value.code == "invalid_argument"
    assert "'nothing' is unknown" in refused.value.message
    assert f"a-{room}" in refused.value.message
    found = await client.room.list_rooms(api.ListRoomsRequest(names=[room]))
    assert list(found.rooms) == []
