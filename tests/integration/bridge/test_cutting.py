"""The bridge's sockets are cut, and our server is killed, in the middle: one job for one offer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit import api

from tests.conformance.processes import Worker
from tests.conformance.waiting import eventually
from tests.integration.bridge.cutting import OfferRelay, offer_relay_to
from tests.integration.bridge.stage import OVER, Stage, new_room, stage
from tests.support.livekit_server import needs_livekit_server

pytestmark = [pytest.mark.anyio, needs_livekit_server]


@asynccontextmanager
async def relayed(folder: Path) -> AsyncIterator[tuple[Stage, OfferRelay, Worker]]:
    """Both servers with a relay between them, and a worker of "cut" that runs."""
    one = Stage(folder)
    async with offer_relay_to(one.sfu.port) as relay:
        one.server.settings = {**one.server.settings, "bridge_urls": [relay.url]}
        async with stage(one) as own:
            worker = own.new_worker("cut")
            await worker.registered()
            await own.registered("cut", times=2)
            yield own, relay, worker


@pytest.mark.parametrize("cuts", [1, 2])
async def test_a_socket_cut_between_offer_and_answer_leaves_one_job(
    tmp_path: Path, cuts: int
) -> None:
    async with relayed(tmp_path) as (own, relay, worker):
        relay.offers_to_cut = cuts
        room = new_room()
        async with own.sfu.joined(room, "ada", agents=["cut"]) as ada:
            await eventually("the cuts", lambda: relay.offers_cut == cuts)
            await eventually("the agent is there", lambda: len(ada.others()) == 1)
            await own.registered("cut", times=2 + cuts)
            await own.only_job(room, "RUNNING")
        await own.only_job(room, *OVER)
        assert len(worker.records("started")) == 1


async def test_sockets_cut_after_the_answer_leave_the_job_as_it_is(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (own, relay, worker):
        room = new_room()
        async with own.sfu.joined(room, "ada", agents=["cut"]) as ada:
            await eventually("the agent is there", lambda: len(ada.others()) == 1)
            before = await own.only_job(room, "RUNNING")
            assert relay.cut()
            await own.registered("cut", times=4)
            await ada.send(b"hello")
            await eventually("the echo", lambda: [m.data for m in ada.messages] == [b"echo hello"])
            after = await own.only_job(room, "RUNNING")
            assert after["job"]["id"] == before["job"]["id"]
        await own.only_job(room, *OVER)
        assert len(worker.records("started")) == 1


async def test_rooms_of_the_time_when_all_sockets_were_gone_are_found(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (own, relay, _):
        relay.is_open = False
        relay.cut()
        room = new_room()
        async with own.sfu.joined(room, "ada", agents=["cut"]) as ada:
            relay.is_open = True
            await eventually("the agent is there", lambda: len(ada.others()) == 1)
            await own.only_job(room, "RUNNING")


async def test_our_server_killed_while_an_offer_comes_has_one_job(tmp_path: Path) -> None:
    async with stage(Stage(tmp_path)) as own, own.sfu.calling() as client:
        worker = own.new_worker("killed")
        await worker.registered()
        await own.registered("killed")
        rooms = [new_room() for _ in range(5)]
        for number, room in enumerate(rooms):
            await client.room.create_room(
                api.CreateRoomRequest(
                    name=room, agents=[api.RoomAgentDispatch(agent_name="killed")]
                )
            )
            if number == 3:  # the others are in all states of being offered and committed
                own.server.kill()
        await own.server.start()
        for room in rooms:
            await own.only_job(room, "RUNNING")
        assert len({r.job_id for r in worker.records("started")}) == len(rooms)
