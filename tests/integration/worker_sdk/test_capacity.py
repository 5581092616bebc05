"""The cap on jobs holds, however many offers and assignments come at once."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
import structlog

from protocol import wire_pb2
from tests.support.scripted_server import ScriptedConnection, ScriptedServer
from worker_sdk import JobContext, JobRequest, Worker

pytestmark = pytest.mark.anyio

CAPACITIES = [1, 5, 40]


class Crowd:
    """A worker that counts how many of its jobs run at once, and lets them go when told."""

    def __init__(self, url: str, capacity: int) -> None:
        self.running = 0
        self.most_running = 0
        self.release = anyio.Event()
        self._random = random.Random(capacity)
        self.worker = Worker(
            "crowded", url=url, api_key="devkey", api_secret="s" * 32, capacity=capacity
        )
        self.worker.job(self._job)
        self.worker.request(self._decide)

    async def _job(self, _: JobContext) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.release.wait()
        finally:
            self.running -= 1

    async def _decide(self, request: JobRequest) -> None:
        """Take all, some of them only after a moment, so that decisions overlap."""
        await anyio.sleep(self._random.random() / 50)
        request.accept()


@asynccontextmanager
async def crowded(capacity: int) -> AsyncIterator[tuple[ScriptedConnection, Crowd]]:
    """A crowd's worker, and the server's side of its connection."""
    with structlog.testing.capture_logs():
        async with ScriptedServer() as server, anyio.create_task_group() as tasks:
            crowd = Crowd(server.url, capacity)
            tasks.start_soon(crowd.worker.serve)
            yield await server.accept(), crowd
            tasks.cancel_scope.cancel()


async def answers_to(connection: ScriptedConnection, offers: int) -> list[str]:
    """The ids of the jobs that the worker accepts of so many offers at once."""
    accepted = []
    for number in range(offers):
        await connection.offer(f"AJ_{number}")
    for _ in range(offers):
        answer = (await connection.expect("availability")).availability
        if answer.available:
            accepted.append(answer.job_id)
    return accepted


@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_of_ten_times_as_many_offers_at_once_exactly_the_cap_is_accepted_and_runs(
    capacity: int,
) -> None:
    async with crowded(capacity) as (connection, crowd):
        accepted = await answers_to(connection, 10 * capacity)
        assert len(accepted) == capacity
        for job_id in accepted:
            await connection.assign(job_id)
        await connection.expect_status(job_count=capacity, status=wire_pb2.WS_FULL)
        assert crowd.most_running == crowd.running == capacity


@pytest.mark.parametrize("capacity", CAPACITIES)
async def test_a_server_that_assigns_more_than_was_accepted_gets_the_rest_back(
    capacity: int,
) -> None:
    async with crowded(capacity) as (connection, crowd):
        given_back: set[str] = set()
        for number in range(10 * capacity):
            await connection.assign(f"AJ_{number}")
        while len(given_back) < 9 * capacity:
            message = await connection.next_message()
            if message.WhichOneof("message") == "hand_over":
                given_back.update(message.hand_over.job_ids)
        assert len(given_back) == 9 * capacity
        assert crowd.most_running == crowd.running == capacity


async def test_the_room_of_a_job_that_ended_is_given_once() -> None:
    capacity = 5
    async with crowded(capacity) as (connection, crowd):
        for job_id in await answers_to(connection, 10 * capacity):
            await connection.assign(job_id)
        await connection.expect_status(job_count=capacity)
        crowd.release.set()
        await connection.expect_status(job_count=0)
        crowd.release = anyio.Event()
        connection.inbox.clear()
        accepted = await answers_to(connection, 10 * capacity)
        assert len(accepted) == capacity
        assert crowd.most_running == capacity
