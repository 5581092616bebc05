"""The server is killed while jobs wait and run: nothing is lost and nothing runs twice."""

from collections.abc import Mapping

import aiohttp
import anyio
import pytest
from livekit import api
from livekit.protocol import agent

from tests.conformance.conftest import StartWorker, repeating
from tests.conformance.dispatches import Caller, Dispatch, new_room
from tests.conformance.processes import Server, Worker
from tests.conformance.relay import relay_to
from tests.conformance.waiting import eventually

pytestmark = pytest.mark.anyio

JOBS = 100


@pytest.fixture
def server_settings() -> Mapping[str, object]:
    """A stock worker tries again 2 s after it failed to reconnect at once, and then more slowly."""
    return {"policy": {"grace_seconds": 60}, "runtime": {"drain_seconds": 1}}


async def test_job_that_runs_is_claimed_by_its_worker_and_not_run_again(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "claiming", CONFORMANCE_EXECUTOR="process")
    await worker.registered()
    dispatch = await own_caller.create("claiming", metadata="hold")
    await worker.job_started()

    own_server.kill()
    await own_server.start()
    await worker.registered(times=2)

    assert (await dispatch.job()).state.status == agent.JobStatus.JS_RUNNING
    worker.finish_jobs()
    job = await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert len(worker.records("started")) == 1
    assert "callboard.epoch" not in job.attributes


async def test_dispatch_that_waits_is_given_to_a_worker_after_the_restart(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    waiting = [await own_caller.create("waiting") for _ in range(3)]

    own_server.kill()
    await own_server.start()
    worker = start_worker(own_server, "waiting")

    for dispatch in waiting:
        await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert sorted(each.text("dispatch_id") for each in worker.records("started")) == sorted(
        dispatch.id for dispatch in waiting
    )


async def test_job_that_ends_while_the_server_is_down_is_not_run_again(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "ending")
    await worker.registered()
    dispatch = await own_caller.create("ending", metadata="hold")
    await worker.job_started()

    own_server.kill()
    worker.finish_jobs()
    await eventually("the end of the job", lambda: worker.records("ended"))
    await own_server.start()

    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert len(worker.records("started")) == 1


@pytest.mark.parametrize("server_settings", [{"policy": {"grace_seconds": 2}}])
async def test_job_whose_worker_died_while_the_server_was_down_goes_to_another(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    first = start_worker(own_server, "both-die")
    await first.registered()
    dispatch = await own_caller.create("both-die", metadata="hold")
    started = await first.job_started()

    own_server.kill()
    first.kill()
    await own_server.start()
    second = start_worker(own_server, "both-die")

    again = await second.job_started()
    assert again.job_id == started.job_id
    assert again.texts("attributes")["callboard.attempt_reason"] == "worker_lost"
    second.finish_jobs()
    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)


async def test_every_acknowledged_dispatch_survives_a_kill_in_the_middle_of_the_calls(
    own_server: Server, own_caller: Caller
) -> None:
    acknowledged: list[Dispatch] = []

    async def create_until_it_fails() -> None:
        while True:
            try:
                acknowledged.append(await own_caller.create("nobody"))
            except (aiohttp.ClientError, api.TwirpError):
                return

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(create_until_it_fails)
        await eventually("some dispatches", lambda: len(acknowledged) > 200)
        own_server.kill()
    await own_server.start()

    for dispatch in acknowledged:
        assert (await dispatch.job()).state.status == agent.JobStatus.JS_PENDING


async def test_call_that_is_repeated_after_the_restart_makes_no_second_dispatch(
    own_server: Server,
) -> None:
    room = new_room()
    async with repeating(own_server, "request-1") as repeater:
        first = await repeater.create("nobody", room)
        own_server.kill()
        await own_server.start()

        again = await repeater.create("nobody", room)

    assert again.id == first.id


async def test_job_outlives_a_server_that_is_stopped_in_peace(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "stopped")
    await worker.registered()
    dispatch = await own_caller.create("stopped", metadata="hold")
    await worker.job_started()

    assert await own_server.stop() == 0
    await own_server.start()
    await worker.registered(times=2)

    worker.finish_jobs()
    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert len(worker.records("started")) == 1


async def run_a_hundred_jobs(worker: Worker, caller: Caller) -> list[Dispatch]:
    """Have the worker run 100 jobs that hold."""
    await worker.registered()
    dispatches = [await caller.create("hundred", metadata="hold") for _ in range(JOBS)]
    await worker.job_started(jobs=JOBS, seconds=180)
    return dispatches


async def finish_a_hundred_jobs(worker: Worker, dispatches: list[Dispatch]) -> None:
    """Let all end, and assert that each succeeded in its only run."""
    statuses = [(await dispatch.job()).state.status for dispatch in dispatches]
    assert statuses == [agent.JobStatus.JS_RUNNING] * JOBS
    worker.finish_jobs()
    for dispatch in dispatches:
        await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert len({each.job_id for each in worker.records("started")}) == JOBS
    assert len(worker.records("started")) == JOBS


async def test_hundred_jobs_of_one_worker_outlive_the_server(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "hundred")
    dispatches = await run_a_hundred_jobs(worker, own_caller)

    own_server.kill()
    await own_server.start()
    await worker.registered(times=2)

    await finish_a_hundred_jobs(worker, dispatches)


async def test_hundred_jobs_of_one_worker_outlive_its_connection(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    async with relay_to(own_server.port) as relay:
        worker = start_worker(own_server, "hundred", url=relay.url)
        dispatches = await run_a_hundred_jobs(worker, own_caller)

        relay.is_open = False
        relay.cut()
        await eventually("the worker notices", lambda: "retrying in 2s" in worker.output())
        relay.is_open = True
        await worker.registered(times=2)

        await finish_a_hundred_jobs(worker, dispatches)
