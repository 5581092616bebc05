"""LiveKit's rooms as they are, listed from LiveKit's own server."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import httpx2
import pytest
from livekit import api
from structlog.testing import capture_logs

from dispatcher.core.events import RoomsListed
from dispatcher.core.jobs import MILLISECOND
from dispatcher.core.policy import Policy
from dispatcher.core.room_events import ParticipantKind, RoomSeen
from dispatcher.sfu.access import SfuAccess
from dispatcher.sfu.client import SfuClient
from dispatcher.sfu.limits import SfuLimits
from dispatcher.sfu.reconciling import Reconciler
from tests.conformance.waiting import eventually
from tests.integration.server.peers import Caller, registered
from tests.support.livekit_server import (
    LiveKitServer,
    needs_livekit_server,
    running_livekit_server,
)
from tests.support.server import KEY, SECRET, RunningServer, admin_token, running_server

pytestmark = [pytest.mark.anyio, needs_livekit_server]


async def test_a_list_has_who_is_there_and_who_publishes(sfu: LiveKitServer, room: str) -> None:
    submitted: list[RoomsListed] = []
    async with (
        SfuClient(SfuAccess(sfu.url, sfu.key, sfu.secret)) as client,
        sfu.joined(room, "ann", tier="gold") as ann,
        sfu.joined(room, "bob") as bob,
    ):
        await ann.publish_audio()
        before = time.time_ns()
        reconciler = Reconciler(client, "project", submitted.append, time.time_ns)

        async def publishing() -> RoomSeen | None:
            await reconciler.reconcile()
            (seen,) = [each for each in submitted[-1].rooms if each.room.name == room]
            return seen if seen.publishers else None

        seen = await eventually("ann's track is listed", publishing)
        listed = submitted[-1]
        people = {each.identity: each for each in seen.participants}
        assert listed.asked_at >= before
        assert seen.room.sid == await ann.room.sid
        assert 0 < seen.room.created_at < listed.asked_at
        assert {each.sid for each in seen.participants} == {ann.sid, bob.sid}
        assert people["ann"].attributes == {"tier": "gold"}
        assert people["ann"].kind is ParticipantKind.STANDARD
        assert seen.publishers == {ann.sid}


async def test_a_track_that_was_taken_back_and_who_left_are_seen(
    sfu: LiveKitServer, room: str
) -> None:
    submitted: list[RoomsListed] = []

    async def looks_like(present: set[str], publishers: set[str]) -> bool:
        await reconciler.reconcile()
        (seen,) = [each for each in submitted[-1].rooms if each.room.name == room]
        return {each.sid for each in seen.participants} == present and seen.publishers == publishers

    async with (
        SfuClient(SfuAccess(sfu.url, sfu.key, sfu.secret)) as client,
        sfu.joined(room, "ann") as ann,
        sfu.joined(room, "bob") as bob,
    ):
        reconciler = Reconciler(client, "project", submitted.append, time.time_ns)
        await ann.publish_audio()
        here, there = ann.sid, bob.sid
        await eventually("both, one publishing", lambda: looks_like({here, there}, {here}))
        await ann.unpublish()
        await eventually("both, none publishing", lambda: looks_like({here, there}, set()))
        await bob.leave()
        await eventually("one is left", lambda: looks_like({here}, set()))


async def test_an_sfu_that_is_killed_and_back_is_one_outage(tmp_path: Path, room: str) -> None:
    submitted: list[RoomsListed] = []
    async with (
        running_livekit_server(tmp_path) as sfu,
        SfuClient(SfuAccess(sfu.url, sfu.key, sfu.secret)) as client,
    ):
        reconciler = Reconciler(
            client,
            "project",
            submitted.append,
            time.time_ns,
            SfuLimits(reconcile_seconds=0.05),
        )
        async with anyio.create_task_group() as tasks:
            with capture_logs() as logs:
                async with sfu.joined(room, "ann"):
                    tasks.start_soon(reconciler.run)
                    await eventually("the room is seen", lambda: submitted and submitted[-1].rooms)
                sfu.kill()
                await eventually("the outage is told", lambda: logs)
                lists = len(submitted)
                await sfu.start()
                await eventually("there are lists again", lambda: len(submitted) > lists)
            tasks.cancel_scope.cancel()

    assert [entry["event"] for entry in logs] == ["sfu_unreachable", "sfu_reachable_again"]
    assert submitted[-1].rooms == ()


# --- the whole server, which is told nothing ---


async def rooms_of(server: RunningServer) -> dict[str, int]:
    """The rooms that our server knows of, and how many are in each."""
    async with httpx2.AsyncClient(timeout=60) as http:
        answer = await http.post(
            f"{server.http_url}/twirp/callboard.RoomService/ListRooms",
            json={},
            headers={"authorization": f"Bearer {admin_token()}"},
        )
    assert answer.status_code == 200, answer.text
    return {record["name"]: record["num_participants"] for record in answer.json()["rooms"]}


async def test_rooms_that_no_webhook_told_of_are_known_and_forgotten(
    tmp_path: Path, room: str
) -> None:
    async with (
        running_livekit_server(tmp_path / "sfu", keys={KEY: SECRET}) as sfu,
        sfu.joined(room, "ann"),
        running_server(
            tmp_path / "data", room_url=sfu.url, sfu=SfuLimits(reconcile_seconds=0.1)
        ) as server,
    ):

        async def is_known() -> bool:
            return await rooms_of(server) == {room: 1}

        async def is_forgotten() -> bool:
            return await rooms_of(server) == {}

        await eventually("the room that was there first is known", is_known)
        async with sfu.calling() as client:
            await client.room.delete_room(api.DeleteRoomRequest(room=room))
        await eventually("the room is forgotten", is_forgotten)


async def test_an_agent_that_no_webhook_told_of_ends_its_job_when_it_has_left(
    tmp_path: Path, room: str
) -> None:
    """Its worker reports nothing, as Node's."""
    async with (
        running_livekit_server(tmp_path / "sfu", keys={KEY: SECRET}) as sfu,
        sfu.joined(room, "ann"),
        running_server(
            tmp_path / "data",
            room_url=sfu.url,
            sfu=SfuLimits(reconcile_seconds=0.1),
            policy=Policy(parting_time=500 * MILLISECOND),
        ) as server,
        httpx2.AsyncClient(timeout=60) as client,
        registered(server, "silent") as worker,
    ):
        caller = Caller(server, client)
        await caller.dispatch("silent", room)
        job_id = (await worker.offered()).job.id
        await worker.answer(job_id, participant_identity=f"agent-{job_id}")
        await worker.assigned()
        async with sfu.joined(room, f"agent-{job_id}"):

            async def both_are_known() -> bool:
                return await rooms_of(server) == {room: 2}

            await eventually("the agent is known", both_are_known)
            assert (await caller.job(job_id))["phase"] == "ASSIGNED"
        ended = await caller.job_becomes(job_id, "SUCCEEDED")
        assert ended["attempt"] == 1
        # The person is still there, and so is the room.
        assert await rooms_of(server) == {room: 1}


async def test_the_rooms_are_listed_at_once_when_a_job_is_lost_with_its_worker(
    tmp_path: Path, room: str
) -> None:
    """Else the next worker would get a job for a room that ended unheard, and open it anew."""
    async with (
        running_livekit_server(tmp_path / "sfu", keys={KEY: SECRET}) as sfu,
        sfu.calling() as livekit,
    ):
        await livekit.room.create_room(api.CreateRoomRequest(name=room))
        async with (
            running_server(
                tmp_path / "data", room_url=sfu.url, sfu=SfuLimits(reconcile_seconds=600)
            ) as server,
            httpx2.AsyncClient(timeout=60) as client,
        ):

            async def is_known() -> bool:
                return room in await rooms_of(server)

            await eventually("the list at the start", is_known)
            caller = Caller(server, client)
            async with registered(server, "killed") as worker:
                await caller.dispatch("killed", room)
                job_id = (await worker.take_job()).job.id
                await livekit.room.delete_room(api.DeleteRoomRequest(room=room))
            ended = await caller.job_becomes(job_id, "CANCELLED")
            assert ended["job"]["state"]["reason"] == "JSR_ROOM_CLOSED"
