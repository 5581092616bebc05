"""Who is in a room, put together from joins, leaves and tracks that come in any order.

News of a connection that has left is old. A join under an identity that is present takes its place:
it is the same subject (LiveKit tells of the older connection that it left for DUPLICATE_IDENTITY,
which is never an end), unless the older one turns out to have left by itself.

Left to others: which session of a room is meant (`rooms`), lists of all who are there
(`room_comparison`).
"""

from __future__ import annotations

from collections.abc import Callable

from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.room_changes import (
    Change,
    LeftUnseen,
    MemberJoined,
    MemberLeft,
    PublishingStarted,
    RoomsFull,
)
from dispatcher.core.room_events import DisconnectReason, Participant, RoomEvent, RoomEventKind
from dispatcher.core.room_states import Member, RoomLimits, RoomState, bytes_of, key_of

# Stands for the tracks of who is listed as a publisher: the list has no names of theirs.
LISTED_TRACK = "listed"


class Membership:
    """Who is in rooms. `touch` is told which room, and which connection in it, is to be written down."""

    def __init__(self, limits: RoomLimits, touch: Callable[[RoomState, str], None]) -> None:
        self._limits = limits
        self._touch = touch

    def take(
        self,
        room: RoomState,
        participant: Participant,
        event: RoomEvent,
        now: Nanoseconds,
        changes: list[Change],
    ) -> None:
        """Take in what an event says of somebody. Raises RoomsFull, and nobody has come."""
        match event.kind:
            case RoomEventKind.PARTICIPANT_JOINED:
                self.join(room, participant, now, changes)
            case RoomEventKind.PARTICIPANT_LEFT:
                self._left(room, participant, event.reason, changes)
            case RoomEventKind.TRACK_PUBLISHED:
                self._published(room, participant, event.track_sid, now, changes)
            case RoomEventKind.TRACK_UNPUBLISHED:
                self._unpublished(room, participant, event.track_sid, now)
            case _:
                pass

    def restore(self, room: RoomState, member: Member) -> None:
        """Put back who was there when the server ended."""
        room.members[member.key] = member
        room.bytes_held += bytes_of(member.participant)
        if member.is_known:
            room.identities[member.participant.identity] = member
        if member.subject != member.key:
            room.successors[member.subject] = member

    # --- connections ----------------------------------------------------------------------------

    def join(
        self, room: RoomState, participant: Participant, now: Nanoseconds, changes: list[Change]
    ) -> Member | None:
        """Somebody is there; returns who, None for one who has left. Raises RoomsFull."""
        key = key_of(participant)
        if participant.sid and key in room.gone:
            return None
        member = room.members.get(key)
        if member is not None and member.is_known:
            if member.participant != participant:
                self._check_bytes(room, participant, member)
                _forget_identity(room, member)
                _describe(room, member, participant)
                member.is_replaced = False
                room.identities[participant.identity] = member
                self._touch(room, key)
                changes.append(MemberJoined(room, member))
            return member
        older = room.identities.get(participant.identity)
        if older is not None and _is_older(participant, older.participant):
            if member is not None:
                _take_out(room, member)
            self._note_gone(room, key)  # it has been replaced before its join was told
            return None
        self._check_bytes(room, participant, member, older)
        if older is not None:
            _take_out(room, older)
        if member is None:
            member = self._add(room, participant, now)
        else:  # known by its tracks
            _describe(room, member, participant)
            member.is_known = True
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

    def _check_bytes(
        self, room: RoomState, participant: Participant, *instead_of: Member | None
    ) -> None:
        """Raise RoomsFull if the room may not hold what is said of this participant as well."""
        held = room.bytes_held - sum(
            bytes_of(member.participant) for member in instead_of if member is not None
        )
        if held + bytes_of(participant) > self._limits.bytes_max:
            raise RoomsFull(
                f"room {room.info.name!r} would hold over {self._limits.bytes_max} bytes of its"
                " participants' metadata and attributes, which is the limit (rooms.bytes_max)"
            )

    def _add(self, room: RoomState, participant: Participant, now: Nanoseconds) -> Member:
        if len(room.members) >= self._limits.participants_max:
            raise RoomsFull(
                f"room {room.info.name!r} has {self._limits.participants_max} participants,"
                " which is the limit"
            )
        self._check_bytes(room, participant)
        member = Member(participant, now, key_of(participant))
        room.members[member.key] = member
        room.bytes_held += bytes_of(participant)
        self._touch(room, member.key)
        return member

    def _left(
        self,
        room: RoomState,
        participant: Participant,
        reason: DisconnectReason,
        changes: list[Change],
    ) -> None:
        key = _key_in(room, participant)
        is_news = key not in room.gone or key in room.missed
        room.missed.discard(key)
        member = room.members.get(key)
        is_replaced = reason is DisconnectReason.DUPLICATE_IDENTITY
        if member is not None:
            if is_replaced:
                member.is_replaced = True
                self._touch(room, key)
            else:
                self.remove(room, member, reason, changes)
            return
        if not is_replaced:
            self._part_from(room, key, participant, reason, changes)
            older = room.identities.get(participant.identity)
            if is_news and older is not None and _is_older(older.participant, participant):
                # Its join took the other's place, and was not told before its leave.
                self.remove(room, older, reason, changes)
            elif is_news:
                changes.append(LeftUnseen(room, participant, reason))
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

    def remove(
        self,
        room: RoomState,
        member: Member,
        reason: DisconnectReason,
        changes: list[Change],
        *,
        is_told: bool = True,
    ) -> None:
        """Somebody is not there any more; `is_told` False: a list did not have it."""
        _take_out(room, member)
        room.successors.pop(member.subject, None)
        _forget_identity(room, member)
        if member.participant.sid:
            self._note_gone(room, member.key)
        else:
            self._touch(room, member.key)
        changes.append(
            MemberLeft(
                room,
                member.participant,
                member.subject,
                member.jobs,
                reason,
                member.seen_at,
                is_told,
            )
        )

    def _note_gone(self, room: RoomState, key: str) -> None:
        room.gone[key] = None
        self._touch(room, key)
        if len(room.gone) > self._limits.gone_max:
            oldest = next(iter(room.gone))
            del room.gone[oldest]
            room.missed.discard(oldest)
            self._touch(room, oldest)

    # --- tracks -------------------------------------------------------------------------------

    def _track_owner(
        self, room: RoomState, participant: Participant, now: Nanoseconds
    ) -> Member | None:
        key = _key_in(room, participant)
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
        if track in member.tracks or len(member.tracks) >= self._limits.tracks_max:
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
        if len(member.gone_tracks) > self._limits.tracks_max:
            del member.gone_tracks[next(iter(member.gone_tracks))]
        self._touch(room, member.key)


def _is_older(connection: Participant, other: Participant) -> bool:
    """Is it certain that it joined before the other?"""
    return 0 < connection.joined_at < other.joined_at


def _take_out(room: RoomState, member: Member) -> None:
    del room.members[member.key]
    room.bytes_held -= bytes_of(member.participant)


def _describe(room: RoomState, member: Member, participant: Participant) -> None:
    """Keep what is said now of somebody who is there."""
    room.bytes_held += bytes_of(participant) - bytes_of(member.participant)
    member.participant = participant


def _key_in(room: RoomState, participant: Participant) -> str:
    """Return who is meant; without a sid, whoever has the identity."""
    if not participant.sid:
        member = room.identities.get(participant.identity)
        if member is not None:
            return member.key
    return key_of(participant)


def _forget_identity(room: RoomState, member: Member) -> None:
    identity = member.participant.identity
    if room.identities.get(identity) is member:
        del room.identities[identity]
