"""How a worker's connection ended is in the log: each way to end has its own reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from protocol.limits import WireLimits
from tests.integration.server.conftest import LIMITS
from tests.integration.server.peers import WAIT_SECONDS, Caller, connected, fresh, registered
from tests.support.server import RunningServer, admin_token, running_server

pytestmark = pytest.mark.anyio

DRAIN_WORKER = "/twirp/callboard.WorkerService/DrainWorker"


async def _end_logged(logs: list[Any], worker_id: str) -> Mapping[str, Any]:
    """Return the line that tells of a worker's end; it has to come in time."""
    with anyio.fail_after(WAIT_SECONDS):
        while True:
            for entry in logs:
                if (entry["event"], entry.get("worker_id")) == ("worker_disconnected", worker_id):
                    return dict(entry)
            await anyio.sleep(0.01)


async def test_a_worker_that_closes_is_told_by_its_code(server: RunningServer) -> None:
    agent_name = fresh("agent")
    with capture_logs() as logs:
        async with registered(server, agent_name) as worker:
            await worker.socket.close(1001)
        entry = await _end_logged(logs, worker.worker_id)
    assert entry["reason"] == "closed by the worker, code 1001"
    assert entry["agent_name"] == agent_name
    assert "ignored" not in entry


async def test_a_worker_that_is_killed_is_told_by_the_missing_close_frame(
    server: RunningServer,
) -> None:
    with capture_logs() as logs:
        async with registered(server, fresh("agent")) as worker:
            worker.socket.transport.close()  # as the kernel does it for a process that died
            entry = await _end_logged(logs, worker.worker_id)
    assert entry["reason"] == "connection lost: without a close frame"


async def test_a_worker_that_came_back_on_another_connection_is_told_as_taken_over(
    server: RunningServer,
) -> None:
    agent_name = fresh("agent")
    with capture_logs() as logs:
        async with (
            registered(server, agent_name, instance_id="I") as older,
            registered(server, agent_name, instance_id="I"),
        ):
            entry = await _end_logged(logs, older.worker_id)
    assert entry["reason"] == "dropped: taken_over"


async def test_a_worker_that_answers_no_ping_is_told_so(data_dir: Path) -> None:
    limits = replace(LIMITS, wire=WireLimits(ping_interval_seconds=0.1, ping_timeout_seconds=1.5))
    with capture_logs() as logs:
        async with running_server(data_dir, limits=limits) as server, connected(server) as hung:
            await hung.register(agent_name="agent")
            hung.socket.transport.pause_reading()
            entry = await _end_logged(logs, hung.worker_id)
    assert entry["reason"] == "no answer to a ping within 1.5 s"


async def test_a_worker_that_a_draining_server_sent_away_is_told_so(data_dir: Path) -> None:
    with capture_logs() as logs:
        async with running_server(data_dir) as server, connected(server) as worker:
            await worker.register(agent_name="agent", instance_id="I")
            server.stop.set()
            assert (await worker.hear()).WhichOneof("message") == "go_away"
            await worker.socket.close()
            entry = await _end_logged(logs, worker.worker_id)
    assert entry["reason"] == "going away; closed by the worker, code 1000"


async def test_a_stock_worker_of_a_server_that_stops_is_told_as_dropped(data_dir: Path) -> None:
    with capture_logs() as logs:
        async with running_server(data_dir) as server, connected(server) as worker:
            await worker.register(agent_name="agent")
            server.stop.set()
            entry = await _end_logged(logs, worker.worker_id)
    assert entry["reason"] == "going away; dropped: the server stops"


async def test_who_is_taken_out_of_service_is_logged(server: RunningServer, api: Caller) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        await api.dispatch(agent_name)
        await worker.take_job()
        with capture_logs() as logs:
            body = {"worker_id": worker.worker_id, "hand_over_after_seconds": 600}
            await api.ask(DRAIN_WORKER, body, admin_token())
    (entry,) = (entry for entry in logs if entry["event"] == "worker_drained")
    assert (entry["worker_id"], entry["agent_name"]) == (worker.worker_id, agent_name)
    assert (entry["jobs"], entry["hand_over_after_seconds"]) == (1, 600)
