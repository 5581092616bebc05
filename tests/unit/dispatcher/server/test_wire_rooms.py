"""What LiveKit's webhooks and callers' reports are read as."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.core.room_events import (
    DisconnectReason,
    Participant,
    ParticipantKind,
    RoomEvent,
    RoomEventKind,
    RoomInfo,
)
from dispatcher.server.wire_rooms import Webhook, read_report, read_webhook
from protocol import api_pb2, wire_pb2
from protocol.errors import InvalidField, LimitExceeded, WireError
from protocol.limits import WireLimits
from tests.support.livekit_webhooks import BODIES, contents, encoded

LIMITS = WireLimits()
ROOM = {"name": "r", "sid": "RM_1"}
SECOND = 1_000_000_000

CALL_1 = RoomInfo("call-1", "RM_Ui3NvdfiDQ9X", created_at=1_795_258_013_330_000_000)
BARE_CALL_1 = RoomInfo("call-1", "RM_Ui3NvdfiDQ9X")
ALICE = Participant(
    "alice",
    "PA_uGKxBdeRiAHT",
    metadata='{"lang":"de"}',
    attributes={"tier": "gold"},
    joined_at=1_795_258_013_332_000_000,
)
BARE_ALICE = Participant("alice", "PA_uGKxBdeRiAHT")
AGENT = Participant(
    "agent-AJ_example",
    "PA_GYBUTsa5RXub",
    kind=ParticipantKind.AGENT,
    joined_at=1_795_258_013_396_000_000,
    is_agent=True,
)


def webhook(content: object) -> Webhook:
    """Read what LiveKit would send."""
    return read_webhook(encoded(content), "p", LIMITS)


def event_of(content: object) -> RoomEvent:
    """Read what LiveKit would send of a room."""
    event = webhook(content).event
    assert event is not None
    return event


def participant_of(**fields: Any) -> Participant:
    """Read a participant that joins."""
    joins = {"event": "participant_joined", "room": ROOM, "participant": fields}
    participant = event_of(joins).participant
    assert participant is not None
    return participant


# --- a room's life -----------------------------------------------------------------------------


def test_a_real_rooms_life_is_read_whole() -> None:
    read = [read_webhook(body, "p", LIMITS).event for body in BODIES]
    kind, left = RoomEventKind, DisconnectReason.CLIENT_INITIATED
    track, at = "TR_AMAxDn9cKgouo2", 1_795_258_013 * SECOND
    assert read == [
        RoomEvent(kind.ROOM_STARTED, "p", CALL_1, at=at),
        RoomEvent(kind.PARTICIPANT_JOINED, "p", CALL_1, ALICE, at=at),
        RoomEvent(kind.PARTICIPANT_JOINED, "p", CALL_1, AGENT, at=at),
        RoomEvent(kind.TRACK_PUBLISHED, "p", BARE_CALL_1, BARE_ALICE, track, at=at),
        RoomEvent(kind.TRACK_UNPUBLISHED, "p", BARE_CALL_1, BARE_ALICE, track, at=at + SECOND),
        RoomEvent(kind.PARTICIPANT_LEFT, "p", CALL_1, ALICE, reason=left, at=at + 2 * SECOND),
        RoomEvent(kind.PARTICIPANT_LEFT, "p", CALL_1, AGENT, reason=left, at=at + 3 * SECOND),
        RoomEvent(kind.ROOM_FINISHED, "p", CALL_1, at=at + 6 * SECOND),
    ]


def test_the_id_of_an_event_is_read() -> None:
    assert read_webhook(BODIES[0], "p", LIMITS).id == "EV_CDwihuHatPjq"


def test_nothing_of_the_turn_password_is_kept() -> None:
    password = contents()[0]["room"]["turnPassword"]
    assert password
    assert password not in repr(read_webhook(BODIES[0], "p", LIMITS))


@pytest.mark.parametrize(
    "name", ["participant_connection_aborted", "egress_started", "ingress_ended", "new_kind", ""]
)
def test_what_is_not_about_who_is_in_a_room_is_no_event(name: str) -> None:
    assert webhook({"event": name, "id": "EV_1", "room": 7}) == Webhook("EV_1", name, None)


# --- fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"creationTimeMs": "1500", "creationTime": "1"}, 1_500_000_000),
        ({"creationTime": "2"}, 2_000_000_000),
        ({"creationTime": 2}, 2_000_000_000),
        ({}, 0),
        ({"creationTime": "-5"}, 0),
        ({"creationTimeMs": str((1 << 63) - 1)}, 0),
    ],
)
def test_a_time_is_read_from_milliseconds_or_else_seconds(said: dict[str, Any], meant: int) -> None:
    started = event_of({"event": "room_started", "room": {**ROOM, **said}})
    assert started.room.created_at == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("AGENT", ParticipantKind.AGENT),
        ("SIP", ParticipantKind.SIP),
        (8, ParticipantKind.BRIDGE),
        (5, ParticipantKind.STANDARD),
        (77, ParticipantKind.STANDARD),
        ("KIOSK", ParticipantKind.STANDARD),
    ],
)
def test_a_kind_that_nobody_knows_is_standard(said: str | int, meant: ParticipantKind) -> None:
    assert participant_of(identity="ann", kind=said).kind is meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("DUPLICATE_IDENTITY", DisconnectReason.DUPLICATE_IDENTITY),
        (10, DisconnectReason.ROOM_CLOSED),
        (99, DisconnectReason.UNKNOWN_REASON),
        ("TELEPORTED", DisconnectReason.UNKNOWN_REASON),
    ],
)
def test_a_reason_that_nobody_knows_is_unknown(said: str | int, meant: DisconnectReason) -> None:
    who = {"identity": "ann", "disconnectReason": said}
    left = event_of({"event": "participant_left", "room": ROOM, "participant": who})
    assert left.reason is meant


@pytest.mark.parametrize(
    ("fields", "is_dependent"),
    [
        ({"kind": "AGENT"}, True),
        ({"kind": "EGRESS"}, True),
        ({"permission": {"agent": True}}, True),
        ({"permission": {"recorder": True}}, True),
        ({"kind": "SIP", "permission": {"canPublish": True}}, False),
    ],
)
def test_permissions_make_a_dependent(fields: dict[str, Any], is_dependent: bool) -> None:
    assert participant_of(identity="ann", **fields).is_dependent is is_dependent


def test_fields_that_no_schema_of_ours_has_are_ignored() -> None:
    content = {
        "event": "participant_joined",
        "news": [{"deep": 1}],
        "room": {**ROOM, "lobby": True},
        "participant": {"identity": "ann", "capabilities": ["CAP_NEWER"], "aura": "blue"},
    }
    assert event_of(content) == RoomEvent(
        RoomEventKind.PARTICIPANT_JOINED, "p", RoomInfo("r", "RM_1"), Participant("ann")
    )


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'"room_started"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"event": 7}',
        b'{"event": "room_started", "id": 7}',
        b'{"event": "room_started", "room": []}',
        b'{"event": "room_started", "room": {"name": 7}}',
        b'{"event": "room_started", "room": {"name": "r"}, "createdAt": "soon"}',
        b'{"event": "room_started", "room": {"name": "r", "creationTime": "%s"}}' % (b"9" * 30),
        b'{"event": "room_started", "room": {"name": "\\ud800"}}',
        b'{"event": "room_started", "id": "\\ud800", "room": {"name": "r"}}',
        b'{"event": "track_published", "room": {"name": "r"}, "track": {"sid": 7}}',
    ],
)
def test_a_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        read_webhook(body, "p", LIMITS)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"event": "room_started"}, "room.name"),
        ({"event": "room_started", "room": {"sid": "RM_1"}}, "room.name"),
        ({"event": "participant_left", "room": ROOM}, "participant.identity"),
        (
            {"event": "participant_joined", "room": ROOM, "participant": {"sid": "PA_1"}},
            "participant.identity",
        ),
    ],
)
def test_an_event_without_a_subject_is_refused(content: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        webhook(content)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("part", "fields", "field"),
    [
        ("room", {"name": "r" * 257}, "room.name"),
        ("room", {"name": "r", "sid": "s" * 257}, "room.sid"),
        ("room", {"name": "r", "metadata": "m" * (512 * 1024 + 1)}, "room.metadata"),
        ("participant", {"identity": "i" * 257}, "participant.identity"),
        ("participant", {"identity": "i", "sid": "s" * 257}, "participant.sid"),
        ("participant", {"identity": "i", "name": "n" * 257}, "participant.name"),
        (
            "participant",
            {"identity": "i", "metadata": "m" * (512 * 1024 + 1)},
            "participant.metadata",
        ),
        (
            "participant",
            {"identity": "i", "attributes": {"a": "v" * (64 * 1024)}},
            "participant.attributes",
        ),
        ("track", {"sid": "t" * 257}, "track.sid"),
    ],
)
def test_what_is_over_its_limit_is_refused_by_name(
    part: str, fields: dict[str, Any], field: str
) -> None:
    content = {
        "event": "track_published",
        "room": ROOM,
        "participant": {"identity": "ann"},
        part: fields,
    }
    with pytest.raises(LimitExceeded) as refused:
        webhook(content)
    assert refused.value.field == field


# --- reports of callers ------------------------------------------------------------------------------


def test_a_report_says_the_same_as_the_webhook() -> None:
    for content in contents():
        report = json_format.ParseDict(
            {
                "event": content["event"],
                "room": content["room"],
                "participant": content.get("participant", {}),
                "track_sid": content.get("track", {}).get("sid", ""),
                "created_at": content["createdAt"],
            },
            api_pb2.RoomEvent(),
            ignore_unknown_fields=True,
        )
        assert read_report(report, "p", LIMITS) == event_of(content)


def test_a_report_of_an_unknown_event_names_those_that_there_are() -> None:
    report = api_pb2.RoomEvent(event="egress_started", room=wire_pb2.Room(name="r"))
    with pytest.raises(InvalidField, match=r"event\.event is not one of room_started, "):
        read_report(report, "p", LIMITS)


def test_a_report_needs_neither_sids_nor_times() -> None:
    report = api_pb2.RoomEvent(
        event="track_published",
        room=wire_pb2.Room(name="r"),
        participant=wire_pb2.ParticipantInfo(identity="ann"),
    )
    assert read_report(report, "p", LIMITS) == RoomEvent(
        RoomEventKind.TRACK_PUBLISHED, "p", RoomInfo("r"), Participant("ann")
    )


def test_the_cores_enums_are_the_wires() -> None:
    kinds = {kind.name: int(kind) for kind in ParticipantKind}
    reasons = {reason.name: int(reason) for reason in DisconnectReason}
    assert kinds == dict(wire_pb2.ParticipantInfo.Kind.items())
    assert reasons == dict(wire_pb2.DisconnectReason.items())


# --- whatever comes ------------------------------------------------------------------------------

FIELDS = [
    *("event", "id", "room", "participant", "track", "createdAt"),
    *("name", "sid", "metadata", "creationTime", "creationTimeMs", "enabledCodecs", "version"),
    *("identity", "kind", "attributes", "permission", "agent", "joinedAt", "joinedAtMs"),
    *("disconnectReason", "isPublisher", "tracks"),
]

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([kind.value for kind in RoomEventKind])
    | st.sampled_from(["AGENT", "CLIENT_INITIATED", "9223372036854775807"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=30,
)


def _read_or_refuse(body: bytes) -> None:
    try:
        read = read_webhook(body, "p", LIMITS)
    except WireError:
        return
    assert read.event is None or read.event.room.name


@settings(max_examples=500)
@given(st.sampled_from([kind.value for kind in RoomEventKind]), VALUES, VALUES, VALUES)
def test_any_json_is_read_or_refused(name: str, room: Any, participant: Any, track: Any) -> None:
    content = {"event": name, "room": room, "participant": participant, "track": track}
    _read_or_refuse(json.dumps(content).encode())


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    _read_or_refuse(body)


@settings(max_examples=500)
@given(st.sampled_from(BODIES), st.data())
def test_a_real_body_with_any_damage_is_read_or_refused(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    length = data.draw(st.integers(0, 20))
    put = data.draw(st.binary(max_size=5))
    _read_or_refuse(body[:at] + put + body[at + length :])
