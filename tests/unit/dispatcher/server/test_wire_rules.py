"""Rules between the wire and the core: nothing is lost, nothing unknown is let in."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.jobs import SECOND, JobType, RestartPolicy
from dispatcher.core.room_events import ParticipantKind
from dispatcher.core.rules import JsonScalar, Match, Rule
from dispatcher.rule_checks import RuleLimits
from dispatcher.server.wire_rules import kind_of, read_rule, rule_message
from protocol import api_pb2
from protocol.errors import InvalidField, LimitExceeded, WireError
from protocol.limits import WireLimits

LIMITS = RuleLimits()
WIRE = WireLimits()


def _message(**fields: Any) -> api_pb2.Rule:
    return json_format.ParseDict({"name": "a", "agent_name": "x", **fields}, api_pb2.Rule())


def _read(message: api_pb2.Rule) -> Rule:
    return read_rule(message, LIMITS, WIRE)


def test_a_rule_of_a_caller_is_read() -> None:
    message = _message(
        version=3,
        type="JT_PARTICIPANT",
        match={
            "room": "call-*",
            "identity": ["a*"],
            "kind": ["SIP", "standard"],
            "attributes": {"tier": "vip"},
            "metadata": {"n": 1, "half": 0.5, "yes": True, "none": None, "text": "1"},
            "room_metadata": {"a.b": "c"},
        },
        queue_deadline_seconds=2.5,
        delay_seconds=1,
        restart_policy="JRP_NEVER",
        created_at=5,
    )
    assert _read(message) == Rule(
        "a",
        JobType.PARTICIPANT,
        "x",
        Match(
            "call-*",
            {"a.b": "c"},
            ("a*",),
            frozenset({ParticipantKind.SIP, ParticipantKind.STANDARD}),
            {"tier": "vip"},
            {"n": 1, "half": 0.5, "yes": True, "none": None, "text": "1"},
        ),
        queue_time=5 * SECOND // 2,
        delay=SECOND,
        restart_policy=RestartPolicy.NEVER,
        version=3,
    )


def test_whole_numbers_and_truths_stay_what_they_are() -> None:
    match = _read(_message(match={"metadata": {"one": 1, "yes": True, "big": 1e300}})).match
    assert {name: type(value) for name, value in match.metadata.items()} == {
        "one": int,
        "yes": bool,
        "big": float,
    }


def test_a_rule_is_enabled_unless_it_says_otherwise() -> None:
    assert _read(_message()).enabled
    assert not _read(_message(enabled=False)).enabled


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="{}"), max_size=10)
_SCALARS: st.SearchStrategy[JsonScalar] = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 53), 1 << 53), _TEXT, st.sampled_from([0.5, -2.25])
)
_VALUES = st.dictionaries(st.sampled_from(["a", "a.b", "l[0]"]), _SCALARS, max_size=2)


@given(
    st.builds(
        Rule,
        name=st.just("a"),
        job_type=st.sampled_from(JobType),
        agent_name=st.just("x"),
        match=st.builds(
            Match,
            room=st.sampled_from(["", "a*"]),
            room_metadata=_VALUES,
            identities=st.lists(st.sampled_from(["a", "b*"]), max_size=2).map(tuple),
            kinds=st.frozensets(st.sampled_from(ParticipantKind), max_size=3),
            attributes=st.dictionaries(_TEXT.filter(bool), _TEXT, max_size=2),
            metadata=_VALUES,
        ),
        deployment=st.sampled_from(["", "blue"]),
        namespace=_TEXT,
        metadata=_TEXT,
        attributes=st.dictionaries(_TEXT, _TEXT, max_size=2),
        priority=st.integers(-9, 9),
        queue_time=st.integers(0, 10**12),
        uniqueness_key=_TEXT,
        concurrency_limit=st.integers(0, 9),
        delay=st.integers(0, 10**12),
        restart_policy=st.sampled_from(RestartPolicy),
        enabled=st.booleans(),
        version=st.integers(0, 9),
    )
)
def test_a_rule_comes_back_as_it_went(rule: Rule) -> None:
    message = rule_message(rule)
    again = api_pb2.Rule.FromString(message.SerializeToString())
    assert _read(again) == rule
    assert _read(again).says_the_same(rule)
    as_json = json_format.MessageToJson(message, preserving_proto_field_name=True)
    assert _read(json_format.Parse(as_json, api_pb2.Rule())) == rule


def test_the_times_of_the_server_are_told_and_not_read() -> None:
    message = rule_message(Rule("a", JobType.ROOM, "x", created_at=5, updated_at=6))
    assert (message.created_at, message.updated_at) == (5, 6)
    assert (_read(message).created_at, _read(message).updated_at) == (0, 0)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ""}, "name is missing"),
        ({"type": 9}, "type is not a job type"),
        ({"restart_policy": 9}, "restart_policy is not a restart policy"),
        ({"match": {"room": "["}}, "match.room is not a glob"),
        ({"match": {"kind": ["AGNT"]}}, "match.kind has 'AGNT', which is none of STANDARD"),
        ({"match": {"metadata": {"a": [1]}}}, "match.metadata.a must be a text, a number"),
        ({"match": {"room_metadata": {"a": {"b": 1}}}}, "match.room_metadata.a must be a text"),
        ({"delay_seconds": -1}, "delay_seconds must be a number of seconds"),
        ({"queue_deadline_seconds": "NaN"}, "queue_deadline_seconds must be a number of seconds"),
        ({"concurrency_limit": 1_000_001}, "concurrency_limit must be from 0 to 1000000"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(WireError) as refused:
        _read(_message(**fields))
    assert named in str(refused.value)


def test_10000_conditions_are_refused_before_they_are_read() -> None:
    # Not one of these is a path, which nobody looks at.
    conditions = {f"{number}..": 1 for number in range(10_000)}
    with pytest.raises(LimitExceeded, match="match has 10000 conditions, the limit is 100"):
        _read(_message(match={"metadata": conditions}))


@pytest.mark.parametrize("where", ["rule", "match"])
def test_a_field_that_this_server_does_not_know_is_refused(where: str) -> None:
    message = _message(match={"room": "a"})
    target = message if where == "rule" else message.match
    # Field 99, a number: what a newer caller may send.
    target.MergeFromString(b"\x98\x06\x01")
    with pytest.raises(
        InvalidField, match=f"{where} has fields that this server does not know: 99"
    ):
        _read(message)


def test_a_kind_has_a_name_in_any_case() -> None:
    assert kind_of("match.kind", "agent") is ParticipantKind.AGENT
    with pytest.raises(InvalidField, match="did you mean EGRESS"):
        kind_of("match.kind", "EGRES")
