"""What a person may say of an event, before any server hears it."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.cli import rooms
from dispatcher.core.room_events import RoomEventKind
from protocol.errors import ConfigError


@pytest.mark.parametrize(
    ("event", "options", "why"),
    [
        ("party", {}, "EVENT: must be one of room_started, "),
        ("room_started", {"identity": "ann"}, "--identity: room_started has no place for it"),
        ("room_finished", {"reason": "room_closed"}, "--reason: room_finished has no place"),
        ("participant_joined", {}, "missing --identity: "),
        ("participant_joined", {"participant_sid": "PA_1"}, "missing --identity: "),
        ("participant_left", {}, "missing --identity or --participant-sid: "),
        ("participant_left", {"identity": "ann", "reason": "bored"}, "--reason: must be one of "),
        ("participant_joined", {"identity": "ann", "kind": "robot"}, "--kind: must be one of "),
        ("participant_joined", {"identity": "ann", "track_sid": "TR_1"}, "--track-sid: "),
        ("track_published", {"identity": "ann", "attribute": ["a=b"]}, "--attribute: "),
        ("participant_joined", {"identity": "ann", "attribute": ["a"]}, "--attribute: must be KEY"),
    ],
)
def test_an_event_that_makes_no_sense_is_refused(
    event: str, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        rooms.event(event, room="r", **options)
    assert str(refused.value).startswith(why)


def test_every_event_has_its_places() -> None:
    assert list(rooms.PLACES) == [kind.value for kind in RoomEventKind]
