"""callboard.AgentService: which agents workers serve or have served, and how one is forgotten.

An agent is remembered when its workers are gone: its job types for dispatches that come before it is
back, and with the bridge its name for the SFU. A name that was wrong, or is given up, stays until
somebody says so here.
"""

from __future__ import annotations

from collections import Counter
from typing import cast

from dispatcher.core.bridged import AgentForgotten
from dispatcher.core.effects import Outcome
from dispatcher.runtime import Runtime
from dispatcher.server.job_service import may_read
from dispatcher.server.limits import ServerLimits
from dispatcher.server.twirp import Call, Method, MethodTable
from protocol import api_pb2, wire_pb2
from protocol.errors import TwirpCode, TwirpError
from protocol.limits import check_text

SERVICE = "callboard.AgentService"


class AgentService:
    """Answers questions about agents, and forgets them."""

    def __init__(self, runtime: Runtime, limits: ServerLimits) -> None:
        self._runtime = runtime
        self._limits = limits.wire

    def methods(self) -> MethodTable:
        """Return the service's rows of the Twirp table."""
        return {
            SERVICE: {
                "ListAgents": Method(api_pb2.ListAgentsRequest, may_read, self.list),
                "ForgetAgent": Method(api_pb2.ForgetAgentRequest, may_read, self.forget),
            }
        }

    async def list(
        self, call: Call, _request: api_pb2.ListAgentsRequest
    ) -> api_pb2.ListAgentsResponse:
        """List agents that are served, or were and are remembered, by name."""
        engine, project = self._runtime.engine, call.project
        workers = Counter(
            worker.registration.agent_name
            for worker in engine.workers.values()
            if worker.registration.project == project
        )
        served_at: dict[str, int] = {}
        deployments: dict[str, set[str]] = {}
        for (of, served), at in engine.served.items():
            if of == project:
                name = served.agent_name
                served_at[name] = max(at, served_at.get(name, 0))
                deployments.setdefault(name, set()).add(served.deployment)
        types = {name: known for (of, name), known in engine.agents.items() if of == project}
        response = api_pb2.ListAgentsResponse()
        for name in sorted({*workers, *served_at, *types}):
            record = response.agents.add()
            record.agent_name = name
            record.types.extend(
                cast("wire_pb2.JobType", int(each)) for each in sorted(types.get(name, ()))
            )
            record.deployments.extend(sorted(deployments.get(name, ())))
            record.workers = workers[name]
            record.served_at = served_at.get(name, 0)
        return response

    async def forget(
        self, call: Call, request: api_pb2.ForgetAgentRequest
    ) -> api_pb2.ForgetAgentResponse:
        """Forget an agent; refused while a worker of it is connected."""
        check_text("agent_name", request.agent_name, self._limits.label_bytes_max)
        reply = await self._runtime.ask(
            lambda number: AgentForgotten(number, call.project, request.agent_name)
        )
        if reply.outcome is Outcome.NOT_FOUND:
            raise TwirpError(TwirpCode.NOT_FOUND, "nobody ever served this agent")
        if reply.outcome is Outcome.REFUSED:
            raise TwirpError(TwirpCode.FAILED_PRECONDITION, reply.detail)
        return api_pb2.ForgetAgentResponse()
