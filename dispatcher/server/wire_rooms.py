"""Rooms between the wire's messages and the core's values: LiveKit's webhooks, reports, views.

What an SFU says of a room or a participant is taken from here alone. Fields that we do not know are
left out, numbers that no enum of ours has become its first value, and of a room's secrets
(turn_password) nothing is kept. Texts are held to the wire's limits before the core sees them.

Left to others: whether a webhook is genuine (`webhooks`), and whether an event is news
(`room_reports`, and for its content `rooms` and `membership` of the core).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from dispatcher.core.jobs import MILLISECOND, SECOND, Nanoseconds
from dispatcher.core.made_jobs import all_ids
from dispatcher.core.room_events import (
    DisconnectReason,
    Participant,
    ParticipantKind,
    RoomEvent,
    RoomEventKind,
    RoomInfo,
)
from dispatcher.core.room_states import Member, RoomState
from protocol import api_pb2, wire_pb2
from protocol.errors import InvalidField, TwirpCode, TwirpError
from protocol.limits import (
    WireLimits,
    check_attributes,
    check_identity,
    check_metadata,
    check_room_name,
    check_text,
)

# What the store can hold of a time; the SFU's are 64-bit numbers of larger units.
_NANOSECONDS_END = 1 << 63
_DEPTH_MAX = 100

_EVENT_KINDS = {kind.value: kind for kind in RoomEventKind}
_KINDS = {int(kind): kind for kind in ParticipantKind}
_REASONS = {int(reason): reason for reason in DisconnectReason}

_OF_ROOM = (RoomEventKind.ROOM_STARTED, RoomEventKind.ROOM_FINISHED)
_OF_TRACK = (RoomEventKind.TRACK_PUBLISHED, RoomEventKind.TRACK_UNPUBLISHED)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook of LiveKit's. `event` is None for what is not about who is in a room."""

    id: str
    name: str
    event: RoomEvent | None


# --- what is told to us ---


def room_info(room: wire_pb2.Room) -> RoomInfo:
    """Return what is kept of a room (LiveKit's Room)."""
    return RoomInfo(
        name=room.name,
        sid=room.sid,
        metadata=room.metadata,
        created_at=_moment(room.creation_time_ms, room.creation_time),
    )


def participant(info: wire_pb2.ParticipantInfo) -> Participant:
    """Return what is kept of a participant (LiveKit's ParticipantInfo)."""
    return Participant(
        identity=info.identity,
        sid=info.sid,
        name=info.name,
        kind=_KINDS.get(info.kind, ParticipantKind.STANDARD),
        metadata=info.metadata,
        attributes=dict(info.attributes),
        joined_at=_moment(info.joined_at_ms, info.joined_at),
        is_agent=info.permission.agent,
        is_recorder=info.permission.recorder,
    )


def read_webhook(body: bytes, project: str, limits: WireLimits) -> Webhook:
    """Read the body of a webhook, which is LiveKit's WebhookEvent as JSON. Raises WireError."""
    content = _json_object(body)
    name, event_id = _text(content, "event"), _text(content, "id")
    check_text("id", event_id, limits.label_bytes_max)
    if name not in _EVENT_KINDS:
        return Webhook(event_id, name, None)
    message = wire_pb2.WebhookEvent()
    try:
        json_format.ParseDict(
            content, message, ignore_unknown_fields=True, max_recursion_depth=_DEPTH_MAX
        )
    except (
        json_format.ParseError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ):
        raise _unreadable("is not a LiveKit event") from None
    # Of a track only this is read, so its message is not in our schema.
    track = content.get("track")
    track_sid = _text(track, "sid") if isinstance(track, dict) else ""
    return Webhook(
        event_id,
        name,
        _room_event(
            name,
            message.room,
            message.participant,
            track_sid,
            message.created_at,
            project,
            limits,
        ),
    )


def read_report(report: api_pb2.RoomEvent, project: str, limits: WireLimits) -> RoomEvent:
    """Read an event that a caller reports. Raises WireError."""
    check_text("event.id", report.id, limits.label_bytes_max)
    if report.event not in _EVENT_KINDS:
        raise InvalidField("event.event", f"is not one of {', '.join(_EVENT_KINDS)}")
    return _room_event(
        report.event,
        report.room,
        report.participant,
        report.track_sid,
        report.created_at,
        project,
        limits,
    )


def _room_event(
    name: str,
    room: wire_pb2.Room,
    info: wire_pb2.ParticipantInfo,
    track_sid: str,
    created_at_seconds: int,
    project: str,
    limits: WireLimits,
) -> RoomEvent:
    kind = _EVENT_KINDS[name]
    _check_room(room, limits)
    at = _moment(0, created_at_seconds)
    if kind in _OF_ROOM:
        return RoomEvent(kind, project, room_info(room), at=at)
    _check_participant(kind, info, limits)
    if kind not in _OF_TRACK:
        track_sid = ""
    check_text("track.sid", track_sid, limits.label_bytes_max)
    reason = DisconnectReason.UNKNOWN_REASON
    if kind is RoomEventKind.PARTICIPANT_LEFT:
        reason = _REASONS.get(info.disconnect_reason, reason)
    return RoomEvent(
        kind, project, room_info(room), participant(info), track_sid, reason=reason, at=at
    )


def _check_room(room: wire_pb2.Room, limits: WireLimits) -> None:
    if not room.name:
        raise InvalidField("room.name", "is missing")
    check_room_name("room.name", room.name, limits)
    check_text("room.sid", room.sid, limits.label_bytes_max)
    check_metadata("room.metadata", room.metadata, limits)


def _check_participant(
    kind: RoomEventKind, info: wire_pb2.ParticipantInfo, limits: WireLimits
) -> None:
    # Who joins is known by an identity from then on; later its sid is enough.
    if not info.identity and (kind is RoomEventKind.PARTICIPANT_JOINED or not info.sid):
        raise InvalidField("participant.identity", "is missing")
    check_identity("participant.identity", info.identity, limits)
    check_text("participant.sid", info.sid, limits.label_bytes_max)
    check_text("participant.name", info.name, limits.participant_name_bytes_max)
    check_metadata("participant.metadata", info.metadata, limits)
    check_attributes("participant.attributes", info.attributes, limits)


def _moment(milliseconds: int, seconds: int) -> Nanoseconds:
    """Return a moment that is told in two units, 0 where neither says one that can be."""
    at = milliseconds * MILLISECOND if milliseconds > 0 else seconds * SECOND
    return at if 0 < at < _NANOSECONDS_END else 0


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise _unreadable("is not JSON") from None
    if not isinstance(content, dict):
        raise _unreadable("is not a JSON object")
    return content


def _text(content: dict[str, Any], field: str) -> str:
    value = content.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidField(field, "is not a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidField(field, "is not Unicode text") from None
    return value


def _unreadable(reason: str) -> TwirpError:
    return TwirpError(TwirpCode.MALFORMED, f"the body {reason}")


# --- what is told of them ---


def fill_room(record: api_pb2.RoomRecord, room: RoomState) -> None:
    """Fill an empty record with a room, without who is in it."""
    record.name = room.info.name
    record.sid = room.info.sid
    record.metadata = room.info.metadata
    record.started_at = room.started_at
    record.num_participants = len(room.members)
    record.job_ids.extend(sorted(all_ids(room.jobs)))


def fill_participant(record: api_pb2.ParticipantRecord, member: Member) -> None:
    """Fill an empty record with somebody who is in a room."""
    known = member.participant
    record.sid = known.sid
    record.identity = known.identity
    record.name = known.name
    record.kind = known.kind.name
    record.metadata = known.metadata
    record.attributes.update(known.attributes)
    record.joined_at = known.joined_at
    record.is_publisher = member.is_publisher
    record.job_ids.extend(sorted(all_ids(member.jobs)))
