"""Who is let in at the worker socket, and how the others are refused."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import httpx2
import pytest
from websockets.asyncio.client import connect

from dispatcher.server.limits import ServerLimits
from protocol import wire_pb2
from protocol.limits import WireLimits
from protocol.tokens import mint as mint_claims
from tests.integration.server.conftest import LIMITS
from tests.integration.server.peers import (
    WAIT_SECONDS,
    Caller,
    RawWorker,
    connected,
    fresh,
    refused,
    refused_status,
    registered,
)
from tests.support.server import (
    KEY,
    SECRET,
    RunningServer,
    mint,
    running_server,
    worker_token,
)

pytestmark = pytest.mark.anyio


def _unsigned(algorithm: str) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"iss": KEY, "exp": time.time() + 60, "video": {"agent": True, "roomAdmin": True}}
    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}."


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "expired": lambda: mint(KEY, at_seconds=-4000, agent=True, room_admin=True),
    "not yet valid": lambda: mint(KEY, at_seconds=4000, agent=True, room_admin=True),
    "unsigned": lambda: _unsigned("none"),
    "unsigned, said to be signed": lambda: _unsigned("HS256"),
    "of an unknown key": lambda: mint_claims("nobody", SECRET, {}, time.time_ns()),
    "signed with another key": lambda: mint_claims(
        KEY, SECRET + "2", {"video": {"agent": True}}, time.time_ns()
    ),
    "no token at all": lambda: "nonsense",
    "of 100 kB": lambda: "a." + "b" * 100_000 + ".c",
}


# --- let in ---


async def test_a_worker_with_a_token_is_registered(server: RunningServer) -> None:
    async with connected(server) as worker:
        await worker.say(register=wire_pb2.RegisterWorkerRequest(agent_name=fresh("agent")))
        answer = (await worker.hear()).register
    assert answer.worker_id.startswith("AW_")
    assert answer.server_info.protocol == 16
    assert answer.server_info.node_id
    assert "migrate_verdicts" in answer.extensions


@pytest.mark.parametrize(
    "path",
    [
        "/agent?access_token={token}",
        "/agent?worker_token={token}",
        "/agent?foo=1&access_token={token}&foo=2",
        "//agent?access_token={token}",
        "/some/prefix/agent?access_token={token}",
    ],
)
async def test_the_token_may_be_in_the_query_of_any_path_to_agent(
    server: RunningServer, path: str
) -> None:
    url = f"ws://127.0.0.1:{server.port}{path.format(token=worker_token())}"
    async with connect(url, compression=None) as socket:
        await RawWorker(socket).register(agent_name=fresh("agent"))


async def test_compression_is_declined(server: RunningServer) -> None:
    headers = {"Authorization": f"Bearer {worker_token()}"}
    async with connect(
        server.agent_url, additional_headers=headers, compression="deflate"
    ) as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
        await RawWorker(socket).register(agent_name=fresh("agent"))


# --- refused for the token ---


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("name", [name for name in BAD_TOKENS if name != "of 100 kB"])
async def test_a_bad_token_is_refused_at_the_upgrade(server: RunningServer, name: str) -> None:
    assert await refused_status(server, BAD_TOKENS[name]()) == 401


@pytest.mark.usefixtures("bystander")
async def test_an_upgrade_request_of_100_kb_is_refused(server: RunningServer) -> None:
    assert await refused_status(server, BAD_TOKENS["of 100 kB"]()) == 431


async def test_no_token_is_refused_and_no_error_of_ours(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await refused(server)).status_code == 401
    assert not caplog.records


async def test_a_header_that_is_no_bearer_token_is_refused(server: RunningServer) -> None:
    assert (await refused(server, Authorization="Basic abc")).status_code == 401


async def test_a_token_without_the_agent_grant_is_refused(server: RunningServer) -> None:
    response = await refused(server, Authorization=f"Bearer {mint(KEY, room_admin=True, room='r')}")
    assert response.status_code == 401
    assert "video.agent" in response.text


async def test_another_path_is_not_found(server: RunningServer) -> None:
    url = f"ws://127.0.0.1:{server.port}/rtc?access_token={worker_token()}"
    assert (await refused(server, url)).status_code == 404


async def test_a_plain_get_is_not_found(server: RunningServer) -> None:
    async with httpx2.AsyncClient(timeout=60) as client:
        response = await client.get(
            f"{server.http_url}/agent", headers={"Authorization": f"Bearer {worker_token()}"}
        )
    assert response.status_code == 404


# --- refused for what they did before ---


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(b"", 1008, id="empty"),
        pytest.param(
            wire_pb2.WorkerMessage(ping={"timestamp": 1}).SerializeToString(), 1008, id="ping"
        ),
        pytest.param(b"\xff\xff", 1007, id="no protobuf"),
        pytest.param("hello", 1007, id="no JSON"),
        pytest.param(
            wire_pb2.WorkerMessage(register={"deployment": "a_b"}).SerializeToString(),
            1008,
            id="bad deployment",
        ),
        pytest.param(
            wire_pb2.WorkerMessage(register={"agent_name": "x" * 1024 * 1024}).SerializeToString(),
            1008,
            id="agent name of 1 MB",
        ),
        pytest.param(
            wire_pb2.WorkerMessage(register={"types": [77]}).SerializeToString(),
            1008,
            id="unknown type",
        ),
        pytest.param(
            wire_pb2.WorkerMessage(register={"grace_milliseconds": 2**32 - 1}).SerializeToString(),
            1008,
            id="endless grace",
        ),
    ],
)
async def test_a_bad_first_message_closes_and_its_sender_may_come_again(
    server: RunningServer, frame: bytes | str, code: int
) -> None:
    program = fresh("broken program")
    async with connected(server, user_agent_header=program) as worker:
        await worker.socket.send(frame)
        assert await worker.closed_with() == code

    async with connected(server, user_agent_header=program) as worker:
        await worker.register(agent_name=fresh("agent"))


async def test_a_worker_that_registers_badly_without_end_costs_its_like_neither_job_nor_time(
    data_dir: Path,
) -> None:
    # As stock Python workers behind one proxy: one address, one key, one client program.
    limits = ServerLimits(bad_start_hold_seconds=0.02, bad_start_hold_seconds_max=1.0)
    is_a_flood = anyio.Event()

    async def register_badly(server: RunningServer) -> None:
        for start in itertools.count(1):
            async with connected(server, user_agent_header="agents") as worker:
                if start == 6:
                    is_a_flood.set()
                await worker.say(
                    register=wire_pb2.RegisterWorkerRequest(agent_name="a", deployment="my_app")
                )
                await worker.closed_with()

    async with (
        running_server(data_dir, limits=limits) as server,
        anyio.create_task_group() as tasks,
        httpx2.AsyncClient(timeout=WAIT_SECONDS) as client,
    ):
        api = Caller(server, client)
        async with connected(server, user_agent_header="agents") as worker:
            await worker.register(agent_name="agent")
            await api.dispatch("agent")
            job_id = (await worker.take_job()).job.id
            tasks.start_soon(register_badly, server)
            with anyio.fail_after(WAIT_SECONDS):
                await is_a_flood.wait()
        # Its connection broke: it comes back at the first try, and claims its job.
        async with connected(server, user_agent_header="agents") as worker:
            await worker.register(agent_name="agent")
            await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[job_id]))
            record = await api.job_goes_to(job_id, worker.worker_id)
            assert (record["phase"], record["epoch"]) == ("RUNNING", "1")
        tasks.cancel_scope.cancel()


async def test_a_silent_connection_is_closed_in_time(data_dir: Path) -> None:
    limits = replace(LIMITS, wire=WireLimits(register_timeout_seconds=0.2))
    async with running_server(data_dir, limits=limits) as server, connected(server) as worker:
        assert await worker.closed_with() == 1008


async def test_too_many_refusals_are_answered_429_and_valid_tokens_are_let_in_all_the_same(
    data_dir: Path,
) -> None:
    limits = ServerLimits(refused_upgrades_max=5)
    async with running_server(data_dir, limits=limits) as server:
        statuses = [await refused_status(server, "nonsense") for _ in range(7)]
        assert statuses == [401] * 5 + [429] * 2
        async with registered(server, "agent") as worker:
            await worker.is_answered()


async def test_sockets_that_do_not_register_are_bounded(data_dir: Path) -> None:
    limits = ServerLimits(unregistered_sockets_per_address_max=2)
    async with running_server(data_dir, limits=limits) as server:
        async with connected(server) as first, connected(server):
            assert await refused_status(server, worker_token()) == 503
            await first.register(agent_name="agent")
            async with connected(server):
                assert await refused_status(server, worker_token()) == 503
        async with registered(server, "agent") as worker:
            await worker.is_answered()


async def test_a_flood_of_refused_upgrades_does_not_keep_a_worker_from_its_job(
    data_dir: Path,
) -> None:
    async with (
        running_server(data_dir) as server,
        registered(server, "agent") as worker,
        anyio.create_task_group() as tasks,
    ):

        async def flood() -> None:
            while True:
                assert await refused_status(server, "nonsense") in (401, 429)

        for _ in range(8):
            tasks.start_soon(flood)
        for _ in range(20):
            await worker.is_answered()
        tasks.cancel_scope.cancel()
