"""What news of rooms has changed, for those who draw conclusions from it.

Left to others: what changes by a piece of news (`rooms`), what follows (`ordering`,
`standing_dispatches`, `sightings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.room_events import DisconnectReason, Participant
from dispatcher.core.room_states import Member, RoomState


@dataclass(frozen=True, slots=True)
class RoomOpened:
    """A room is there."""

    room: RoomState


@dataclass(frozen=True, slots=True)
class RoomClosed:
    """A room is over."""

    room: RoomState


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """Somebody is there, or is there anew, or is known better."""

    room: RoomState
    member: Member


@dataclass(frozen=True, slots=True)
class PublishingStarted:
    """Somebody who is known has a track."""

    room: RoomState
    member: Member


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """Somebody is gone. `subject` and `jobs` go with it."""

    room: RoomState
    participant: Participant
    subject: str
    jobs: Mapping[str, str]
    reason: DisconnectReason
    # when it was first seen; 0: it is not known
    seen_at: Nanoseconds = 0
    # False: nobody said so, a list did not have it
    is_told: bool = True


@dataclass(frozen=True, slots=True)
class LeftUnseen:
    """Somebody was told to have left who was not there: its join is late, or a list missed it."""

    room: RoomState
    participant: Participant
    reason: DisconnectReason


Change = RoomOpened | RoomClosed | MemberJoined | PublishingStarted | MemberLeft | LeftUnseen


class RoomsFull(Exception):
    """A bound is reached; the text names it. `changes` are what was learned of the room all the same."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.changes: list[Change] = []
