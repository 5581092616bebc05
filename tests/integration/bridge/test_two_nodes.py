"""Two LiveKit nodes on one Redis: the bridge is a worker of both, and outlives either of them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest
from livekit import api

from tests.conformance.waiting import eventually
from tests.integration.bridge.stage import Stage, new_room
from tests.integration.server.peers import RawWorker
from tests.support.livekit_server import LiveKitServer, needs_livekit_server
from tests.support.redis_server import needs_redis, running_redis

pytestmark = [pytest.mark.anyio, needs_livekit_server, needs_redis]


@dataclass
class Cluster:
    """Our server and two nodes, of which the first is the one that it knows as its SFU."""

    stage: Stage
    nodes: tuple[LiveKitServer, LiveKitServer]
    node_ids: tuple[str, str]

    async def create_room(self, place: int, *, by: int) -> str:
        """Have one node create a room on a node, with an agent; return its name."""
        room = new_room()
        request = api.CreateRoomRequest(
            name=room,
            node_id=self.node_ids[place],
            agents=[api.RoomAgentDispatch(agent_name="both")],
        )
        async with self.nodes[by].calling() as client:
            await client.room.create_room(request)
        return room

    async def has_job(self, room: str, worker: RawWorker) -> None:
        """Wait until the room's one job runs."""
        assert (await worker.take_job()).job.room.name == room
        await self.stage.only_job(room, "RUNNING")


def node_ids(redis: str) -> set[str]:
    """Return what the nodes of a cluster call themselves."""
    host, _, port = redis.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"HKEYS nodes\r\n")
        answer = connection.recv(4096).decode()
    return {line for line in answer.split("\r\n") if line.startswith("ND_")}


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Run all of it."""
    async with running_redis(folder) as redis:
        one = Stage(folder, {"bridging": {"look_seconds": 0.1, "sweep_seconds": 1.0}}, redis=redis)
        second = LiveKitServer(
            folder / "second",
            webhook_urls=one.sfu.webhook_urls,
            redis=redis,
            departure_seconds=1,
        )
        one.server.settings = {**one.server.settings, "bridge_urls": [one.sfu.url, second.url]}
        try:
            await one.sfu.start()
            (first_id,) = node_ids(redis)
            await second.start()
            (second_id,) = node_ids(redis) - {first_id}
            await one.server.start()
            yield Cluster(one, (one.sfu, second), (first_id, second_id))
        finally:
            one.server.clean_up()
            one.sfu.clean_up()
            second.clean_up()


@pytest.mark.parametrize("killed", [0, 1], ids=["of room_url", "the other"])
async def test_a_room_on_each_node_has_one_job_also_when_a_node_is_killed(
    tmp_path: Path, killed: int
) -> None:
    async with cluster(tmp_path) as all_of_it, all_of_it.stage.raw_worker("both") as worker:
        one, left = all_of_it.stage, 1 - killed
        await one.registered("both", times=2)
        rooms: list[str] = []
        for place in (0, 1):
            rooms.append(await all_of_it.create_room(place, by=1 - place))
            await all_of_it.has_job(rooms[place], worker)

        all_of_it.nodes[killed].kill()

        async def is_told() -> bool:
            async with httpx2.AsyncClient(timeout=60) as http:
                answer = await http.get(f"{one.server.http_url}/readyz")
            return answer.status_code == 200 and "1 of its rooms" in answer.text

        await eventually("a sweep of the node that is left", is_told)

        for _ in range(10):  # of several sweeps, none ends a job or makes another
            jobs = [job for room in rooms for job in await one.jobs(room=room)]
            assert [job["phase"] for job in jobs] == ["RUNNING"] * 2
            await worker.report()  # a worker that is silent is offered nothing after a while
            await anyio.sleep(0.5)
        # The node that is left goes on: what it offers comes to us.
        after = await all_of_it.create_room(left, by=left)
        await all_of_it.has_job(after, worker)
        async with all_of_it.nodes[left].calling() as client:
            await client.room.delete_room(api.DeleteRoomRequest(room=rooms[left]))
        await one.only_job(rooms[left], "CANCELLED", "SUCCEEDED")
