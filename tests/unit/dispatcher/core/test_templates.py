"""Templates: which values they take, what is missing, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.room_events import Participant, ParticipantKind, RoomInfo
from dispatcher.core.rules import NotUnderstood
from dispatcher.core.templates import fill, fill_values, template

ROOM = RoomInfo("call-1", "RM_1", '{"customer": {"id": 7, "name": "Ann", "vip": true}, "x": null}')
ANN = Participant(
    "ann",
    "PA_1",
    name="Ann A.",
    kind=ParticipantKind.SIP,
    metadata='{"lines": [{"number": "+49"}]}',
    attributes={"tier": "gold", "sip.phoneNumber": "+1"},
)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("{room.name}/{room.sid}", "call-1/RM_1"),
        ("{room.metadata.customer.id}", "7"),
        ("{room.metadata.customer.name}", "Ann"),
        ("{room.metadata.customer.vip}", "true"),
        ("{room.metadata.customer}", '{"id":7,"name":"Ann","vip":true}'),
        ("{room.metadata}", ROOM.metadata),
        ("{participant.identity} {participant.sid} {participant.name}", "ann PA_1 Ann A."),
        ("{participant.kind}", "SIP"),
        ("{participant.attributes.tier}", "gold"),
        ("{participant.attributes.sip.phoneNumber}", "+1"),
        ("{participant.metadata.lines[0].number}", "+49"),
        ('{{"room": "{room.name}"}}', '{"room": "call-1"}'),
        ("{{{room.name}}}", "{call-1}"),
    ],
)
def test_a_template_takes_values_of_room_and_participant(text: str, filled: str) -> None:
    assert fill(text, ROOM, ANN, 1000) == filled


@pytest.mark.parametrize(
    "text",
    [
        "{room.metadata.nothing}",
        "{room.metadata.x}",
        "{room.metadata.customer[0]}",
        "{participant.attributes.other}",
        "{participant.metadata.lines[5].number}",
    ],
)
def test_what_is_missing_is_an_empty_text(text: str) -> None:
    assert fill(f"<{text}>", ROOM, ANN, 1000) == "<>"


def test_nobody_is_an_empty_text_everywhere() -> None:
    text = (
        "<{participant.identity}{participant.name}{participant.sid}{participant.kind}"
        "{participant.attributes.tier}{participant.metadata}{participant.metadata.a}>"
    )
    assert fill(text, ROOM, None, 1000) == "<>"


def test_metadata_that_is_no_json_has_no_values_but_is_a_text() -> None:
    room = RoomInfo("r", metadata="not json")
    assert fill("<{room.metadata.a}>{room.metadata}", room, None, 1000) == "<>not json"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{foo.bar}", "{foo.bar}, which begins neither with room nor with participant"),
        ("{}", "{}, which begins neither"),
        ("{room}", "{room}, but a room has only name, sid, metadata"),
        ("{room.nme}", "{room.nme}, but a room has only name"),
        ("{participant.tier}", "a participant has only identity"),
        ("{participant.attributes}", "names no attribute"),
        ("{room.name.first}", "room.name has nothing below it"),
        ("{room.metadata.}", "ends with a dot"),
        ("{room.metadata.a..b}", "'a..b', which is not a path"),
        ("a { b", "a '{' that stands alone, at character 3"),
        ("a } b", "a '}' that stands alone, at character 3"),
        ('{"a": 1}', "which begins neither"),
    ],
)
def test_what_is_wrong_with_a_template_is_named(text: str, reason: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        template(text)
    assert reason in str(refused.value)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200), st.integers(0, 50))
def test_what_a_template_makes_is_cut_at_a_character(name: str, bytes_max: int) -> None:
    made = fill("ä{participant.name}ö", ROOM, Participant("p", name=name), bytes_max)
    assert len(made.encode()) <= bytes_max
    assert f"ä{name}ö".startswith(made)
    if len(f"ä{name}ö".encode()) <= bytes_max:
        assert made == f"ä{name}ö"


def test_a_value_that_is_taken_often_makes_no_text_over_the_bound() -> None:
    participant = Participant("p", metadata="x" * 500_000)
    assert len(fill("{participant.metadata}" * 20_000, ROOM, participant)) == 512 * 1024


def test_filled_attributes_are_bounded_together() -> None:
    participant = Participant("p", metadata="x" * 100)
    texts = dict.fromkeys("cab", "{participant.metadata}")
    filled = fill_values(texts, ROOM, participant, 153)
    assert {name: len(value) for name, value in filled.items()} == {"a": 100, "b": 50, "c": 0}
