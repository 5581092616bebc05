"""A whole worker against a server that says only what the test tells it to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
import structlog

from protocol import wire_pb2
from protocol.errors import ConfigError
from protocol.tokens import verify
from tests.support.scripted_server import DEADLINE_SECONDS, ScriptedServer
from tests.support.served_worker import (
    KEYS,
    make_worker,
    return_at_once,
    running,
    serving,
    until_cancelled,
    wait_until,
)
from worker_sdk import JobContext, JobRequest, JobsHeld, JobType, LoadMeasure, Worker

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

# ---- registration ----


async def test_a_worker_registers_with_all_that_it_declares() -> None:
    async with running(
        capacity=7,
        types=(JobType.ROOM, JobType.PUBLISHER),
        deployment="blue",
        namespace="n1",
        grace_seconds=1.5,
        instance_id="i-1",
    ) as (server, worker):
        connection, said = await server.accept_registration()
        assert (said.agent_name, said.deployment, said.namespace) == ("greeter", "blue", "n1")
        assert (said.capacity, said.grace_milliseconds, said.instance_id) == (7, 1500, "i-1")
        assert said.type == wire_pb2.JT_ROOM
        assert list(said.types) == [wire_pb2.JT_ROOM, wire_pb2.JT_PUBLISHER]
        scheme, token = connection.authorization.split(" ")
        now_ns = 10**9 * int(time.time())
        assert scheme == "Bearer"
        assert verify(token, KEYS, now_ns).may_register_worker()
        await worker.wait_registered()
        assert worker.worker_id == "AW_scripted"


async def test_a_worker_reports_its_status_as_soon_as_it_is_registered() -> None:
    async with running() as (server, _):
        connection = await server.accept()
        status = await connection.expect_status()
        assert (status.status, status.load, status.job_count) == (wire_pb2.WS_AVAILABLE, 0.0, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"capacity": 0},
        {"capacity": 10_001},
        {"types": ()},
        {"grace_seconds": -1.0},
        {"grace_seconds": 1e9},
        {"deployment": "with_underscore"},
        {"url": "nonsense"},
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_at_once(options: dict[str, object]) -> None:
    settings: dict[str, object] = {"url": "ws://h", "api_key": "k", "api_secret": "s", **options}
    with pytest.raises(ConfigError):
        Worker("greeter", **settings)  # type: ignore[arg-type]


async def test_a_worker_without_a_job_function_does_not_serve() -> None:
    with pytest.raises(ConfigError, match=r"@worker\.job"):
        await make_worker("ws://127.0.0.1:1").serve()


# ---- jobs ----


async def test_a_job_function_gets_the_job_and_how_it_came_here() -> None:
    seen: list[JobContext] = []

    async def job(ctx: JobContext) -> None:
        seen.append(ctx)

    async with running(job) as (server, _):
        connection = await server.accept()
        await connection.offer("AJ_1", room="lobby", resuming=True)
        await connection.expect("availability")
        await connection.assign("AJ_1", room="lobby", epoch=3, attempt=2)
        await wait_until(lambda: bool(seen))
    (ctx,) = seen
    assert (ctx.job.id, ctx.job.room, ctx.job.type) == ("AJ_1", "lobby", JobType.ROOM)
    assert (ctx.attempt, ctx.epoch, ctx.resuming) == (2, 3, True)
    assert (ctx.url, ctx.token) == ("ws://sfu.example", "room-token")


async def test_a_function_that_returns_is_reported_as_success_with_its_epoch() -> None:
    release = anyio.Event()

    async def job(_: JobContext) -> None:
        await release.wait()

    async with running(job) as (server, _):
        connection = await server.accept()
        await connection.give("AJ_1", epoch=5)
        release.set()
        report = (await connection.expect("update_job")).update_job
        assert (report.status, report.epoch) == (wire_pb2.JS_SUCCESS, 5)
        assert report.sequence > 0


async def test_a_function_that_raises_is_reported_as_failed_with_its_error() -> None:
    async def job(_: JobContext) -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError("no such model")

    with structlog.testing.capture_logs():
        async with running(job) as (server, _):
            connection = await server.accept()
            await connection.offer("AJ_1")
            await connection.expect("availability")
            await connection.assign("AJ_1")
            report = await connection.expect_final("AJ_1")
            assert report.status == wire_pb2.JS_FAILED
            assert report.error == "LookupError: no such model"


async def test_simultaneous_offers_beyond_the_capacity_are_declined() -> None:
    async with running(capacity=2) as (server, _):
        connection = await server.accept()
        for n in range(5):
            await connection.offer(f"AJ_{n}")
        answers = [(await connection.expect("availability")).availability for _ in range(5)]
        assert [a.available for a in answers] == [True, True, False, False, False]


async def test_a_request_handler_decides() -> None:
    async with ScriptedServer() as server:
        worker = make_worker(server.url)
        worker.job(until_cancelled)

        @worker.request
        async def decide(request: JobRequest) -> None:
            await anyio.lowlevel.checkpoint()
            match request.job.room:
                case "mine":
                    request.accept(identity="agent-007")
                case "nobodys":
                    request.terminate()
                case "broken":
                    raise RuntimeError("no idea")
                case _:
                    request.decline()

        with structlog.testing.capture_logs():
            async with serving(worker):
                connection = await server.accept()
                answers = {}
                for room in ("mine", "nobodys", "broken", "other"):
                    await connection.offer(f"AJ_{room}", room=room)
                    answers[room] = (await connection.expect("availability")).availability
    assert answers["mine"].participant_identity == "agent-007"
    assert (answers["nobodys"].available, answers["nobodys"].terminate) == (False, True)
    assert (answers["broken"].available, answers["broken"].terminate) == (False, False)
    assert (answers["other"].available, answers["other"].terminate) == (False, False)


async def test_a_full_worker_says_so_at_once_and_takes_it_back_at_once() -> None:
    release = anyio.Event()

    async def job(_: JobContext) -> None:
        await release.wait()

    async with running(job, capacity=1) as (server, _):
        connection = await server.accept()
        await connection.give("AJ_1")
        status = await connection.expect_status(status=wire_pb2.WS_FULL)
        assert (status.load, status.job_count) == (1.0, 1)
        release.set()
        await connection.expect_status(status=wire_pb2.WS_AVAILABLE, job_count=0)


async def test_a_load_function_is_asked_and_a_change_is_told() -> None:
    load = [0.25]
    async with running(load=lambda: load[0]) as (server, _):
        connection = await server.accept()
        assert (await connection.expect_status()).load == 0.25
        load[0] = 0.75
        await connection.expect_status(load=0.75)


class NoLoad(LoadMeasure):
    """A measure that gives what is none."""

    def __init__(self, given: object) -> None:
        self._given = given

    def sample(self, jobs: JobsHeld) -> float:
        return self._given  # type: ignore[return-value]


@pytest.mark.parametrize(("given", "told"), [("much", 0.0), (None, 0.0), (float("nan"), 1.0)])
async def test_a_load_that_is_none_ends_no_worker(given: object, told: float) -> None:
    with structlog.testing.capture_logs():
        async with running(load=NoLoad(given)) as (server, _):
            connection = await server.accept()
            await connection.give("AJ_1")
            await connection.expect_status(job_count=1, load=told)


async def test_what_the_prewarm_function_raises_ends_the_start_as_it_is() -> None:
    worker = make_worker("ws://127.0.0.1:1")
    worker.job(until_cancelled)

    @worker.prewarm
    def load() -> None:
        raise FileNotFoundError("no model")

    with pytest.raises(FileNotFoundError, match="no model"):
        await worker.serve()


async def test_a_load_function_that_fails_is_logged_once_and_asked_again() -> None:
    asked: list[None] = []

    def load() -> float:
        asked.append(None)
        if len(asked) < 4:
            raise ConnectionError("no queue")
        return 0.5

    with structlog.testing.capture_logs() as logs:
        async with running(load=load) as (server, _):
            connection = await server.accept()
            await connection.expect_status(load=0.5)
    assert [line["event"] for line in logs].count("load_function_failed") == 1


async def test_a_job_whose_error_cannot_be_sent_ends_no_worker() -> None:
    async def job(_: JobContext) -> None:
        raise OSError("no \udcff.wav")

    with structlog.testing.capture_logs():
        async with running(job) as (server, _):
            connection = await server.accept()
            await connection.offer("AJ_1")
            await connection.expect("availability")
            await connection.assign("AJ_1")
            assert (await connection.expect_final("AJ_1")).error == "OSError: no \\udcff.wav"


async def test_a_terminated_job_is_cancelled_and_reported() -> None:
    cleaned_up = anyio.Event()

    async def job(_: JobContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned_up.set()

    async with running(job) as (server, _):
        connection = await server.accept()
        await connection.give("AJ_1")
        await connection.terminate("AJ_1")
        report = (await connection.expect("update_job")).update_job
        assert report.status == wire_pb2.JS_CANCELLED
        assert cleaned_up.is_set()


# ---- reconnecting ----


async def test_a_lost_connection_is_followed_by_a_claim_and_the_job_runs_on() -> None:
    async with running() as (server, worker):
        connection = await server.accept()
        await connection.give("AJ_1")
        connection.cut()
        connection = await server.accept()
        claim = (await connection.expect("migrate_job")).migrate_job
        assert list(claim.job_ids) == ["AJ_1"]
        await connection.verdict("AJ_1", wire_pb2.MigrateVerdict.KEEP)
        assert worker.active_jobs == 1


async def test_no_claim_is_sent_when_nothing_is_held() -> None:
    async with running() as (server, _):
        connection = await server.accept()
        await connection.expect_status()
        connection.cut()
        connection = await server.accept()
        await connection.expect_status()
        assert not connection.inbox


async def test_a_result_that_was_not_confirmed_is_told_again_after_the_claim() -> None:
    async with running(return_at_once) as (server, _):
        connection = await server.accept()
        await connection.offer("AJ_1")
        await connection.expect("availability")
        await connection.assign("AJ_1")
        first = await connection.expect_final("AJ_1")
        connection.cut()
        connection = await server.accept()
        assert list((await connection.expect("migrate_job")).migrate_job.job_ids) == ["AJ_1"]
        assert (await connection.expect("update_job")).update_job == first
        await connection.receipt(first.sequence)
        await connection.terminate("AJ_other")  # answered: the receipt before it has been read
        await connection.expect("update_job")
        connection.cut()
        connection = await server.accept()
        await connection.expect_status()
        assert not connection.inbox


async def test_a_server_without_receipts_is_not_told_twice() -> None:
    async with running(return_at_once, extensions=()) as (server, _):
        connection = await server.accept()
        await connection.offer("AJ_1")
        await connection.expect("availability")
        await connection.assign("AJ_1", epoch=None)
        await connection.expect_final("AJ_1")
        connection.cut()
        connection = await server.accept()
        await connection.expect_status()
        assert not connection.inbox


async def test_an_assignment_that_comes_on_the_next_connection_is_honoured() -> None:
    async with running(capacity=1) as (server, worker):
        connection = await server.accept()
        await connection.offer("AJ_1")
        await connection.expect("availability")
        connection.cut()
        connection = await server.accept()
        await connection.assign("AJ_1")
        assert (await connection.expect("update_job")).update_job.status == wire_pb2.JS_RUNNING
        assert worker.active_jobs == 1


async def test_a_worker_that_is_sent_away_answers_first_and_comes_back_with_its_jobs() -> None:
    async with running(capacity=2) as (server, _):
        connection = await server.accept()
        await connection.give("AJ_1")
        await connection.offer("AJ_2")
        await connection.send(
            wire_pb2.ServerMessage(go_away=wire_pb2.AgentHttp.GoAway(reason="the server stops"))
        )
        assert (await connection.expect("availability")).availability.available
        await connection.assign("AJ_2")
        with anyio.fail_after(DEADLINE_SECONDS):
            await connection.is_closed.wait()
        connection = await server.accept()
        claim = (await connection.expect("migrate_job")).migrate_job
        assert sorted(claim.job_ids) == ["AJ_1", "AJ_2"]


async def test_a_job_that_was_given_to_another_is_cancelled_without_a_result() -> None:
    async with running() as (server, worker):
        connection = await server.accept()
        await connection.give("AJ_1")
        connection.cut()
        connection = await server.accept()
        await connection.expect("migrate_job")
        running_again = (await connection.expect("update_job")).update_job
        assert running_again.status == wire_pb2.JS_RUNNING
        await connection.verdict("AJ_1", wire_pb2.MigrateVerdict.STOP_REASSIGNED)
        last = (await connection.expect("update_job")).update_job
        assert (last.status, last.HasField("sequence")) == (wire_pb2.JS_CANCELLED, False)
        await wait_until(lambda: worker.active_jobs == 0)


@pytest.mark.parametrize("frame", [b"\xff\xff\xff", "no protobuf at all"])
async def test_a_frame_that_cannot_be_read_makes_a_new_connection_and_no_crash(
    frame: bytes | str,
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with running() as (server, _):
            connection = await server.accept()
            await connection.give("AJ_1")
            await connection.send_raw(frame)
            connection = await server.accept()
            await connection.expect("migrate_job")
    assert "server_frame_unreadable" in [line["event"] for line in logs]


async def test_a_frame_over_the_limit_makes_a_new_connection() -> None:
    with structlog.testing.capture_logs():
        async with running() as (server, _):
            connection = await server.accept()
            await connection.send_raw(b"\0" * (3 * 1024 * 1024))
            await server.accept()


async def test_a_wrong_first_message_makes_a_new_connection() -> None:
    with structlog.testing.capture_logs():
        async with running() as (server, _):
            connection = await server.connected()
            await connection.send(wire_pb2.ServerMessage(pong=wire_pb2.WorkerPong()))
            await server.accept()


async def test_a_refused_token_is_tried_again_with_a_log_line_that_names_the_remedy() -> None:
    with structlog.testing.capture_logs() as logs:
        async with ScriptedServer() as server:
            server.refusal = HTTPStatus.UNAUTHORIZED
            worker = make_worker(server.url)
            worker.job(until_cancelled)
            async with serving(worker):
                await server.expect_refusals(2)
                server.refusal = None
                await server.accept()
    (refused, *_) = [line for line in logs if line["event"] == "connection_refused"]
    assert refused["status"] == 401
    assert "LIVEKIT_API_SECRET" in refused["remedy"]
    assert KEYS["devkey"] not in json.dumps(logs, default=str)


async def test_a_worker_that_is_back_says_once_how_long_it_was_away() -> None:
    with structlog.testing.capture_logs() as logs:
        async with running() as (server, _):
            connection = await server.accept()
            server.refusal = HTTPStatus.SERVICE_UNAVAILABLE
            connection.cut()
            await server.expect_refusals(3)
            server.refusal = None
            await server.accept()
            await wait_until(lambda: any(line["event"] == "connected_again" for line in logs))
            refusals = server.refused_count
    (again,) = [line for line in logs if line["event"] == "connected_again"]
    assert again["failures"] == refusals
    assert 0 < again["away_seconds"] < DEADLINE_SECONDS


# ---- ending ----


async def test_a_draining_worker_takes_no_offer_and_ends_when_its_job_has_ended() -> None:
    release = anyio.Event()

    async def job(_: JobContext) -> None:
        await release.wait()

    async with running(job) as (server, worker):
        connection = await server.accept()
        await connection.give("AJ_1")
        worker.drain()
        await connection.expect_status(draining=True, status=wire_pb2.WS_FULL)
        await connection.offer("AJ_2")
        assert not (await connection.expect("availability")).availability.available
        release.set()
        report = await connection.expect_final("AJ_1")
        assert report.status == wire_pb2.JS_SUCCESS
        await connection.receipt(report.sequence)
        assert await connection.expect_closed() == 1000


async def test_a_draining_worker_leaves_only_when_its_results_are_confirmed() -> None:
    async with running(return_at_once) as (server, worker):
        connection = await server.accept()
        await connection.offer("AJ_1")
        await connection.expect("availability")
        worker.drain()
        await connection.assign("AJ_1")
        await connection.expect_final("AJ_1")
        connection.cut()
        connection = await server.accept()
        await connection.expect("migrate_job")
        report = await connection.expect_final("AJ_1")
        await connection.receipt(report.sequence)
        assert await connection.expect_closed() == 1000


async def test_a_worker_that_is_stopped_cancels_its_jobs_and_hands_them_over() -> None:
    async with running() as (server, worker):
        connection = await server.accept()
        await connection.give("AJ_1")
        worker.stop()
        assert list((await connection.expect("hand_over")).hand_over.job_ids) == ["AJ_1"]
        assert await connection.expect_closed() == 1000


async def test_a_worker_that_never_connected_can_be_drained() -> None:
    with structlog.testing.capture_logs():
        worker = make_worker("ws://127.0.0.1:1")
        worker.job(until_cancelled)
        with anyio.fail_after(DEADLINE_SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(worker.serve)
                worker.drain()


PROGRAM = """
import anyio
from worker_sdk import JobContext, Worker

worker = Worker("greeter")

@worker.job
async def wait(ctx: JobContext) -> None:
    await anyio.sleep_forever()

worker.run()
"""


async def test_one_sigterm_drains_a_program_and_a_second_one_ends_it() -> None:
    async with ScriptedServer() as server:
        environment = {
            **os.environ,
            "LIVEKIT_URL": server.url,
            "LIVEKIT_API_KEY": "devkey",
            "LIVEKIT_API_SECRET": KEYS["devkey"],
        }
        async with await anyio.open_process(
            [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.DEVNULL
        ) as process:
            try:
                connection = await server.accept()
                await connection.give("AJ_1")
                process.send_signal(signal.SIGTERM)
                await connection.expect_status(draining=True, job_count=1)
                process.send_signal(signal.SIGTERM)
                message = await connection.expect("hand_over")
                assert list(message.hand_over.job_ids) == ["AJ_1"]
                assert await connection.expect_closed() == 1000
                with anyio.fail_after(DEADLINE_SECONDS):
                    assert await process.wait() == 0
            finally:
                if process.returncode is None:
                    process.kill()


# ---- its own record ----


async def test_the_record_tells_each_start_stop_and_end(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    async with running(record_path=path) as (server, worker):
        connection = await server.accept()
        await connection.give("AJ_1", epoch=2)
        await connection.terminate("AJ_1")
        await wait_until(lambda: worker.active_jobs == 0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["event"], line["epoch"]) for line in lines] == [
        ("start", 2),
        ("stop", 2),
        ("end", 2),
    ]
    assert lines[2]["outcome"] == "stopped"
