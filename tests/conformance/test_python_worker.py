"""An unmodified Python worker takes jobs that an unmodified Python client created."""

import pytest
from livekit import api
from livekit.protocol import agent

from tests.conformance.conftest import StartWorker
from tests.conformance.dispatches import Caller, new_room
from tests.conformance.processes import API_KEY, API_SECRET, Server
from tests.conformance.waiting import eventually, throughout

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("mode", ["start", "dev"])
async def test_stock_worker_takes_a_job_and_its_success_is_listed(
    server: Server, caller: Caller, start_worker: StartWorker, mode: str
) -> None:
    worker = start_worker(server, "echo", script="echo.py", mode=mode)
    await worker.registered()

    dispatch = await caller.create("echo")

    running = await dispatch.job_with(agent.JobStatus.JS_RUNNING)
    assert running.state.started_at > 0
    assert running.state.worker_id.startswith("AW_")
    ended = await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert ended.state.ended_at > ended.state.started_at
    worker.kill()


async def test_job_carries_all_that_the_dispatch_asked_for(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(server, "carrier")
    await worker.registered()

    dispatch = await caller.create(
        "carrier", metadata="what to do: ü", attributes={"language": "en", "empty": ""}
    )

    job = await worker.job_started()
    assert job.job_id.startswith("AJ_")
    assert job.text("dispatch_id") == dispatch.id
    assert job.text("agent_name") == "carrier"
    assert job.text("room") == dispatch.room
    assert job.text("metadata") == "what to do: ü"
    assert job.text("type") == "JT_ROOM"
    assert {"language": "en", "empty": ""}.items() <= job.texts("attributes").items()


async def test_token_of_the_job_carries_the_agent_as_it_described_itself(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(server, "described", CONFORMANCE_IDENTITY="ada")
    await worker.registered()

    dispatch = await caller.create("described")

    job = await worker.job_started()
    claims = api.TokenVerifier(API_KEY, API_SECRET).verify(job.text("token"))
    assert claims.identity == "ada"
    assert claims.name == "Ada"
    assert claims.metadata == "of the agent"
    assert claims.kind == "agent"
    assert claims.attributes is not None
    assert claims.attributes["mood"] == "calm"
    assert claims.attributes["lk.agent_name"] == "described"
    assert claims.video is not None
    assert claims.video.room_join
    assert claims.video.agent
    assert claims.video.room == dispatch.room
    assert claims.video.can_publish
    assert claims.video.can_subscribe
    assert claims.video.can_publish_data
    assert claims.video.can_update_own_metadata
    assert not claims.video.hidden
    assert not claims.video.recorder


async def test_token_of_the_job_has_the_permissions_of_the_worker(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(server, "limited", CONFORMANCE_PERMISSIONS="no-publish hidden")
    await worker.registered()

    await caller.create("limited")

    job = await worker.job_started()
    claims = api.TokenVerifier(API_KEY, API_SECRET).verify(job.text("token"))
    assert claims.identity == f"agent-{job.job_id}"
    assert claims.video is not None
    assert claims.video.hidden
    assert claims.video.can_publish is False
    assert claims.video.can_subscribe


async def test_dispatch_made_before_any_worker_exists_is_given_to_one_that_comes_later(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    dispatch = await caller.create("late")
    assert (await dispatch.job()).state.status == agent.JobStatus.JS_PENDING

    worker = start_worker(server, "late")

    assert (await worker.job_started()).text("dispatch_id") == dispatch.id
    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)


async def test_rejected_job_ends_as_a_success_without_an_assignment(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(server, "rejecting", CONFORMANCE_ANSWER="reject")
    await worker.registered()

    dispatch = await caller.create("rejecting")

    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert len(worker.records("offered")) == 1
    assert worker.records("started") == []


@pytest.mark.parametrize("answer", ["decline:2", "raise:2"])
async def test_worker_that_declines_at_first_is_offered_the_job_again(
    server: Server, caller: Caller, start_worker: StartWorker, answer: str
) -> None:
    name = new_room("again")
    worker = start_worker(server, name, CONFORMANCE_ANSWER=answer)
    await worker.registered()

    dispatch = await caller.create(name)

    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert len(worker.records("offered")) == 3
    assert len(worker.records("started")) == 1


async def test_job_that_one_worker_declines_goes_to_another(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    unwilling = start_worker(server, "one-declines", CONFORMANCE_ANSWER="decline")
    await unwilling.registered()
    dispatch = await caller.create("one-declines")
    await eventually("an offer to the unwilling", lambda: unwilling.records("offered"))

    willing = start_worker(server, "one-declines")

    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert unwilling.records("started") == []
    assert len(willing.records("started")) == 1


async def test_job_for_a_deployment_goes_to_workers_of_that_deployment_only(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    blue = start_worker(server, "deployed", LIVEKIT_AGENT_DEPLOYMENT="blue")
    default = start_worker(server, "deployed")
    await blue.registered()
    await default.registered()

    for_blue = [await caller.create("deployed", deployment="blue") for _ in range(3)]
    for_default = [await caller.create("deployed") for _ in range(3)]
    for_green = await caller.create("deployed", deployment="green")

    for dispatch in [*for_blue, *for_default]:
        await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert {job.text("dispatch_id") for job in blue.records("started")} == {
        dispatch.id for dispatch in for_blue
    }
    assert {job.text("dispatch_id") for job in default.records("started")} == {
        dispatch.id for dispatch in for_default
    }
    assert {job.text("deployment") for job in blue.records("started")} == {"blue"}
    assert (await for_green.job()).state.status == agent.JobStatus.JS_PENDING


async def test_simulated_job_is_given_to_a_worker_and_makes_no_dispatch(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    room = new_room("simulated")
    worker = start_worker(server, "simulating", CONFORMANCE_SIMULATE=room)

    job = await worker.job_started()

    assert job.text("room") == room
    assert job.text("agent_name") == "simulating"
    assert job.text("dispatch_id") == ""
    await eventually("the end of the job", lambda: worker.records("ended"))


async def test_entrypoint_that_raises_ends_its_job_as_the_sdk_reports_it(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(server, "raising")
    await worker.registered()

    dispatch = await caller.create("raising", metadata="raise")

    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    await throughout("one start", lambda: len(worker.records("started")) == 1, seconds=2.0)


async def test_jobs_that_a_worker_refuses_in_a_burst_are_all_run_by_it_in_the_end(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    """In start mode an idle worker takes as many jobs at once as it has idle processes."""
    worker = start_worker(server, "bursting", mode="start", CONFORMANCE_EXECUTOR="process")
    await worker.registered()

    dispatches = [await caller.create("bursting") for _ in range(8)]

    for dispatch in dispatches:
        await dispatch.job_with(agent.JobStatus.JS_SUCCESS, seconds=60)
    assert len({each.job_id for each in worker.records("started")}) == 8


async def test_worker_with_a_wrong_secret_is_refused_before_it_is_connected(
    server: Server, start_worker: StartWorker
) -> None:
    worker = start_worker(server, "unknown", LIVEKIT_API_SECRET=API_SECRET[::-1])

    await eventually("the refusal", lambda: "retrying in 2s" in worker.output())

    assert "401" in worker.output()
    assert worker.registrations() == 0
