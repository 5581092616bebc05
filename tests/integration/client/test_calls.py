"""Every call of every service, against a real server, in both forms of the client."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from protocol.errors import TwirpCode, TwirpError
from tests.integration.client.forms import AWAITING, BLOCKING
from tests.integration.server.peers import registered
from tests.support.server import KEY, SECRET, RunningServer, running_server
from worker_sdk import DispatchClient, SyncDispatchClient
from worker_sdk.client.messages import (
    JobPhase,
    JobType,
    Room,
    RoomAgentDispatch,
    RoomConfiguration,
    RoomEvent,
    Rule,
    RuleMatch,
    WorkerPhase,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    """A server of the test's own: it counts what is there."""
    async with running_server(tmp_path / "data") as running:
        yield running


class Caller:
    """Calls methods by their names, in either form; keeps the names."""

    def __init__(self, form: str, url: str) -> None:
        self._client = {AWAITING: DispatchClient, BLOCKING: SyncDispatchClient}[form](
            url, KEY, SECRET
        )
        self.called: set[str] = set()

    async def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method; what it iterates over comes as a list."""
        self.called.add(method)
        call: Callable[..., Any] = getattr(self._client, method)

        def blocking() -> Any:
            answer = call(*args, **kwargs)
            return list(answer) if hasattr(answer, "__next__") else answer

        if isinstance(self._client, SyncDispatchClient):
            return await to_thread.run_sync(blocking)
        answer = call(*args, **kwargs)
        if hasattr(answer, "__anext__"):
            return [row async for row in answer]
        return await answer

    async def refused(self, code: TwirpCode, method: str, *args: Any, **kwargs: Any) -> None:
        """Call a method, which is to be refused."""
        with pytest.raises(TwirpError) as raised:
            await self(method, *args, **kwargs)
        assert raised.value.code is code

    async def close(self) -> None:
        """Close the client."""
        closed: Awaitable[None] | None = self._client.close()
        if closed is not None:
            await closed


@pytest.mark.parametrize("form", [AWAITING, BLOCKING])
async def test_every_call_does_what_it_says(server: RunningServer, form: str) -> None:
    call = Caller(form, server.http_url)
    try:
        await _dispatches_and_jobs(call)
        await _workers_and_agents(call, server)
        await _rooms_and_rules(call)
        await _room_configurations(call)
        kinds = [event.kind for event in await call("events", 0, follow=False)]
        assert kinds[0] == "created"
    finally:
        await call.close()
    methods = {
        name
        for name, _ in inspect.getmembers(DispatchClient, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods - {"close"} == call.called


async def _dispatches_and_jobs(call: Caller) -> None:
    made = await call("create_dispatch", "lobby", "greeter", metadata="m", attributes={"a": "b"})
    assert (made.room, made.agent_name, dict(made.attributes)) == ("lobby", "greeter", {"a": "b"})
    assert [each.id for each in await call("list_dispatches", "lobby")] == [made.id]
    assert (await call("get_dispatch", made.id, "lobby")).id == made.id
    assert await call("get_dispatch", "AD_none", "lobby") is None

    (job,) = (await call("list_jobs", phases=[JobPhase.QUEUED], room="lobby")).jobs
    assert (job.phase, job.made_by) == (JobPhase.QUEUED, "dispatch")
    found = await call("get_job", job.job.id)
    assert [event.kind for event in found.timeline] == ["created"]
    explained = await call("explain_job", job.job.id)
    assert explained.summary == "no worker of this agent is connected"
    ended = await call("terminate_job", job.job.id, "a test")
    assert ended.phase == JobPhase.CANCELLED
    await call.refused(TwirpCode.NOT_FOUND, "get_job", "AJ_none")

    assert (await call("delete_dispatch", made.id, "lobby")).id == made.id
    await call.refused(TwirpCode.NOT_FOUND, "delete_dispatch", made.id, "lobby")
    for _ in range(3):
        await call("create_dispatch", "many", "greeter")
    rows = await call("iterate_jobs", room="many", page_size=2)
    assert len({row.job.id for row in rows}) == 3


async def _workers_and_agents(call: Caller, server: RunningServer) -> None:
    async with registered(server, "scribe") as worker:
        (found,) = (await call("list_workers", agent_name="scribe")).workers
        assert found.id == worker.worker_id
        assert [each.id for each in await call("iterate_workers")] == [worker.worker_id]
        assert (await call("get_worker", worker.worker_id)).agent_name == "scribe"
        drained = await call("drain_worker", worker.worker_id, 60)
        assert drained.phase == WorkerPhase.OUT_OF_SERVICE
        assert "scribe" in [agent.agent_name for agent in await call("list_agents")]
        await call.refused(TwirpCode.FAILED_PRECONDITION, "forget_agent", "scribe")
    await call.refused(TwirpCode.NOT_FOUND, "forget_agent", "nobody-ever")


async def _rooms_and_rules(call: Caller) -> None:
    rule = Rule(name="vip", type=JobType.JT_ROOM, match=RuleMatch(room="vip-*"), agent_name="host")
    applied = await call("apply_rule", rule)
    assert (applied.changed, applied.rule.version) == (True, 1)
    assert not (await call("apply_rule", rule)).changed
    assert (await call("get_rule", "vip")).agent_name == "host"
    assert [each.name for each in (await call("list_rules", agent_name="host")).rules] == ["vip"]
    assert [each.name for each in await call("iterate_rules")] == ["vip"]

    started = RoomEvent(event="room_started", room=Room(name="vip-1"))
    verdict, *_ = await call("explain_event", event=started)
    assert (verdict.rule, verdict.matches) == ("vip", True)
    told = await call("report_room_event", started)
    assert (told.told_before, told.id[:3]) == (False, "EV_")
    (made,) = await call("iterate_jobs", room="vip-1")
    assert made.rule == "vip"
    assert (await call("get_room", "vip-1")).job_ids == [made.job.id]
    assert [each.name for each in (await call("list_rooms")).rooms] == ["vip-1"]
    assert [each.name for each in await call("iterate_rooms")] == ["vip-1"]

    await call.refused(TwirpCode.FAILED_PRECONDITION, "delete_rule", "vip", version=9)
    assert (await call("delete_rule", "vip", version=1)).version == 1
    await call.refused(TwirpCode.NOT_FOUND, "get_rule", "vip")


async def _room_configurations(call: Caller) -> None:
    quiet = RoomConfiguration(name="quiet", agents=[RoomAgentDispatch(agent_name="scribe")])
    assert (await call("create_room_configuration", quiet)).name == "quiet"
    assert (await call("create_room_configuration", quiet)).name == "quiet"
    quiet.agents.add(agent_name="host")
    await call.refused(TwirpCode.ALREADY_EXISTS, "create_room_configuration", quiet)
    await call("update_room_configuration", quiet)
    (found,) = await call("list_room_configurations")
    assert [agent.agent_name for agent in found.agents] == ["scribe", "host"]
    assert (await call("delete_room_configuration", "quiet")).name == "quiet"
    await call.refused(TwirpCode.NOT_FOUND, "delete_room_configuration", "quiet")
