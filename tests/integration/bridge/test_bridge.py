"""LiveKit's own server dispatches, and we have its jobs: with its own workers and clients."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from livekit import api
from livekit.rtc.participant import PublishDataError

from protocol import wire_pb2
from tests.conformance.processes import API_KEY, API_SECRET
from tests.conformance.waiting import eventually
from tests.integration.bridge.stage import OVER, QUICK, Stage, new_room, stage
from tests.support.livekit_server import Person, needs_livekit_server

pytestmark = [pytest.mark.anyio, needs_livekit_server]


async def _agent_is_there(person: Person) -> None:
    await eventually("the agent is there", lambda: len(person.others()) == 1)


async def test_an_agent_that_a_token_names_is_called_joins_and_ends_with_its_room(
    shared: Stage,
) -> None:
    worker = shared.new_worker("named")
    await worker.registered()
    await shared.registered("named")
    room = new_room()
    async with shared.sfu.joined(room, "ada", agents=["named"]) as ada:
        await worker.job_started()
        job = await shared.only_job(room, "RUNNING")
        await _agent_is_there(ada)
        await ada.send(b"hello")
        await eventually("the echo", lambda: [m.data for m in ada.messages] == [b"echo hello"])
        assert (await shared.only_job(room))["job"]["id"] == job["job"]["id"]
    # An agent does not keep a room open that nobody else is in.
    await shared.only_job(room, *OVER)


async def test_agents_of_create_room_are_called_through_our_own_address(shared: Stage) -> None:
    worker = shared.new_worker("created")
    await worker.registered()
    await shared.registered("created")
    room = new_room()
    async with api.LiveKitAPI(shared.server.http_url, API_KEY, API_SECRET) as client:
        await client.room.create_room(
            api.CreateRoomRequest(
                name=room, agents=[api.RoomAgentDispatch(agent_name="created", metadata="m")]
            )
        )
        started = await worker.job_started()
        assert started.text("metadata") == "m"
        await shared.only_job(room, "RUNNING")
        await client.room.delete_room(api.DeleteRoomRequest(room=room))
    await shared.only_job(room, *OVER)


async def test_an_unnamed_worker_is_called_for_a_room_that_names_nobody(
    tmp_path: Path,
) -> None:
    async with stage(Stage(tmp_path)) as own, own.sfu.calling() as client:
        await own.registered("", times=2)
        early = new_room()
        await client.room.create_room(api.CreateRoomRequest(name=early))
        await eventually("the SFU was told that nobody comes", lambda: _is_done(client, early))
        worker = own.new_worker("")
        await worker.registered()
        room = new_room()
        async with own.sfu.joined(room, "ada"):
            await own.only_job(room, "RUNNING")
            await own.only_job(early, "RUNNING")  # it came late, and finds who is there
            for name in (early, room):
                await client.room.delete_room(api.DeleteRoomRequest(room=name))
                await own.only_job(name, *OVER)


async def _is_done(client: api.LiveKitAPI, room: str) -> bool:
    listed = await client.agent_dispatch.list_dispatch(room)
    states = [int(job.state.status) for each in listed for job in each.state.jobs]
    return states == [wire_pb2.JS_SUCCESS]


async def test_the_unnamed_are_called_no_longer_when_they_have_been_gone_for_long(
    tmp_path: Path,
) -> None:
    settings = {"policy": {"unnamed_memory_seconds": 1}}
    async with stage(Stage(tmp_path, settings)) as own, own.sfu.calling() as client:
        async with own.raw_worker("") as worker:
            first = new_room()
            await client.room.create_room(api.CreateRoomRequest(name=first))
            await worker.take_job()

        async def are_forgotten() -> bool:
            return await own.agents() == []

        await eventually("they are forgotten", are_forgotten)
        own.server.kill()
        await own.server.start()
        await own.registered("", times=4)
        room = new_room()
        await client.room.create_room(api.CreateRoomRequest(name=room))
        await eventually("the SFU was told so", lambda: _is_done(client, room))
        assert await own.jobs(room=room) == []


async def test_a_publisher_is_called_for_and_its_job_ends_when_it_leaves(shared: Stage) -> None:
    async with shared.raw_worker("loud", type=wire_pb2.JT_PUBLISHER) as worker:
        await shared.registered("loud", times=2)
        room = new_room()
        async with shared.sfu.joined(room, "listener"):
            async with shared.sfu.joined(room, "ada") as ada, shared.sfu.calling() as client:
                await client.agent_dispatch.create_dispatch(
                    api.CreateAgentDispatchRequest(agent_name="loud", room=room)
                )
                await ada.publish_audio()
                assignment = await worker.take_job()
                assert assignment.job.participant.identity == "ada"
                await shared.only_job(room, "RUNNING")
            await shared.only_job(room, "CANCELLED")  # and its room is still there


async def test_a_rule_and_a_token_that_name_the_same_agent_make_one_job(shared: Stage) -> None:
    worker = shared.new_worker("both")
    await worker.registered()
    await shared.registered("both")
    await shared.apply_rule(name="both", agent_name="both", match={"room": "both-*"})

    async def take_part(room: str) -> None:
        async with shared.sfu.joined(room, "ada", agents=["both"]) as ada:
            await _agent_is_there(ada)
            await shared.only_job(room, "RUNNING")
        await shared.only_job(room, *OVER)

    async with anyio.create_task_group() as rooms:
        for number in range(5):
            rooms.start_soon(take_part, f"both-{number}-{new_room()}")
    assert len(worker.records("started")) == 5


async def test_a_room_that_ends_unheard_ends_its_job_by_the_sweep(tmp_path: Path) -> None:
    async with stage(Stage(tmp_path, {"bridging": QUICK}, webhook_urls=())) as own:
        worker = own.new_worker("unheard")
        await worker.registered()
        await own.registered("unheard")
        room = new_room()
        async with own.sfu.joined(room, "ada", agents=["unheard"]) as ada:
            await _agent_is_there(ada)
            await own.only_job(room, "RUNNING")
            worker.send_signal_to_all(signal.SIGSTOP)  # it will not say that it has ended
        ended = await own.only_job(room, "CANCELLED")
        assert ended["job"]["state"]["reason"] == "JSR_ROOM_CLOSED"


async def test_a_dispatch_that_is_deleted_at_the_sfu_ends_its_job(shared: Stage) -> None:
    worker = shared.new_worker("deleted")
    await worker.registered()
    await shared.registered("deleted")
    room = new_room()
    async with shared.sfu.joined(room, "ada"), shared.sfu.calling() as client:
        dispatch = await client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name="deleted", room=room)
        )
        await shared.only_job(room, "RUNNING")
        await client.agent_dispatch.delete_dispatch(dispatch.id, room)
        ended = await shared.only_job(room, "CANCELLED")
    assert ended["job"]["state"]["reason"] == "JSR_DISPATCH_DELETED"


async def test_a_job_outlives_a_restart_of_the_sfu_and_there_is_no_second(
    tmp_path: Path,
) -> None:
    async with stage(Stage(tmp_path)) as own:
        worker = own.new_worker("lasting")
        await worker.registered()
        await own.registered("lasting")
        room = new_room()
        async with own.sfu.joined(room, "ada", agents=["lasting"]) as ada:
            await _agent_is_there(ada)
            before = await own.only_job(room, "RUNNING")
            own.sfu.kill()
            await own.sfu.start()
            await own.registered("lasting", times=3)
            await eventually(
                "both are there again",
                lambda: ada.disconnected is None and len(ada.others()) == 1,
            )

            async def is_answered() -> bool:
                # What is sent while either is still about to reconnect is lost.
                with suppress(PublishDataError, TimeoutError):
                    await ada.send(b"again")
                return b"echo again" in [message.data for message in ada.messages]

            await eventually("an echo", is_answered)
            after = await own.only_job(room, "RUNNING")
            assert after["job"]["id"] == before["job"]["id"]
            assert after["epoch"] == before["epoch"]
