"""The first condition of a rule that fails, with what was wanted and what was found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.core.conditions import Mismatch, mismatch
from dispatcher.core.jobs import JobType
from dispatcher.core.room_events import Participant, ParticipantKind, RoomInfo
from dispatcher.core.rules import Match, Rule

ROOM = RoomInfo("call-1", "RM_1", '{"plan": "free", "seats": 1}')
ANN = Participant("ann", "PA_1", metadata='{"age": 30}', attributes={"tier": "gold"})
AGENT = Participant("agent-1", kind=ParticipantKind.AGENT, is_agent=True)

# Every condition, in the order in which they are tested; ANN in ROOM meets all.
ALL = Rule(
    "all",
    JobType.PARTICIPANT,
    "greeter",
    Match(
        room="call-*",
        room_metadata={"plan": "free", "seats": 1},
        identities=("bob", "a*"),
        kinds=frozenset({ParticipantKind.STANDARD, ParticipantKind.SIP}),
        attributes={"tier": "gold"},
        metadata={"age": 30},
    ),
)


def test_a_rule_whose_conditions_all_hold_has_no_mismatch() -> None:
    assert mismatch(ALL, ROOM, ANN) is None


@pytest.mark.parametrize(
    ("room", "participant", "expected"),
    [
        (replace(ROOM, name="x"), ANN, Mismatch("match.room", "call-*", "x")),
        (
            replace(ROOM, metadata='{"plan": "paid", "seats": 2}'),
            ANN,
            Mismatch("match.room_metadata.plan", '"free"', '"paid"'),
        ),
        (
            replace(ROOM, metadata='{"plan": "free", "seats": true}'),
            ANN,
            Mismatch("match.room_metadata.seats", "1", "true"),
        ),
        (
            replace(ROOM, metadata="not json"),
            ANN,
            Mismatch("match.room_metadata.plan", '"free"', "nothing"),
        ),
        (ROOM, None, Mismatch("type", "participant", "nobody")),
        (
            ROOM,
            replace(ANN, kind=ParticipantKind.INGRESS),
            Mismatch("match.kind", "STANDARD or SIP", "INGRESS"),
        ),
        (
            ROOM,
            replace(ANN, identity="carl"),
            Mismatch("match.identity", "bob or a*", "carl"),
        ),
        (
            ROOM,
            replace(ANN, attributes={"tier": "tin"}),
            Mismatch("match.attributes.tier", '"gold"', '"tin"'),
        ),
        (ROOM, replace(ANN, attributes={}), Mismatch("match.attributes.tier", '"gold"', "nothing")),
        (ROOM, replace(ANN, metadata="{}"), Mismatch("match.metadata.age", "30", "nothing")),
    ],
)
def test_the_first_condition_that_fails_is_named_with_both_values(
    room: RoomInfo, participant: Participant | None, expected: Mismatch
) -> None:
    assert mismatch(ALL, room, participant) == expected


def test_the_conditions_are_tested_in_one_order() -> None:
    room = RoomInfo("x", metadata="{}")
    nobody_fits = Participant("carl", kind=ParticipantKind.INGRESS)
    named: list[str] = []
    rule = replace(ALL, enabled=False)
    mend = [
        replace(ALL),
        replace(ALL, match=replace(ALL.match, room="")),
        replace(ALL, match=replace(ALL.match, room="", room_metadata={"seats": 1})),
        replace(ALL, match=replace(ALL.match, room="", room_metadata={})),
    ]
    match = mend[-1].match
    match = replace(match, kinds=frozenset())
    mend.append(replace(ALL, match=match))
    match = replace(match, identities=())
    mend.append(replace(ALL, match=match))
    mend.append(replace(ALL, match=replace(match, attributes={})))
    for one in [rule, *mend]:
        failed = mismatch(one, room, nobody_fits)
        assert failed is not None
        named.append(failed.condition)
    assert named == [
        "enabled",
        "match.room",
        "match.room_metadata.plan",
        "match.room_metadata.seats",
        "match.kind",
        "match.identity",
        "match.attributes.tier",
        "match.metadata.age",
    ]


def test_a_disabled_rule_says_so_before_all_else() -> None:
    rule = replace(ALL, enabled=False)
    assert mismatch(rule, RoomInfo("x"), None) == Mismatch("enabled", "true", "false")


@pytest.mark.parametrize("job_type", [JobType.PUBLISHER, JobType.PARTICIPANT])
def test_a_rule_without_kinds_does_not_match_dependents(job_type: JobType) -> None:
    rule = Rule("r", job_type, "greeter")
    failed = mismatch(rule, ROOM, AGENT)
    assert failed == Mismatch("match.kind", "not a dependent (AGENT, EGRESS)", "AGENT")


@pytest.mark.parametrize(
    ("participant", "asked", "matches"),
    [
        (AGENT, ParticipantKind.AGENT, True),
        (AGENT, ParticipantKind.EGRESS, False),
        (replace(ANN, kind=ParticipantKind.EGRESS), ParticipantKind.EGRESS, True),
        (replace(ANN, is_agent=True), ParticipantKind.AGENT, True),
        (replace(ANN, is_agent=True), ParticipantKind.STANDARD, False),
        (replace(ANN, is_recorder=True), ParticipantKind.EGRESS, True),
        (replace(ANN, is_recorder=True), ParticipantKind.STANDARD, False),
        (ANN, ParticipantKind.STANDARD, True),
    ],
)
def test_dependents_match_only_where_they_are_asked_for(
    participant: Participant, asked: ParticipantKind, matches: bool
) -> None:
    rule = Rule("r", JobType.PARTICIPANT, "greeter", Match(kinds=frozenset({asked})))
    assert (mismatch(rule, ROOM, participant) is None) is matches


def test_who_is_a_dependent_by_permission_is_shown_as_such() -> None:
    failed = mismatch(Rule("r", JobType.PARTICIPANT, "greeter"), ROOM, replace(ANN, is_agent=True))
    assert failed is not None
    assert failed.found == "AGENT (by its permission)"


def test_a_room_rule_that_asks_for_nobody_matches_the_room_alone() -> None:
    rule = Rule("r", JobType.ROOM, "greeter", Match(room="call-*"))
    assert mismatch(rule, ROOM, None) is None
    assert mismatch(rule, ROOM, AGENT) is None


def test_a_room_rule_that_asks_for_somebody_waits_for_one_who_fits() -> None:
    rule = Rule("r", JobType.ROOM, "greeter", Match(attributes={"tier": "gold"}))
    assert mismatch(rule, ROOM, None) == Mismatch("type", "a participant", "nobody")
    assert mismatch(rule, ROOM, ANN) is None
    assert mismatch(rule, ROOM, replace(AGENT, attributes={"tier": "gold"})) is not None
