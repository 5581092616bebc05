"""Which rooms there are, put together from events that come twice, late, in any order, or never.

What an event says is held against the sids: news of a session that is over is old, and news of a
later session ends the one before it.

`Rooms` answers each piece of news with what changed by it, in order. Left to others: who is in a room
(`membership`), what the SFU's own list mends (`room_comparison`), what follows from a change
(`ordering`, `sightings`), what is durable of it (`observing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dispatcher.core.jobs import SECOND, Nanoseconds
from dispatcher.core.membership import Membership
from dispatcher.core.recent import Recent
from dispatcher.core.room_changes import Change, RoomClosed, RoomOpened, RoomsFull
from dispatcher.core.room_events import DisconnectReason, RoomEvent, RoomEventKind, RoomInfo
from dispatcher.core.room_states import Member, Place, RoomKey, RoomLimits, RoomState


class Rooms:
    """All rooms that are there."""

    def __init__(self, limits: RoomLimits | None = None) -> None:
        self.limits = limits or RoomLimits()
        self.rooms: dict[RoomKey, RoomState] = {}
        # rooms that are about to be created and name their agents, until when that is believed
        self.announced = Recent[RoomKey, Nanoseconds](self.limits.announced_max)
        # sessions that are over, by project and sid, until when that is remembered; oldest first
        self.over: dict[tuple[str, str], Nanoseconds] = {}
        # those of them that have to be written down
        self.newly_over: list[tuple[str, str]] = []
        # what has to be written down: rooms, and connections of rooms by key
        self.touched: dict[tuple[str, str, str | None], None] = {}
        self.members = Membership(self.limits, self._touch)

    def of_project(self, project: str) -> list[RoomState]:
        """Return the rooms of a project."""
        return [room for room in self.rooms.values() if room.project == project]

    def at(self, place: Place) -> tuple[RoomState, Member | None] | None:
        """Return the room, and who is meant in it, or took their place; None where nobody is."""
        room_key, member_key = place
        room = self.rooms.get(room_key)
        if room is None:
            return None
        if member_key is None:
            return room, None
        member = room.members.get(member_key) or room.successors.get(member_key)
        return (room, member) if member is not None else None

    # --- news ---------------------------------------------------------------------------------

    def take(self, event: RoomEvent, now: Nanoseconds) -> list[Change]:
        """Take in one event. Raises RoomsFull, and nobody has come."""
        changes: list[Change] = []
        if event.kind is RoomEventKind.ROOM_FINISHED:
            self._finished(event, now, changes)
            return changes
        room = self.session(event.project, event.room, now, changes, event.at)
        participant = event.participant
        if room is None or participant is None:
            return changes
        try:
            self.members.take(room, participant, event, now, changes)
        except RoomsFull as full:
            full.changes = changes
            raise
        return changes

    def announce(self, key: RoomKey, now: Nanoseconds) -> None:
        """A session is about to begin that names its agents; the end of the last may not be told yet."""
        self.announced.note(key, now + self.limits.announced_time)

    def succession_ended(self, project: str, name: str, key: str) -> list[Change]:
        """Nobody took the place of a connection that was said to be replaced: it left."""
        changes: list[Change] = []
        room = self.rooms.get((project, name))
        member = room.members.get(key) if room is not None else None
        if room is not None and member is not None and member.is_replaced:
            self.members.remove(room, member, DisconnectReason.DUPLICATE_IDENTITY, changes)
        return changes

    def forget_over(self, now: Nanoseconds) -> list[tuple[str, str]]:
        """Forget sessions that are over for long enough; return their projects and sids."""
        forgotten: list[tuple[str, str]] = []
        for session, until in self.over.items():
            if until > now and len(self.over) - len(forgotten) <= self.limits.over_max:
                break
            forgotten.append(session)
        for session in forgotten:
            del self.over[session]
        return forgotten

    # --- sessions -----------------------------------------------------------------------------

    def session(
        self,
        project: str,
        info: RoomInfo,
        now: Nanoseconds,
        changes: list[Change],
        at: Nanoseconds = 0,
    ) -> RoomState | None:
        """Return the session that is meant, opening it if it is new; None if it is over.

        What changed by it is added to `changes`. Raises RoomsFull.
        """
        if (project, info.sid) in self.over:
            return None
        room = self.rooms.get((project, info.name))
        if room is not None and info.sid and room.info.sid and info.sid != room.info.sid:
            if info.created_at and info.created_at < room.started_at:
                self._note_over(project, info.sid, now)
                return None
            if not info.created_at and 0 < at < room.started_at:
                # A late track: what tells its room tells only the sid. (Not noted as over: the time
                # is in whole seconds, so that a session of less than one may look like the later.)
                return None
            self.close(room, now, changes)  # its end was not told
            room = None
        if room is None:
            return self._open(project, info, now, changes, at)
        known = room.info
        if info.created_at and not known.created_at:
            room.started_at = info.created_at
            room.info = known = replace(known, created_at=info.created_at)
            self._touch(room)
        if (info.sid and not known.sid) or (info.metadata and info.metadata != known.metadata):
            room.info = replace(
                known,
                sid=known.sid or info.sid,
                metadata=info.metadata or known.metadata,
                created_at=known.created_at or info.created_at,
            )
            self._touch(room)
            changes.append(RoomOpened(room))
        return room

    def _open(
        self,
        project: str,
        info: RoomInfo,
        now: Nanoseconds,
        changes: list[Change],
        at: Nanoseconds,
    ) -> RoomState:
        if len(self.rooms) >= self.limits.rooms_max:
            raise RoomsFull(f"there are {self.limits.rooms_max} rooms, which is the limit")
        room = RoomState(project, info, info.created_at or at or now, now)
        room.names_agents = self.announced.pop(room.key, 0) > now
        self.rooms[room.key] = room
        self._touch(room)
        changes.append(RoomOpened(room))
        return room

    def _finished(self, event: RoomEvent, now: Nanoseconds, changes: list[Change]) -> None:
        info = event.room
        if (event.project, info.sid) in self.over:
            return
        room = self.rooms.get((event.project, info.name))
        if room is not None:
            is_other = bool(info.sid and room.info.sid and info.sid != room.info.sid)
            is_older = 0 < (info.created_at or event.at) < room.started_at
            # The sender may tell the time in whole seconds, rounded down.
            is_late = not info.sid and event.at and event.at + SECOND <= room.started_at
            if not (is_late or (is_other and is_older)):
                self.close(room, now, changes)
        if info.sid:
            self._note_over(event.project, info.sid, now)

    def close(self, room: RoomState, now: Nanoseconds, changes: list[Change]) -> None:
        """A session is over."""
        del self.rooms[room.key]
        if room.info.sid:
            self._note_over(room.project, room.info.sid, now)
        self._touch(room)
        changes.append(RoomClosed(room))

    def _note_over(self, project: str, sid: str, now: Nanoseconds) -> None:
        self.over.pop((project, sid), None)
        self.over[project, sid] = now + self.limits.over_time
        self.newly_over.append((project, sid))

    # --- what is to be written down -------------------------------------------------------------

    def touch(self, room: RoomState, member: Member | None = None) -> None:
        """Its jobs have changed."""
        self._touch(room, member.key if member is not None else None)

    def _touch(self, room: RoomState, key: str | None = None) -> None:
        self.touched[(*room.key, key)] = None

    def take_touched(self) -> Iterator[tuple[str, str, str | None]]:
        """Yield what has to be written down, and forget it."""
        touched, self.touched = self.touched, {}
        return iter(touched)
