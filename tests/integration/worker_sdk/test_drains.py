"""SIGTERM to workers with 1, 6 and 50 jobs: real processes, a real server, all jobs accounted for.

What is held against each other: the server's word on each job, the workers' own records of what they
ran, and the exit codes.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.conformance.processes import API_KEY, API_SECRET, Server
from tests.conformance.waiting import eventually, throughout
from tests.integration.worker_sdk.drain_stage import DrainStage
from tests.integration.worker_sdk.pool import runs
from worker_sdk import DispatchClient

pytestmark = pytest.mark.anyio

COUNTS = [1, 6, 50]


@pytest.fixture(scope="module")
async def server(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """One server for all drains."""
    server = Server(
        tmp_path_factory.mktemp("server"),
        {"policy": {"settle_time_seconds": 0.1, "hand_over_retry_seconds": 0.5}},
    )
    try:
        await server.start()
        yield server
    finally:
        server.clean_up()


@pytest.fixture
async def stage(server: Server, tmp_path: Path) -> AsyncIterator[DrainStage]:
    """A stage of an agent of its own."""
    async with DispatchClient(server.http_url, API_KEY, API_SECRET) as client:
        stage = DrainStage(tmp_path, server, client)
        try:
            yield stage
        finally:
            stage.clean_up()


@pytest.mark.parametrize("count", COUNTS)
async def test_who_waits_ends_with_code_0_when_all_its_jobs_have_ended_there(
    stage: DrainStage, count: int
) -> None:
    worker = await stage.worker()
    await stage.dispatch(count)
    await stage.all_in("RUNNING", count)
    worker.send_signal(signal.SIGTERM)
    await eventually("it drains", lambda: worker.said("drain_started"))
    await throughout("it waits for its jobs", worker.is_running, seconds=1.0)
    stage.release()
    assert await worker.exit_code() == 0
    await stage.all_in("SUCCEEDED", count)
    assert {job.attempt for job in await stage.jobs()} == {1}
    assert Counter(line["outcome"] for line in worker.recorded("end")) == {"success": count}


async def test_who_waits_says_at_once_for_which_jobs_and_for_how_long(stage: DrainStage) -> None:
    worker = await stage.worker()
    await stage.dispatch(2)
    await stage.all_in("RUNNING", 2)
    worker.send_signal(signal.SIGTERM)
    (waits,) = await eventually("it says so", lambda: worker.said("drain_waits"))
    assert (waits["waits_for"], waits["jobs"]) == ("jobs to end", 2)
    assert set(waits["running_seconds"]) == {run.job_id for run in worker.runs()}
    assert 1700 < waits["seconds_left"] <= 1800


@pytest.mark.parametrize("count", COUNTS)
async def test_who_hands_over_ends_when_another_worker_goes_on_with_all_its_jobs(
    stage: DrainStage, count: int
) -> None:
    first = await stage.worker(drain_policy="hand_over")
    await stage.dispatch(count)
    await stage.all_in("RUNNING", count)
    second = await stage.worker()
    first.send_signal(signal.SIGTERM)
    assert await first.exit_code() == 0
    await second.started(count)
    await stage.all_in("RUNNING", count)
    assert {(job.epoch, job.attempt) for job in await stage.jobs()} == {(2, 1)}
    assert {job.attempt_reason for job in await stage.jobs()} == {"handed_over"}
    # Each let go here as it began there, and not when the deadline of the drain passed.
    assert {line["job_id"] for line in first.recorded("end")} == {
        run.job_id for run in second.runs()
    }
    assert not first.said("drain_deadline_passed")
    stage.release()
    await stage.all_in("SUCCEEDED", count)
    assert len(second.runs()) == count


async def test_only_as_many_jobs_are_handed_over_as_others_have_room_for(
    stage: DrainStage,
) -> None:
    first = await stage.worker(drain_policy="hand_over")
    await stage.dispatch(6)
    await stage.all_in("RUNNING", 6)
    second = await stage.worker(capacity="2")
    first.send_signal(signal.SIGTERM)
    await second.started(2)
    await throughout("four jobs go on", lambda: len(first.recorded("end")) == 2, seconds=2.0)
    third = await stage.worker()
    assert await first.exit_code() == 0
    await third.started(4)
    await stage.all_in("RUNNING", 6)


async def test_a_job_that_nobody_has_room_for_may_end_where_it_is(stage: DrainStage) -> None:
    worker = await stage.worker(drain_policy="hand_over")
    await stage.dispatch(2)
    await stage.all_in("RUNNING", 2)
    worker.send_signal(signal.SIGTERM)
    (waits,) = await eventually("it says so", lambda: worker.said("drain_waits"))
    assert waits["waits_for"] == "other workers with room for the jobs"
    stage.release()
    assert await worker.exit_code() == 0
    await stage.all_in("SUCCEEDED", 2)


@pytest.mark.parametrize("policy", ["wait", "hand_over"])
@pytest.mark.parametrize("count", COUNTS)
async def test_a_second_signal_hands_all_jobs_over_within_seconds(
    stage: DrainStage, count: int, policy: str
) -> None:
    first = await stage.worker(drain_policy=policy)
    await stage.dispatch(count)
    await stage.all_in("RUNNING", count)
    first.send_signal(signal.SIGTERM)
    await eventually("it drains", lambda: first.said("drain_waits"))
    first.send_signal(signal.SIGTERM)
    assert await first.exit_code() == 0
    await stage.all_in("QUEUED", count)
    second = await stage.worker()
    stage.release()
    await stage.all_in("SUCCEEDED", count)
    assert {run.epoch for run in second.runs()} == {2}
    assert {job.attempt for job in await stage.jobs()} == {1}


async def test_at_its_deadline_a_drain_hands_over_what_still_runs(stage: DrainStage) -> None:
    worker = await stage.worker(drain_seconds_max="1")
    await stage.dispatch(6)
    await stage.all_in("RUNNING", 6)
    worker.send_signal(signal.SIGINT)
    assert await worker.exit_code() == 0
    assert worker.said("drain_deadline_passed")
    await stage.all_in("QUEUED", 6)


async def test_a_job_that_does_not_let_go_is_handed_over_all_the_same(stage: DrainStage) -> None:
    first = await stage.worker()
    await stage.dispatch(1, "deaf")
    await stage.all_in("RUNNING", 1)
    second = await stage.worker()
    for _ in range(2):
        first.send_signal(signal.SIGTERM)
        await eventually("it drains", lambda: first.said("drain_waits"))
    await second.started(1)
    assert await first.exit_code() == 1  # the watchdog's, for the job does not end
    assert "draining_worker.py" in first.output()
    stage.release()
    await stage.all_in("SUCCEEDED", 1)


@pytest.mark.parametrize("manner", ["deaf", "busy"])
async def test_a_third_signal_ends_the_worker_at_once_with_code_1(
    stage: DrainStage, manner: str
) -> None:
    first = await stage.worker()
    await stage.dispatch(1, manner)
    await first.started(1)
    for _ in range(2):
        first.send_signal(signal.SIGTERM)
        await throughout("it goes on", first.is_running, seconds=0.3)

    async def has_ended() -> bool:
        # One that came before the one before it was handled was not counted.
        first.send_signal(signal.SIGTERM)
        return not first.is_running()

    await eventually("the third signal ends it", has_ended)
    assert await first.exit_code() == 1
    assert "killed by a third signal" in first.output()  # and not by the watchdog
    second = await stage.worker()  # its job is not lost
    await second.started(1)


@pytest.mark.parametrize("signals", [1, 2])
async def test_jobs_in_processes_of_their_own_are_handed_over_too_and_no_process_is_left(
    stage: DrainStage, signals: int
) -> None:
    first = await stage.worker(drain_policy="hand_over", executor="process", warm="2")
    await stage.dispatch(6)
    await eventually(
        "each job has a process", lambda: len(first.said("job_in_process")) == 6, seconds=60.0
    )
    processes = psutil.Process(first.pid).children(recursive=True)
    assert len(processes) >= 6
    second = await stage.worker()
    if signals == 2:
        for _ in range(2):
            first.send_signal_to_all(signal.SIGTERM)  # as a service manager does
            await eventually("it drains", lambda: first.said("drain_started"))
    else:
        first.send_signal(signal.SIGTERM)
    assert await first.exit_code() == 0
    await second.started(6)
    await stage.all_in("RUNNING", 6)
    assert {(job.epoch, job.attempt) for job in await stage.jobs()} == {(2, 1)}
    # The kernel ends what was killed in its own time.
    await eventually("no process is left", lambda: not any(map(runs, processes)))


async def test_a_worker_without_jobs_ends_at_once(stage: DrainStage) -> None:
    worker = await stage.worker()
    worker.send_signal(signal.SIGTERM)
    assert await worker.exit_code() == 0
    assert not worker.said("drain_waits")
