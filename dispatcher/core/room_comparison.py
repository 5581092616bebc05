"""What is known of rooms, held against the SFU's own list: what was lost is mended.

A list is older than what was seen after it was asked for, and may miss who joined a moment before:
whom one list misses, a later one may have again.

Left to others: asking for lists (`dispatcher.sfu`), what news means (`rooms`, `membership`).
"""

from __future__ import annotations

from dispatcher.core.events import RoomsListed
from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.membership import LISTED_TRACK
from dispatcher.core.room_changes import Change, PublishingStarted, RoomsFull
from dispatcher.core.room_events import DisconnectReason, Participant, RoomSeen
from dispatcher.core.room_states import RoomState, key_of
from dispatcher.core.rooms import Rooms


def compare(rooms: Rooms, listed: RoomsListed, now: Nanoseconds) -> list[Change]:
    """Hold what is known against the SFU's own list. What a bound refuses is left out."""
    changes: list[Change] = []
    names: set[str] = set()
    for seen in listed.rooms:
        names.add(seen.room.name)
        try:
            room = rooms.session(listed.project, seen.room, now, changes)
        except RoomsFull:
            continue  # as many as the bound allows are there
        if room is not None:
            _compare_room(rooms, room, seen, listed.asked_at, now, changes)
    if listed.others_gone:
        for room in list(rooms.rooms.values()):
            if (
                room.project == listed.project
                and room.info.name not in names
                and room.seen_at < listed.asked_at
            ):
                rooms.close(room, now, changes)
    return changes


def _compare_room(
    rooms: Rooms,
    room: RoomState,
    seen: RoomSeen,
    asked_at: Nanoseconds,
    now: Nanoseconds,
    changes: list[Change],
) -> None:
    present: set[str] = set()
    for participant in seen.participants:
        present.add(key_of(participant))
        is_publisher = participant.sid in seen.publishers
        _compare_member(rooms, room, participant, is_publisher, asked_at, now, changes)
    for member in list(room.members.values()):
        # Who was replaced waits for who took the place, who may come after the list was made.
        if member.key not in present and member.seen_at < asked_at and not member.is_replaced:
            reason = DisconnectReason.UNKNOWN_REASON
            rooms.members.remove(room, member, reason, changes, is_told=False)
            if member.key in room.gone:
                room.missed.add(member.key)


def _compare_member(
    rooms: Rooms,
    room: RoomState,
    participant: Participant,
    is_publisher: bool,
    asked_at: Nanoseconds,
    now: Nanoseconds,
    changes: list[Change],
) -> None:
    key = key_of(participant)
    if key in room.missed:
        room.missed.remove(key)
        del room.gone[key]
    try:
        member = rooms.members.join(room, participant, now, changes)
    except RoomsFull:
        return  # who has left makes room for the next list
    if member is None:
        return
    if is_publisher and not member.tracks:
        member.tracks.add(LISTED_TRACK)
        rooms.touch(room, member)
        changes.append(PublishingStarted(room, member))
    elif member.tracks and not is_publisher and member.seen_at < asked_at:
        member.tracks.clear()
        rooms.touch(room, member)
