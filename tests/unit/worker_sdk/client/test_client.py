"""The API client against scripted HTTP answers."""

from __future__ import annotations

import httpx2
import pytest

from dispatcher.cli import connection
from dispatcher.runtime import RuntimeLimits
from dispatcher.server.limits import ServerLimits
from protocol import api_pb2, wire_pb2
from protocol.errors import TwirpCode, TwirpError
from tests.unit.worker_sdk.client.script import Script, client_of, ok, twirp
from worker_sdk import ReportedRoomEvent, ServerUnreachable
from worker_sdk.client import CALL_TIMEOUT_SECONDS
from worker_sdk.client.transport import KEEP_ALIVE_SECONDS

pytestmark = pytest.mark.anyio


async def test_a_dispatch_is_created_with_all_that_was_asked() -> None:
    script = Script(ok(wire_pb2.AgentDispatch(id="AD_1")))
    async with client_of(script) as client:
        dispatch = await client.create_dispatch(
            "lobby",
            "greeter",
            metadata="m",
            attributes={"a": "b"},
            deployment="blue",
            restart_policy=wire_pb2.JRP_NEVER,
        )
    assert dispatch.id == "AD_1"
    (request,) = script.requests
    assert request.url == (
        "http://dispatcher.example/twirp/livekit.AgentDispatchService/CreateDispatch"
    )
    assert wire_pb2.CreateAgentDispatchRequest.FromString(
        request.content
    ) == wire_pb2.CreateAgentDispatchRequest(
        room="lobby",
        agent_name="greeter",
        metadata="m",
        attributes={"a": "b"},
        deployment="blue",
        restart_policy=wire_pb2.JRP_NEVER,
    )


async def test_a_call_about_a_room_has_a_token_for_that_room() -> None:
    script = Script(ok(wire_pb2.AgentDispatch()))
    async with client_of(script) as client:
        await client.create_dispatch("lobby", "greeter")
    assert script.grants().may_administer_room("lobby")
    assert not script.grants().may_administer_queue()


async def test_a_call_about_jobs_has_a_token_for_the_queue() -> None:
    script = Script(ok(api_pb2.ListJobsResponse(next_page_token="next")))
    async with client_of(script) as client:
        answer = await client.list_jobs(agent_name="greeter", phases=[api_pb2.QUEUED])
    assert answer.next_page_token == "next"
    assert script.grants().may_administer_queue()
    request = api_pb2.ListJobsRequest.FromString(script.requests[0].content)
    assert (request.agent_name, list(request.phases)) == ("greeter", [api_pb2.QUEUED])


async def test_two_creates_are_two_wishes() -> None:
    script = Script(ok(wire_pb2.AgentDispatch()))
    async with client_of(script) as client:
        await client.create_dispatch("lobby", "greeter")
        await client.create_dispatch("lobby", "greeter")
    request_ids = {r.headers["X-Livekit-Request-Id"] for r in script.requests}
    assert len(request_ids) == 2


async def test_the_callers_own_request_id_is_used() -> None:
    script = Script(ok(wire_pb2.AgentDispatch()))
    async with client_of(script) as client:
        await client.create_dispatch("lobby", "greeter", request_id="wish-1")
    assert script.requests[0].headers["X-Livekit-Request-Id"] == "wish-1"


async def test_an_error_of_the_server_is_raised_at_once_with_its_code() -> None:
    script = Script(twirp(TwirpCode.INVALID_ARGUMENT, "room is missing"))
    async with client_of(script) as client:
        with pytest.raises(TwirpError, match="room is missing") as raised:
            await client.create_dispatch("", "greeter")
    assert raised.value.code is TwirpCode.INVALID_ARGUMENT
    assert len(script.requests) == 1


async def test_a_refused_token_names_the_remedy() -> None:
    script = Script(httpx2.Response(401, text="invalid token"))
    async with client_of(script) as client:
        with pytest.raises(TwirpError, match="LIVEKIT_API_SECRET") as raised:
            await client.list_dispatches("lobby")
    assert raised.value.code is TwirpCode.UNAUTHENTICATED


async def test_a_server_that_never_answers_is_given_up_with_cause_and_remedy() -> None:
    script = Script(httpx2.ConnectError("refused"))
    async with client_of(script, retry_seconds_max=0.0) as client:
        with pytest.raises(ServerUnreachable, match=r"refused.*LIVEKIT_URL") as raised:
            await client.create_dispatch("lobby", "greeter")
    assert raised.value.retryable


async def test_a_server_that_says_why_it_cannot_is_not_called_unreachable() -> None:
    script = Script(httpx2.ConnectError("refused"), twirp(TwirpCode.UNAVAILABLE, "no space left"))
    async with client_of(script, retry_seconds_max=1.0) as client:
        with pytest.raises(TwirpError, match="no space left") as raised:
            await client.create_dispatch("lobby", "greeter")
    assert raised.value.code is TwirpCode.UNAVAILABLE
    assert len(script.requests) >= 2


async def test_a_503_that_says_nothing_may_be_a_proxys_and_names_the_address() -> None:
    script = Script(httpx2.Response(503, text="<html>bad gateway</html>"))
    async with client_of(script, retry_seconds_max=0.0) as client:
        with pytest.raises(ServerUnreachable, match=r"HTTP 503.*LIVEKIT_URL"):
            await client.list_workers()


def test_no_call_meets_a_connection_that_the_server_is_just_closing() -> None:
    assert ServerLimits().keep_alive_seconds > KEEP_ALIVE_SECONDS + 5


def test_a_call_outlasts_the_servers_own_patience() -> None:
    assert RuntimeLimits().ask_timeout_seconds + 1 < CALL_TIMEOUT_SECONDS
    assert RuntimeLimits().ask_timeout_seconds + 1 < connection.CALL_TIMEOUT_SECONDS


async def test_get_dispatch_is_none_where_there_is_none() -> None:
    async with client_of(Script(ok(wire_pb2.ListAgentDispatchResponse()))) as client:
        assert await client.get_dispatch("AD_1", "lobby") is None


async def test_deleting_what_is_not_there_is_not_found() -> None:
    async with client_of(Script(twirp(TwirpCode.NOT_FOUND))) as client:
        with pytest.raises(TwirpError) as raised:
            await client.delete_dispatch("AD_1", "lobby")
    assert raised.value.code is TwirpCode.NOT_FOUND


async def test_deleting_again_because_the_answer_was_lost_succeeds() -> None:
    script = Script(httpx2.ReadError("cut"), twirp(TwirpCode.NOT_FOUND))
    async with client_of(script) as client:
        assert (await client.delete_dispatch("AD_1", "lobby")).id == "AD_1"


async def test_a_job_and_the_workers_can_be_read() -> None:
    job = api_pb2.GetJobResponse(job=api_pb2.JobRecord(epoch=3))
    workers = api_pb2.ListWorkersResponse(workers=[api_pb2.WorkerRecord(id="AW_1")])
    async with client_of(Script(ok(job), ok(workers))) as client:
        assert (await client.get_job("AJ_1")).epoch == 3
        assert [w.id for w in (await client.list_workers()).workers] == ["AW_1"]


async def test_a_room_event_without_an_id_is_given_one_that_every_try_repeats() -> None:
    script = Script(
        httpx2.ReadError("cut"),
        twirp(TwirpCode.UNAVAILABLE),
        ok(api_pb2.ReportRoomEventResponse()),
    )
    told = api_pb2.RoomEvent(event="room_started", room=wire_pb2.Room(name="lobby"))
    async with client_of(script) as client:
        event_id = (await client.report_room_event(told)).id
    sent = [api_pb2.ReportRoomEventRequest.FromString(r.content).event for r in script.requests]
    assert [event.id for event in sent] == [event_id] * 3
    assert event_id
    assert (sent[0].event, sent[0].room.name) == ("room_started", "lobby")
    assert script.grants().may_administer_queue()


async def test_a_room_event_keeps_the_id_that_it_has() -> None:
    script = Script(ok(api_pb2.ReportRoomEventResponse(told_before=True)))
    told = api_pb2.RoomEvent(event="room_started", room=wire_pb2.Room(name="r"), id="EV_mine")
    async with client_of(script) as client:
        assert await client.report_room_event(told) == ReportedRoomEvent("EV_mine", True)
