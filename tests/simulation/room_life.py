"""A seeded model of rooms and of who is in them, and what their SFU tells of it, in order.

Rooms of a few hundred names have one session after another; people come, publish, lose their
connections and come back under their identity, leave for many reasons, and go with their room. The
model knows what is so in the end. It makes two things easy for whoever counts jobs: somebody who
publishes in a session does so in each of its connections and until it leaves, save for a moment;
and two sessions of one room are more than a second apart.

Left to others: in what order and how often the news arrive, who is called for it (`room_replay`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from dispatcher.core.jobs import SECOND, Nanoseconds
from dispatcher.core.room_events import (
    DisconnectReason,
    Participant,
    ParticipantKind,
    RoomEvent,
    RoomEventKind,
    RoomInfo,
    RoomSeen,
)

PROJECT = "project"
NAMES = [f"{what}-{number}" for number in range(60) for what in ("call", "call", "meet", "desk")]
SESSIONS_MAX = 150
PEOPLE = [f"{what}-{number}" for number in range(6) for what in ("guest", "host")]
OTHERS = ["agent-a", "agent-b", "egress", "sip-1", "sip-2", "recorder"]
# The model's time, in seconds, that goes by between two things that happen, on average.
PACE = 0.05
LISTED_EVERY: Nanoseconds = 10 * SECOND
# Why people leave; who is replaced is told apart.
REASONS = (
    DisconnectReason.CLIENT_INITIATED,
    DisconnectReason.CLIENT_INITIATED,
    DisconnectReason.SIGNAL_CLOSE,
    DisconnectReason.CONNECTION_TIMEOUT,
    DisconnectReason.PARTICIPANT_REMOVED,
    DisconnectReason.STATE_MISMATCH,
    DisconnectReason.MIGRATION,
    DisconnectReason.UNKNOWN_REASON,
)


@dataclass(slots=True)
class Guest:
    """Somebody who is in a session."""

    participant: Participant
    publishes: bool
    tracks: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Session:
    """A session of a room, and who is in it."""

    info: RoomInfo
    guests: dict[str, Guest] = field(default_factory=dict)

    @property
    def seen(self) -> RoomSeen:
        """As the SFU lists it."""
        guests = self.guests.values()
        publishers = frozenset(g.participant.sid for g in guests if g.tracks)
        return RoomSeen(self.info, tuple(g.participant for g in guests), publishers)


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that happened, and when exactly."""

    at: Nanoseconds
    event: RoomEvent


class RoomLife:
    """Rooms live from `start` on, until so many things have been told of them."""

    def __init__(self, random: Random, start: Nanoseconds, events: int) -> None:
        self._random = random
        self.now = start
        self.told: list[Happened] = []
        # the sessions that are there in the end, by room name
        self.sessions: dict[str, Session] = {}
        # what the SFU's list was, every ten seconds
        self.lists: list[tuple[Nanoseconds, tuple[RoomSeen, ...]]] = []
        self._over_at: dict[str, Nanoseconds] = {}
        self._numbers = 0
        while len(self.told) < events:
            if not self.lists or self.now >= self.lists[-1][0] + LISTED_EVERY:
                self.lists.append((self.now, self.seen()))
            self._live()

    def _live(self) -> None:
        random = self._random
        self._wait(random.expovariate(1 / PACE))
        wanted = random.random()
        if not self.sessions or wanted < 0.02:
            self._start()
            return
        session = random.choice(list(self.sessions.values()))
        if wanted < 0.025:
            self._finish(session)
        elif wanted < 0.50 or not session.guests:
            self._join(session)
        else:
            guest = random.choice(list(session.guests.values()))
            if wanted < 0.68:
                self._leave(session, guest)
            elif wanted < 0.82:
                self._connect_again(session, guest)
            else:
                self._change_tracks(session, guest)

    def _wait(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    def _new(self, what: str) -> str:
        self._numbers += 1
        return f"{what}_{self._numbers}"

    def _tell(
        self,
        kind: RoomEventKind,
        session: Session,
        guest: Guest | None = None,
        track: str = "",
        reason: DisconnectReason = DisconnectReason.UNKNOWN_REASON,
    ) -> None:
        room, who = session.info, guest.participant if guest is not None else None
        if who is not None and track:  # all that LiveKit tells with a track
            room, who = RoomInfo(room.name, room.sid), Participant(who.identity, who.sid)
        at = self.now // SECOND * SECOND
        self.told.append(Happened(self.now, RoomEvent(kind, PROJECT, room, who, track, reason, at)))
        self._wait(0.001)

    # --- rooms --------------------------------------------------------------------------------

    def _start(self) -> None:
        name = self._random.choice(NAMES)
        is_soon = self.now < self._over_at.get(name, 0) + 2 * SECOND
        if name in self.sessions or is_soon or len(self.sessions) >= SESSIONS_MAX:
            return
        metadata = self._random.choice(["", json.dumps({"tier": "gold", "n": 1}), "no JSON {"])
        created_at = self.now // 1_000_000 * 1_000_000
        session = Session(RoomInfo(name, self._new("RM"), metadata, created_at))
        self.sessions[name] = session
        self._tell(RoomEventKind.ROOM_STARTED, session)

    def _finish(self, session: Session) -> None:
        for guest in list(session.guests.values()):
            self._tell(
                RoomEventKind.PARTICIPANT_LEFT,
                session,
                guest,
                reason=DisconnectReason.ROOM_DELETED,
            )
        self._tell(RoomEventKind.ROOM_FINISHED, session)
        del self.sessions[session.info.name]
        self._over_at[session.info.name] = self.now

    # --- who is in them -----------------------------------------------------------------------

    def _join(self, session: Session) -> None:
        identity = self._random.choice([*PEOPLE, *PEOPLE, *OTHERS])
        if identity not in session.guests:
            publishes = self._is_publisher(session, identity)
            self._enter(session, Guest(self._participant(session, identity), publishes))

    def _is_publisher(self, session: Session, identity: str) -> bool:
        return Random(f"publishes {session.info.sid} {identity}").random() < 0.6

    def _participant(self, session: Session, identity: str) -> Participant:
        kind = {
            "agent-a": ParticipantKind.AGENT,
            "egress": ParticipantKind.EGRESS,
            "sip-1": ParticipantKind.SIP,
            "sip-2": ParticipantKind.SIP,
        }.get(identity, ParticipantKind.STANDARD)
        gold = Random(f"gold {session.info.sid} {identity}").random() < 0.3
        return Participant(
            identity,
            self._new("PA"),
            identity.title(),
            kind,
            attributes={"tier": "gold"} if gold else {},
            joined_at=self.now // 1_000_000 * 1_000_000,
            is_agent=identity.startswith("agent"),
            is_recorder=identity == "recorder",
        )

    def _enter(self, session: Session, guest: Guest) -> None:
        session.guests[guest.participant.identity] = guest
        self._tell(RoomEventKind.PARTICIPANT_JOINED, session, guest)
        if guest.publishes:
            self._wait(0.02)
            self._publish(session, guest)

    def _leave(self, session: Session, guest: Guest) -> None:
        reason = self._random.choice(REASONS)
        del session.guests[guest.participant.identity]
        self._tell(RoomEventKind.PARTICIPANT_LEFT, session, guest, reason=reason)

    def _connect_again(self, session: Session, guest: Guest) -> None:
        """Its connection is replaced by another of the same identity."""
        self._tell(
            RoomEventKind.PARTICIPANT_LEFT,
            session,
            guest,
            reason=DisconnectReason.DUPLICATE_IDENTITY,
        )
        self._wait(0.1)
        who = self._participant(session, guest.participant.identity)
        self._enter(session, Guest(who, guest.publishes))

    # --- tracks -------------------------------------------------------------------------------

    def _publish(self, session: Session, guest: Guest) -> None:
        track = self._new("TR")
        guest.tracks.append(track)
        self._tell(RoomEventKind.TRACK_PUBLISHED, session, guest, track)

    def _change_tracks(self, session: Session, guest: Guest) -> None:
        if not guest.publishes:
            return
        if len(guest.tracks) < 3 and self._random.random() < 0.5:
            self._publish(session, guest)
            return
        while guest.tracks:
            self._tell(RoomEventKind.TRACK_UNPUBLISHED, session, guest, guest.tracks.pop())
        if self._random.random() < 0.3:
            self._leave(session, guest)
        else:
            self._publish(session, guest)

    # --- who is there -------------------------------------------------------------------------

    def seen(self) -> tuple[RoomSeen, ...]:
        """Return the SFU's list of what is there."""
        return tuple(session.seen for session in self.sessions.values())

    def present(self) -> Iterator[tuple[Session, Guest]]:
        """Yield everybody who is there."""
        for session in self.sessions.values():
            for guest in session.guests.values():
                yield session, guest
