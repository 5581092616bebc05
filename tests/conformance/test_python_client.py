"""Dispatches are created, read, listed and deleted by an unmodified Python client."""

from datetime import timedelta

import pytest
from livekit import api
from livekit.protocol import agent, agent_dispatch

from tests.conformance.conftest import repeating
from tests.conformance.dispatches import Caller, new_room
from tests.conformance.processes import API_KEY, API_SECRET, Server
from tests.conformance.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_created_dispatch_is_returned_as_it_was_asked_for(caller: Caller) -> None:
    room = new_room()

    dispatch = await caller.create(
        "nobody",
        room,
        metadata="words",
        attributes={"key": "value"},
        deployment="blue",
        restart_policy=agent_dispatch.JobRestartPolicy.JRP_NEVER,
    )

    created = dispatch.created
    assert created.id.startswith("AD_")
    assert created.agent_name == "nobody"
    assert created.room == room
    assert created.metadata == "words"
    assert created.attributes == {"key": "value"}
    assert created.deployment == "blue"
    assert created.restart_policy == agent_dispatch.JobRestartPolicy.JRP_NEVER
    assert created.state.created_at > 0
    assert created.state.deleted_at == 0


async def test_dispatch_is_read_by_its_id(caller: Caller) -> None:
    room = new_room()
    first = await caller.create("nobody", room, metadata="first")
    second = await caller.create("nobody", room, metadata="second")

    assert (await first.read()).metadata == "first"
    assert (await second.read()).metadata == "second"


async def test_dispatches_of_a_room_are_listed_without_those_of_other_rooms(
    caller: Caller,
) -> None:
    room = new_room()
    mine = {(await caller.create("nobody", room)).id for _ in range(3)}
    await caller.create("nobody")

    listed = await caller.client.agent_dispatch.list_dispatch(room)

    assert {dispatch.id for dispatch in listed} == mine
    assert all(len(dispatch.state.jobs) == 1 for dispatch in listed)


async def test_waiting_job_is_listed_as_pending_with_what_it_was_asked(caller: Caller) -> None:
    dispatch = await caller.create("nobody", metadata="words", attributes={"key": "value"})

    job = await dispatch.job()

    assert job.id.startswith("AJ_")
    assert job.dispatch_id == dispatch.id
    assert job.type == agent.JobType.JT_ROOM
    assert job.room.name == dispatch.room
    assert job.agent_name == "nobody"
    assert job.metadata == "words"
    assert job.attributes["key"] == "value"
    assert job.state.status == agent.JobStatus.JS_PENDING
    assert job.state.worker_id == ""


async def test_room_and_dispatch_that_are_unknown_are_listed_as_nothing(caller: Caller) -> None:
    assert await caller.client.agent_dispatch.list_dispatch(new_room("unknown")) == []
    assert await caller.client.agent_dispatch.get_dispatch("AD_unknown", new_room()) is None


async def test_deleted_dispatch_is_returned_and_its_waiting_job_cancelled(caller: Caller) -> None:
    dispatch = await caller.create("nobody")

    deleted = await dispatch.delete()

    assert deleted.id == dispatch.id
    await eventually("the dispatch is gone", dispatch.is_gone)


async def test_deleting_an_unknown_dispatch_is_refused_as_not_found(caller: Caller) -> None:
    with pytest.raises(api.TwirpError) as refused:
        await caller.client.agent_dispatch.delete_dispatch("AD_unknown", new_room())

    assert refused.value.code == api.TwirpErrorCode.NOT_FOUND
    assert refused.value.status == 404


async def test_deleting_a_dispatch_through_another_room_is_refused_as_not_found(
    caller: Caller,
) -> None:
    dispatch = await caller.create("nobody")

    with pytest.raises(api.TwirpError) as refused:
        await caller.client.agent_dispatch.delete_dispatch(dispatch.id, new_room())

    assert refused.value.code == api.TwirpErrorCode.NOT_FOUND
    assert (await dispatch.read()).state.deleted_at == 0


async def test_deployment_with_an_underscore_is_refused_as_invalid(caller: Caller) -> None:
    with pytest.raises(api.TwirpError) as refused:
        await caller.create("nobody", deployment="not_valid")

    assert refused.value.code == api.TwirpErrorCode.INVALID_ARGUMENT
    assert refused.value.status == 400


async def test_wrong_secret_is_refused(server: Server) -> None:
    client = api.LiveKitAPI(server.http_url, API_KEY, API_SECRET[::-1])
    try:
        with pytest.raises(api.TwirpError) as refused:
            await client.agent_dispatch.list_dispatch("room")
    finally:
        await client.aclose()

    assert refused.value.status == 401


@pytest.mark.parametrize(
    "grants",
    [
        pytest.param(api.VideoGrants(room_join=True, room="guarded"), id="no admin"),
        pytest.param(api.VideoGrants(room_admin=True, room="another"), id="another room"),
        pytest.param(api.VideoGrants(room_admin=True), id="no room"),
    ],
)
async def test_token_without_the_grant_for_the_room_is_refused_as_unauthenticated(
    server: Server, grants: api.VideoGrants
) -> None:
    token = (
        api.AccessToken(API_KEY, API_SECRET)
        .with_identity("caller")
        .with_grants(grants)
        .with_ttl(timedelta(minutes=5))
        .to_jwt()
    )
    client = api.LiveKitAPI(server.http_url, token=token)
    try:
        with pytest.raises(api.TwirpError) as refused:
            await client.agent_dispatch.create_dispatch(
                agent_dispatch.CreateAgentDispatchRequest(agent_name="nobody", room="guarded")
            )
    finally:
        await client.aclose()

    assert refused.value.code == api.TwirpErrorCode.UNAUTHENTICATED
    assert refused.value.status == 401


async def test_call_that_is_repeated_with_its_request_id_makes_one_dispatch(
    server: Server, caller: Caller
) -> None:
    room = new_room()

    async with repeating(server, "request-1") as repeater:
        first = await repeater.create("nobody", room)
        again = await repeater.create("nobody", room)

    assert again.id == first.id
    listed = await caller.client.agent_dispatch.list_dispatch(room)
    assert [dispatch.id for dispatch in listed] == [first.id]
    assert len(listed[0].state.jobs) == 1


async def test_calls_with_different_request_ids_make_a_dispatch_each(caller: Caller) -> None:
    room = new_room()

    first = await caller.create("nobody", room)
    second = await caller.create("nobody", room)

    assert first.id != second.id
