"""Our worker with LiveKit's own server as its dispatcher: what works, and what that server lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from livekit import api

from tests.conformance.waiting import eventually
from tests.integration.sfu.agents import agent
from tests.support.livekit_server import LiveKitServer, needs_livekit_server
from tests.support.server import KEY, SECRET
from worker_sdk import JobContext, JobType, NoFencingToken, RoomLost

pytestmark = [pytest.mark.anyio, needs_livekit_server]


@pytest.fixture
async def stock(anyio_backend: str, tmp_path: Path) -> AsyncIterator[LiveKitServer]:
    """A server that a test may kill, and that says of each job how it ended."""
    server = LiveKitServer(
        tmp_path / "livekit", {KEY: SECRET}, settings={"logging": {"level": "info"}}
    )
    try:
        await server.start()
        yield server
    finally:
        server.clean_up()


async def call(stock: LiveKitServer, room: str) -> str:
    """Call the agent into a room; return the dispatch's id."""
    async with stock.calling() as client:
        request = api.CreateAgentDispatchRequest(room=room, agent_name="greeter")
        return (await client.agent_dispatch.create_dispatch(request)).id


def told(stock: LiveKitServer, job_id: str) -> str:
    """What the server says of the job's end in its log; empty: nothing yet."""
    assert stock.process is not None
    lines = [
        line
        for line in stock.process.lines()
        if "\tjob ended\t" in line and f'"jobID": "{job_id}"' in line
    ]
    return lines[0] if lines else ""


async def wait_forever(_: JobContext) -> None:
    """A job that goes on until it is stopped."""
    await anyio.sleep_forever()


async def test_a_job_is_taken_runs_in_its_room_and_is_reported(stock: LiveKitServer) -> None:
    seen_there: list[set[str]] = []

    async def look(ctx: JobContext) -> None:
        async with ctx.room() as room:
            seen_there.append(set(room.remote_participants))

    async with stock.joined("lobby", "ann"), agent(stock.url, "greeter", look) as seen:
        await call(stock, "lobby")
        await eventually("the job has ended", lambda: bool(seen.ends))
        assert seen.only_end is None
        assert seen_there == [{"ann"}]
        job_id = seen.contexts[0].job.id
        await eventually("the server was told", lambda: '"JS_SUCCESS"' in told(stock, job_id))


async def test_it_gives_no_fencing_token_and_says_of_no_attempt(stock: LiveKitServer) -> None:
    async def look(ctx: JobContext) -> None:
        assert (ctx.attempt, ctx.epoch, ctx.resuming) == (1, None, False)
        with pytest.raises(NoFencingToken):
            _ = ctx.fencing_token

    async with agent(stock.url, "greeter", look) as seen:
        await call(stock, "lobby")
        await eventually("the job has ended", lambda: bool(seen.ends))
    assert seen.only_end is None


async def test_a_job_that_fails_is_reported_with_its_error(stock: LiveKitServer) -> None:
    async def fail(_: JobContext) -> None:
        raise LookupError("no such model")

    async with agent(stock.url, "greeter", fail) as seen:
        await call(stock, "lobby")
        await eventually("the job has ended", lambda: bool(seen.ends))
        job_id = seen.contexts[0].job.id
        await eventually("the server was told", lambda: bool(told(stock, job_id)))
    assert '"JS_FAILED"' in told(stock, job_id)
    assert "LookupError: no such model" in told(stock, job_id)


async def test_a_deleted_dispatch_stops_its_job(stock: LiveKitServer) -> None:
    async with agent(stock.url, "greeter", wait_forever) as seen:
        dispatch_id = await call(stock, "lobby")
        await eventually("the job runs", lambda: bool(seen.contexts))
        async with stock.calling() as client:
            await client.agent_dispatch.delete_dispatch(dispatch_id, "lobby")
        await eventually("the job was stopped", lambda: bool(seen.ends))
    assert isinstance(seen.only_end, anyio.get_cancelled_exc_class())


@pytest.mark.parametrize("job_type", [JobType.PUBLISHER, JobType.PARTICIPANT])
async def test_a_job_about_somebody_names_them(stock: LiveKitServer, job_type: JobType) -> None:
    async with (
        agent(stock.url, "greeter", wait_forever, job_type) as seen,
        stock.joined("lobby", "ann", tier="vip") as ann,
    ):
        await call(stock, "lobby")
        await ann.publish_audio()
        await eventually("the job runs", lambda: bool(seen.contexts))
    participant = seen.contexts[0].participant
    assert participant is not None
    assert (participant.identity, participant.attributes) == ("ann", {"tier": "vip"})


async def test_a_worker_that_drains_gets_no_more_jobs_and_ends_after_its_last(
    stock: LiveKitServer,
) -> None:
    done = anyio.Event()

    async def wait(_: JobContext) -> None:
        await done.wait()

    async with agent(stock.url, "greeter", wait) as first:
        await call(stock, "lobby")
        await eventually("the job runs", lambda: bool(first.contexts))
        first.worker.drain()
        async with agent(stock.url, "greeter", wait) as second:
            await call(stock, "lounge")
            await eventually("the other worker has it", lambda: bool(second.contexts))
            assert not first.has_left.is_set()
            done.set()
            await eventually("it has ended", first.has_left.is_set)
    assert [ctx.job.room for ctx in first.contexts] == ["lobby"]
    assert first.ends == [None]
    job_id = first.contexts[0].job.id
    assert '"JS_SUCCESS"' in told(stock, job_id)


async def test_a_worker_outlives_its_server_and_its_jobs_go_on(stock: LiveKitServer) -> None:
    done = anyio.Event()

    async def wait(_: JobContext) -> None:
        await done.wait()

    async with agent(stock.url, "greeter", wait) as seen:
        await call(stock, "lobby")
        await eventually("the job runs", lambda: bool(seen.contexts))
        before = seen.worker.worker_id
        stock.kill()
        await eventually("the connection is lost", lambda: seen.worker.worker_id is None)
        await stock.start()
        await eventually("it is registered again", lambda: seen.worker.worker_id is not None)
        assert seen.worker.worker_id != before
        await call(stock, "lounge")
        await eventually("it takes the next job", lambda: len(seen.contexts) == 2)
        assert seen.ends == []
        done.set()
        await eventually("both have ended", lambda: seen.ends == [None, None])


async def test_an_agent_in_a_room_of_a_server_that_dies_fails_with_it(
    stock: LiveKitServer,
) -> None:
    async def stay(ctx: JobContext) -> None:
        async with ctx.room() as room:
            inside.append(room.isconnected)
            await anyio.sleep_forever()

    inside: list[object] = []
    async with agent(stock.url, "greeter", stay) as seen:
        await call(stock, "lobby")
        await eventually("the agent is in its room", lambda: bool(inside))
        stock.kill()
        await eventually("the job has ended", lambda: bool(seen.ends), seconds=90)
    assert isinstance(seen.only_end, RoomLost)
