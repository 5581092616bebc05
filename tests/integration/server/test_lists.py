"""Callboard's own lists: pages, filters, and all of one job or worker."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.server.peers import (
    GET_JOB,
    GET_WORKER,
    LIST_JOBS,
    LIST_WORKERS,
    Caller,
    fresh,
    problem,
    registered,
)
from tests.support.server import RunningServer, admin_token

pytestmark = pytest.mark.anyio


async def _pages(api: Caller, path: str, key: str, **body: object) -> list[list[dict[str, Any]]]:
    pages = []
    token = ""
    while True:
        answer = await api.ask(path, {**body, "page_token": token}, admin_token())
        pages.append(answer[key])
        token = answer["next_page_token"]
        if not token:
            return pages


async def test_jobs_come_in_pages_newest_first(api: Caller) -> None:
    agent_name = fresh("agent")
    made = [(await api.dispatch(agent_name))["state"]["jobs"][0]["id"] for _ in range(5)]
    pages = await _pages(api, LIST_JOBS, "jobs", agent_name=agent_name, page_size=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [record["job"]["id"] for page in pages for record in page] == made[::-1]


async def test_a_job_that_comes_meanwhile_does_not_shift_the_pages(api: Caller) -> None:
    agent_name = fresh("agent")
    made = [(await api.dispatch(agent_name))["state"]["jobs"][0]["id"] for _ in range(2)]
    body = {"agent_name": agent_name, "page_size": 1}
    first = await api.ask(LIST_JOBS, body, admin_token())
    await api.dispatch(agent_name)
    second = await api.ask(
        LIST_JOBS, {**body, "page_token": first["next_page_token"]}, admin_token()
    )
    assert [first["jobs"][0]["job"]["id"], second["jobs"][0]["job"]["id"]] == made[::-1]


async def test_jobs_are_filtered_by_phase_room_worker_and_dispatch(
    server: RunningServer, api: Caller
) -> None:
    agent_name, room = fresh("agent"), fresh("room")
    async with registered(server, agent_name) as worker:
        made = await api.dispatch(agent_name, room)
        job_id = (await worker.take_job()).job.id
        await api.job_becomes(job_id, "RUNNING")
        for field in (
            {"phases": ["RUNNING"], "agent_name": agent_name},
            {"room": room},
            {"worker_id": worker.worker_id},
            {"dispatch_id": made["id"]},
        ):
            [page] = await _pages(api, LIST_JOBS, "jobs", **field)
            assert [record["job"]["id"] for record in page] == [job_id], field
        for field in (
            {"phases": ["QUEUED", "FAILED"], "agent_name": agent_name},
            {"room": room, "worker_id": "AW_other"},
        ):
            assert await _pages(api, LIST_JOBS, "jobs", **field) == [[]], field


async def test_an_offered_job_is_shown_as_offered(server: RunningServer, api: Caller) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        await api.dispatch(agent_name)
        offer = await worker.offered()
        record = await api.job(offer.job.id)
        assert (record["phase"], record["worker_id"]) == ("OFFERED", worker.worker_id)
        for phases, count in ((["OFFERED"], 1), (["QUEUED"], 0)):
            pages = await _pages(api, LIST_JOBS, "jobs", agent_name=agent_name, phases=phases)
            assert sum(map(len, pages)) == count


async def test_one_job_has_its_timeline(server: RunningServer, api: Caller) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        await api.dispatch(agent_name)
        job_id = (await worker.take_job()).job.id
        record = await api.job_becomes(job_id, "RUNNING")
    assert [event["kind"] for event in record["timeline"]] == ["created", "assigned", "started"]
    assert record["timeline"][1]["worker_id"] == worker.worker_id
    assert (record["epoch"], record["attempt"]) == ("1", 1)


async def test_a_waiting_job_tells_its_deadline(api: Caller) -> None:
    made = await api.dispatch(fresh("agent"))
    record = await api.job(made["state"]["jobs"][0]["id"])
    wait_seconds = (int(record["queue_deadline_at"]) - int(record["created_at"])) / 1e9
    assert record["phase"] == "QUEUED"
    assert wait_seconds == pytest.approx(300, abs=1)


async def test_workers_come_in_pages_newest_first(server: RunningServer, api: Caller) -> None:
    agent_name = fresh("agent")
    async with (
        registered(server, agent_name) as first,
        registered(server, agent_name) as second,
        registered(server, agent_name) as third,
    ):
        pages = await _pages(api, LIST_WORKERS, "workers", agent_name=agent_name, page_size=2)
        assert [len(page) for page in pages] == [2, 1]
        assert [record["id"] for page in pages for record in page] == [
            third.worker_id,
            second.worker_id,
            first.worker_id,
        ]


async def test_one_worker_is_shown_with_its_jobs(server: RunningServer, api: Caller) -> None:
    agent_name = fresh("agent")
    async with registered(
        server, agent_name, capacity=3, deployment="blue", namespace="", instance_id="I7"
    ) as worker:
        made = await api.dispatch(agent_name, deployment="blue")
        job_id = (await worker.take_job()).job.id
        await api.job_becomes(job_id, "RUNNING")
        await worker.report(load=0.25, job_count=1)
        await worker.is_answered()
        record = await api.worker(worker.worker_id)
        [found] = await _pages(api, LIST_WORKERS, "workers", dispatch_id=made["id"])
    assert [one["id"] for one in found] == [worker.worker_id]
    assert record["job_ids"] == [job_id]
    assert (record["load_reported"], record["job_count_reported"]) == (0.25, 1)
    assert (record["capacity"], record["jobs_held"]) == (3, 1)
    assert (record["deployment"], record["instance_id"], record["version"]) == ("blue", "I7", "raw")
    assert (record["address"], record["phase"]) == ("127.0.0.1", "AVAILABLE")


async def test_a_worker_that_is_gone_is_not_listed(server: RunningServer, api: Caller) -> None:
    async with registered(server, fresh("agent")) as worker:
        assert worker.worker_id in await api.workers()
    body = {"worker_id": worker.worker_id}
    response = await api.post(GET_WORKER, body, token=admin_token())
    while response.status_code == 200:
        response = await api.post(GET_WORKER, body, token=admin_token())
    assert problem(response) == (404, "not_found")


async def test_a_job_that_is_not_there_is_not_found(api: Caller) -> None:
    response = await api.post(GET_JOB, {"job_id": "AJ_nothing"}, token=admin_token())
    assert problem(response) == (404, "not_found")


@pytest.mark.parametrize("token", ["x", "-1", "0", "9" * 30, "\u0661"])
async def test_a_page_token_that_is_none_is_refused(api: Caller, token: str) -> None:
    response = await api.post(LIST_JOBS, {"page_token": token}, token=admin_token())
    assert problem(response) == (400, "invalid_argument")


@pytest.mark.parametrize("path", [LIST_JOBS, LIST_WORKERS])
async def test_an_unknown_phase_is_refused(api: Caller, path: str) -> None:
    response = await api.post(path, {"phases": [77]}, token=admin_token())
    assert problem(response) == (400, "invalid_argument")
