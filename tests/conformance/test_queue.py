"""Jobs wait for a worker that has room: in order, within its cap, and not for ever."""

from collections.abc import Mapping

import pytest
from livekit.protocol import agent

from tests.conformance.conftest import StartWorker
from tests.conformance.dispatches import Caller
from tests.conformance.processes import Server
from tests.conformance.waiting import throughout

pytestmark = pytest.mark.anyio


@pytest.fixture
def server_settings() -> Mapping[str, object]:
    """Stock workers declare no cap: the operator sets it by agent name."""
    return {"agents": {"one-by-one": {"capacity": 1}, "capped": {"capacity": 2}}}


async def test_waiting_dispatches_are_given_in_the_order_of_their_arrival(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    waiting = [await own_caller.create("one-by-one") for _ in range(5)]

    worker = start_worker(own_server, "one-by-one")

    await worker.job_started(jobs=5)
    assert [each.text("dispatch_id") for each in worker.records("started")] == [
        dispatch.id for dispatch in waiting
    ]


async def test_worker_never_runs_more_jobs_than_its_agent_may(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "capped")
    await worker.registered()
    dispatches = [await own_caller.create("capped", metadata="hold") for _ in range(5)]
    await worker.job_started(jobs=2)

    await throughout("two jobs", lambda: len(worker.records("offered")) == 2, seconds=2)
    statuses = [(await dispatch.job()).state.status for dispatch in dispatches]
    assert statuses == [agent.JobStatus.JS_RUNNING] * 2 + [agent.JobStatus.JS_PENDING] * 3
    worker.finish_jobs()

    for dispatch in dispatches:
        await dispatch.job_with(agent.JobStatus.JS_SUCCESS)


@pytest.mark.parametrize("server_settings", [{"policy": {"queue_time_seconds": 1}}])
async def test_job_that_nobody_takes_fails_at_its_deadline_for_lack_of_capacity(
    own_server: Server, own_caller: Caller
) -> None:
    dispatch = await own_caller.create("nobody")

    job = await dispatch.job_with(agent.JobStatus.JS_FAILED)

    assert job.state.reason == agent.JobStateReason.JSR_NO_CAPACITY
