"""A whole worker whose jobs run in processes, and a real server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psutil
import pytest
import structlog

from protocol import api_pb2, wire_pb2
from protocol.errors import ConfigError
from tests.integration.worker_sdk import jobs
from tests.integration.worker_sdk.pool import (
    DEADLINE_SECONDS,
    NURSERIES,
    is_alive,
    job_processes,
    wait_until,
)
from tests.support.server import KEY, SECRET, RunningServer, running_server
from worker_sdk import DispatchClient, ProcessExecutor, Worker

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[tuple[RunningServer, DispatchClient]]:
    """A server and its API."""
    with structlog.testing.capture_logs():
        async with (
            running_server(tmp_path / "data") as server,
            DispatchClient(server.http_url, KEY, SECRET) as client,
        ):
            yield server, client


async def wait_phase(
    client: DispatchClient, room: str, *phases: api_pb2.JobPhase
) -> api_pb2.JobRecord:
    """Wait until the room's job is in one of these phases."""
    with anyio.fail_after(DEADLINE_SECONDS):
        while True:
            async for record in client.iterate_jobs(room=room):
                if record.phase in phases:
                    return record
            await anyio.sleep(0.05)


def make_worker(server: RunningServer) -> Worker:
    """A worker whose jobs do what their metadata says."""
    worker = Worker(
        "pooled",
        url=server.http_url,
        api_key=KEY,
        api_secret=SECRET,
        load=lambda: 0.0,
        executor=ProcessExecutor(warm=1),
    )
    worker.job(jobs.job)
    return worker


async def test_a_job_that_is_terminated_is_cancelled_in_its_process(tmp_path: Path) -> None:
    path = tmp_path / "tidy"
    async with serving(tmp_path) as (server, client), anyio.create_task_group() as tasks:
        worker = make_worker(server)
        tasks.start_soon(worker.serve)
        await client.create_dispatch("lobby", "pooled", metadata=f"tidy_up {path}")
        await wait_until(path.exists)
        record = await wait_phase(client, "lobby", api_pb2.RUNNING)
        await client.terminate_job(record.job.id)
        ended = await wait_phase(client, "lobby", api_pb2.CANCELLED, api_pb2.FAILED)
        assert ended.phase == api_pb2.CANCELLED
        await wait_until(lambda: path.read_text() == "tidied up")
        tasks.cancel_scope.cancel()


async def test_a_worker_that_drains_waits_for_its_processes_jobs(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, client):
        async with anyio.create_task_group() as tasks:
            worker = make_worker(server)
            tasks.start_soon(worker.serve)
            await client.create_dispatch("lobby", "pooled", metadata="take_a_while")
            await wait_phase(client, "lobby", api_pb2.RUNNING)
            worker.drain()
        record = await wait_phase(client, "lobby", api_pb2.SUCCEEDED, api_pb2.FAILED)
        assert record.job.state.status == wire_pb2.JS_SUCCESS
        await wait_until(lambda: job_processes() == [])


PROGRAM = """
from tests.integration.worker_sdk import jobs
from worker_sdk import ProcessExecutor, Worker

worker = Worker("pooled", executor=ProcessExecutor(warm=2, stop_seconds_max=1.0))
worker.job(jobs.job)

if __name__ == "__main__":
    worker.run()
"""


async def test_a_worker_that_is_told_twice_to_end_leaves_no_process(tmp_path: Path) -> None:
    script, path = tmp_path / "worker.py", tmp_path / "pid"
    script.write_text(PROGRAM)
    async with serving(tmp_path) as (server, client):
        process = subprocess.Popen(  # noqa: ASYNC220 - so that the test can kill it whatever happens
            [sys.executable, str(script), "start"],
            env={
                "PYTHONPATH": str(Path(__file__).parents[3]),
                "LIVEKIT_URL": server.http_url,
                "LIVEKIT_API_KEY": KEY,
                "LIVEKIT_API_SECRET": SECRET,
            },
            stdout=subprocess.DEVNULL,
        )
        try:
            await client.create_dispatch(
                "lobby", "pooled", metadata=f"tell_pid_and {path} ignore_cancellation"
            )
            await wait_until(lambda: path.exists() and len(children(process)) == 3 + NURSERIES)
            left = children(process)
            process.send_signal(signal.SIGTERM)
            await wait_draining(client)
            process.send_signal(signal.SIGTERM)
            await wait_until(lambda: process.poll() is not None)
            # The kernel ends what was killed in its own time.
            await wait_until(lambda: not any(is_alive(pid) for pid in left))
        finally:
            process.kill()
            process.wait()


async def wait_draining(client: DispatchClient) -> None:
    """Wait until the server knows that the one worker drains."""
    with anyio.fail_after(DEADLINE_SECONDS):
        while True:
            async for worker in client.iterate_workers():
                if worker.phase == api_pb2.DRAINING:
                    return
            await anyio.sleep(0.05)


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """What a worker has started."""
    return [child.pid for child in psutil.Process(process.pid).children(recursive=True)]


def test_a_worker_has_one_prewarm_function() -> None:
    worker = Worker("pooled", url="ws://127.0.0.1:1", api_key="k", api_secret="s")
    worker.prewarm(jobs.prewarm)
    with pytest.raises(ConfigError, match="one prewarm function"):
        worker.prewarm(jobs.prewarm)


async def test_a_worker_prewarms_before_it_registers(tmp_path: Path) -> None:
    registered: list[str | None] = []
    async with serving(tmp_path) as (server, _), anyio.create_task_group() as tasks:
        worker = Worker("tasks", url=server.http_url, api_key=KEY, api_secret=SECRET)
        worker.job(jobs.job)

        @worker.prewarm
        def prewarm() -> None:
            registered.append(worker.worker_id)

        tasks.start_soon(worker.serve)
        with anyio.fail_after(DEADLINE_SECONDS):
            await worker.wait_registered()
        tasks.cancel_scope.cancel()
    assert registered == [None]
