"""The server as a process: health, drain, and what it says when it cannot start."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio
import httpx2
import pytest

from dispatcher.app import open_listener
from protocol.errors import ConfigError, StoreInUse
from tests.integration.server.peers import (
    Caller,
    connected,
    refused_status,
    registered,
)
from tests.support.server import RunningServer, running_server, worker_token

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
async def test_health_is_ok(server: RunningServer, path: str) -> None:
    async with httpx2.AsyncClient() as client:
        response = await client.get(server.http_url + path)
    assert (response.status_code, response.text.strip()) == (200, "OK")


@pytest.mark.parametrize("path", ["/settings/regions", "/nothing", "/agent", "/twirp"])
async def test_other_paths_are_not_found(server: RunningServer, path: str) -> None:
    async with httpx2.AsyncClient() as client:
        response = await client.get(server.http_url + path)
    assert response.status_code == 404


async def test_a_draining_server_is_not_ready_and_lets_nobody_in(data_dir: Path) -> None:
    async with (
        running_server(data_dir) as server,
        httpx2.AsyncClient(timeout=20) as client,
        connected(server) as worker,
    ):
        await worker.register(agent_name="agent")
        await Caller(server, client).dispatch("agent")
        # The drain waits for the answer to this offer.
        offer = await worker.offered()
        server.stop.set()
        with anyio.fail_after(10):
            while True:
                ready = await client.get(f"{server.http_url}/readyz")
                if ready.status_code != 200:
                    break
                await anyio.sleep(0.01)
        assert (ready.status_code, ready.text) == (503, "draining\n")
        assert (await client.get(f"{server.http_url}/healthz")).status_code == 200
        assert await refused_status(server, worker_token()) == 503
        await worker.answer(offer.job.id)
        assert (await worker.assigned()).job.id == offer.job.id
        assert await worker.closed_with() == 1012


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
