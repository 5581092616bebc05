"""Rooms that are created through us: their agents become dispatches of ours (A20, without the bridge).

The order is what makes it safe. Before the SFU is asked, the room is announced, so that nobody is
called automatically when its webhook comes first. When the SFU has said yes, it is asked for the mark
that the room was made with: that of these agents means that they are to be dispatched, any other
that the room was there already, whose agents stay who they are (as LiveKit has it). Each dispatch's id
follows from the room's session (its sid) and its place in the list, so a call that is repeated,
after an answer that was lost or an error of ours, makes what is missing and nothing twice.

Left to others: which agents those are (`room_configurations`), the mark (`create_room`), the way
to the SFU (`passthrough`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random

from dispatcher.core.drafting import draft_dispatched_job
from dispatcher.core.events import DispatchRequested, RoomAnnounced, RoomAnnouncementWithdrawn
from dispatcher.core.jobs import Job, JobType
from dispatcher.core.room_events import RoomInfo
from dispatcher.room_configurations import (
    Presets,
    RoomConfigurationLimits,
    check_agents,
    dispatch_request,
)
from dispatcher.runtime import Runtime
from dispatcher.server.create_room import NOBODY, mark_of
from dispatcher.server.limits import ServerLimits
from dispatcher.server.wire_jobs import new_dispatch
from dispatcher.server.wire_rooms import room_info
from protocol import wire_pb2
from protocol.errors import TwirpCode, TwirpError
from protocol.ids import dispatch_id_for

# The SFU's own dispatches of a room, by its name; none where there is no such room.
ListDispatches = Callable[[str], Awaitable[Sequence[wire_pb2.AgentDispatch]]]


class RoomCreation:
    """Dispatches the agents of rooms that the SFU makes (`create_room.RoomMaking`)."""

    def __init__(
        self,
        runtime: Runtime,
        presets: Presets,
        list_dispatches: ListDispatches,
        limits: ServerLimits,
        configuration_limits: RoomConfigurationLimits,
    ) -> None:
        self._runtime = runtime
        self._presets = presets
        self._list_dispatches = list_dispatches
        self._wire = limits.wire
        self._limits = configuration_limits
        # Seeded by the system; ids are no secrets.
        self._random = Random()

    def resolve(
        self, project: str, request: wire_pb2.CreateRoomRequest, *, tells_names: bool
    ) -> wire_pb2.CreateRoomRequest:
        """Return what is asked for, with what its preset and the default give to it.

        Raises WireError for an unknown preset, and for agents that cannot be dispatched.
        """
        wanted = self._presets.resolve(project, request, tells_names=tells_names)
        check_agents(wanted.agents, request.name, self._limits, self._wire)
        return wanted

    def announce(self, project: str, wanted: wire_pb2.CreateRoomRequest) -> None:
        """The SFU is about to be asked for the room: nobody is called to it automatically."""
        self._runtime.submit(RoomAnnounced(project, wanted.name))

    def withdraw(self, project: str, wanted: wire_pb2.CreateRoomRequest) -> None:
        """No session with these agents is about to begin."""
        self._runtime.submit(RoomAnnouncementWithdrawn(project, wanted.name))

    async def created(
        self, project: str, wanted: wire_pb2.CreateRoomRequest, room: wire_pb2.Room
    ) -> None:
        """Dispatch the agents, unless the room was there already; durable when it returns.

        Raises a retryable CallboardError where the SFU or the store cannot say: the same call again
        goes on from there.
        """
        if not room.sid or room.name != wanted.name:
            raise TwirpError(TwirpCode.INTERNAL, "the SFU's answer to CreateRoom is another room")
        mark = mark_of(wanted.agents)
        theirs = await self._list_dispatches(room.name)
        if not any(each.agent_name == NOBODY and each.metadata == mark for each in theirs):
            self.withdraw(project, wanted)
            return
        info = room_info(room)
        for place, agent in enumerate(wanted.agents):
            await self._dispatch(project, info, place, agent)
        known = self._runtime.engine.rooms.get((project, room.name))
        if known is not None and known.info.sid == room.sid:
            self.withdraw(project, wanted)  # it has begun: what comes next is another session

    async def _dispatch(
        self, project: str, room: RoomInfo, place: int, agent: wire_pb2.RoomAgentDispatch
    ) -> None:
        runtime = self._runtime
        now = runtime.now()
        dispatch_id = dispatch_id_for(
            project, f"{room.sid}/{place}", room.name, agent.agent_name, agent.deployment
        )
        if await runtime.store.get_dispatch(project, dispatch_id) is not None:
            return  # the engine would find that too, when it has offered a job to somebody
        dispatch = new_dispatch(dispatch_request(agent, room.name), project, dispatch_id, now)
        # Its workers tell which jobs a dispatch makes; those for participants are the engine's.
        engine = runtime.engine
        jobs: tuple[Job, ...] = ()
        if JobType.ROOM in engine.job_types(project, agent.agent_name):
            job = draft_dispatched_job(
                dispatch,
                JobType.ROOM,
                "",  # the dispatch itself stands for it
                room,
                None,
                now,
                self._random,
                engine.policy.queue_time,
            )
            jobs = (job,)
        await runtime.ask(lambda number: DispatchRequested(number, dispatch, jobs))
