"""Workers that are killed, hang or drain: their jobs go to others, or end as their policy says."""

import signal
from collections.abc import Mapping

import pytest
from livekit.protocol import agent, agent_dispatch

from tests.conformance.conftest import StartWorker
from tests.conformance.dispatches import Caller
from tests.conformance.processes import Server
from tests.conformance.waiting import eventually, throughout

pytestmark = pytest.mark.anyio

NEVER = agent_dispatch.JobRestartPolicy.JRP_NEVER


@pytest.fixture
def server_settings() -> Mapping[str, object]:
    """A worker that hangs is noticed in 4 s, a lost one is given up 1 s later."""
    return {
        "policy": {
            "grace_seconds": 1,
            "offer_timeout_seconds": 1,
            "retry_backoff_seconds_min": 0.2,
            "attempts_max": 3,
        },
        "limits": {"ping_interval_seconds": 1, "ping_timeout_seconds": 3},
    }


async def test_job_of_a_killed_worker_goes_to_another_which_can_tell(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    first = start_worker(own_server, "killed", CONFORMANCE_EXECUTOR="process")
    await first.registered()
    dispatch = await own_caller.create("killed", metadata="hold", attributes={"key": "value"})
    started = await first.job_started()
    second = start_worker(own_server, "killed", CONFORMANCE_EXECUTOR="process")
    await second.registered()

    first.kill()

    again = await second.job_started()
    assert again.job_id == started.job_id
    assert again.text("identity") == started.text("identity")
    assert again.text("metadata") == "hold"
    assert started.texts("attributes") == {"key": "value"}
    assert again.texts("attributes") == {
        "key": "value",
        "callboard.epoch": "2",
        "callboard.attempt": "2",
        "callboard.attempt_reason": "worker_lost",
    }
    assert '"resuming": true' in second.output()
    second.finish_jobs()
    job = await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert dict(job.attributes) == {"key": "value"}


async def test_job_that_must_not_restart_fails_with_its_worker(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    first = start_worker(own_server, "never")
    await first.registered()
    dispatch = await own_caller.create("never", metadata="hold", restart_policy=NEVER)
    await first.job_started()
    second = start_worker(own_server, "never")
    await second.registered()

    first.kill()

    await dispatch.job_with(agent.JobStatus.JS_FAILED)
    assert second.records() == []


async def test_job_whose_process_dies_is_tried_again(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "dying", CONFORMANCE_EXECUTOR="process")
    await worker.registered()

    dispatch = await own_caller.create("dying", metadata="die once")

    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    first, second = worker.records("started")
    assert first.job_id == second.job_id
    assert second.texts("attributes") == {
        "callboard.epoch": "2",
        "callboard.attempt": "2",
        "callboard.attempt_reason": "failed",
    }
    assert '"resuming": true' not in worker.output()


async def test_job_whose_process_always_dies_fails_after_its_last_attempt(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "always-dying", CONFORMANCE_EXECUTOR="process")
    await worker.registered()

    dispatch = await own_caller.create("always-dying", metadata="die")

    await dispatch.job_with(agent.JobStatus.JS_FAILED)
    assert len(worker.records("started")) == 3


async def test_job_whose_process_dies_fails_at_once_if_it_must_not_restart(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "dying-once", CONFORMANCE_EXECUTOR="process")
    await worker.registered()

    dispatch = await own_caller.create("dying-once", metadata="die", restart_policy=NEVER)

    await dispatch.job_with(agent.JobStatus.JS_FAILED)
    await throughout("one start", lambda: len(worker.records("started")) == 1, seconds=2)


async def test_worker_that_hangs_loses_its_job_and_is_told_to_stop_when_it_is_back(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    hanging = start_worker(own_server, "hanging", CONFORMANCE_EXECUTOR="process")
    await hanging.registered()
    dispatch = await own_caller.create("hanging", metadata="hold")
    started = await hanging.job_started()
    other = start_worker(own_server, "hanging", CONFORMANCE_EXECUTOR="process")
    await other.registered()

    hanging.send_signal_to_all(signal.SIGSTOP)
    again = await other.job_started()
    assert again.job_id == started.job_id
    hanging.send_signal_to_all(signal.SIGCONT)

    await eventually("the end of the older run", lambda: hanging.records("ended"))
    assert (await dispatch.job()).state.status == agent.JobStatus.JS_RUNNING
    assert other.records("ended") == []
    other.finish_jobs()
    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)


async def test_worker_that_drains_finishes_its_job_and_takes_no_other(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    draining = start_worker(own_server, "draining", mode="start", CONFORMANCE_EXECUTOR="process")
    await draining.registered()
    running = await own_caller.create("draining", metadata="hold")
    await draining.job_started()

    draining.send_signal(signal.SIGTERM)
    await eventually("the drain begins", lambda: "draining worker" in draining.output())
    waiting = await own_caller.create("draining")
    await throughout(
        "no offer to a draining worker", lambda: len(draining.records("offered")) == 1, seconds=2
    )
    draining.finish_jobs()

    await running.job_with(agent.JobStatus.JS_SUCCESS)
    assert await draining.exit_code() == 0
    assert (await waiting.job()).state.status == agent.JobStatus.JS_PENDING
    start_worker(own_server, "draining")
    await waiting.job_with(agent.JobStatus.JS_SUCCESS)


async def test_job_that_a_worker_leaves_running_at_its_exit_goes_to_another(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    """In dev mode a stopped worker closes its connection before it ends its jobs."""
    leaving = start_worker(own_server, "leaving", mode="dev", CONFORMANCE_EXECUTOR="process")
    await leaving.registered()
    dispatch = await own_caller.create("leaving", metadata="hold")
    started = await leaving.job_started()
    other = start_worker(own_server, "leaving", CONFORMANCE_EXECUTOR="process")
    await other.registered()

    leaving.send_signal(signal.SIGTERM)

    again = await other.job_started()
    assert again.job_id == started.job_id
    other.finish_jobs()
    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)


async def test_deleting_a_dispatch_ends_its_running_job(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "deleted", CONFORMANCE_EXECUTOR="process")
    await worker.registered()
    deleted = await own_caller.create("deleted", metadata="hold")
    kept = await own_caller.create("deleted", metadata="hold")
    await worker.job_started(jobs=2)
    job_id = (await deleted.job()).id

    await deleted.delete()

    await eventually("the end of the job", lambda: worker.records("ended", job_id))
    await eventually("the dispatch is gone", deleted.is_gone)
    assert (await kept.job()).state.status == agent.JobStatus.JS_RUNNING


async def test_deleting_a_dispatch_while_it_is_offered_ends_it_without_a_run(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "offered", CONFORMANCE_ANSWER="silent")
    await worker.registered()
    dispatch = await own_caller.create("offered")
    await eventually("the offer", lambda: worker.records("offered"))

    await dispatch.delete()

    await eventually("the dispatch is gone", dispatch.is_gone)
    assert worker.records("started") == []


async def test_silent_worker_costs_a_job_one_offer_and_not_the_job(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    silent = start_worker(own_server, "silent", CONFORMANCE_ANSWER="silent")
    await silent.registered()
    dispatch = await own_caller.create("silent")
    await eventually("an offer to the silent", lambda: silent.records("offered"))

    other = start_worker(own_server, "silent")

    await dispatch.job_with(agent.JobStatus.JS_SUCCESS)
    assert len(silent.records("offered")) == 1
    assert len(other.records("started")) == 1
