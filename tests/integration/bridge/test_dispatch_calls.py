"""AgentDispatchService at our address knows what the SFU dispatched: no change to any caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit import api

from tests.conformance.processes import API_KEY, API_SECRET
from tests.conformance.waiting import eventually
from tests.integration.bridge.stage import Stage, new_room, stage
from tests.support.livekit_server import needs_livekit_server

pytestmark = [pytest.mark.anyio, needs_livekit_server]


@asynccontextmanager
async def calling(one: Stage) -> AsyncIterator[api.LiveKitAPI]:
    """The stock client, given our address alone."""
    async with api.LiveKitAPI(one.server.http_url, API_KEY, API_SECRET) as client:
        yield client


async def create_room(client: api.LiveKitAPI, room: str, *agents: str) -> None:
    """Create a room that names agents, as a backend does."""
    wanted = [api.RoomAgentDispatch(agent_name=name, metadata="m") for name in agents]
    await client.room.create_room(api.CreateRoomRequest(name=room, agents=wanted))


async def test_what_the_sfu_dispatched_is_listed_with_our_job_beside_our_own(
    shared: Stage,
) -> None:
    async with shared.raw_worker("seen") as worker, calling(shared) as client:
        await shared.registered("seen", times=2)
        room = new_room()
        await create_room(client, room, "seen")
        taken = await worker.take_job()
        ours = await client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name="other", room=room)
        )

        listed = await client.agent_dispatch.list_dispatch(room)
        of_sfu = {each.agent_name: each for each in listed}["seen"]
        got = await client.agent_dispatch.get_dispatch(of_sfu.id, room)

        assert len(listed) == 2
        assert ours.id in {each.id for each in listed}
        assert [job.id for job in of_sfu.state.jobs] == [taken.job.id]
        assert of_sfu.state.jobs[0].state.worker_id == worker.worker_id
        assert of_sfu.metadata == "m"
        assert got == of_sfu
        await client.room.delete_room(api.DeleteRoomRequest(room=room))


async def test_a_dispatch_of_the_sfu_is_deleted_at_our_address_and_its_job_ends(
    shared: Stage,
) -> None:
    async with shared.raw_worker("undone") as worker, calling(shared) as client:
        await shared.registered("undone", times=2)
        room = new_room()
        await create_room(client, room, "undone")
        await worker.take_job()
        (dispatch,) = await client.agent_dispatch.list_dispatch(room)

        gone = await client.agent_dispatch.delete_dispatch(dispatch.id, room)

        ended = await shared.only_job(room, "CANCELLED")
        assert gone.id == dispatch.id
        assert ended["job"]["state"]["reason"] == "JSR_DISPATCH_DELETED"
        assert await client.agent_dispatch.list_dispatch(room) == []
        async with shared.sfu.calling() as at_sfu:
            left = await at_sfu.agent_dispatch.list_dispatch(room)
            assert [each for each in left if not each.state.deleted_at] == []
        with pytest.raises(api.TwirpError) as refused:
            await client.agent_dispatch.delete_dispatch("AD_unknown", room)
        assert (refused.value.code, refused.value.status) == ("not_found", 404)
        await client.room.delete_room(api.DeleteRoomRequest(room=room))


async def test_a_room_that_is_not_at_the_sfu_has_our_dispatches(shared: Stage) -> None:
    async with calling(shared) as client:
        room = new_room()
        ours = await client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name="nobody", room=room)
        )
        listed = await client.agent_dispatch.list_dispatch(room)
        assert [each.id for each in listed] == [ours.id]
        assert await client.agent_dispatch.get_dispatch("AD_unknown", room) is None


async def test_while_the_sfu_is_away_ours_are_listed_and_its_own_cannot_be_deleted(
    tmp_path: Path,
) -> None:
    async with stage(Stage(tmp_path)) as own, calling(own) as client:
        room = new_room()
        ours = await client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name="nobody", room=room)
        )
        own.sfu.kill()
        await eventually(
            "it is gone", lambda: not own.sfu.process or not own.sfu.process.is_running()
        )

        assert [e.id for e in await client.agent_dispatch.list_dispatch(room)] == [ours.id]
        for call in (
            client.agent_dispatch.delete_dispatch("AD_of_the_sfu", room),
            client.agent_dispatch.get_dispatch("AD_of_the_sfu", room),
        ):
            with pytest.raises(api.TwirpError) as refused:
                await call
            assert (refused.value.code, refused.value.status) == ("unavailable", 503)
            assert own.sfu.url in refused.value.message
        gone = await client.agent_dispatch.delete_dispatch(ours.id, room)
        assert gone.id == ours.id


async def test_a_room_shows_the_jobs_of_the_sfu_and_of_dispatches(shared: Stage) -> None:
    async with (
        shared.raw_worker("shown") as first,
        shared.raw_worker("asked") as second,
        calling(shared) as client,
    ):
        await shared.registered("shown", times=2)
        room = new_room()
        await client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name="asked", room=room)
        )
        jobs = {(await second.take_job()).job.id}
        await create_room(client, room, "shown")
        jobs.add((await first.take_job()).job.id)

        async def shown() -> bool:
            return set((await shared.room(room)).get("job_ids", [])) == jobs

        await eventually("both jobs are shown", shown)
        await client.room.delete_room(api.DeleteRoomRequest(room=room))
