"""One server for all tests of a process, and a bystander whom nothing that they do may touch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from dispatcher.core.jobs import MILLISECOND
from dispatcher.core.policy import Policy
from dispatcher.server.limits import ServerLimits
from protocol import wire_pb2
from tests.integration.server.peers import Caller, RawWorker, fresh, registered
from tests.support.server import RunningServer, running_server

# All tests come from one address: here it may be refused as often as it likes, and a bad start is
# closed soon. Tests of these limits start a server of their own.
LIMITS = ServerLimits(
    refused_upgrades_max=1_000_000,
    bad_start_hold_seconds=0.05,
    bad_start_hold_seconds_max=0.05,
)

POLICY = Policy(
    retry_backoff_min=10 * MILLISECOND,
    retry_backoff_max=20 * MILLISECOND,
    decline_backoff_min=10 * MILLISECOND,
    decline_backoff_max=20 * MILLISECOND,
    settle_time=100 * MILLISECOND,
    takeover_silence=500 * MILLISECOND,
)


@pytest.fixture(scope="package")
async def server(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningServer]:
    """A server that lasts as long as the tests of this folder."""
    folder = tmp_path_factory.mktemp("server") / "data"
    async with running_server(folder, limits=LIMITS, policy=POLICY) as running:
        yield running


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[Caller]:
    """A caller of the shared server."""
    async with httpx2.AsyncClient(timeout=60) as client:
        yield Caller(server, client)


@pytest.fixture
def quick_limits() -> ServerLimits:
    """Limits for a server of a test's own: ordinary ones, that the test replaces."""
    return replace(LIMITS)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder for a server of a test's own."""
    return tmp_path / "data"


@pytest.fixture
async def bystander(server: RunningServer, api: Caller) -> AsyncIterator[RawWorker]:
    """Somebody else's worker, which runs a job.

    After the test it must have heard nothing, be connected, and still hold its job as it did.
    """
    agent_name = fresh("bystander")
    async with registered(server, agent_name) as worker:
        await api.dispatch(agent_name)
        assignment = await worker.take_job()
        job_id = assignment.job.id
        before = await api.job_becomes(job_id, "RUNNING")

        yield worker

        await worker.is_answered()
        assert await api.job(job_id) == before
        await worker.tell(job_id, wire_pb2.JS_SUCCESS)
        await api.job_becomes(job_id, "SUCCEEDED")
