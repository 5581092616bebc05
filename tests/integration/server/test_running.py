"""The server as a process: health, drain, and what it says when it cannot start."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from dispatcher.server.network import open_listener
from protocol import wire_pb2
from protocol.errors import ConfigError, StoreInUse
from tests.integration.server.peers import (
    WAIT_SECONDS,
    Caller,
    connected,
    refused_or_let_in,
    refused_status,
    registered,
)
from tests.support.server import KEY, SECRET, RunningServer, running_server, worker_token

pytestmark = pytest.mark.anyio

# A process imports everything first, on a machine that may be busy.
START_SECONDS = 60.0


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
async def test_health_is_ok(server: RunningServer, path: str) -> None:
    async with httpx2.AsyncClient(timeout=60) as client:
        response = await client.get(server.http_url + path)
    assert (response.status_code, response.text.strip()) == (200, "OK")


@pytest.mark.parametrize("path", ["/settings/regions", "/nothing", "/agent", "/twirp"])
async def test_other_paths_are_not_found(server: RunningServer, path: str) -> None:
    async with httpx2.AsyncClient(timeout=60) as client:
        response = await client.get(server.http_url + path)
    assert response.status_code == 404


async def test_a_draining_server_is_not_ready_and_lets_nobody_in(data_dir: Path) -> None:
    async with (
        running_server(data_dir, drain_seconds=20) as server,
        httpx2.AsyncClient(timeout=60) as client,
        connected(server) as worker,
    ):
        await worker.register(agent_name="agent")
        await Caller(server, client).dispatch("agent")
        # The drain waits for the answer to this offer.
        offer = await worker.offered()
        server.stop.set()
        with anyio.fail_after(60):
            while True:
                ready = await client.get(f"{server.http_url}/readyz")
                if ready.status_code != 200:
                    break
                await anyio.sleep(0.01)
        assert (ready.status_code, ready.text) == (503, "draining\n")
        assert (await client.get(f"{server.http_url}/healthz")).status_code == 200
        assert await refused_status(server, worker_token()) == 503
        assert (await worker.hear()).go_away.reason == "the server stops"
        await worker.answer(offer.job.id)
        assert (await worker.assigned()).job.id == offer.job.id
        # Now it waits for the end of the job.
        await worker.tell(offer.job.id, wire_pb2.JS_SUCCESS)
        assert await worker.closed_with() == 1012


async def test_a_drain_waits_for_running_jobs_no_longer_than_it_may(data_dir: Path) -> None:
    async with (
        running_server(data_dir, drain_seconds=0.5) as server,
        httpx2.AsyncClient(timeout=60) as client,
        registered(server, "agent") as worker,
    ):
        job_id = (await Caller(server, client).dispatch("agent"))["state"]["jobs"][0]["id"]
        await worker.take_job()
        server.stop.set()
        assert await worker.closed_with() == 1012
    async with running_server(data_dir) as server, registered(server, "agent") as worker:
        await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[job_id]))
        async with httpx2.AsyncClient(timeout=60) as client:
            record = await Caller(server, client).job_becomes(job_id, "RUNNING")
        assert record["epoch"] == "1"


async def test_a_server_that_is_cancelled_listens_no_more(data_dir: Path) -> None:
    class Fault(Exception):
        pass

    with pytest.RaisesGroup(Fault, flatten_subgroups=True):
        async with running_server(data_dir) as server, anyio.create_task_group():
            raise Fault
    with pytest.raises(OSError, match="connection"):
        await anyio.connect_tcp("127.0.0.1", server.port)


# --- as a process ---


@asynccontextmanager
async def _served(data_dir: Path) -> AsyncIterator[tuple[Process, RunningServer]]:
    """Run `callboard serve` as a process of its own, until the context ends or it does."""
    command = [sys.executable, "-m", "dispatcher.cli", "serve", "--port", "0"]
    environment = {
        **os.environ,
        "CALLBOARD_KEYS": f"{KEY}: {SECRET}",
        "CALLBOARD_DATA_DIR": str(data_dir),
        "CALLBOARD_LOG_FORMAT": "json",
    }
    async with await anyio.open_process(
        command, env=environment, stdin=None, stdout=None, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        lines = BufferedByteReceiveStream(process.stderr)
        try:
            with anyio.fail_after(START_SECONDS):
                started = json.loads(await lines.receive_until(b"\n", 10_000))
            assert started["event"] == "server_started"
            yield process, RunningServer(started["port"], anyio.Event())
        finally:
            if process.returncode is None:
                process.kill()


async def test_sigterm_closes_connections_and_exits_0(data_dir: Path) -> None:
    async with _served(data_dir) as (process, server), connected(server) as worker:
        await worker.register(agent_name="agent")
        process.send_signal(signal.SIGTERM)
        assert await worker.closed_with() == 1012
        with anyio.fail_after(WAIT_SECONDS):
            assert await process.wait() == 0


async def test_a_second_signal_does_not_wait_for_offers(data_dir: Path) -> None:
    async with (
        _served(data_dir) as (process, server),
        connected(server) as worker,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        await worker.register(agent_name="agent")
        await Caller(server, client).dispatch("agent")
        await worker.offered()
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(WAIT_SECONDS):
            while await refused_or_let_in(server) != 503:
                pass
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(60):
            assert await process.wait() == 1


async def test_a_job_that_was_acknowledged_survives_sigkill(data_dir: Path) -> None:
    async with _served(data_dir) as (process, server), httpx2.AsyncClient(timeout=60) as client:
        made = await Caller(server, client).dispatch("agent")
        process.kill()
        await process.wait()
    job_id = made["state"]["jobs"][0]["id"]
    async with _served(data_dir) as (_, server), registered(server, "agent") as worker:
        assert (await worker.take_job()).job.id == job_id


# --- what cannot start ---


async def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 is in use"):
            open_listener("127.0.0.1", port, 10)


async def test_an_address_that_is_none_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.1"):
        open_listener("203.0.113.1", 0, 10)


async def test_a_data_folder_in_use_ends_the_start_with_its_one_line(data_dir: Path) -> None:
    async with running_server(data_dir) as first:
        with pytest.RaisesGroup(StoreInUse, flatten_subgroups=True):
            async with running_server(data_dir):
                pass
        async with registered(first, "agent") as worker:
            await worker.is_answered()
