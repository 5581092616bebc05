"""livekit.AgentDispatchService: create, list and delete dispatches (A2, A11, A15).

Requests become events of the core, which answers when what it says is durable. Reads go to the
store. With the bridge, what stands at the SFU is listed and deleted here too (`sfu_dispatches`).
"""

from __future__ import annotations

from random import Random

from dispatcher.core.drafting import draft_dispatched_job
from dispatcher.core.effects import Outcome
from dispatcher.core.events import DispatchDeletionRequested, DispatchRequested
from dispatcher.core.jobs import JobState, JobType
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.room_events import RoomInfo
from dispatcher.core.standing_dispatches import ROOM_ALONE
from dispatcher.runtime import Runtime
from dispatcher.server.access import Bearer
from dispatcher.server.limits import ServerLimits
from dispatcher.server.sfu_dispatches import SfuDispatches
from dispatcher.server.twirp import Call, Method, MethodTable
from dispatcher.server.wire_jobs import dispatch_message, new_dispatch
from dispatcher.store.contract import StoredDispatch, StoredJob
from protocol import wire_pb2
from protocol.checks import check_create_dispatch, check_delete_dispatch, check_list_dispatch
from protocol.errors import TwirpCode, TwirpError
from protocol.ids import dispatch_id_for, new_dispatch_id

SERVICE = "livekit.AgentDispatchService"

DispatchRequest = (
    wire_pb2.CreateAgentDispatchRequest
    | wire_pb2.ListAgentDispatchRequest
    | wire_pb2.DeleteAgentDispatchRequest
)


class DispatchService:
    """Answers the dispatch calls of API clients. `sfu` None: there are no dispatches but ours."""

    def __init__(
        self, runtime: Runtime, limits: ServerLimits, sfu: SfuDispatches | None = None
    ) -> None:
        self._runtime = runtime
        self._limits = limits
        self._sfu = sfu
        # Seeded by the system. Ids are no secrets, and a system call for each is dear.
        self._random = Random()

    def methods(self) -> MethodTable:
        """Return the service's rows of the Twirp table."""
        return {
            SERVICE: {
                "CreateDispatch": Method(
                    wire_pb2.CreateAgentDispatchRequest, _administers_room, self.create
                ),
                "ListDispatch": Method(
                    wire_pb2.ListAgentDispatchRequest, _administers_room, self.list
                ),
                "DeleteDispatch": Method(
                    wire_pb2.DeleteAgentDispatchRequest, _administers_room, self.delete
                ),
            }
        }

    async def create(
        self, call: Call, request: wire_pb2.CreateAgentDispatchRequest
    ) -> wire_pb2.AgentDispatch:
        """Make a dispatch and its job; the same call again answers with what it made."""
        check_create_dispatch(request, self._limits.wire)
        runtime = self._runtime
        now = runtime.now()
        if call.request_id:
            dispatch_id = dispatch_id_for(
                call.project,
                call.request_id,
                request.room,
                request.agent_name,
                request.deployment,
            )
        else:
            dispatch_id = new_dispatch_id(now, self._random)
        dispatch = new_dispatch(request, call.project, dispatch_id, now)
        job = draft_dispatched_job(
            dispatch,
            JobType.ROOM,
            "",  # the dispatch itself stands for it
            RoomInfo(dispatch.room),
            None,
            now,
            self._random,
            runtime.engine.policy.queue_time,
        )
        # Its workers tell which jobs a dispatch makes; those for participants are the engine's.
        types = runtime.engine.job_types(call.project, request.agent_name)
        jobs = (job,) if JobType.ROOM in types else ()
        reply = await runtime.ask(lambda number: DispatchRequested(number, dispatch, jobs))
        if reply.outcome is Outcome.CREATED and types == ROOM_ALONE:
            state = JobState(JobPhase.QUEUED, updated_at=now)
            return dispatch_message(StoredDispatch(dispatch, (StoredJob(0, job, state),)))
        return await self._read(call, dispatch_id)

    async def list(
        self, call: Call, request: wire_pb2.ListAgentDispatchRequest
    ) -> wire_pb2.ListAgentDispatchResponse:
        """List a room's dispatches that nobody deleted, or one of them, deleted or not, by id."""
        check_list_dispatch(request, self._limits.wire)
        store, sfu = self._runtime.store, self._sfu
        room, dispatch_id = request.room, request.dispatch_id
        listed_max = self._limits.list_dispatches_max
        if dispatch_id:
            one = await store.get_dispatch(call.project, dispatch_id)
            found = [one] if one is not None and one.dispatch.room == room else []
        else:
            found = await store.list_dispatches(call.project, room, listed_max)
        listed = [dispatch_message(stored) for stored in found]
        if sfu is not None and not dispatch_id and len(listed) < listed_max:
            listed += await sfu.of_room(call.project, room)
        elif sfu is not None and not listed:
            listed = await sfu.one(call.project, room, dispatch_id)
        return wire_pb2.ListAgentDispatchResponse(agent_dispatches=listed[:listed_max])

    async def delete(
        self, call: Call, request: wire_pb2.DeleteAgentDispatchRequest
    ) -> wire_pb2.AgentDispatch:
        """Delete a dispatch: answers when that is durable; its jobs are ended behind (A11)."""
        check_delete_dispatch(request, self._limits.wire)
        dispatch_id = request.dispatch_id
        if dispatch_id:
            reply = await self._runtime.ask(
                lambda number: DispatchDeletionRequested(
                    number, call.project, request.room, dispatch_id
                )
            )
            if reply.outcome is Outcome.DELETED:
                return await self._read(call, dispatch_id)
            if self._sfu is not None:
                gone = await self._sfu.delete(call.project, request.room, dispatch_id)
                if gone is not None:
                    return gone
        raise TwirpError(TwirpCode.NOT_FOUND, "the dispatch does not exist in this room")

    async def _read(self, call: Call, dispatch_id: str) -> wire_pb2.AgentDispatch:
        stored = await self._runtime.store.get_dispatch(call.project, dispatch_id)
        if stored is None:
            raise TwirpError(TwirpCode.NOT_FOUND, "the dispatch is no longer kept")
        return dispatch_message(stored)


def _administers_room(bearer: Bearer, request: DispatchRequest) -> bool:
    return bearer.grants.may_administer_room(request.room)
