# Generated from ../agents.py by `python -m worker_sdk.client.generate`: change that.
"""Calls of callboard.AgentService: the agents that workers serve, or have served."""

from __future__ import annotations

from protocol import api_pb2
from worker_sdk.client.blocking.transport import Call, Calls

__all__ = ["AgentCalls"]

_SERVICE = "callboard.AgentService"


class AgentCalls(Calls):
    """Agents: what workers register as."""

    def list_agents(self) -> list[api_pb2.AgentRecord]:
        """The agents that workers serve, or have served and are remembered, by name; no pages."""
        answer = self._transport.call(
            Call(_SERVICE, "ListAgents", api_pb2.ListAgentsRequest(), api_pb2.ListAgentsResponse)
        )
        return list(answer.agents)

    def forget_agent(self, agent_name: str) -> None:
        """Forget an agent whose workers are gone.

        TwirpError `not_found`, and `failed_precondition` while a worker of it is connected.
        """
        self._transport.call(
            Call(
                _SERVICE,
                "ForgetAgent",
                api_pb2.ForgetAgentRequest(agent_name=agent_name),
                api_pb2.ForgetAgentResponse,
                gone=api_pb2.ForgetAgentResponse(),
            )
        )
