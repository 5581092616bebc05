"""What is known of a room and of who is in it, and the bounds of that.

Values that only `rooms` and `membership` change; jobs that are made for them are the exception, which
those write down who make them. Left to others: what news means (`rooms`, `membership`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dispatcher.core.jobs import SECOND, Dispatch, Nanoseconds
from dispatcher.core.room_events import Participant, RoomInfo

RoomKey = tuple[str, str]  # project, name
Place = tuple[RoomKey, str | None]  # a room, or somebody in it by their key or subject


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """Bounds of what is remembered of rooms."""

    rooms_max: int = 100_000
    participants_max: int = 10_000  # in one room
    # what is said of the participants of one room: identities, names, metadata, attributes
    bytes_max: int = 64 * 1024 * 1024
    tracks_max: int = 64  # of one participant, and as many that are gone
    # participants of one room, and sessions of rooms, that are known to be gone
    gone_max: int = 1_000
    over_max: int = 100_000
    # Rooms whose creation was asked for and that have not started, and how long that is waited for.
    announced_max: int = 1_000
    announced_time: Nanoseconds = 60 * SECOND
    # How long a connection that left for DUPLICATE_IDENTITY waits for the one that took its place:
    # the webhook of that may be lost, so for a few of the SFU's lists.
    succession_time: Nanoseconds = 30 * SECOND
    # How long news of a session that is over may come late (a webhook is valid for 5 minutes).
    over_time: Nanoseconds = 600 * SECOND
    # How long a session that an agent may have opened is left to show who did, where nobody is seen in
    # it: long enough for one of the SFU's lists.
    reopened_time: Nanoseconds = 15 * SECOND
    # Events without sids whose ids are known after a restart, and for how long.
    heard_max: int = 10_000
    heard_time: Nanoseconds = 600 * SECOND


@dataclass(slots=True, eq=False)
class Member:
    """One connection of a participant to a room."""

    participant: Participant
    seen_at: Nanoseconds
    # what its jobs are made for: its own sid, or that of the connection whose place it took
    subject: str
    # False: known by its tracks alone, until its join is told
    is_known: bool = True
    tracks: set[str] = field(default_factory=set)
    gone_tracks: dict[str, None] = field(default_factory=dict)
    # jobs made for its subject, by the key of their order
    jobs: dict[str, str] = field(default_factory=dict)
    # it left, and its successor is awaited
    is_replaced: bool = False

    @property
    def key(self) -> str:
        """What it is known by in its room."""
        return key_of(self.participant)

    @property
    def is_publisher(self) -> bool:
        """Has it a track?"""
        return bool(self.tracks)


@dataclass(slots=True, eq=False)
class RoomState:
    """One session of a room."""

    project: str
    info: RoomInfo
    started_at: Nanoseconds
    seen_at: Nanoseconds
    members: dict[str, Member] = field(default_factory=dict)
    # the bytes of what is said of them
    bytes_held: int = 0
    # connections that have left
    gone: dict[str, None] = field(default_factory=dict)
    # those of them that a list did not have, and nothing else: a later list may have them again
    missed: set[str] = field(default_factory=set)
    # who is known, by identity; who took a place, by the key of whose place it was
    identities: dict[str, Member] = field(default_factory=dict)
    successors: dict[str, Member] = field(default_factory=dict)
    # jobs made for the room itself, by the key of their order
    jobs: dict[str, str] = field(default_factory=dict)
    # dispatches that stand in it, by id; None: the store has not been asked
    dispatches: dict[str, Dispatch] | None = None
    is_asked: bool = False
    # who created it named its agents: nobody is called automatically
    names_agents: bool = False
    # the session before it ended with jobs in hand: an agent of those may have opened it, coming late
    is_reopened: bool = False

    @property
    def key(self) -> RoomKey:
        """What it is known by."""
        return self.project, self.info.name

    @property
    def has_people(self) -> bool:
        """Is anybody there but agents, recorders and the like?"""
        return any(
            member.is_known and not member.participant.is_dependent
            for member in self.members.values()
        )

    def subjects(self) -> Iterator[tuple[Member | None, dict[str, str]]]:
        """Yield the room (as None) and everybody in it, with the jobs that are made for each."""
        yield None, self.jobs
        for member in list(self.members.values()):
            yield member, member.jobs


def key_of(participant: Participant) -> str:
    """Return what a connection is known by: its sid, or where there is none its identity."""
    return participant.sid or f"identity:{participant.identity}"


def bytes_of(participant: Participant) -> int:
    """Return how many bytes the texts have that are kept of a participant."""
    held = sum(_bytes(name) + _bytes(text) for name, text in participant.attributes.items())
    return held + sum(
        _bytes(text) for text in (participant.identity, participant.name, participant.metadata)
    )


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
