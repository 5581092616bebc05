"""Dispatches as standing orders: one agent name in one room, for each job type of that agent (A5).

Which job types an agent takes is known from its workers, durably; a name that nobody has registered
counts as ROOM. The ROOM job of a dispatch is made with it. Jobs for publishers and participants are
made for those who are there and for those who come, once for each. A dispatch ends with its room.

Left to others: calls (`dispatching`), rules (`ordering`), what rooms there are (`rooms`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dispatcher.core.board import Board
from dispatcher.core.calling_off import CallingOff
from dispatcher.core.dispatching import Dispatching
from dispatcher.core.drafting import DISPATCH_ORDER, draft_dispatched_job
from dispatcher.core.effects import DropNotes, FindDispatches, PutNote
from dispatcher.core.events import (
    DispatchCreated,
    DispatchDeletionRequested,
    DispatchesFound,
    DispatchRequested,
    WorkerRegistered,
)
from dispatcher.core.jobs import Dispatch, JobStateReason, JobType
from dispatcher.core.note_texts import agent_note, agent_types_of
from dispatcher.core.notes import Note, NoteKind
from dispatcher.core.offering import Offering
from dispatcher.core.room_changes import (
    Change,
    MemberJoined,
    PublishingStarted,
    RoomClosed,
    RoomOpened,
)
from dispatcher.core.room_states import Member, RoomState
from dispatcher.core.rooms import Rooms

AgentKey = tuple[str, str]  # project, agent name
# What an agent is taken for that nobody has registered for.
ROOM_ALONE = frozenset({JobType.ROOM})


class StandingDispatches:
    """The part of the engine that holds dispatches for who is still to come."""

    def __init__(
        self,
        board: Board,
        rooms: Rooms,
        offering: Offering,
        dispatching: Dispatching,
        calling_off: CallingOff,
    ) -> None:
        self._board = board
        self._rooms = rooms
        self._offering = offering
        self._dispatching = dispatching
        self._calling_off = calling_off
        # calls whose room is there and that the store has not confirmed, by request
        self._asked: dict[int, DispatchRequested] = {}
        # job types that workers of an agent have registered with
        self._types: dict[AgentKey, frozenset[JobType]] = {}

    def types(self, project: str, agent_name: str) -> frozenset[JobType]:
        """Return the job types that a dispatch of this agent means."""
        return self._types.get((project, agent_name), ROOM_ALONE)

    # --- agents -------------------------------------------------------------------------------

    def worker_came(self, event: WorkerRegistered) -> frozenset[JobType]:
        """Learn the job types of a worker's agent; return those that are new."""
        said = event.registration
        key = said.project, said.agent_name
        known = self._types.get(key, frozenset())
        new = frozenset(said.types) - known
        if not new:
            return new
        self._types[key] = known | new
        self._board.emit(PutNote(agent_note(*key, self._types[key])))
        for room in self._rooms.rooms.values():
            if room.project == said.project:
                self._learned(said.agent_name, room)
        return new

    def _learned(self, agent_name: str, room: RoomState) -> None:
        if room.dispatches is None:
            self._look(room, ())
            return
        types = self.types(room.project, agent_name)
        for dispatch in room.dispatches.values():
            if dispatch.agent_name != agent_name:
                continue
            self._hold_against(dispatch, room, room.members.values())
            made = room.jobs.get(_order(dispatch, JobType.ROOM))
            if made is not None and JobType.ROOM not in types:
                # It was taken for a room's agent, before anybody had said what it is.
                self._calling_off.call_off(
                    [made],
                    JobStateReason.UNSPECIFIED,
                    f"no worker of agent {agent_name!r} takes jobs of rooms",
                )

    @property
    def agents(self) -> Mapping[AgentKey, frozenset[JobType]]:
        """The agents that workers have registered with, and their job types."""
        return self._types

    def forget_agent(self, project: str, agent_name: str) -> bool:
        """Forget what an agent's workers have said; False where it was not known."""
        if self._types.pop((project, agent_name), None) is None:
            return False
        self._board.emit(DropNotes(NoteKind.AGENT, project, "", agent_name))
        return True

    def recovered(self, note: Note) -> None:
        """Read what was known of an agent."""
        self._types[note.project, note.key] = agent_types_of(note)

    # --- calls --------------------------------------------------------------------------------

    def requested(self, event: DispatchRequested) -> None:
        """A dispatch was asked for: it may be for who is there already, once it is confirmed."""
        if (event.dispatch.project, event.dispatch.room) in self._rooms.rooms:
            self._asked[event.request] = event

    def created(self, event: DispatchCreated) -> None:
        """The store has the dispatch, or had it before."""
        asked = self._asked.pop(event.request, None)
        if asked is None or not event.created:
            return
        dispatch = asked.dispatch
        room = self._rooms.rooms.get((dispatch.project, dispatch.room))
        if room is None or room.dispatches is None:
            return  # the store tells of it when the room is asked about
        room.dispatches[dispatch.id] = dispatch
        for job in asked.jobs:
            room.jobs[_order(dispatch, job.lane.job_type)] = job.id
            self._rooms.touch(room)
        self._hold_against(dispatch, room, room.members.values())

    def deletion_requested(self, event: DispatchDeletionRequested) -> None:
        """A dispatch is deleted: nobody who comes later gets a job of it."""
        room = self._rooms.rooms.get((event.project, event.room))
        if room is not None and room.dispatches:
            room.dispatches.pop(event.dispatch_id, None)

    # --- rooms --------------------------------------------------------------------------------

    def changed(self, change: Change) -> None:
        """Make the jobs that follow."""
        room = change.room
        if isinstance(change, RoomClosed):
            if room.dispatches is None:
                self._board.emit(FindDispatches(*room.key))  # to end them
            else:
                for dispatch in room.dispatches.values():
                    self._dispatching.room_closed(dispatch)
        elif isinstance(change, RoomOpened):
            self._look(room, ())
        elif isinstance(change, MemberJoined | PublishingStarted):
            self._look(room, (change.member,))

    def _look(self, room: RoomState, members: Iterable[Member]) -> None:
        if room.dispatches is None:
            if not room.is_asked:
                room.is_asked = True
                self._board.emit(FindDispatches(*room.key))
            return
        for dispatch in room.dispatches.values():
            self._hold_against(dispatch, room, members)

    def found(self, event: DispatchesFound) -> None:
        """The store told what stands in a room."""
        room = self._rooms.rooms.get((event.project, event.room))
        if room is None:
            for dispatch in event.dispatches:
                self._dispatching.room_closed(dispatch)
        elif room.dispatches is None:
            room.dispatches = {dispatch.id: dispatch for dispatch in event.dispatches}
            for dispatch in event.dispatches:
                self._hold_against(dispatch, room, room.members.values())

    def _hold_against(self, dispatch: Dispatch, room: RoomState, members: Iterable[Member]) -> None:
        types = self.types(dispatch.project, dispatch.agent_name)
        if types == ROOM_ALONE:
            return
        for member in members:
            if not member.is_known or member.participant.is_dependent:
                continue
            if JobType.PARTICIPANT in types:
                self._make(dispatch, JobType.PARTICIPANT, room, member)
            if JobType.PUBLISHER in types and member.is_publisher:
                self._make(dispatch, JobType.PUBLISHER, room, member)

    def _make(self, dispatch: Dispatch, job_type: JobType, room: RoomState, member: Member) -> None:
        board = self._board
        order = _order(dispatch, job_type)
        if order in member.jobs:
            return
        job = draft_dispatched_job(
            dispatch,
            job_type,
            order,
            room.info,
            member.participant,
            board.now,
            board.random,
            board.policy.queue_time,
        )
        self._offering.create(job, self._offering.draw_for_new(job))
        member.jobs[order] = job.id
        self._rooms.touch(room, member)


def _order(dispatch: Dispatch, job_type: JobType) -> str:
    return f"{DISPATCH_ORDER}{dispatch.id}:{job_type.name.lower()}"
