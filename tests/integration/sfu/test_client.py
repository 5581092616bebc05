"""Our client of the SFU's API against LiveKit's own server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit import api

from dispatcher.sfu.access import SfuAccess
from dispatcher.sfu.client import SfuClient, SfuError, SfuUnavailable
from protocol import wire_pb2
from protocol.errors import TwirpCode
from tests.conformance.waiting import eventually
from tests.support.livekit_server import LiveKitServer, needs_livekit_server

pytestmark = [pytest.mark.anyio, needs_livekit_server]


@pytest.fixture
async def client(sfu: LiveKitServer) -> AsyncIterator[SfuClient]:
    """Our client of the SFU."""
    async with SfuClient(SfuAccess(sfu.url, sfu.key, sfu.secret)) as client:
        yield client


async def test_rooms_are_listed_all_or_by_name(
    sfu: LiveKitServer, client: SfuClient, room: str
) -> None:
    async with sfu.calling() as direct:
        created = await direct.room.create_room(api.CreateRoomRequest(name=room))

    assert [each.sid for each in await client.list_rooms([room])] == [created.sid]
    assert created.sid in {each.sid for each in await client.list_rooms()}
    assert await client.list_rooms([room + "-unknown"]) == []


async def test_participants_are_listed_with_what_they_are_and_publish(
    sfu: LiveKitServer, client: SfuClient, room: str
) -> None:
    async with (
        sfu.joined(room, "ann", tier="gold", metadata="words") as ann,
        sfu.joined(room, "bob") as bob,
    ):
        await ann.publish_audio()

        async def publishing() -> dict[str, wire_pb2.ParticipantInfo] | None:
            found = {each.identity: each for each in await client.list_participants(room)}
            return found if "ann" in found and found["ann"].tracks else None

        listed = await eventually("ann's track is listed", publishing)
        assert {each.sid for each in listed.values()} == {ann.sid, bob.sid}
        assert listed["ann"].state == wire_pb2.ParticipantInfo.ACTIVE
        assert dict(listed["ann"].attributes) == {"tier": "gold"}
        assert listed["ann"].metadata == "words"
        assert len(listed["ann"].tracks) == 1
        assert len(listed["bob"].tracks) == 0


async def test_nobody_is_in_a_room_that_is_not_there(client: SfuClient, room: str) -> None:
    assert await client.list_participants(room) == []


async def test_the_sfus_dispatches_are_listed_and_deleted(
    sfu: LiveKitServer, client: SfuClient, room: str
) -> None:
    async with sfu.calling() as direct:
        await direct.room.create_room(api.CreateRoomRequest(name=room))
        made = await direct.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name="nobody", room=room)
        )

    assert made.id in {each.id for each in await client.list_dispatches(room)}
    (read,) = await client.list_dispatches(room, made.id)
    assert (read.agent_name, read.room) == ("nobody", room)
    await client.delete_dispatch(room, made.id)
    assert made.id not in {each.id for each in await client.list_dispatches(room)}
    assert await client.list_dispatches(room, made.id) == []


async def test_a_room_that_is_not_there_has_no_dispatches(client: SfuClient, room: str) -> None:
    assert await client.list_dispatches(room) == []
    with pytest.raises(SfuError) as failed:
        await client.delete_dispatch(room, "AD_unknown")
    assert failed.value.code is TwirpCode.NOT_FOUND


async def test_a_key_that_the_sfu_does_not_know_is_an_error_for_good(sfu: LiveKitServer) -> None:
    async with SfuClient(SfuAccess(sfu.url, "unknown", sfu.secret)) as client:
        with pytest.raises(SfuError) as failed:
            await client.list_rooms()

    assert not failed.value.retryable
    assert failed.value.code is TwirpCode.UNAUTHENTICATED


async def test_an_sfu_that_was_killed_may_be_asked_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    server = LiveKitServer(tmp_path)
    try:
        await server.start()
        async with SfuClient(SfuAccess(server.url, server.key, server.secret)) as client:
            await client.list_rooms()
            server.kill()
            with pytest.raises(SfuUnavailable):
                await client.list_rooms()
            await server.start()
            assert await client.list_rooms() == []
    finally:
        server.clean_up()
