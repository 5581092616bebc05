"""GET /events: every durable move of the bearer's jobs, once and in order, also after a break."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from structlog.testing import capture_logs

from dispatcher.core.jobs import Lane
from dispatcher.core.lifecycle import JobTrigger
from dispatcher.server.limits import ServerLimits
from dispatcher.store.contract import Retention
from dispatcher.store.sqlite import SqliteStore
from protocol import wire_pb2
from tests.conformance.store.builders import NOW, RUNNING, create_job, move, succeed
from tests.integration.server.peers import Caller, RawWorker, fresh, problem, registered
from tests.support.server import (
    KEY,
    OTHER_PROJECT_KEY,
    RunningServer,
    admin_token,
    room_token,
    running_server,
    worker_token,
)

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 60.0
LANE = Lane("default", "agent")
NOTHING = Retention(ended_jobs_age=0, ended_jobs_max=0, events_age=0, events_max=0)


@dataclass(frozen=True, slots=True)
class Told:
    """One block of a stream: an event, or a comment (no name) with its id."""

    id: int
    name: str
    data: dict[str, Any]


class Stream:
    """A client of an event stream."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def block(self) -> Told | None:
        """Return the next block; None at the stream's end."""
        number, name = 0, ""
        data: dict[str, Any] = {}
        with anyio.fail_after(WAIT_SECONDS):
            async for line in self._lines:
                if not line:
                    return Told(number, name, data)
                field, _, value = line.partition(": ")
                if field == "id":
                    number = int(value)
                elif field == "event":
                    name = value
                elif field == "data":
                    data = json.loads(value)
        return None

    async def event(self) -> Told:
        """Return the next event."""
        while (told := await self.block()) is not None:
            if told.name:
                return told
        raise AssertionError("the stream has ended")

    async def rest(self) -> list[Told]:
        """Return all events up to the end of the stream."""
        found = []
        while (told := await self.block()) is not None:
            if told.name:
                found.append(told)
        return found


@asynccontextmanager
async def streaming(
    server: RunningServer, query: str = "", *, key: str = KEY, **headers: str
) -> AsyncIterator[Stream]:
    """Open a stream that must be granted, and read its first block."""
    given = {"Authorization": f"Bearer {admin_token(key)}", **headers}
    url = f"{server.http_url}/events{query}"
    async with (
        httpx2.AsyncClient(timeout=WAIT_SECONDS) as client,
        client.stream("GET", url, headers=given) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = Stream(response)
        first = await stream.block()
        assert first is not None
        assert not first.name
        yield stream


async def get(server: RunningServer, query: str = "", **headers: str) -> httpx2.Response:
    """Ask for a stream that must be refused."""
    async with httpx2.AsyncClient(timeout=WAIT_SECONDS) as client:
        return await client.get(f"{server.http_url}/events{query}", headers=headers)


async def is_free(server: RunningServer) -> None:
    """Wait until the server takes one more stream."""
    headers = {"Authorization": f"Bearer {admin_token()}"}
    with anyio.fail_after(WAIT_SECONDS):
        while (await get(server, "?follow=false", **headers)).is_error:  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def run_job(api: Caller, worker: RawWorker, agent_name: str) -> str:
    """Run a job to its end; return its id."""
    await api.dispatch(agent_name)
    job_id = (await worker.take_job()).job.id
    await worker.tell(job_id, wire_pb2.JS_SUCCESS)
    await api.job_becomes(job_id, "SUCCEEDED")
    return job_id


async def write_log(folder: Path, jobs: int, *, pruned: int = 0, detail: str = "") -> None:
    """Write three events for each of so many jobs; delete so many of the first."""
    store = SqliteStore(folder)
    await store.open(NOW)
    for number in range(jobs):
        name = str(number)
        started = move(name, JobTrigger.STARTED, RUNNING, detail=detail)
        await store.commit([create_job(name, lane=LANE, reserved=True), started], NOW)
        await store.commit([succeed(name)], NOW)
    await store.prune(replace(NOTHING, ended_jobs_max=10**6), NOW + 1, pruned)
    await store.close()


# --- what is told ---


async def test_a_stream_tells_each_move_of_a_job_as_it_happens(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with streaming(server) as stream, registered(server, agent_name) as worker:
        job_id = await run_job(api, worker, agent_name)
        told = [await stream.event() for _ in range(4)]
    assert [each.name for each in told] == ["created", "assigned", "started", "succeeded"]
    assert [each.id for each in told] == list(range(told[0].id, told[0].id + 4))
    assert {each.data["job_id"] for each in told} == {job_id}


async def test_events_say_what_the_timeline_of_the_job_says(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with streaming(server) as stream, registered(server, agent_name) as worker:
        record = await api.job(await run_job(api, worker, agent_name))
        told = [(await stream.event()).data for _ in range(4)]
    ids = {"job_id": record["job"]["id"], "dispatch_id": record["job"]["dispatch_id"]}
    for event in record["timeline"]:
        assert event.pop("told")  # for people, and in a timeline only
    assert told == [{**event, **ids, "rule": ""} for event in record["timeline"]]


async def test_a_stream_that_names_no_place_starts_now(server: RunningServer, api: Caller) -> None:
    await api.dispatch(fresh("agent"))
    async with streaming(server) as stream:
        made = await api.dispatch(fresh("agent"))
        assert (await stream.event()).data["dispatch_id"] == made["id"]


async def test_another_project_is_told_nothing_and_keeps_its_place(
    server: RunningServer, api: Caller
) -> None:
    async with streaming(server, key=OTHER_PROJECT_KEY) as stream:
        await api.dispatch(fresh("agent"))
        room = fresh("room")
        body = {"agent_name": fresh("agent"), "room": room}
        path = "/twirp/livekit.AgentDispatchService/CreateDispatch"
        made = await api.ask(path, body, room_token(room, OTHER_PROJECT_KEY))
        assert (await stream.event()).data["dispatch_id"] == made["id"]


# --- resuming ---


async def test_a_stream_resumes_after_the_last_event_id_with_neither_gap_nor_repeat(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    seen = []
    async with registered(server, agent_name) as worker:
        async with streaming(server) as stream:
            job_id = await run_job(api, worker, agent_name)
            seen += [await stream.event() for _ in range(2)]
        other_id = await run_job(api, worker, agent_name)
        async with streaming(server, **{"Last-Event-ID": str(seen[-1].id)}) as stream:
            seen += [await stream.event() for _ in range(6)]
    assert [each.id for each in seen] == list(range(seen[0].id, seen[0].id + 8))
    assert [each.data["job_id"] for each in seen] == [job_id] * 4 + [other_id] * 4


async def test_the_last_event_id_wins_over_the_query(data_dir: Path) -> None:
    await write_log(data_dir, 3)
    async with running_server(data_dir) as server:
        query = "?after=1&follow=false"
        async with streaming(server, query, **{"Last-Event-ID": "7"}) as stream:
            assert [told.id for told in await stream.rest()] == [8, 9]
        async with streaming(server, query) as stream:
            assert [told.id for told in await stream.rest()] == list(range(2, 10))


async def test_a_long_log_is_told_whole_while_it_grows(data_dir: Path) -> None:
    await write_log(data_dir, 400)
    limits = ServerLimits(event_page_rows=7)
    async with (
        running_server(data_dir, limits=limits) as server,
        httpx2.AsyncClient(timeout=60) as client,
        streaming(server, "?after=0") as stream,
    ):
        api = Caller(server, client)
        for _ in range(20):
            await api.dispatch(fresh("agent"))
        assert [(await stream.event()).id for _ in range(1220)] == list(range(1, 1221))


async def test_a_stream_goes_on_over_a_restart_of_the_server(data_dir: Path) -> None:
    async with httpx2.AsyncClient(timeout=60) as client:
        async with running_server(data_dir) as server, streaming(server) as stream:
            await Caller(server, client).dispatch(fresh("agent"))
            place = (await stream.event()).id
        async with (
            running_server(data_dir) as server,
            streaming(server, f"?after={place}") as stream,
        ):
            await Caller(server, client).dispatch(fresh("agent"))
            assert (await stream.event()).id == place + 1


async def test_a_follower_of_what_was_pruned_is_told_so_and_gets_the_rest(data_dir: Path) -> None:
    await write_log(data_dir, 4, pruned=5)
    async with (
        running_server(data_dir) as server,
        streaming(server, "?after=2&follow=false") as stream,
    ):
        gone, *rest = await stream.rest()
    assert (gone.name, gone.id) == ("gone", 5)
    assert gone.data == {"after": "2", "next": "6"}
    assert [told.id for told in rest] == list(range(6, 13))


async def test_a_log_that_was_pruned_whole_is_gone_up_to_its_end(data_dir: Path) -> None:
    await write_log(data_dir, 2, pruned=6)
    async with (
        running_server(data_dir) as server,
        httpx2.AsyncClient(timeout=60) as client,
        streaming(server, "?after=2") as stream,
    ):
        assert (await stream.event()).data == {"after": "2", "next": "7"}
        await Caller(server, client).dispatch(fresh("agent"))
        assert (await stream.event()).id == 7


async def test_a_place_that_the_log_has_not_reached_is_told_to_be_gone(data_dir: Path) -> None:
    await write_log(data_dir, 1)
    async with (
        running_server(data_dir) as server,
        httpx2.AsyncClient(timeout=60) as client,
        streaming(server, "?after=1000") as stream,
    ):
        assert (await stream.event()).data == {"after": "1000", "next": "4"}
        await Caller(server, client).dispatch(fresh("agent"))
        assert (await stream.event()).id == 4


# --- who is refused ---


async def test_without_a_token_or_the_grant_there_is_no_stream(server: RunningServer) -> None:
    for headers in (
        {},
        {"Authorization": f"Bearer {room_token('room')}"},
        {"Authorization": f"Bearer {worker_token()}"},
    ):
        assert problem(await get(server, **headers)) == (401, "unauthenticated")


async def test_a_bad_token_is_refused_in_plain_text(server: RunningServer) -> None:
    response = await get(server, Authorization="Bearer x.y.z")
    assert response.status_code == 401
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "query",
    [
        "?after=-1",
        "?after=x",
        "?after=%D9%A1",
        "?after=" + "9" * 19,
        "?follow=maybe",
        "?" + "x=1&" * 5000 + "after=x",
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(server: RunningServer, query: str) -> None:
    response = await get(server, query, Authorization=f"Bearer {admin_token()}")
    assert problem(response) == (400, "invalid_argument")


async def test_a_last_event_id_that_is_no_number_is_refused(server: RunningServer) -> None:
    headers = {"Authorization": f"Bearer {admin_token()}", "Last-Event-ID": "abc"}
    assert problem(await get(server, **headers)) == (400, "invalid_argument")


async def test_another_method_has_no_stream(server: RunningServer, api: Caller) -> None:
    response = await api.post("/events", {}, token=admin_token())
    assert response.status_code == 405


async def test_the_token_may_be_in_the_query_as_a_browser_has_to_send_it(
    server: RunningServer,
) -> None:
    response = await get(server, f"?follow=false&access_token={admin_token()}")
    assert response.status_code == 200


async def test_one_stream_more_than_the_limit_is_refused_until_one_ends(data_dir: Path) -> None:
    async with running_server(data_dir, limits=ServerLimits(event_streams_max=1)) as server:
        headers = {"Authorization": f"Bearer {admin_token()}"}
        async with streaming(server):
            assert problem(await get(server, **headers)) == (429, "resource_exhausted")
            async with streaming(server, key=OTHER_PROJECT_KEY):
                pass  # another project has its own
        await is_free(server)


# --- quiet, slow and stopping ---


async def test_a_quiet_stream_is_kept_alive_and_its_place_moves_on(data_dir: Path) -> None:
    limits = ServerLimits(event_keepalive_seconds=0.05)
    async with (
        running_server(data_dir, limits=limits) as server,
        httpx2.AsyncClient(timeout=60) as client,
        streaming(server, key=OTHER_PROJECT_KEY) as stream,
    ):
        await Caller(server, client).dispatch(fresh("agent"))
        with anyio.fail_after(WAIT_SECONDS):
            while (told := await stream.block()) is not None and told.id != 1:
                assert not told.name
        assert told == Told(1, "", {})


async def test_a_follower_that_does_not_read_is_cut_off_and_can_resume(data_dir: Path) -> None:
    await write_log(data_dir, 300, detail="x" * 20_000)
    limits = ServerLimits(unread_timeout_seconds=0.3, event_streams_max=1)
    async with running_server(data_dir, limits=limits) as server:
        with capture_logs() as logs, socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", server.port))
            head = (
                f"GET /events?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin_token()}"
            )
            deaf.sendall(f"{head}\r\n\r\n".encode())
            with anyio.fail_after(WAIT_SECONDS):
                while "caller_cut_off" not in {line["event"] for line in logs}:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            await is_free(server)
        async with streaming(server, "?after=890&follow=false") as stream:
            assert [told.id for told in await stream.rest()] == list(range(891, 901))


async def test_a_drain_ends_the_streams_at_once(data_dir: Path) -> None:
    limits = ServerLimits(stop_timeout_seconds=86_400)
    async with running_server(data_dir, limits=limits) as server, streaming(server) as stream:
        server.stop.set()
        with anyio.fail_after(WAIT_SECONDS):
            assert await stream.rest() == []
