"""The network of a worker is away for a while, and the server keeps its default times."""

from collections.abc import Mapping

import anyio
import pytest
from livekit.protocol import agent

from tests.conformance.conftest import StartWorker
from tests.conformance.dispatches import Caller
from tests.conformance.processes import Server
from tests.conformance.relay import relay_to
from tests.conformance.waiting import eventually

pytestmark = pytest.mark.anyio

JOBS = 5
CUT_SECONDS = 10.0


@pytest.fixture
def server_settings() -> Mapping[str, object]:
    """Nothing: what a stock worker's jobs survive by default is what is promised."""
    return {}


async def test_stock_worker_whose_network_is_cut_for_ten_seconds_keeps_all_its_jobs(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    async with relay_to(own_server.port) as relay:
        worker = start_worker(own_server, "cut", url=relay.url)
        await worker.registered()
        other = start_worker(own_server, "cut")
        dispatches = [await own_caller.create("cut", metadata="hold") for _ in range(JOBS)]

        def all_started() -> bool:
            return len(worker.records("started")) + len(other.records("started")) == JOBS

        await eventually("all jobs started", all_started)

        relay.is_open = False
        relay.cut()
        await anyio.sleep(CUT_SECONDS)  # the time is what is tested
        relay.is_open = True
        await worker.registered(times=2)

        for dispatch in dispatches:
            assert (await dispatch.job()).state.status == agent.JobStatus.JS_RUNNING
        worker.finish_jobs()
        other.finish_jobs()
        for dispatch in dispatches:
            await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    started = [*worker.records("started"), *other.records("started")]
    assert len(started) == JOBS, "no job was started a second time"
    assert worker.records("started"), "the worker that was cut had some of them"
