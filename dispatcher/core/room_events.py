"""What is told of rooms and who is in them: the values that webhooks, reports and lists become.

A room's name comes again with another session of it, a participant's identity with another
connection: their sids tell which one is meant. Where no SFU is, sids may be empty; then the name
and the identity stand for them. Events may come twice, late, in any order, or not at all.

Left to others: what a room is after an event (`rooms`), where events come from (`server`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from dispatcher.core.jobs import Nanoseconds
from protocol.values import quick


class ParticipantKind(IntEnum):
    """What a participant is (LiveKit's ParticipantInfo.Kind)."""

    STANDARD = 0
    INGRESS = 1
    EGRESS = 2
    SIP = 3
    AGENT = 4
    CONNECTOR = 7
    BRIDGE = 8


class DisconnectReason(IntEnum):
    """Why a participant left (LiveKit's DisconnectReason)."""

    UNKNOWN_REASON = 0
    CLIENT_INITIATED = 1
    DUPLICATE_IDENTITY = 2
    SERVER_SHUTDOWN = 3
    PARTICIPANT_REMOVED = 4
    ROOM_DELETED = 5
    STATE_MISMATCH = 6
    JOIN_FAILURE = 7
    MIGRATION = 8
    SIGNAL_CLOSE = 9
    ROOM_CLOSED = 10
    USER_UNAVAILABLE = 11
    USER_REJECTED = 12
    SIP_TRUNK_FAILURE = 13
    CONNECTION_TIMEOUT = 14
    MEDIA_FAILURE = 15
    AGENT_ERROR = 16


@quick
@dataclass(frozen=True, slots=True)
class RoomInfo:
    """A room as an event names it. `metadata` and `created_at` are empty where it does not say."""

    name: str
    sid: str = ""
    metadata: str = ""
    created_at: Nanoseconds = 0


@quick
@dataclass(frozen=True, slots=True)
class Participant:
    """A participant as its joining told it.

    `is_agent` and `is_recorder` are its permissions; with the kinds AGENT and EGRESS they make it
    a dependent, which summons nobody unless a rule asks for it.
    """

    identity: str
    sid: str = ""
    name: str = ""
    kind: ParticipantKind = ParticipantKind.STANDARD
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    joined_at: Nanoseconds = 0
    is_agent: bool = False
    is_recorder: bool = False

    @property
    def is_dependent(self) -> bool:
        """Is it here because of others (LiveKit's IsDependent)?"""
        return (
            self.is_agent
            or self.is_recorder
            or self.kind in (ParticipantKind.AGENT, ParticipantKind.EGRESS)
        )


class RoomEventKind(Enum):
    """The kinds of events; the values are LiveKit's names."""

    ROOM_STARTED = "room_started"
    ROOM_FINISHED = "room_finished"
    PARTICIPANT_JOINED = "participant_joined"
    PARTICIPANT_LEFT = "participant_left"
    TRACK_PUBLISHED = "track_published"
    TRACK_UNPUBLISHED = "track_unpublished"


@quick
@dataclass(frozen=True, slots=True)
class RoomEvent:
    """Something happened in a room.

    `participant` is there for all but the room's own events; in track events it has a sid and an
    identity alone. `track_sid` is there for track events, `reason` for who left. `at` is when it
    happened by the sender's clock, 0 where that does not say.
    """

    kind: RoomEventKind
    project: str
    room: RoomInfo
    participant: Participant | None = None
    track_sid: str = ""
    reason: DisconnectReason = DisconnectReason.UNKNOWN_REASON
    at: Nanoseconds = 0


@quick
@dataclass(frozen=True, slots=True)
class RoomSeen:
    """A room as the SFU's own list shows it, with everybody who is in it now.

    `publishers` are the sids of those that have a track.
    """

    room: RoomInfo
    participants: tuple[Participant, ...]
    publishers: frozenset[str] = frozenset()
