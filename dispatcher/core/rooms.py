"""Rooms and who is in them, put together from events that come twice, late, in any order, or never.

What an event says is held against the sids: news of a session that is over, or of a connection that
has left, is old. A join under an identity that is present takes its place: it is the same subject
(LiveKit tells of the older connection that it left for DUPLICATE_IDENTITY, which is never an end),
unless the older one turns out to have left by itself. A list of the SFU's mends what was lost.

`Rooms` answers each piece of news with what changed by it, in order. Left to others: what follows
from a change (`ordering`, `sightings`), what is durable of it (`observing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from dispatcher.core.events import RoomsListed
from dispatcher.core.jobs import SECOND, Dispatch, Nanoseconds
from dispatcher.core.room_events import (
    DisconnectReason,
    Participant,
    RoomEvent,
    RoomEventKind,
    RoomInfo,
    RoomSeen,
)

# Stands for the tracks of who is listed as a publisher: the list has no names of theirs.
LISTED_TRACK = "listed"

RoomKey = tuple[str, str]  # project, name


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """Bounds of what is remembered of rooms."""

    rooms_max: int = 100_000
    participants_max: int = 10_000  # in one room
    tracks_max: int = 64  # of one participant, and as many that are gone
    # participants of one room, and sessions of rooms, that are known to be gone
    gone_max: int = 1_000
    over_max: int = 100_000
    # Rooms whose creation was asked for and that have not started, and how long that is waited for.
    announced_max: int = 1_000
    announced_time: Nanoseconds = 60 * SECOND
    # How long a connection that left for DUPLICATE_IDENTITY waits for the one that took its place.
    succession_time: Nanoseconds = 10 * SECOND
    # How long news of a session that is over may come late (a webhook is valid for 5 minutes).
    over_time: Nanoseconds = 600 * SECOND


class RoomsFull(Exception):
    """A bound is reached; the text names it. `changes` are what was learned of the room all the same."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.changes: list[Change] = []


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

    @property
    def key(self) -> RoomKey:
        """What it is known by."""
        return self.project, self.info.name


def key_of(participant: Participant) -> str:
    """Return what a connection is known by: its sid, or where there is none its identity."""
    return participant.sid or f"identity:{participant.identity}"


# --- what changed ------------------------------------------------------------------------------


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
    # when it was first seen; 0: it was never seen
    seen_at: Nanoseconds = 0


Change = RoomOpened | RoomClosed | MemberJoined | PublishingStarted | MemberLeft


class Rooms:
    """All rooms that are there."""

    def __init__(self, limits: RoomLimits | None = None) -> None:
        self.limits = limits or RoomLimits()
        self.rooms: dict[RoomKey, RoomState] = {}
        # rooms that are about to be created and name their agents, until when that is believed
        self.announced: dict[RoomKey, Nanoseconds] = {}
        # sessions that are over, by project and sid, until when that is remembered; oldest first
        self.over: dict[tuple[str, str], Nanoseconds] = {}
        # those of them that have to be written down
        self.newly_over: list[tuple[str, str]] = []
        # what has to be written down: rooms, and connections of rooms by key
        self.touched: dict[tuple[str, str, str | None], None] = {}

    # --- news ---------------------------------------------------------------------------------

    def take(self, event: RoomEvent, now: Nanoseconds) -> list[Change]:
        """Take in one event. Raises RoomsFull, and nobody has come."""
        changes: list[Change] = []
        if event.kind is RoomEventKind.ROOM_FINISHED:
            self._finished(event, now, changes)
            return changes
        room = self._session(event.project, event.room, now, changes, event.at)
        participant = event.participant
        if room is None or participant is None:
            return changes
        try:
            self._take_of(room, participant, event, now, changes)
        except RoomsFull as full:
            full.changes = changes
            raise
        return changes

    def _take_of(
        self,
        room: RoomState,
        participant: Participant,
        event: RoomEvent,
        now: Nanoseconds,
        changes: list[Change],
    ) -> None:
        match event.kind:
            case RoomEventKind.PARTICIPANT_JOINED:
                self._joined(room, participant, now, changes)
            case RoomEventKind.PARTICIPANT_LEFT:
                self._left(room, participant, event.reason, changes)
            case RoomEventKind.TRACK_PUBLISHED:
                self._published(room, participant, event.track_sid, now, changes)
            case RoomEventKind.TRACK_UNPUBLISHED:
                self._unpublished(room, participant, event.track_sid, now)
            case _:
                pass

    def announce(self, key: RoomKey, now: Nanoseconds) -> None:
        """A session is about to begin that names its agents; the end of the last may not be told yet."""
        self.announced.pop(key, None)
        while len(self.announced) >= self.limits.announced_max:
            del self.announced[next(iter(self.announced))]
        self.announced[key] = now + self.limits.announced_time

    def compare(self, listed: RoomsListed, now: Nanoseconds) -> list[Change]:
        """Hold what is known against the SFU's own list. What a bound refuses is left out."""
        changes: list[Change] = []
        names: set[str] = set()
        for seen in listed.rooms:
            names.add(seen.room.name)
            try:
                self._compare_room(listed, seen, now, changes)
            except RoomsFull:
                continue  # as many as the bound allows are there
        if listed.others_gone:
            for room in list(self.rooms.values()):
                if (
                    room.project == listed.project
                    and room.info.name not in names
                    and room.seen_at < listed.asked_at
                ):
                    self._close(room, now, changes)
        return changes

    def succession_ended(self, project: str, name: str, key: str) -> list[Change]:
        """Nobody took the place of a connection that was said to be replaced: it left."""
        changes: list[Change] = []
        room = self.rooms.get((project, name))
        member = room.members.get(key) if room is not None else None
        if room is not None and member is not None and member.is_replaced:
            self._remove(room, member, DisconnectReason.DUPLICATE_IDENTITY, changes)
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

    # --- rooms --------------------------------------------------------------------------------

    def _session(
        self,
        project: str,
        info: RoomInfo,
        now: Nanoseconds,
        changes: list[Change],
        at: Nanoseconds = 0,
    ) -> RoomState | None:
        """Return the session that is meant, opening it if it is new; None if it is over."""
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
            self._close(room, now, changes)  # its end was not told
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
                self._close(room, now, changes)
        if info.sid:
            self._note_over(event.project, info.sid, now)

    def _close(self, room: RoomState, now: Nanoseconds, changes: list[Change]) -> None:
        del self.rooms[room.key]
        if room.info.sid:
            self._note_over(room.project, room.info.sid, now)
        self._touch(room)
        changes.append(RoomClosed(room))

    def _note_over(self, project: str, sid: str, now: Nanoseconds) -> None:
        self.over.pop((project, sid), None)
        self.over[project, sid] = now + self.limits.over_time
        self.newly_over.append((project, sid))

    # --- who is in them -----------------------------------------------------------------------

    def _joined(
        self, room: RoomState, participant: Participant, now: Nanoseconds, changes: list[Change]
    ) -> Member | None:
        key = key_of(participant)
        if participant.sid and key in room.gone:
            return None
        member = room.members.get(key)
        if member is not None and member.is_known:
            if member.participant != participant:
                self._forget_identity(room, member)
                member.participant = participant
                member.is_replaced = False
                room.identities[participant.identity] = member
                self._touch(room, key)
                changes.append(MemberJoined(room, member))
            return member
        older = room.identities.get(participant.identity)
        if older is not None and 0 < participant.joined_at < older.participant.joined_at:
            room.members.pop(key, None)
            self._note_gone(room, key)  # it has been replaced before its join was told
            return None
        if older is not None:
            del room.members[older.key]
        if member is None:
            member = self._add(room, participant, now)
        else:  # known by its tracks
            member.participant, member.is_known = participant, True
            self._touch(room, key)
        room.identities[participant.identity] = member
        if older is not None:
            member.subject, member.jobs = older.subject, older.jobs
            room.successors[member.subject] = member
            self._note_gone(room, older.key)
        changes.append(MemberJoined(room, member))
        if member.is_publisher:
            changes.append(PublishingStarted(room, member))
        return member

    def _add(self, room: RoomState, participant: Participant, now: Nanoseconds) -> Member:
        if len(room.members) >= self.limits.participants_max:
            raise RoomsFull(
                f"room {room.info.name!r} has {self.limits.participants_max} participants,"
                " which is the limit"
            )
        member = Member(participant, now, key_of(participant))
        room.members[member.key] = member
        self._touch(room, member.key)
        return member

    def _left(
        self,
        room: RoomState,
        participant: Participant,
        reason: DisconnectReason,
        changes: list[Change],
    ) -> None:
        key = self._key_in(room, participant)
        room.missed.discard(key)
        member = room.members.get(key)
        is_replaced = reason is DisconnectReason.DUPLICATE_IDENTITY
        if member is not None:
            if is_replaced:
                member.is_replaced = True
                self._touch(room, key)
            else:
                self._remove(room, member, reason, changes)
            return
        if not is_replaced:
            self._part_from(room, key, participant, reason, changes)
        if participant.sid:
            self._note_gone(room, key)

    def _part_from(
        self,
        room: RoomState,
        key: str,
        participant: Participant,
        reason: DisconnectReason,
        changes: list[Change],
    ) -> None:
        """Whose place was thought to be taken had left by itself: who came after is another."""
        member = room.successors.pop(key, None)
        if member is None:
            return
        changes.append(MemberLeft(room, participant, key, member.jobs, reason))
        member.subject, member.jobs = member.key, {}
        self._touch(room, member.key)
        changes.append(MemberJoined(room, member))
        if member.is_publisher:
            changes.append(PublishingStarted(room, member))

    def _remove(
        self, room: RoomState, member: Member, reason: DisconnectReason, changes: list[Change]
    ) -> None:
        del room.members[member.key]
        room.successors.pop(member.subject, None)
        self._forget_identity(room, member)
        if member.participant.sid:
            self._note_gone(room, member.key)
        else:
            self._touch(room, member.key)
        changes.append(
            MemberLeft(
                room, member.participant, member.subject, member.jobs, reason, member.seen_at
            )
        )

    def _key_in(self, room: RoomState, participant: Participant) -> str:
        """Return who is meant; without a sid, whoever has the identity."""
        if not participant.sid:
            member = room.identities.get(participant.identity)
            if member is not None:
                return member.key
        return key_of(participant)

    def _forget_identity(self, room: RoomState, member: Member) -> None:
        identity = member.participant.identity
        if room.identities.get(identity) is member:
            del room.identities[identity]

    def _note_gone(self, room: RoomState, key: str) -> None:
        room.gone[key] = None
        self._touch(room, key)
        if len(room.gone) > self.limits.gone_max:
            oldest = next(iter(room.gone))
            del room.gone[oldest]
            room.missed.discard(oldest)
            self._touch(room, oldest)

    # --- tracks -------------------------------------------------------------------------------

    def _track_owner(
        self, room: RoomState, participant: Participant, now: Nanoseconds
    ) -> Member | None:
        key = self._key_in(room, participant)
        if participant.sid and key in room.gone:
            return None
        member = room.members.get(key)
        if member is None:
            member = self._add(room, participant, now)
            member.is_known = False
        return member

    def _published(
        self,
        room: RoomState,
        participant: Participant,
        track: str,
        now: Nanoseconds,
        changes: list[Change],
    ) -> None:
        member = self._track_owner(room, participant, now)
        if member is None or track in member.gone_tracks:
            return
        if track in member.tracks or len(member.tracks) >= self.limits.tracks_max:
            return
        member.tracks.add(track)
        self._touch(room, member.key)
        if len(member.tracks) == 1 and member.is_known:
            changes.append(PublishingStarted(room, member))

    def _unpublished(
        self, room: RoomState, participant: Participant, track: str, now: Nanoseconds
    ) -> None:
        member = self._track_owner(room, participant, now)
        if member is None:
            return
        member.tracks.discard(track)
        member.tracks.discard(LISTED_TRACK)
        member.gone_tracks[track] = None
        if len(member.gone_tracks) > self.limits.tracks_max:
            del member.gone_tracks[next(iter(member.gone_tracks))]
        self._touch(room, member.key)

    # --- the SFU's list -----------------------------------------------------------------------

    def _compare_room(
        self, listed: RoomsListed, seen: RoomSeen, now: Nanoseconds, changes: list[Change]
    ) -> None:
        room = self._session(listed.project, seen.room, now, changes)
        if room is None:
            return
        present: set[str] = set()
        for participant in seen.participants:
            key = key_of(participant)
            present.add(key)
            if key in room.missed:
                room.missed.remove(key)
                del room.gone[key]
            try:
                member = self._joined(room, participant, now, changes)
            except RoomsFull:
                continue  # who has left makes room for the next list
            if member is None:
                continue
            if participant.sid in seen.publishers and not member.tracks:
                member.tracks.add(LISTED_TRACK)
                self._touch(room, member.key)
                changes.append(PublishingStarted(room, member))
            elif (
                member.tracks
                and participant.sid not in seen.publishers
                and member.seen_at < listed.asked_at
            ):
                member.tracks.clear()
                self._touch(room, member.key)
        for member in list(room.members.values()):
            if member.key not in present and member.seen_at < listed.asked_at:
                reason = DisconnectReason.UNKNOWN_REASON
                if member.is_replaced:
                    reason = DisconnectReason.DUPLICATE_IDENTITY
                self._remove(room, member, reason, changes)
                if member.key in room.gone:
                    room.missed.add(member.key)

    def restore(self, room: RoomState, member: Member) -> None:
        """Put back who was there when the server ended."""
        room.members[member.key] = member
        if member.is_known:
            room.identities[member.participant.identity] = member
        if member.subject != member.key:
            room.successors[member.subject] = member

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
