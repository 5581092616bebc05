"""Outgoing webhooks and SIGKILL: nothing that was to be told is lost, and repeats have the same id."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.integration.cli.callboard import Server, served
from tests.integration.server.peers import Caller, fresh, registered
from tests.integration.server.test_notifier import expected, receiving, run_jobs, told
from tests.support.server import KEY, KEYS, RunningServer

pytestmark = pytest.mark.anyio


def as_running(server: Server) -> RunningServer:
    return RunningServer(server.port, anyio.Event())


async def test_what_a_killed_server_had_to_tell_is_told_by_the_next(tmp_path: Path) -> None:
    agent_name = fresh("agent")
    config = tmp_path / "callboard.yaml"
    async with receiving() as receiver:
        config.write_text(
            f"projects: {{default: {{keys: {{{KEY}: {KEYS[KEY].secret}}}}}}}\n"
            f"webhooks: [{{url: '{receiver.url}', key: {KEY}}}]\n"
            # far from the next time at which the position is written
            "notifier: {position_seconds: 1000, backoff_seconds_min: 0.01}\n"
        )
        with served(tmp_path, "--config", str(config)) as first:
            running = as_running(first)
            async with (
                httpx2.AsyncClient(timeout=60) as client,
                registered(running, agent_name) as worker,
            ):
                api = Caller(running, client)
                job_ids = await run_jobs(api, worker, agent_name, 2)
                await receiver.took(4)
                receiver.answer = lambda _: 503
                job_ids += await run_jobs(api, worker, agent_name, 2)
                await receiver.was_tried(6)
                first.process.send_signal(signal.SIGKILL)
        receiver.answer = lambda _: 200
        before = len(receiver.events)
        with served(tmp_path, "--config", str(config)):
            await receiver.took(before + 8)
    ids = {event.id: event for event in receiver.events}
    assert told(list(ids.values())) == expected(job_ids)
    assert len(receiver.events) == before + 8
