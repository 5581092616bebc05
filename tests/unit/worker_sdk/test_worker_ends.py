"""How a worker ends: what it says to the server and to people, stage by stage."""

from __future__ import annotations

import anyio
import pytest
import structlog

from protocol import wire_pb2
from protocol.errors import ConfigError
from tests.support.http_probe import get
from tests.support.scripted_server import DEADLINE_SECONDS
from tests.support.served_worker import make_worker, running, until_cancelled, wait_until
from worker_sdk import JobContext
from worker_sdk.drain import DrainPolicy

pytestmark = pytest.mark.anyio

YIELDING = ("status_receipt", "hand_over_when_room")


async def test_who_hands_over_asks_that_others_go_on_and_lets_go_when_one_does() -> None:
    async with running(extensions=YIELDING, drain_policy=DrainPolicy.HAND_OVER) as (server, worker):
        connection = await server.accept()
        await connection.give("AJ_1")
        worker.drain()
        asked = (await connection.expect("hand_over")).hand_over
        assert (list(asked.job_ids), asked.when_another_has_room) == (["AJ_1"], True)
        assert worker.active_jobs == 1
        await connection.terminate("AJ_1")
        last = (await connection.expect("update_job")).update_job
        assert last.status == wire_pb2.JS_CANCELLED
        await connection.receipt(last.sequence)
        assert await connection.expect_closed() == 1000


async def test_after_a_reconnect_it_asks_again() -> None:
    async with running(extensions=YIELDING, drain_policy=DrainPolicy.HAND_OVER) as (server, worker):
        connection = await server.accept()
        await connection.give("AJ_1")
        worker.drain()
        await connection.expect("hand_over")
        connection.cut()
        connection = await server.accept()
        await connection.expect("migrate_job")
        assert (await connection.expect("hand_over")).hand_over.when_another_has_room


async def test_a_server_of_livekits_is_asked_nothing_and_hears_that_the_jobs_failed() -> None:
    async with running(extensions=(), drain_policy=DrainPolicy.HAND_OVER) as (server, worker):
        connection = await server.accept()
        await connection.give("AJ_1", epoch=None)
        worker.drain()
        await connection.expect_status(draining=True)
        worker.stop()
        report = await connection.expect_final("AJ_1")
        assert (report.status, report.error) == (wire_pb2.JS_FAILED, "the worker was stopped")
        assert await connection.expect_closed() == 1000


@pytest.mark.parametrize("policy", DrainPolicy, ids=lambda policy: str(policy.value))
async def test_at_the_deadline_what_still_runs_is_handed_over(policy: DrainPolicy) -> None:
    with structlog.testing.capture_logs() as logs:
        async with running(drain_policy=policy, drain_seconds_max=0.1) as (server, worker):
            connection = await server.accept()
            await connection.give("AJ_1")
            worker.drain()
            handed_over = (await connection.expect("hand_over")).hand_over
            assert list(handed_over.job_ids) == ["AJ_1"]
            assert not handed_over.when_another_has_room
            assert await connection.expect_closed() == 1000
    assert "drain_deadline_passed" in [line["event"] for line in logs]


async def test_each_stage_says_what_is_waited_for_with_the_jobs_by_id() -> None:
    async def tidy(_: JobContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await tidied.wait()

    tidied = anyio.Event()
    with structlog.testing.capture_logs() as logs:

        def said() -> list[str]:
            return [str(line["waits_for"]) for line in logs if line["event"] == "drain_waits"]

        async with running(tidy) as (server, worker):
            connection = await server.accept()
            await connection.give("AJ_1")
            worker.drain()
            await wait_until(lambda: said() == ["jobs to end"])
            worker.stop()
            await wait_until(lambda: said() == ["jobs to end", "jobs to clean up"])
            tidied.set()
            await connection.expect("hand_over")
            assert await connection.expect_closed() == 1000
    (first, _) = [line for line in logs if line["event"] == "drain_waits"]
    assert list(first["running_seconds"]) == ["AJ_1"]
    assert 1799 < first["seconds_left"] <= 1800


async def test_a_result_that_is_not_confirmed_is_waited_for_and_said() -> None:
    async def job(_: JobContext) -> None:
        await release.wait()

    release = anyio.Event()
    with structlog.testing.capture_logs() as logs:
        async with running(job) as (server, worker):
            connection = await server.accept()
            await connection.give("AJ_1")
            worker.drain()
            await connection.expect_status(draining=True)
            release.set()
            report = await connection.expect_final("AJ_1")
            connection.cut()
            connection = await server.accept()
            await connection.expect("migrate_job")
            assert (await connection.expect_final("AJ_1")).sequence == report.sequence
            await connection.receipt(report.sequence)
            assert await connection.expect_closed() == 1000
    finished = [line for line in logs if line["event"] == "drain_finished"]
    assert finished[0]["results_not_confirmed"] == 0


# ---- health ----


async def test_the_health_port_follows_the_worker() -> None:
    with structlog.testing.capture_logs():
        async with running(health_port=0, health_host="127.0.0.1") as (server, worker):
            await wait_until(lambda: worker.health_port is not None)
            assert worker.health_port is not None
            connection = await server.accept()
            await worker.wait_registered()
            assert (await get(worker.health_port, "/readyz"))[0] == 200
            await connection.give("AJ_1")
            _, _, body = await get(worker.health_port, "/metrics")
            assert 'callboard_worker_jobs_running{agent_name="greeter"} 1\n' in body
            assert 'callboard_worker_jobs_started_total{agent_name="greeter"} 1\n' in body
            connection.cut()
            await server.accept()
            await wait_until(lambda: worker.worker_id is not None)
            _, _, body = await get(worker.health_port, "/metrics")
            assert 'callboard_worker_reconnects_total{agent_name="greeter"} 1\n' in body
            worker.drain()
            status, _, words = await get(worker.health_port, "/readyz")
            assert (status, words) == (503, "draining\n")
            assert (await get(worker.health_port, "/healthz"))[0] == 200


async def test_a_health_port_that_is_taken_ends_the_start_with_one_error() -> None:
    with structlog.testing.capture_logs():
        async with running(health_port=0, health_host="127.0.0.1") as (_, first):
            await wait_until(lambda: first.health_port is not None)
            second = make_worker(
                "ws://127.0.0.1:1", health_port=first.health_port, health_host="127.0.0.1"
            )
            second.job(until_cancelled)
            with (
                anyio.fail_after(DEADLINE_SECONDS),
                pytest.raises(ConfigError, match="cannot listen"),
            ):
                await second.serve()
