"""Outgoing webhooks: LiveKit's own receiver takes them, in order and at least once, come what may."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import httpx2
import pytest
from aiohttp import web
from livekit.api import TokenVerifier, WebhookReceiver
from livekit.protocol.agent import JobStatus
from livekit.protocol.webhook import WebhookEvent
from structlog.testing import capture_logs

from dispatcher.config import Webhook
from dispatcher.core.jobs import Lane
from dispatcher.notifier.limits import NotifierLimits
from dispatcher.store.contract import Retention
from dispatcher.store.sqlite import SqliteStore
from protocol import wire_pb2
from tests.conformance.processes import free_port
from tests.conformance.store.builders import NOW, create_job, succeed
from tests.integration.server.peers import CREATE, Caller, RawWorker, fresh, registered
from tests.support.server import (
    KEY,
    KEYS,
    OTHER_PROJECT_KEY,
    RunningServer,
    room_token,
    running_server,
)

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 60.0
LIMITS = NotifierLimits(
    timeout_seconds=30.0,
    backoff_seconds_min=0.01,
    backoff_seconds_max=0.05,
    position_seconds=0.05,
)
# for receivers who do not answer
HASTY = replace(LIMITS, timeout_seconds=1.5, stop_seconds=0.2)


class Receiver:
    """Somebody's backend, which answers as it is told, and checks with LiveKit's own code."""

    def __init__(self, key: str) -> None:
        self._livekit = WebhookReceiver(TokenVerifier(key, KEYS[key].secret))
        self.port = 0
        # what it took, and everything that it was sent
        self.events: list[WebhookEvent] = []
        self.tried: list[str] = []
        # says what to answer to an event; None: nothing, for ever
        self.answer: Callable[[WebhookEvent], int | None] = lambda _: 200
        self.delay_seconds = 0.0
        # does it go on talking for ever, once it has answered?
        self.is_endless = False
        # where redirects lead
        self.moved: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?secret=hushhush"

    async def take(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Content-Type"] == "application/webhook+json"
        event = self._livekit.receive(await request.text(), request.headers["Authorization"])
        self.tried.append(event.id)
        status = self.answer(event)
        if status is None:
            await anyio.sleep_forever()
        await anyio.sleep(self.delay_seconds)
        if status == 200:
            self.events.append(event)
        if self.is_endless:
            endless = web.StreamResponse()
            await endless.prepare(request)
            while True:
                await endless.write(b"and ")
                await anyio.sleep(0.01)
        return web.Response(status=status or 0, headers={"Location": "/moved"})

    async def be_moved(self, request: web.Request) -> web.StreamResponse:
        self.moved.append(request.path)
        return web.Response()

    async def took(self, count: int) -> list[WebhookEvent]:
        """Wait until it took so many; return them."""
        with anyio.fail_after(WAIT_SECONDS):
            while len(self.events) < count:  # noqa: ASYNC110
                await anyio.sleep(0.005)
        return self.events

    async def was_tried(self, count: int) -> list[str]:
        """Wait until it was sent so many; return their ids."""
        with anyio.fail_after(WAIT_SECONDS):
            while len(self.tried) < count:  # noqa: ASYNC110
                await anyio.sleep(0.005)
        return self.tried


@asynccontextmanager
async def receiving(key: str = KEY, port: int = 0) -> AsyncIterator[Receiver]:
    """Run a receiver, on a free port unless told otherwise."""
    receiver = Receiver(key)
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    app.router.add_route("*", "/moved", receiver.be_moved)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving(
    folder: Path, *receivers: Receiver, key: str = KEY, limits: NotifierLimits = LIMITS
) -> AsyncIterator[tuple[RunningServer, Caller]]:
    """Run a server which tells these receivers, and a caller of it."""
    webhooks = tuple(Webhook(receiver.url, key) for receiver in receivers)
    async with (
        running_server(folder, webhooks=webhooks, notifier=limits) as server,
        httpx2.AsyncClient(timeout=WAIT_SECONDS) as client,
    ):
        yield server, Caller(server, client)


async def run_jobs(api: Caller, worker: RawWorker, agent_name: str, count: int = 1) -> list[str]:
    """Run jobs to their ends, one after the other; return their ids."""
    ids = []
    for _ in range(count):
        await api.dispatch(agent_name)
        ids.append((await worker.take_job()).job.id)
        await worker.tell(ids[-1], wire_pb2.JS_SUCCESS)
        await api.job_becomes(ids[-1], "SUCCEEDED")
    return ids


def told(events: list[WebhookEvent]) -> list[tuple[str, str]]:
    return [(event.job.id, event.event.removeprefix("agent_job_")) for event in events]


def expected(job_ids: list[str]) -> list[tuple[str, str]]:
    return [(job_id, kind) for job_id in job_ids for kind in ("started", "ended")]


async def test_a_job_is_told_when_it_starts_and_ends_as_livekit_tells(data_dir: Path) -> None:
    agent_name, room = fresh("agent"), fresh("room")
    async with (
        receiving() as receiver,
        serving(data_dir, receiver) as (server, api),
        registered(server, agent_name) as worker,
    ):
        made = await api.dispatch(agent_name, room, metadata="m", attributes={"a": "b"})
        job_id = (await worker.take_job()).job.id
        (started,) = await receiver.took(1)
        await worker.tell(job_id, wire_pb2.JS_SUCCESS)
        _, ended = await receiver.took(2)
    for event in (started, ended):
        job = event.job
        assert (job.id, job.dispatch_id, job.agent_name) == (job_id, made["id"], agent_name)
        assert (job.metadata, dict(job.attributes)) == ("m", {"a": "b"})
        assert (event.room.name, job.room.name) == (room, room)
        assert job.state.worker_id == worker.worker_id
        assert job.state.participant_identity == f"agent-{job_id}"
        assert abs(event.created_at - time.time()) < 60
    assert (started.event, started.job.state.status) == (
        "agent_job_started",
        JobStatus.JS_RUNNING,
    )
    assert (ended.event, ended.job.state.status) == ("agent_job_ended", JobStatus.JS_SUCCESS)
    assert started.job.state.ended_at == 0 < ended.job.state.ended_at
    assert started.id != ended.id
    assert started.id.startswith("EV_")


async def test_events_come_in_order_also_when_deliveries_fail_in_between(data_dir: Path) -> None:
    agent_name = fresh("agent")
    failures = iter([500, 503, 200, 429, 200, 500, 500])
    async with receiving() as receiver:
        receiver.answer = lambda _: next(failures, 200)
        async with (
            serving(data_dir, receiver) as (server, api),
            registered(server, agent_name) as worker,
        ):
            job_ids = await run_jobs(api, worker, agent_name, 5)
            assert told(await receiver.took(10)) == expected(job_ids)
    assert len(receiver.tried) == 15


async def test_what_was_not_delivered_is_after_a_restart(data_dir: Path) -> None:
    agent_name = fresh("agent")
    async with receiving() as receiver:
        async with (
            serving(data_dir, receiver, limits=replace(LIMITS, stop_seconds=0.2)) as (server, api),
            registered(server, agent_name) as worker,
        ):
            job_ids = await run_jobs(api, worker, agent_name, 1)
            await receiver.took(2)
            receiver.answer = lambda _: 500
            job_ids += await run_jobs(api, worker, agent_name, 2)
        receiver.answer = lambda _: 200
        async with serving(data_dir, receiver):
            assert told(await receiver.took(6)) == expected(job_ids)


async def test_a_receiver_that_is_down_is_told_when_it_is_up(data_dir: Path) -> None:
    agent_name = fresh("agent")
    async with receiving(port=free_port()) as down:
        pass
    with capture_logs() as logs:
        async with (
            serving(data_dir, down) as (server, api),
            registered(server, agent_name) as worker,
        ):
            job_ids = await run_jobs(api, worker, agent_name)
            with anyio.fail_after(WAIT_SECONDS):
                while "notice_failed" not in {line["event"] for line in logs}:  # noqa: ASYNC110
                    await anyio.sleep(0.005)
            async with receiving(port=down.port) as up:
                assert told(await up.took(2)) == expected(job_ids)
    assert "notices_flow_again" in {line["event"] for line in logs}


async def test_after_a_stop_nothing_is_told_twice(data_dir: Path) -> None:
    agent_name = fresh("agent")
    slow = NotifierLimits(position_seconds=1000.0)
    async with receiving() as receiver:
        job_ids = []
        for count in (2, 1):
            async with (
                serving(data_dir, receiver, limits=slow) as (server, api),
                registered(server, agent_name) as worker,
            ):
                job_ids += await run_jobs(api, worker, agent_name, count)
                assert told(await receiver.took(2 * len(job_ids))) == expected(job_ids)


async def test_a_drain_tells_what_is_left(data_dir: Path) -> None:
    agent_name = fresh("agent")
    async with receiving() as receiver:
        receiver.delay_seconds = 0.05
        async with (
            serving(data_dir, receiver, limits=replace(LIMITS, stop_seconds=60.0)) as (server, api),
            registered(server, agent_name) as worker,
        ):
            job_ids = await run_jobs(api, worker, agent_name, 5)
            server.stop.set()
        assert told(receiver.events) == expected(job_ids)


async def test_an_answer_that_never_ends_is_what_its_status_says(data_dir: Path) -> None:
    agent_name = fresh("agent")
    async with receiving() as receiver:
        receiver.is_endless = True
        async with (
            serving(data_dir, receiver, limits=HASTY) as (server, api),
            registered(server, agent_name) as worker,
        ):
            job_ids = await run_jobs(api, worker, agent_name)
            assert told(await receiver.took(2)) == expected(job_ids)


async def test_a_receiver_that_never_answers_holds_up_nobody_else(data_dir: Path) -> None:
    agent_name = fresh("agent")
    async with receiving() as deaf, receiving() as receiver:
        deaf.answer = lambda _: None
        async with (
            serving(data_dir, deaf, receiver, limits=HASTY) as (server, api),
            registered(server, agent_name) as worker,
        ):
            job_ids = await run_jobs(api, worker, agent_name, 3)
            assert told(await receiver.took(6)) == expected(job_ids)
            tried = await deaf.was_tried(2)
            assert len(set(tried)) == 1  # the first one, again


async def test_an_event_that_is_refused_for_good_is_skipped_and_counted(data_dir: Path) -> None:
    agent_name = fresh("agent")
    limits = NotifierLimits(backoff_seconds_min=0.001, refusals_max=3)
    async with receiving() as receiver:
        receiver.answer = lambda event: 400 if event.event == "agent_job_started" else 200
        with capture_logs() as logs:
            async with (
                serving(data_dir, receiver, limits=limits) as (server, api),
                registered(server, agent_name) as worker,
            ):
                (job_id,) = await run_jobs(api, worker, agent_name)
                (event,) = await receiver.took(1)
        assert told([event]) == [(job_id, "ended")]
        assert event.num_dropped == 1
        assert len(receiver.tried) == 4
        (skipped,) = [line for line in logs if line["event"] == "notice_skipped"]
        assert (skipped["job_id"], skipped["tries"]) == (job_id, 3)
        assert "hushhush" not in str(logs)


async def test_an_event_that_nobody_took_for_too_long_is_skipped(data_dir: Path) -> None:
    agent_name = fresh("agent")
    limits = NotifierLimits(backoff_seconds_min=0.01, trying_seconds_max=2.0)
    async with receiving() as receiver:
        receiver.answer = lambda event: 503 if event.event == "agent_job_started" else 200
        async with (
            serving(data_dir, receiver, limits=limits) as (server, api),
            registered(server, agent_name) as worker,
        ):
            (job_id,) = await run_jobs(api, worker, agent_name)
            assert told(await receiver.took(1)) == [(job_id, "ended")]
    assert len(receiver.tried) >= 3


async def test_a_redirect_is_not_followed_and_is_no_delivery(data_dir: Path) -> None:
    agent_name = fresh("agent")
    async with receiving() as receiver:
        answers = iter([302, 307, 308])
        receiver.answer = lambda _: next(answers, 200)
        async with (
            serving(data_dir, receiver) as (server, api),
            registered(server, agent_name) as worker,
        ):
            job_ids = await run_jobs(api, worker, agent_name)
            assert told(await receiver.took(2)) == expected(job_ids)
    assert len(receiver.tried) == 5
    assert receiver.moved == []


async def test_a_receiver_is_told_of_the_project_of_its_key_alone(data_dir: Path) -> None:
    agent_name, room = fresh("agent"), fresh("room")
    async with (
        receiving(OTHER_PROJECT_KEY) as receiver,
        serving(data_dir, receiver, key=OTHER_PROJECT_KEY) as (server, api),
        registered(server, agent_name) as ours,
        registered(server, agent_name, key=OTHER_PROJECT_KEY) as theirs,
    ):
        await run_jobs(api, ours, agent_name)
        body = {"agent_name": agent_name, "room": room}
        await api.ask(CREATE, body, room_token(room, OTHER_PROJECT_KEY))
        job_id = (await theirs.take_job()).job.id
        await theirs.tell(job_id, wire_pb2.JS_SUCCESS)
        assert told(await receiver.took(2)) == expected([job_id])


async def test_a_new_receiver_is_not_told_of_the_past(data_dir: Path) -> None:
    agent_name = fresh("agent")
    async with (
        serving(data_dir) as (server, api),
        registered(server, agent_name) as worker,
    ):
        await run_jobs(api, worker, agent_name)
    async with (
        receiving() as receiver,
        serving(data_dir, receiver) as (server, api),
        registered(server, agent_name) as worker,
    ):
        job_ids = await run_jobs(api, worker, agent_name)
        assert told(await receiver.took(2)) == expected(job_ids)


async def test_what_was_pruned_before_it_could_be_told_is_said(data_dir: Path) -> None:
    async with receiving() as receiver:
        async with serving(data_dir, receiver):
            pass  # from here on it is to be told
        store = SqliteStore(data_dir)
        await store.open(NOW)
        for name in "12":
            request = create_job(name, lane=Lane("default", "agent"), reserved=True)
            config = wire_pb2.Job(id=request.job.id).SerializeToString()
            created = replace(request, job=replace(request.job, config=config))
            await store.commit([created, succeed(name)], NOW)
        everything = Retention(10**18, 99, events_age=10**18, events_max=2)
        await store.prune(everything, NOW, 99)
        await store.close()
        with capture_logs() as logs:
            async with serving(data_dir, receiver):
                assert told(await receiver.took(1)) == [("AJ_2", "ended")]
        (gone,) = [line for line in logs if line["event"] == "notices_gone"]
        assert (gone["after"], gone["until"]) == (0, 2)


async def test_a_job_that_cannot_be_read_is_skipped(data_dir: Path) -> None:
    async with receiving() as receiver:
        async with serving(data_dir, receiver):
            pass
        store = SqliteStore(data_dir)
        await store.open(NOW)
        lane = Lane("default", "agent")
        await store.commit([create_job("1", lane=lane, reserved=True), succeed("1")], NOW)
        await store.close()
        agent_name = fresh("agent")
        async with (
            serving(data_dir, receiver) as (server, api),
            registered(server, agent_name) as worker,
        ):
            job_ids = await run_jobs(api, worker, agent_name)
            events = await receiver.took(2)
            assert told(events) == expected(job_ids)
            assert events[0].num_dropped == 1


async def test_a_worker_that_claims_its_job_again_has_not_started_it_again(
    data_dir: Path,
) -> None:
    agent_name = fresh("agent")
    async with (
        receiving() as receiver,
        serving(data_dir, receiver) as (server, api),
    ):
        async with registered(server, agent_name) as worker:
            await api.dispatch(agent_name)
            job_id = (await worker.take_job()).job.id
        await api.job_becomes(job_id, "ORPHANED")
        async with registered(server, agent_name) as worker:
            await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[job_id]))
            await api.job_becomes(job_id, "RUNNING")
            await worker.tell(job_id, wire_pb2.JS_SUCCESS)
            assert told(await receiver.took(2)) == expected([job_id])
