"""Dispatches as the stock Python client sees them, and the wait for what becomes of their jobs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from livekit import api
from livekit.protocol import agent, agent_dispatch

from tests.conformance.waiting import eventually

_rooms = itertools.count(1)


def new_room(name: str = "room") -> str:
    """A room name that no other test uses with the same server."""
    return f"{name}-{next(_rooms)}"


@dataclass(frozen=True, slots=True)
class Caller:
    """A backend that calls with the stock livekit-api client."""

    client: api.LiveKitAPI

    async def create(self, agent_name: str, room: str | None = None, **fields: Any) -> Dispatch:
        """Create a dispatch, in a room of its own if none is named."""
        request = agent_dispatch.CreateAgentDispatchRequest(
            agent_name=agent_name, room=room or new_room(), **fields
        )
        created = await self.client.agent_dispatch.create_dispatch(request)
        return Dispatch(self, created)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A dispatch that was acknowledged."""

    caller: Caller
    created: agent_dispatch.AgentDispatch

    @property
    def id(self) -> str:
        return self.created.id

    @property
    def room(self) -> str:
        return self.created.room

    async def read(self) -> agent_dispatch.AgentDispatch:
        """Read it by its id; it has to be there."""
        found = await self.caller.client.agent_dispatch.get_dispatch(self.id, self.room)
        assert found is not None, f"{self.id} is not listed"
        return found

    async def jobs(self) -> list[agent.Job]:
        """Read the jobs that it has made until now."""
        return list((await self.read()).state.jobs)

    async def job(self) -> agent.Job:
        """Read its only job."""
        (job,) = await eventually(f"a job of {self.id}", self.jobs)
        return job

    async def job_with(self, status: agent.JobStatus, *, seconds: float = 60.0) -> agent.Job:
        """Wait until its only job has `status`, and return the job."""

        async def with_status() -> agent.Job | None:
            job = await self.job()
            return job if job.state.status == status else None

        return await eventually(
            f"{self.id} is {agent.JobStatus.Name(status)}", with_status, seconds=seconds
        )

    async def delete(self) -> agent_dispatch.AgentDispatch:
        return await self.caller.client.agent_dispatch.delete_dispatch(self.id, self.room)

    async def is_gone(self) -> bool:
        """Is it deleted, with nothing left of it that runs?"""
        found = await self.caller.client.agent_dispatch.get_dispatch(self.id, self.room)
        return found is None or found.state.deleted_at > 0
