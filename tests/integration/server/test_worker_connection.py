"""A worker's connection while it lasts: what it is sent, and what it cannot do to others."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import anyio
import httpx2
import jwt
import pytest
from websockets.asyncio.client import connect

from dispatcher.core.jobs import MILLISECOND, SECOND
from protocol import wire_pb2
from protocol.limits import WireLimits
from tests.integration.server.conftest import LIMITS, POLICY
from tests.integration.server.peers import (
    WAIT_SECONDS,
    Caller,
    connected,
    fresh,
    registered,
)
from tests.support.server import KEY, SECRET, RunningServer, running_server, worker_token

pytestmark = pytest.mark.anyio


# --- what it is sent ---


async def test_an_offer_carries_the_whole_job(server: RunningServer, api: Caller) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name, deployment="blue") as worker:
        made = await api.dispatch(
            agent_name, "r-1", metadata="m", deployment="blue", attributes={"a": "b"}
        )
        offer = await worker.offered()
    job = offer.job
    assert job.id == made["state"]["jobs"][0]["id"]
    assert job.type == wire_pb2.JT_ROOM
    assert job.room.name == "r-1"
    assert (job.metadata, job.agent_name, job.deployment) == ("m", agent_name, "blue")
    assert job.dispatch_id == made["id"]
    assert dict(job.attributes) == {"a": "b"}
    assert job.state.status == wire_pb2.JS_PENDING
    assert (offer.epoch, offer.attempt, offer.resuming) == (1, 1, False)


async def test_a_job_that_is_tried_again_says_so_in_its_attributes(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        await api.dispatch(agent_name, attributes={"a": "b"})
        first = await worker.take_job()
        assert dict(first.job.attributes) == {"a": "b"}
        await worker.tell(first.job.id, wire_pb2.JS_FAILED)
        offer = await worker.offered()
        assert dict(offer.job.attributes) == {
            "a": "b",
            "callboard.epoch": "2",
            "callboard.attempt": "2",
            "callboard.attempt_reason": "failed",
        }
        assert offer.job.state.reason == wire_pb2.JSR_RETRYING
        assert (offer.epoch, offer.attempt, offer.attempt_reason) == (2, 2, "failed")
        await worker.answer(offer.job.id)
        second = await worker.assigned()
        assert second.job.attributes["callboard.epoch"] == "2"
    stored = await api.job(first.job.id)
    assert stored["job"]["attributes"] == {"a": "b"}


async def test_an_assignment_carries_a_token_as_the_worker_asked_for_it(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with connected(server) as worker:
        await worker.register(
            agent_name=agent_name,
            allowed_permissions=wire_pb2.ParticipantPermission(
                can_subscribe=True, hidden=True, recorder=True, can_publish_sources=["CAMERA"]
            ),
        )
        await api.dispatch(agent_name, "r-2")
        offer = await worker.offered()
        await worker.answer(
            offer.job.id,
            participant_identity="who",
            participant_name="Who",
            participant_metadata="meta",
            participant_attributes={"x": "y", "lk.agent_name": "somebody else"},
        )
        assignment = await worker.assigned()
    assert not assignment.HasField("url")
    assert assignment.job.state.status == wire_pb2.JS_RUNNING
    assert assignment.job.state.participant_identity == "who"
    claims = jwt.decode(assignment.token, SECRET, algorithms=["HS256"])
    assert (claims["iss"], claims["sub"], claims["kind"]) == (KEY, "who", "agent")
    assert (claims["name"], claims["metadata"]) == ("Who", "meta")
    assert claims["attributes"] == {"x": "y", "lk.agent_name": agent_name}
    assert claims["exp"] - claims["nbf"] == 3600
    assert claims["video"] == {
        "roomJoin": True,
        "agent": True,
        "room": "r-2",
        "canSubscribe": True,
        "canPublish": False,
        "canPublishData": False,
        "canUpdateOwnMetadata": False,
        "canSubscribeMetrics": False,
        "hidden": True,
    }


async def test_with_an_sfu_the_assignment_has_its_url_and_a_token_of_its_key(
    data_dir: Path,
) -> None:
    async with (
        running_server(
            data_dir, room_url="wss://sfu.example", room_key="sfu", room_secret=SECRET + "9"
        ) as server,
        httpx2.AsyncClient(timeout=60) as client,
        registered(server, "agent") as worker,
    ):
        await Caller(server, client).dispatch("agent")
        assignment = await worker.take_job()
    assert assignment.url == "wss://sfu.example"
    claims = jwt.decode(assignment.token, SECRET + "9", algorithms=["HS256"])
    assert claims["iss"] == "sfu"
    assert claims["sub"] == f"agent-{assignment.job.id}"


async def test_a_worker_of_ours_gets_a_verdict_for_each_job_that_it_claims(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name, capacity=4) as worker:
        await api.dispatch(agent_name)
        mine = (await worker.take_job()).job.id
        await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[mine, "AJ_other"]))
        verdicts: dict[str, int] = {}
        while len(verdicts) < 2:
            verdicts |= {v.job_id: v.verdict for v in (await worker.hear()).migrate_verdicts}
    assert verdicts == {
        mine: wire_pb2.MigrateVerdict.KEEP,
        "AJ_other": wire_pb2.MigrateVerdict.STOP_UNKNOWN,
    }


async def test_a_stock_worker_gets_a_termination_for_each_job_to_stop(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        await api.dispatch(agent_name)
        mine = (await worker.take_job()).job.id
        await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[mine, "AJ_other"]))
        assert (await worker.hear()).termination.job_id == "AJ_other"
        await worker.is_answered()


async def test_a_numbered_status_is_confirmed(server: RunningServer, api: Caller) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name, capacity=4) as worker:
        await api.dispatch(agent_name)
        assignment = await worker.take_job()
        await worker.tell(
            assignment.job.id, wire_pb2.JS_SUCCESS, epoch=assignment.epoch, sequence=41
        )
        assert (await worker.hear()).status_receipt.sequence == 41
    assert (await api.job(assignment.job.id))["phase"] == "SUCCEEDED"


async def test_a_worker_that_speaks_json_is_answered_in_json(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    headers = {"Authorization": f"Bearer {worker_token()}"}
    async with connect(server.agent_url, additional_headers=headers) as raw:
        await raw.send(json.dumps({"register": {"agentName": agent_name}}))
        answer = json.loads(await raw.recv(decode=True))
        assert answer["register"]["workerId"].startswith("AW_")
        await raw.send(json.dumps({"update_worker": {"status": "WS_AVAILABLE", "load": 0.1}}))
        await api.dispatch(agent_name)
        offer = json.loads(await raw.recv(decode=True))["availability"]
        job_id = offer["job"]["id"]
        await raw.send(json.dumps({"availability": {"jobId": job_id, "available": True}}))
        assert json.loads(await raw.recv(decode=True))["assignment"]["job"]["id"] == job_id
        await raw.send(json.dumps({"updateJob": {"jobId": job_id, "status": "JS_SUCCESS"}}))
        await api.job_becomes(job_id, "SUCCEEDED")


async def test_a_simulated_job_comes_back_as_an_offer(server: RunningServer) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        await worker.say(
            simulate_job=wire_pb2.SimulateJobRequest(
                type=wire_pb2.JT_ROOM, room=wire_pb2.Room(name="sim", sid="RM_x")
            )
        )
        offer = await worker.offered()
    assert offer.job.room.name == "sim"
    assert offer.job.room.sid == "RM_x"
    assert offer.job.agent_name == agent_name
    assert offer.job.dispatch_id == ""


async def test_an_older_connection_of_the_same_process_is_closed_when_its_job_is_claimed(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name, capacity=4, instance_id="I1") as older:
        await api.dispatch(agent_name)
        job_id = (await older.take_job()).job.id
        await api.job_becomes(job_id, "RUNNING")
        async with registered(server, agent_name, capacity=4, instance_id="I1") as newer:
            await newer.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[job_id]))
            [verdict] = (await newer.hear()).migrate_verdicts
            assert verdict.verdict == wire_pb2.MigrateVerdict.KEEP
            assert (await api.job(job_id))["worker_id"] == newer.worker_id


async def test_of_two_live_connections_with_one_job_the_older_one_keeps_it(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name, capacity=4) as older:
        await api.dispatch(agent_name)
        job_id = (await older.take_job()).job.id
        await api.job_becomes(job_id, "RUNNING")
        async with registered(server, agent_name, capacity=4) as claimant:
            await claimant.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[job_id]))
            # The server pings the older one, whose socket answers.
            [verdict] = (await claimant.hear()).migrate_verdicts
            assert verdict.verdict == wire_pb2.MigrateVerdict.STOP_REASSIGNED
        await older.is_answered()
        assert (await api.job(job_id))["worker_id"] == older.worker_id


async def test_of_two_connections_with_one_job_the_silent_one_loses_it(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name, capacity=4) as older:
        await api.dispatch(agent_name)
        job_id = (await older.take_job()).job.id
        await api.job_becomes(job_id, "RUNNING")
        older.socket.transport.pause_reading()
        async with registered(server, agent_name, capacity=4) as claimant:
            await claimant.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[job_id]))
            [verdict] = (await claimant.hear()).migrate_verdicts
            assert verdict.verdict == wire_pb2.MigrateVerdict.KEEP
            assert (await api.job(job_id))["worker_id"] == claimant.worker_id


# --- what it cannot do to others ---


async def test_a_hung_worker_is_found_and_its_job_goes_to_another(data_dir: Path) -> None:
    limits = replace(LIMITS, wire=WireLimits(ping_interval_seconds=0.3, ping_timeout_seconds=2.0))
    policy = replace(POLICY, grace=200 * MILLISECOND)
    async with (
        running_server(data_dir, limits=limits, policy=policy) as server,
        httpx2.AsyncClient(timeout=60) as client,
        connected(server) as hung,
    ):
        api = Caller(server, client)
        await hung.register(agent_name="agent")
        await api.dispatch("agent")
        job_id = (await hung.take_job()).job.id
        # It neither reads nor answers pings from here on, and its socket stays open.
        hung.socket.transport.pause_reading()
        async with registered(server, "agent") as other:
            offer = await other.offered()
            assert offer.job.id == job_id
            assert offer.resuming
        timeline = (await api.job(job_id))["timeline"]
        [lost] = [event["detail"] for event in timeline if event["kind"] == "orphaned"]
        assert lost == "its worker is gone: no answer to a ping within 2 s"


async def test_a_worker_that_answers_pings_is_kept(data_dir: Path) -> None:
    limits = replace(LIMITS, wire=WireLimits(ping_interval_seconds=0.05, ping_timeout_seconds=5))
    async with running_server(data_dir, limits=limits) as server, connected(server) as worker:
        await worker.register(agent_name="agent")
        with anyio.move_on_after(0.5):
            await worker.socket.recv()
        await worker.is_answered()


async def test_a_worker_that_does_not_read_is_cut_off_and_others_are_served(
    data_dir: Path,
) -> None:
    limits = replace(LIMITS, outbound_bytes_max=1024 * 1024)
    policy = replace(POLICY, offers_in_flight_max=1000, grace=60 * SECOND)
    async with (
        running_server(data_dir, limits=limits, policy=policy) as server,
        httpx2.AsyncClient(timeout=60) as client,
        registered(server, "agent") as other,
        connected(server, sock=_narrow_socket(server.port)) as deaf,
    ):
        api = Caller(server, client)
        await deaf.register(agent_name="deaf")
        deaf.socket.transport.pause_reading()
        with anyio.fail_after(WAIT_SECONDS):
            while True:
                await api.dispatch("deaf", metadata="m" * 500_000)
                workers = await api.workers()
                if deaf.worker_id not in workers:
                    break
        await api.dispatch("agent")
        await other.take_job()
        assert other.worker_id in await api.workers()


async def test_pings_without_reading_are_bounded_too(data_dir: Path) -> None:
    limits = replace(LIMITS, outbound_frames_max=1000)
    async with (
        running_server(data_dir, limits=limits) as server,
        httpx2.AsyncClient(timeout=60) as client,
        connected(server, sock=_narrow_socket(server.port)) as deaf,
    ):
        api = Caller(server, client)
        await deaf.register(agent_name="deaf")
        transport = deaf.socket.transport
        transport.pause_reading()
        ping = bytes([0x89, 0x80 | 125, 0, 0, 0, 0]) + b"p" * 125
        with anyio.fail_after(WAIT_SECONDS):
            while deaf.worker_id in await api.workers():
                transport.write(ping * 2000)


def _narrow_socket(port: int) -> socket.socket:
    """Return a connected socket whose kernel holds little for a reader that does not read."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", port))
    narrow.setblocking(False)
    return narrow
