"""Calls of LiveKit's AgentDispatchService; they work with livekit-server as with Callboard's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol import wire_pb2
from worker_sdk.client.retries import Repeatable
from worker_sdk.client.transport import Call, Calls

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DispatchCalls"]

_SERVICE = "livekit.AgentDispatchService"


class DispatchCalls(Calls):
    """Dispatches: wishes for an agent in a room."""

    async def create_dispatch(
        self,
        room: str,
        agent_name: str,
        *,
        metadata: str = "",
        attributes: Mapping[str, str] | None = None,
        deployment: str = "",
        restart_policy: wire_pb2.JobRestartPolicy = wire_pb2.JRP_ON_FAILURE,
        request_id: str | None = None,
    ) -> wire_pb2.AgentDispatch:
        """Ask for an agent in a room. When this returns, the dispatch is on the server's disk.

        `request_id` (printable ASCII) names the wish for this agent in this room: the same one again,
        by this program or another, makes nothing new and returns what is there, whatever else differs
        (None: a new wish; its tries are one). A livekit-server does not know such names: there a call
        whose answer was lost is not repeated, and raises ServerUnreachable with `may_have_happened`.
        TwirpError `invalid_argument` for what is too long; `metadata` and `attributes` are handed to
        the agent's job.
        """
        return await self._transport.call(
            Call(
                _SERVICE,
                "CreateDispatch",
                wire_pb2.CreateAgentDispatchRequest(
                    agent_name=agent_name,
                    room=room,
                    metadata=metadata,
                    attributes=attributes,
                    deployment=deployment,
                    restart_policy=restart_policy,
                ),
                wire_pb2.AgentDispatch,
                Repeatable.BY_REQUEST_ID,
                room=room,
                request_id=request_id or "",
            )
        )

    async def list_dispatches(self, room: str) -> list[wire_pb2.AgentDispatch]:
        """The dispatches of a room that nobody deleted, with their jobs; at most 1000, no pages."""
        return await self._list_dispatches(room, "")

    async def get_dispatch(self, dispatch_id: str, room: str) -> wire_pb2.AgentDispatch | None:
        """One dispatch of a room with its jobs, deleted or not; None: there is none of that id."""
        found = await self._list_dispatches(room, dispatch_id)
        return found[0] if found else None

    async def delete_dispatch(self, dispatch_id: str, room: str) -> wire_pb2.AgentDispatch:
        """Delete a dispatch and end its jobs. TwirpError `not_found` where there is none.

        When this returns, that is on the server's disk; running jobs are told to stop after it.
        """
        return await self._transport.call(
            Call(
                _SERVICE,
                "DeleteDispatch",
                wire_pb2.DeleteAgentDispatchRequest(dispatch_id=dispatch_id, room=room),
                wire_pb2.AgentDispatch,
                room=room,
                gone=wire_pb2.AgentDispatch(id=dispatch_id, room=room),
            )
        )

    async def _list_dispatches(self, room: str, dispatch_id: str) -> list[wire_pb2.AgentDispatch]:
        answer = await self._transport.call(
            Call(
                _SERVICE,
                "ListDispatch",
                wire_pb2.ListAgentDispatchRequest(room=room, dispatch_id=dispatch_id),
                wire_pb2.ListAgentDispatchResponse,
                room=room,
            )
        )
        return list(answer.agent_dispatches)
