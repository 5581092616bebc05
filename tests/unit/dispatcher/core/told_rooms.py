"""Words for news of rooms by themselves, without an engine."""

from __future__ import annotations

from dispatcher.core.events import RoomsListed
from dispatcher.core.jobs import SECOND, Nanoseconds
from dispatcher.core.room_changes import Change
from dispatcher.core.room_comparison import compare
from dispatcher.core.room_events import (
    DisconnectReason,
    Participant,
    RoomEvent,
    RoomEventKind,
    RoomInfo,
    RoomSeen,
)
from dispatcher.core.room_states import Member, RoomLimits, RoomState
from dispatcher.core.rooms import Rooms
from tests.support.room_words import PROJECT, ROOM, START, bare_person, bare_room, person, room_info

STARTED, FINISHED = RoomEventKind.ROOM_STARTED, RoomEventKind.ROOM_FINISHED
JOINED, LEFT = RoomEventKind.PARTICIPANT_JOINED, RoomEventKind.PARTICIPANT_LEFT
PUBLISHED, UNPUBLISHED = RoomEventKind.TRACK_PUBLISHED, RoomEventKind.TRACK_UNPUBLISHED
CLIENT, DUPLICATE = DisconnectReason.CLIENT_INITIATED, DisconnectReason.DUPLICATE_IDENTITY


class Told:
    """Rooms, a clock, and what each piece of news changed."""

    def __init__(self, limits: RoomLimits | None = None) -> None:
        self.rooms = Rooms(limits)
        self.now: Nanoseconds = START

    def event(
        self,
        kind: RoomEventKind,
        room: RoomInfo,
        who: Participant | None = None,
        *,
        track: str = "TR_1",
        reason: DisconnectReason = CLIENT,
        at: Nanoseconds = 0,
        project: str = PROJECT,
    ) -> list[Change]:
        event = RoomEvent(kind, project, room, who, track, reason, at)
        return self.rooms.take(event, self.now)

    def starts(self, session: int = 1, room: str = ROOM) -> list[Change]:
        return self.event(STARTED, room_info(room, session))

    def finishes(self, session: int = 1, room: str = ROOM) -> list[Change]:
        return self.event(FINISHED, room_info(room, session))

    def joins(self, who: str | Participant, connection: int = 1, session: int = 1) -> list[Change]:
        who = person(who, connection) if isinstance(who, str) else who
        return self.event(JOINED, room_info(ROOM, session), who)

    def leaves(
        self, who: str, connection: int = 1, reason: DisconnectReason = CLIENT, session: int = 1
    ) -> list[Change]:
        return self.event(LEFT, room_info(ROOM, session), person(who, connection), reason=reason)

    def publishes(
        self, who: str, connection: int = 1, track: str = "TR_1", session: int = 1
    ) -> list[Change]:
        who_ = bare_person(who, connection)
        return self.event(PUBLISHED, bare_room(ROOM, session), who_, track=track)

    def unpublishes(self, who: str, connection: int = 1, track: str = "TR_1") -> list[Change]:
        return self.event(UNPUBLISHED, bare_room(), bare_person(who, connection), track=track)

    def lists(
        self,
        *rooms: RoomSeen,
        others_gone: bool = True,
        asked_at: Nanoseconds | None = None,
        project: str = PROJECT,
    ) -> list[Change]:
        at = self.now + 1 if asked_at is None else asked_at
        return compare(self.rooms, RoomsListed(project, at, rooms, others_gone), self.now)

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    @property
    def room(self) -> RoomState:
        return self.rooms.rooms[PROJECT, ROOM]

    @property
    def sessions(self) -> list[str]:
        return sorted(room.info.sid for room in self.rooms.rooms.values())

    @property
    def sids(self) -> list[str]:
        return sorted(self.room.members)

    def member(self, who: str, connection: int = 1) -> Member:
        return self.room.members[f"PA_{who}_{connection}"]


def kinds(changes: list[Change]) -> list[type[Change]]:
    """What sorts of changes these are."""
    return [type(change) for change in changes]


def subject_of_one(told: Told, connection: int) -> str:
    """Return the subject of the one connection that is there, which has to be this one."""
    assert told.sids == [f"PA_ann_{connection}"]
    return told.member("ann", connection).subject
