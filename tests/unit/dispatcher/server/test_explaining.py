"""Explaining: an event or a live room held against rules, one verdict for each one it is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.core.bridged import Served, SfuCall
from dispatcher.core.bridging import Called
from dispatcher.core.jobs import JobType
from dispatcher.core.room_events import (
    Participant,
    ParticipantKind,
    RoomEvent,
    RoomEventKind,
    RoomInfo,
)
from dispatcher.core.room_states import RoomState
from dispatcher.core.rooms import Rooms
from dispatcher.core.rules import Match, Rule
from dispatcher.server.explaining import (
    Standing,
    Verdict,
    automatic_verdicts,
    scene_of_event,
    scene_of_room,
    verdicts,
)
from dispatcher.server.explaining import (
    tests_of as count_of,
)

P = "p"
ROOM = RoomInfo("call-1", "RM_1", '{"plan": "free"}')
ANN = Participant("ann", "PA_1", attributes={"tier": "vip"})
BOB = Participant("bob", "PA_2")

GREETER = Rule("greeter", JobType.ROOM, "greeter", Match(room="call-*"))
VIP_ROOM = Rule("vip-room", JobType.ROOM, "good", Match(attributes={"tier": "vip"}))
EACH = Rule("each", JobType.PARTICIPANT, "helper")
SCRIBE = Rule("scribe", JobType.PUBLISHER, "scribe")
RULES = (EACH, GREETER, SCRIBE, VIP_ROOM)


def _event(
    kind: RoomEventKind, participant: Participant | None = None, room: RoomInfo = ROOM
) -> RoomEvent:
    return RoomEvent(kind, P, room, participant, "TR_1" if kind.value.startswith("track") else "")


def _live(*events: RoomEvent) -> RoomState:
    rooms = Rooms()
    for event in (_event(RoomEventKind.ROOM_STARTED), *events):
        rooms.take(event, 1)
    return rooms.rooms[P, ROOM.name]


def _joined(participant: Participant) -> RoomEvent:
    return _event(RoomEventKind.PARTICIPANT_JOINED, participant)


def _of_event(event: RoomEvent, live: RoomState | None, *rules: Rule) -> list[Verdict]:
    return list(verdicts(scene_of_event(event, live), rules))


def _matches(found: list[Verdict]) -> set[tuple[str, str]]:
    return {(verdict.rule.name, verdict.participant) for verdict in found if verdict.matches}


# ---- a live room ----


def test_a_live_room_has_a_verdict_for_each_one_whom_a_rule_could_be_about() -> None:
    live = _live(_joined(ANN), _joined(BOB), _event(RoomEventKind.TRACK_PUBLISHED, BOB))
    found = list(verdicts(scene_of_room(live), RULES))
    assert _matches(found) == {
        ("greeter", ""),
        ("vip-room", "ann"),
        ("each", "ann"),
        ("each", "bob"),
        ("scribe", "bob"),
    }
    failed = {
        (verdict.rule.name, verdict.participant): verdict.mismatch
        for verdict in found
        if verdict.mismatch is not None
    }
    assert set(failed) == {("vip-room", "bob"), ("scribe", "ann")}
    assert failed["vip-room", "bob"].condition == "match.attributes.tier"
    silent = failed["scribe", "ann"]
    assert (silent.condition, silent.wanted, silent.found) == (
        "type",
        "publisher",
        "publishes nothing",
    )
    assert count_of(scene_of_room(live), RULES) == len(found) == 7


def test_an_empty_room_says_that_nobody_is_there() -> None:
    (verdict,) = verdicts(scene_of_room(_live()), (EACH,))
    assert verdict.mismatch is not None
    assert (verdict.mismatch.condition, verdict.mismatch.found) == ("type", "nobody")


def test_a_job_is_told_where_the_rule_made_one() -> None:
    live = _live(_joined(ANN))
    live.jobs["rule:greeter"] = "AJ_1"
    live.jobs["rule:vip-room"] = "AJ_2"
    live.members["PA_1"].jobs["rule:each"] = "AJ_3"
    found = verdicts(scene_of_room(live), RULES)
    assert {verdict.rule.name: verdict.job_id for verdict in found} == {
        "greeter": "AJ_1",
        "vip-room": "AJ_2",
        "each": "AJ_3",
        "scribe": "",
    }


def test_a_job_that_was_called_off_with_its_rule_is_none() -> None:
    live = _live()
    live.jobs["rule:greeter"] = "-AJ_1"
    (verdict,) = verdicts(scene_of_room(live), (GREETER,))
    assert verdict.job_id == ""


# ---- an event ----


def test_a_room_that_starts_calls_for_the_room() -> None:
    found = _of_event(_event(RoomEventKind.ROOM_STARTED), None, *RULES)
    assert _matches(found) == {("greeter", "")}


def test_who_joins_calls_for_the_room_too() -> None:
    found = _of_event(_joined(ANN), None, *RULES)
    assert _matches(found) == {("greeter", ""), ("vip-room", "ann"), ("each", "ann")}


def test_who_publishes_is_known_from_the_live_room() -> None:
    live = _live(_joined(ANN))
    bare = Participant("ann", "PA_1")
    event = _event(RoomEventKind.TRACK_PUBLISHED, bare, RoomInfo("call-1", "RM_1"))
    vip = replace(SCRIBE, match=Match(attributes={"tier": "vip"}, room_metadata={"plan": "free"}))
    assert _matches(_of_event(event, live, vip)) == {("scribe", "ann")}
    assert _matches(_of_event(event, None, vip)) == set()


def test_who_publishes_is_found_by_identity_where_there_is_no_sid() -> None:
    live = _live(_joined(ANN))
    event = _event(RoomEventKind.TRACK_PUBLISHED, Participant("ann"))
    vip = replace(SCRIBE, match=Match(attributes={"tier": "vip"}))
    assert _matches(_of_event(event, live, vip)) == {("scribe", "ann")}


def test_another_session_of_the_room_is_not_this_one() -> None:
    live = _live(_joined(ANN))
    event = _event(
        RoomEventKind.TRACK_PUBLISHED, Participant("ann", "PA_1"), RoomInfo("call-1", "RM_2")
    )
    vip = replace(SCRIBE, match=Match(attributes={"tier": "vip"}))
    assert _matches(_of_event(event, live, vip)) == set()


def test_who_joins_has_what_the_event_says() -> None:
    live = _live(_joined(ANN))
    event = _joined(replace(ANN, attributes={"tier": "std"}))
    assert _matches(_of_event(event, live, VIP_ROOM)) == set()


@pytest.mark.parametrize(
    "kind",
    [
        RoomEventKind.ROOM_FINISHED,
        RoomEventKind.PARTICIPANT_LEFT,
        RoomEventKind.TRACK_UNPUBLISHED,
    ],
)
def test_an_event_that_ends_something_calls_nobody_and_says_so(kind: RoomEventKind) -> None:
    participant = None if kind is RoomEventKind.ROOM_FINISHED else ANN
    (verdict,) = _of_event(_event(kind, participant), _live(_joined(ANN)), GREETER)
    assert verdict.mismatch is not None
    assert verdict.mismatch.condition == "type"
    assert verdict.mismatch.found == f"{kind.value}, which calls nobody"


def test_an_agent_that_joins_summons_nobody() -> None:
    agent = Participant("agent-1", "PA_9", kind=ParticipantKind.AGENT)
    (verdict,) = _of_event(_joined(agent), None, EACH)
    assert verdict.mismatch is not None
    assert verdict.mismatch.condition == "match.kind"


def test_a_disabled_rule_says_so() -> None:
    (verdict,) = _of_event(_joined(ANN), None, replace(EACH, enabled=False))
    assert verdict.mismatch is not None
    assert verdict.mismatch.condition == "enabled"


def _not_told(verdict: Verdict) -> bool:
    failed = verdict.mismatch
    return failed is not None and (failed.condition, failed.found) == (
        "participant",
        "its join has not been told yet",
    )


def test_who_is_known_by_a_track_alone_is_not_called_and_it_says_so() -> None:
    event = _event(RoomEventKind.TRACK_PUBLISHED, Participant("ann", "PA_1"))
    live = _live(event)
    vip = replace(SCRIBE, match=Match(attributes={"tier": "vip"}))
    other = replace(EACH, match=Match(identities=("bob",)))
    for found in (
        list(verdicts(scene_of_room(live), (EACH, SCRIBE, VIP_ROOM, vip))),
        _of_event(event, live, EACH, SCRIBE, VIP_ROOM, vip),
        _of_event(event, None, EACH, SCRIBE, VIP_ROOM, vip),
    ):
        assert [_not_told(verdict) for verdict in found] == [True] * 4
        assert {verdict.participant for verdict in found} == {"ann"}
    assert _matches(_of_event(event, live, GREETER)) == {("greeter", "")}
    (verdict,) = verdicts(scene_of_room(live), (other,))
    assert verdict.mismatch is not None
    assert verdict.mismatch.condition == "match.identity"
    assert _matches(_of_event(_joined(ANN), live, EACH)) == {("each", "ann")}


def test_a_job_that_serves_somebody_as_well_is_told() -> None:
    live = _live(_joined(ANN), _joined(BOB))
    live.members["PA_2"].jobs["rule:each"] = "+AJ_1"
    found = list(verdicts(scene_of_room(live), (EACH,)))
    assert [verdict.job_id for verdict in found] == ["", "AJ_1"]


# ---- what holds a job back ----

_LIMITED = replace(GREETER, concurrency_limit=2)
_KEYED = replace(EACH, uniqueness_key="{participant.identity}")


def _held_back(rule: Rule, standing: Standing, live: RoomState) -> tuple[str, str, str] | None:
    (verdict,) = verdicts(scene_of_room(live), (rule,), standing)
    failed = verdict.mismatch
    return None if failed is None else (failed.condition, failed.wanted, failed.found)


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        ([], None),
        (["AJ_1"], None),
        (["AJ_1", "AJ_2"], ("concurrency_limit", "fewer than 2", "2 (AJ_1, AJ_2)")),
        (
            [f"AJ_{number}" for number in range(9)],
            ("concurrency_limit", "fewer than 2", "9 (AJ_0, AJ_1, AJ_2, ...)"),
        ),
    ],
)
def test_a_rule_at_its_limit_says_so(jobs: list[str], told: tuple[str, str, str] | None) -> None:
    standing = Standing(live_of=lambda order: jobs if order == "rule:greeter" else ())
    assert _held_back(_LIMITED, standing, _live()) == told


def test_a_rule_at_its_limit_matches_where_it_has_its_job() -> None:
    live = _live()
    live.jobs["rule:greeter"] = "AJ_1"
    assert _held_back(_LIMITED, Standing(live_of=lambda _: ["AJ_1", "AJ_2"]), live) is None


def test_the_job_that_has_the_unique_key_is_named() -> None:
    standing = Standing(
        holder_of=lambda order, key: {("rule:each", "ann"): "AJ_7"}.get((order, key))
    )
    told = ("uniqueness_key", "no other job with the key 'ann'", "AJ_7")
    assert _held_back(_KEYED, standing, _live(_joined(ANN))) == told
    assert _held_back(_KEYED, standing, _live(_joined(BOB))) is None


def test_a_call_of_the_sfu_for_the_same_is_named() -> None:
    call = SfuCall(P, ROOM.name, ROOM.sid, "AD_9", Served("greeter"))
    standing = Standing(calls=[Called(call, "AJ_8", 1)])
    told = ("bridge", "no call of the SFU for the same", "AJ_8")
    assert _held_back(GREETER, standing, _live()) == told
    assert _held_back(replace(GREETER, deployment="blue"), standing, _live()) is None
    gone = Standing(calls=[Called(call, "AJ_8", 1, is_gone=True)])
    assert _held_back(GREETER, gone, _live()) is None


def test_a_condition_that_fails_comes_before_what_holds_back() -> None:
    other = replace(_LIMITED, match=Match(room="desk-*"))
    found = _held_back(other, Standing(live_of=lambda _: ["AJ_1", "AJ_2"]), _live())
    assert found is not None
    assert found[0] == "match.room"


# ---- automatic dispatch ----


def _automatic(live: RoomState, standing: Standing) -> list[tuple[JobType, str, str]]:
    """Return job type, participant and the condition that fails."""
    return [
        (each.rule.job_type, each.participant, each.mismatch.condition if each.mismatch else "")
        for each in automatic_verdicts(scene_of_room(live), standing)
    ]


def test_automatic_dispatch_calls_for_what_unnamed_workers_take() -> None:
    live = _live(_joined(ANN))
    both = Standing(automatic=frozenset({JobType.ROOM, JobType.PUBLISHER}))
    assert _automatic(live, both) == [(JobType.ROOM, "", ""), (JobType.PUBLISHER, "ann", "type")]


def test_automatic_dispatch_that_is_switched_off_says_so() -> None:
    off = Standing(automatic=None)
    assert _automatic(_live(), off) == [(JobType.ROOM, "", "policy.automatic_dispatch")]


def test_automatic_dispatch_without_unnamed_workers_says_so() -> None:
    assert _automatic(_live(), Standing()) == [(JobType.ROOM, "", "unnamed workers")]


def test_automatic_dispatch_leaves_a_room_whose_agents_are_named() -> None:
    live = _live()
    live.names_agents = True
    standing = Standing(automatic=frozenset({JobType.ROOM}))
    assert _automatic(live, standing) == [(JobType.ROOM, "", "unnamed workers")]
