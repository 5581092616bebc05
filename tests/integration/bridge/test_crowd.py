"""200 participants come to 200 rooms, and for the first seconds no worker is free.

Stock LiveKit drops a dispatch when no worker is free. Participants are sockets that do the signalling
of a join: that makes LiveKit dispatch, and costs little. They come as the ten seconds pass.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest
from livekit import api
from websockets.asyncio.client import connect

from protocol import wire_pb2
from tests.conformance.processes import Worker
from tests.conformance.waiting import eventually, throughout
from tests.integration.bridge.stage import Stage, stage
from tests.support.livekit_server import LiveKitServer, needs_livekit_server

pytestmark = [pytest.mark.anyio, needs_livekit_server]

ROOMS, REAL_ROOMS = 200, 20
JOINING_SECONDS = 10.0
NOBODY_FREE_SECONDS = 5.0
RAW_WORKERS = 9
HELD = ("ASSIGNED", "RUNNING")


async def test_200_rooms_have_one_job_each_that_is_held_once(
    tmp_path: Path,
) -> None:
    settings: dict[str, object] = {"agents": {"raw": {}, "real": {}}}
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(
            stage(Stage(tmp_path, settings, departure_seconds=300))
        )
        for name in ("raw", "real"):
            await own.registered(name)
        raw: list[tuple[str, str]] = []
        real: list[Worker] = []
        people = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(people.cancel_scope.cancel)
        started_at = anyio.current_time()
        joined: list[str] = []
        for number in range(ROOMS):
            agent = "real" if number % (ROOMS // REAL_ROOMS) == 0 else "raw"
            people.start_soon(_take_part, own.sfu, f"crowd-{number}", agent, joined)
            if not real and anyio.current_time() - started_at >= NOBODY_FREE_SECONDS:
                jobs = await own.jobs()
                assert jobs, "LiveKit's offers were taken with no worker there"
                assert {job["phase"] for job in jobs} == {"QUEUED"}
                real = [own.new_worker("real", script="obedient.py") for _ in range(2)]
                for _ in range(RAW_WORKERS):
                    people.start_soon(_work, own, raw)
            due = started_at + JOINING_SECONDS * (number + 1) / ROOMS
            await anyio.sleep(max(0.0, due - anyio.current_time()))
        await eventually("all have joined", lambda: len(joined) == ROOMS, seconds=180)

        async def all_held() -> bool:
            return Counter(job["phase"] in HELD for job in await own.jobs()) == {True: ROOMS}

        await eventually("each room's job is held", all_held, seconds=180)
        await eventually("all have started", lambda: len(_started(real)) == REAL_ROOMS, seconds=180)
        started = _started(real)
        assert len(started) == REAL_ROOMS
        assert len(raw) == ROOMS - REAL_ROOMS
        assert sorted(room for _, room in [*raw, *started]) == sorted(joined)
        jobs = await own.jobs()
        assert len(jobs) == ROOMS
        assert sorted(job["job"]["id"] for job in jobs) == sorted(i for i, _ in [*raw, *started])
        assert {job["epoch"] for job in jobs} == {"1"}
        # And sweeps over all of it change nothing.
        held = len(raw), len(started)
        await throughout(
            "nothing more is given", lambda: (len(raw), len(_started(real))) == held, seconds=5
        )
        assert len(await own.jobs()) == ROOMS


def _started(workers: list[Worker]) -> list[tuple[str, str]]:
    return [(r.job_id, r.text("room")) for worker in workers for r in worker.records("started")]


async def _take_part(sfu: LiveKitServer, room: str, agent: str, joined: list[str]) -> None:
    """Join a room, with a token that names an agent, and stay."""
    token = (
        api.AccessToken(sfu.key, sfu.secret)
        .with_identity("somebody")
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .with_room_config(
            api.RoomConfiguration(
                agents=[api.RoomAgentDispatch(agent_name=agent, metadata="hold")],
            )
        )
        .to_jwt()
    )
    url = f"{sfu.url}/rtc?access_token={token}&protocol=15&auto_subscribe=1&sdk=python"
    async with connect(url, open_timeout=60, ping_interval=None, max_size=None) as socket:
        await socket.recv()
        joined.append(room)
        async for _ in socket:
            pass
        await anyio.sleep_forever()


async def _work(own: Stage, taken: list[tuple[str, str]]) -> None:
    """A worker that takes every job and keeps it; note each assignment."""
    async with own.raw_worker("raw") as worker:
        while True:
            message = wire_pb2.ServerMessage.FromString(
                bytes(await worker.socket.recv(decode=False))
            )
            if message.HasField("availability"):
                await worker.answer(message.availability.job.id)
            elif message.HasField("assignment"):
                job = message.assignment.job
                taken.append((job.id, job.room.name))
                await worker.tell(job.id, wire_pb2.JS_RUNNING)
