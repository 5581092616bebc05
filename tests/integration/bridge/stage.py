"""A LiveKit server, our server as its worker, and who works for us."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from websockets.asyncio.client import connect

from protocol.tokens import mint_api_token
from tests.conformance.processes import API_KEY, API_SECRET, Server, Worker
from tests.conformance.waiting import eventually
from tests.integration.server.peers import LIST_JOBS, RawWorker
from tests.support.livekit_server import LiveKitServer

AGENT = Path(__file__).with_name("agent.py")
# For a test that waits for the end of an outage; all else as it is shipped.
QUICK: Mapping[str, float] = {"look_seconds": 0.1, "sweep_seconds": 2.0, "outage_seconds": 3.0}
# Quick where a test waits for it.
SETTINGS: Mapping[str, object] = {
    "bridge": True,
    "log_level": "debug",
    "bridging": {"look_seconds": 0.1, "sweep_seconds": 2.0},
}

# A worker that sees its room deleted may report its end before the SFU tells of the room's.
OVER = ("SUCCEEDED", "CANCELLED")

_numbers = itertools.count(1)


class Stage:
    """The two servers, on ports that stay the same, and the workers of a test."""

    def __init__(
        self, folder: Path, settings: Mapping[str, object] | None = None, **sfu: Any
    ) -> None:
        self.folder = folder
        ours = folder / "callboard"
        ours.mkdir()
        self.server = Server(ours)
        self.sfu = LiveKitServer(
            folder / "livekit",
            **{
                "webhook_urls": [f"{self.server.http_url}/webhooks/livekit"],
                "departure_seconds": 1,
                **sfu,
            },
        )
        self.server.settings = {**SETTINGS, "room_url": self.sfu.url, **(settings or {})}
        self.workers: list[Worker] = []

    def new_worker(self, agent_name: str, *, script: str = str(AGENT)) -> Worker:
        """Start a worker of livekit-agents that knows our server alone."""
        worker = Worker(
            self.folder / f"worker-{next(_numbers)}",
            self.server.url,
            script=script,
            settings={"CONFORMANCE_AGENT": agent_name},
        )
        self.workers.append(worker)
        return worker

    @asynccontextmanager
    async def raw_worker(self, agent_name: str, **fields: Any) -> AsyncIterator[RawWorker]:
        """A worker of our server that says what a test wants."""
        token = mint_api_token(API_KEY, API_SECRET, now_ns=now_ns(), agent=True)
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self.server.url}/agent"
        async with connect(url, additional_headers=headers, compression=None) as socket:
            worker = RawWorker(socket)
            await worker.register(agent_name=agent_name, **fields)
            yield worker

    async def jobs(self, **where: str) -> list[dict[str, Any]]:
        """All jobs that our server has, newest first."""
        token = mint_api_token(API_KEY, API_SECRET, now_ns=now_ns(), dispatch_admin=True)
        found: list[dict[str, Any]] = []
        page = ""
        async with httpx2.AsyncClient(timeout=60) as client:
            while True:
                answer = await client.post(
                    self.server.http_url + LIST_JOBS,
                    json={"page_size": 100, "page_token": page, **where},
                    headers={"Authorization": f"Bearer {token}"},
                )
                assert answer.status_code == 200, answer.text
                content = answer.json()
                found += content["jobs"]
                page = content.get("next_page_token", "")
                if not page:
                    return found

    async def apply_rule(self, **rule: object) -> None:
        """Apply a rule."""
        token = mint_api_token(API_KEY, API_SECRET, now_ns=now_ns(), dispatch_admin=True)
        async with httpx2.AsyncClient(timeout=60) as client:
            answer = await client.post(
                f"{self.server.http_url}/twirp/callboard.RuleService/ApplyRule",
                json={"rule": rule},
                headers={"Authorization": f"Bearer {token}"},
            )
            assert answer.status_code == 200, answer.text

    async def room(self, name: str) -> dict[str, Any]:
        """What our server says of a room; nothing, where it is not there."""
        return await self._ask("RoomService/GetRoom", {"name": name})

    async def agents(self) -> list[str]:
        """The names of the agents that our server remembers."""
        answer = await self._ask("AgentService/ListAgents", {})
        return [agent.get("agent_name", "") for agent in answer.get("agents", [])]

    async def _ask(self, method: str, request: dict[str, object]) -> dict[str, Any]:
        token = mint_api_token(API_KEY, API_SECRET, now_ns=now_ns(), dispatch_admin=True)
        async with httpx2.AsyncClient(timeout=60) as client:
            answer = await client.post(
                f"{self.server.http_url}/twirp/callboard.{method}",
                json=request,
                headers={"Authorization": f"Bearer {token}"},
            )
        content: dict[str, Any] = answer.json()
        return content if answer.status_code == 200 else {}

    async def only_job(self, room: str, *phases: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until the room has a job, in one of these phases; it must be the only one ever."""

        async def found() -> dict[str, Any] | None:
            jobs = await self.jobs(room=room)
            assert len(jobs) <= 1, jobs
            return next((job for job in jobs if not phases or job["phase"] in phases), None)

        return await eventually(f"a job of {room}, {phases or 'any'}", found, seconds=seconds)

    async def registered(self, agent_name: str, *, times: int = 1) -> None:
        """Wait until the SFU offers jobs for this name to us."""
        await eventually(
            f"the SFU knows {agent_name!r}",
            lambda: self.server.process and self._registrations(agent_name) >= times,
        )

    def _registrations(self, agent_name: str) -> int:
        assert self.server.process is not None
        lines = self.server.process.lines()
        return sum("bridge_registered" in line and f'"{agent_name}"' in line for line in lines)


@asynccontextmanager
async def stage(one: Stage) -> AsyncIterator[Stage]:
    """Run both servers while the context lasts."""
    try:
        await one.sfu.start()
        await one.server.start()
        yield one
    finally:
        for worker in one.workers:
            worker.clean_up()
        one.server.clean_up()
        one.sfu.clean_up()


def now_ns() -> int:
    """The time, as tokens want it."""
    return time.time_ns()


def new_room() -> str:
    """The name of a room that no other test uses."""
    return f"room-{uuid.uuid4().hex[:12]}"
