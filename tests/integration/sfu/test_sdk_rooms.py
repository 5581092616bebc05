"""Agents that join their rooms by `ctx.room()`: LiveKit's own server, with ours beside it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from livekit import api, rtc

from protocol.tokens import mint_assignment_token
from tests.conformance.processes import free_port
from tests.conformance.waiting import eventually
from tests.integration.sfu.agents import Agent, agent
from tests.support.livekit_server import LiveKitServer, Person, needs_livekit_server
from tests.support.server import KEY, SECRET, RunningServer
from worker_sdk import JobContext, RoomLost, RoomUnreachable
from worker_sdk.room import joined_room

pytestmark = [pytest.mark.anyio, needs_livekit_server]


@pytest.fixture
async def ann(sfu: LiveKitServer, room: str) -> AsyncIterator[Person]:
    """Somebody who is in the room."""
    async with sfu.joined(room, "ann") as person:
        yield person


async def stay(ctx: JobContext) -> None:
    """Be in the room for as long as it lasts."""
    async with ctx.room():
        await anyio.sleep_forever()


async def called(client: api.LiveKitAPI, room: str, name: str = "stayer") -> str:
    """Call an agent into the room; return the dispatch's id."""
    request = api.CreateAgentDispatchRequest(room=room, agent_name=name)
    return (await client.agent_dispatch.create_dispatch(request)).id


async def joined(ann: Person, seen: Agent) -> str:
    """Wait until ann sees the agent; return its identity."""
    await eventually("the job has begun", lambda: bool(seen.contexts))
    identity = f"agent-{seen.contexts[0].job.id}"
    await eventually("the agent is in the room", lambda: identity in ann.others())
    return identity


async def test_an_agent_joins_as_its_job_and_leaves_with_it(
    server: RunningServer, client: api.LiveKitAPI, ann: Person, room: str
) -> None:
    was_seen, done = anyio.Event(), anyio.Event()
    kinds: list[int] = []

    async def greet(ctx: JobContext) -> None:
        async with ctx.room() as joined_room:
            assert joined_room.name == room
            assert set(joined_room.remote_participants) == {"ann"}
            await was_seen.wait()
            await joined_room.local_participant.publish_data(b"hello")
            await done.wait()

    async with agent(server.http_url, "greeter", greet) as seen:
        await called(client, room, "greeter")
        identity = await joined(ann, seen)
        kinds.append(ann.room.remote_participants[identity].kind)
        was_seen.set()
        await eventually("ann was greeted", lambda: bool(ann.messages))
        done.set()
        await eventually("the agent has left", lambda: not ann.others())
        await eventually("its job has ended", lambda: bool(seen.ends))
    assert (ann.messages[0].sender, ann.messages[0].data) == (identity, b"hello")
    assert kinds == [rtc.ParticipantKind.PARTICIPANT_KIND_AGENT]
    assert seen.only_end is None


async def test_an_agent_whose_job_is_stopped_leaves(
    server: RunningServer, client: api.LiveKitAPI, ann: Person, room: str
) -> None:
    async with agent(server.http_url, "stayer", stay) as seen:
        dispatch_id = await called(client, room)
        await joined(ann, seen)
        await client.agent_dispatch.delete_dispatch(dispatch_id, room)
        await eventually("the agent has left", lambda: not ann.others())


async def test_who_is_removed_from_the_room_has_nothing_more_to_do(
    server: RunningServer, client: api.LiveKitAPI, ann: Person, room: str
) -> None:
    went_on = anyio.Event()

    async def stay_and_go_on(ctx: JobContext) -> None:
        await stay(ctx)
        went_on.set()

    async with agent(server.http_url, "stayer", stay_and_go_on) as seen:
        await called(client, room)
        identity = await joined(ann, seen)
        await client.room.remove_participant(
            api.RoomParticipantIdentity(room=room, identity=identity)
        )
        await eventually("the block was left", went_on.is_set)
        await eventually("the job has ended", lambda: bool(seen.ends))
    assert seen.only_end is None


async def test_a_block_ends_when_its_room_is_deleted(
    sfu: LiveKitServer, client: api.LiveKitAPI, room: str
) -> None:
    with anyio.fail_after(60):
        async with joined_room(sfu.url, sfu.token(room, "agent"), room, None):
            await client.room.delete_room(api.DeleteRoomRequest(room=room))
            await anyio.sleep_forever()


async def test_who_is_torn_from_the_room_is_told_so(sfu: LiveKitServer, room: str) -> None:
    is_first_there, is_second_there = anyio.Event(), anyio.Event()

    async def come_second() -> None:
        await is_first_there.wait()
        async with sfu.joined(room, "agent"):
            is_second_there.set()
            await anyio.sleep_forever()

    async def come_first() -> None:
        async with joined_room(sfu.url, sfu.token(room, "agent"), room, None):
            is_first_there.set()
            await anyio.sleep_forever()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(come_second)
            with pytest.raises(RoomLost, match=f"{room}.*: DUPLICATE_IDENTITY"):
                await come_first()
            # The library ends this process if its connecting is broken off.
            await is_second_there.wait()
            tasks.cancel_scope.cancel()


async def test_who_leaves_by_himself_goes_on(sfu: LiveKitServer, room: str) -> None:
    went_on = False
    with anyio.fail_after(60):
        async with joined_room(sfu.url, sfu.token(room, "agent"), room, None) as joined_one:
            await joined_one.disconnect()
            await anyio.lowlevel.checkpoint()
            went_on = True
    assert went_on


async def test_who_is_cancelled_while_joining_joins_to_the_end_and_leaves(
    sfu: LiveKitServer, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    joins: list[rtc.Room] = []
    began_inside = anyio.Event()

    class WatchedRoom(rtc.Room):
        async def connect(self, *arguments: Any) -> None:
            await super().connect(*arguments)
            joins.append(self)

    async def join() -> None:
        async with joined_room(sfu.url, sfu.token(room, "agent"), room, None):
            began_inside.set()

    monkeypatch.setattr(rtc, "Room", WatchedRoom)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(join)
        await anyio.wait_all_tasks_blocked()
        assert not joins
        tasks.cancel_scope.cancel()
    (joined_one,) = joins
    assert not joined_one.isconnected()
    assert not began_inside.is_set()


async def test_a_server_that_is_not_there_is_one_clear_error(sfu: LiveKitServer) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    with pytest.raises(RoomUnreachable, match=f"^room 'lobby' at {url} cannot be joined: "):
        async with joined_room(url, sfu.token("lobby", "agent"), "lobby", None):
            pass


@pytest.mark.parametrize(
    ("secret", "age_seconds", "cause"),
    [("another-secret-than-the-servers-own-is", 0, "401"), (SECRET, 4000, r"token expired \d+ s")],
    ids=["forged", "expired"],
)
async def test_a_token_that_opens_nothing_is_one_clear_error_without_the_token(
    sfu: LiveKitServer, room: str, secret: str, age_seconds: int, cause: str
) -> None:
    token = mint_assignment_token(
        KEY,
        secret,
        room=room,
        identity="agent",
        now_ns=time.time_ns() - age_seconds * 1_000_000_000,
        life_seconds=3600.0,
    )
    with pytest.raises(RoomUnreachable, match=cause) as raised:
        async with joined_room(sfu.url, token, room, None):
            pass
    assert token not in str(raised.value)
