"""A fake room: what the job sees of what the test does in it, and the other way round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import anyio
import pytest

from worker_sdk import JobContext, Worker
from worker_sdk.testing import FakeDataPacket, FakeParticipant, FakeRoom, SentData, run_job
from worker_sdk.testing.fake_room import RoomOver

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def in_room(room: FakeRoom, function: Callable[[FakeRoom], Awaitable[None]]) -> None:
    """Run a function as a job that is in the room."""
    worker = Worker("greeter")

    @worker.job
    async def _(ctx: JobContext) -> None:
        async with ctx.room() as joined:
            await function(cast("FakeRoom", joined))

    (await run_job(worker, room=room)).raise_failure()


async def test_the_agent_is_there_for_as_long_as_its_block() -> None:
    room = FakeRoom("lobby")

    async def look(joined: FakeRoom) -> None:
        assert joined is room
        assert joined.isconnected()
        assert joined.local_participant.identity == "agent-AJ_test"

    await in_room(room, look)
    assert room.joined.is_set()
    assert not room.isconnected()


async def test_who_is_there_before_is_found_and_who_comes_is_told() -> None:
    room = FakeRoom("lobby")
    room.join("ann")
    told: list[str] = []

    async def look(joined: FakeRoom) -> None:
        joined.on("participant_connected", lambda one: told.append(f"+{one.identity}"))

        @joined.on("participant_disconnected")  # type: ignore[untyped-decorator]
        def _(one: FakeParticipant) -> None:
            told.append(f"-{one.identity}")

        assert list(joined.remote_participants) == ["ann"]
        room.join("bob", attributes={"lang": "de"})
        room.leave("ann")

    await in_room(room, look)
    assert told == ["+bob", "-ann"]
    assert room.remote_participants["bob"].attributes == {"lang": "de"}


async def test_data_goes_both_ways() -> None:
    room = FakeRoom("lobby")
    room.join("ann")
    heard: list[FakeDataPacket] = []

    async def talk(joined: FakeRoom) -> None:
        joined.on("data_received", heard.append)
        room.say("ann", "hello", topic="chat")
        await joined.local_participant.publish_data(
            "hi", topic="chat", destination_identities=["ann"]
        )
        await joined.local_participant.publish_data(b"\0", reliable=False)

    await in_room(room, talk)
    assert heard == [FakeDataPacket(b"hello", "chat", room.remote_participants["ann"])]
    assert room.sent == [
        SentData(b"hi", "chat", ("ann",)),
        SentData(b"\0", reliable=False),
    ]


async def test_a_handler_that_is_off_is_not_called_and_one_for_once_once() -> None:
    room = FakeRoom("lobby")
    told: list[str] = []

    def always(one: FakeParticipant) -> None:
        told.append(f"always {one.identity}")

    async def look(joined: FakeRoom) -> None:
        joined.on("participant_connected", always)
        joined.once("participant_connected", lambda one: told.append(f"once {one.identity}"))
        room.join("ann")
        joined.off("participant_connected", always)
        room.join("bob")

    await in_room(room, look)
    assert told == ["always ann", "once ann"]


async def test_a_room_that_ends_ends_the_block_of_the_job() -> None:
    room = FakeRoom("lobby")
    told: list[str] = []

    async def wait(joined: FakeRoom) -> None:
        joined.on("disconnected", told.append)
        room.end()
        await anyio.sleep_forever()

    with anyio.fail_after(60):
        await in_room(room, wait)
    assert told == ["ROOM_DELETED"]


async def test_an_agent_that_disconnects_goes_on() -> None:
    room = FakeRoom("lobby")
    went_on: list[bool] = []

    async def leave(joined: FakeRoom) -> None:
        await joined.disconnect()
        await anyio.lowlevel.checkpoint()
        went_on.append(joined.isconnected())

    await in_room(room, leave)
    assert went_on == [False]


async def test_nobody_talks_to_an_agent_that_is_not_there() -> None:
    room = FakeRoom("lobby")
    room.join("ann")
    with pytest.raises(RoomOver, match="has not joined"):
        room.say("ann", "hello")
    with pytest.raises(RoomOver):
        room.end()


async def test_attributes_are_added_and_taken_away() -> None:
    me = FakeRoom("lobby").local_participant
    await me.set_attributes({"state": "listening", "mood": "good"})
    await me.set_attributes({"mood": ""})
    await me.set_metadata("m")
    await me.set_name("Ada")
    assert (me.attributes, me.metadata, me.name) == ({"state": "listening"}, "m", "Ada")


async def test_a_room_that_is_a_context_is_entered_and_left() -> None:
    said: list[str] = []

    class Stage:
        name = "lobby"

        async def __aenter__(self) -> str:
            said.append("in")
            return "the stage"

        async def __aexit__(self, *_: object) -> None:
            said.append("out")

    worker = Worker("greeter")

    @worker.job
    async def _(ctx: JobContext) -> None:
        async with ctx.room() as room:
            said.append(str(room))

    (await run_job(worker, room=Stage())).raise_failure()
    assert said == ["in", "the stage", "out"]
