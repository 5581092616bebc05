"""The index of rules: it finds what matches, and tests little else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.matching import index_of, mixed_events, mixed_rules, rules_tested
from dispatcher.core.documents import document
from dispatcher.core.jobs import JobType
from dispatcher.core.matching import RuleIndex, mismatch
from dispatcher.core.room_events import Participant, ParticipantKind, RoomInfo
from dispatcher.core.rules import Match, NotUnderstood, Rule

P = "project"
ROOM = RoomInfo("call-1", "RM_1", '{"plan": "free"}')
ANN = Participant("ann", "PA_1", metadata='{"age": 30}', attributes={"tier": "gold"})


def _index(*rules: Rule) -> RuleIndex:
    index = RuleIndex()
    for rule in rules:
        index.add(P, rule)
    return index


def _names(index: RuleIndex, job_type: JobType = JobType.PARTICIPANT) -> list[str]:
    return [rule.name for rule in index.matching(P, job_type, ROOM, ANN)]


def _rule(name: str, match: Match | None = None, **fields: object) -> Rule:
    rule = Rule(name, JobType.PARTICIPANT, "greeter", match or Match())
    return replace(rule, **fields)  # type: ignore[arg-type]


# ---- what matches ----


def test_rules_that_match_come_by_name() -> None:
    index = _index(_rule("c"), _rule("a", Match(room="call-*")), _rule("b", Match(room="x")))
    assert _names(index) == ["a", "c"]


def test_a_disabled_rule_matches_nothing() -> None:
    index = _index(_rule("a", enabled=False))
    assert _names(index) == []
    assert not index.matches(P, _rule("a", enabled=False), ROOM, ANN)


def test_a_rule_is_replaced_by_one_of_its_name() -> None:
    index = _index(_rule("a", Match(room="x")), _rule("a", Match(room="call-1")))
    assert _names(index) == ["a"]
    index.add(P, _rule("a", job_type=JobType.PUBLISHER))
    assert _names(index) == []
    assert _names(index, JobType.PUBLISHER) == ["a"]
    assert len(index) == 1


def test_a_rule_that_is_removed_is_gone() -> None:
    index = _index(_rule("a"), _rule("b"))
    index.remove(P, "a")
    index.remove(P, "a")
    assert _names(index) == ["b"]
    assert len(index) == 1


def test_a_rule_that_is_not_understood_leaves_the_index_as_it_was() -> None:
    index = _index(_rule("a"))
    with pytest.raises(NotUnderstood):
        index.add(P, _rule("a", Match(room="[")))
    assert _names(index) == ["a"]


def test_projects_see_nothing_of_each_other() -> None:
    index = _index(_rule("a"))
    index.add("other", _rule("a", Match(room="x")))
    assert _names(index) == ["a"]
    index.remove("other", "a")
    assert _names(index) == ["a"]


def test_one_rule_alone_can_be_asked_for() -> None:
    mine, other = _rule("a", Match(room="call-*")), _rule("b", Match(room="x"))
    index = _index(mine, other)
    assert index.matches(P, mine, ROOM, ANN)
    assert not index.matches(P, other, ROOM, ANN)
    assert not index.matches(P, _rule("stranger"), ROOM, ANN)


def test_a_rule_with_several_identities_is_found_by_each_and_once() -> None:
    index = _index(_rule("a", Match(identities=("ann", "a*", "bob"))))
    assert _names(index) == ["a"]
    assert len(list(index.candidates(P, JobType.PARTICIPANT, ROOM, ANN))) == 1


# ---- the same as asking each rule ----

_NAMES = st.sampled_from(["a", "b", "ab", "ba", "a-b"])
_GLOBS = st.sampled_from(["a", "ab", "a*", "*b", "a*b", "*", "?", "[ab]", "[!a]*", "a-?"])
_SCALARS = st.sampled_from([1, 1.0, True, False, None, "1", "a", 0])
_PATHS = st.sampled_from(["x", "x.y", "x[0]", "x.y.z", "[0]"])
_ATTRIBUTES = st.dictionaries(st.sampled_from("kl"), st.sampled_from("uv"), max_size=2)
_KINDS = st.sampled_from(list(ParticipantKind))
_SELDOM = st.sampled_from([False, False, False, False, True])
_DOCUMENTS = st.one_of(
    st.recursive(
        _SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)
        ),
        max_leaves=4,
    ).map(json.dumps),
    st.sampled_from(["", "{", "no json"]),
)
# One condition or two: of rules with many, hardly any matches anything.
_CONDITIONS = st.one_of(
    st.fixed_dictionaries({"room": _GLOBS}),
    st.fixed_dictionaries({"identities": st.lists(_GLOBS, min_size=1, max_size=2).map(tuple)}),
    st.fixed_dictionaries({"kinds": st.frozensets(_KINDS, max_size=3)}),
    st.fixed_dictionaries({"attributes": _ATTRIBUTES}),
    st.fixed_dictionaries({"metadata": st.dictionaries(_PATHS, _SCALARS, max_size=2)}),
    st.fixed_dictionaries({"room_metadata": st.dictionaries(_PATHS, _SCALARS, max_size=2)}),
)


def _both(one: dict[str, Any], two: dict[str, Any]) -> Match:
    return Match(**{**one, **two})


_MATCHES = st.builds(_both, _CONDITIONS, _CONDITIONS)
_RULES = st.builds(
    Rule,
    name=st.sampled_from([f"r{number}" for number in range(12)]),
    job_type=st.sampled_from(JobType),
    agent_name=st.just("greeter"),
    match=_MATCHES,
    enabled=st.sampled_from([True, True, True, False]),
)
_ROOMS = st.builds(RoomInfo, name=_NAMES, metadata=_DOCUMENTS)
_PEOPLE = st.one_of(
    st.none(),
    st.builds(
        Participant,
        identity=_NAMES,
        kind=st.one_of(st.just(ParticipantKind.STANDARD), _KINDS),
        metadata=_DOCUMENTS,
        attributes=_ATTRIBUTES,
        is_agent=_SELDOM,
        is_recorder=_SELDOM,
    ),
)


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(_RULES, _RULES, st.sampled_from([f"r{number}" for number in range(12)])),
        max_size=20,
    ),
    st.lists(st.tuples(_ROOMS, _PEOPLE), min_size=1, max_size=4),
)
def test_the_index_finds_what_asking_each_rule_finds(
    changes: list[Rule | str], events: list[tuple[RoomInfo, Participant | None]]
) -> None:
    index = RuleIndex()
    rules: dict[str, Rule] = {}
    for change in changes:
        if isinstance(change, Rule):
            index.add(P, change)
            rules[change.name] = change
        else:
            index.remove(P, change)
            rules.pop(change, None)
    for room, participant in events:
        for job_type in JobType:
            wanted = [
                rule
                for _, rule in sorted(rules.items())
                if rule.job_type is job_type and mismatch(rule, room, participant) is None
            ]
            found = index.matching(P, job_type, room, participant)
            assert found == wanted
            candidates = [rule.name for rule in index.candidates(P, job_type, room, participant)]
            assert len(candidates) == len(set(candidates))
            assert set(candidates) >= {rule.name for rule in wanted}
            for rule in rules.values():
                if rule.job_type is job_type:
                    assert index.matches(P, rule, room, participant) is (rule in wanted)


def _any_match(random: Random, names: list[str]) -> Match:
    """Return a match of one condition or two, over few names, so that it is often met."""
    globs = [
        *names,
        *(f"{name[:2]}*" for name in names),
        *(f"{name}*" for name in names),
        "*a",
        "*-b",
        "?-a",
        "[ab]-*",
    ]
    values = {"x.y": random.choice([0, 1, True, "a", None])}
    conditions: list[dict[str, Any]] = [
        {"room": random.choice(globs)},
        {"identities": tuple(random.sample(globs, random.choice([1, 1, 2])))},
        {"kinds": frozenset(random.sample(list(ParticipantKind), 2))},
        {"attributes": {random.choice("kl"): random.choice("uv")}},
        {"metadata": values},
        {"room_metadata": values},
    ]
    return _both(random.choice(conditions), random.choice(conditions))


@pytest.mark.parametrize("seed", range(3))
def test_many_rules_that_come_and_go_are_found_as_by_asking_each(seed: int) -> None:
    random = Random(seed)
    names = [f"{one}-{two}" for one in "abc" for two in "ab"]
    index = RuleIndex()
    rules: dict[str, Rule] = {}
    for _ in range(400):
        name = f"r{random.randrange(200)}"
        if random.random() < 0.2:
            index.remove(P, name)
            rules.pop(name, None)
            continue
        rules[name] = _rule(name, _any_match(random, names))
        index.add(P, rules[name])
    matched = 0
    for _ in range(150):
        room = RoomInfo(random.choice(names), metadata=json.dumps({"x": {"y": 1}}))
        who = Participant(
            random.choice(names),
            kind=random.choice([ParticipantKind.STANDARD, *ParticipantKind]),
            attributes={key: random.choice("uvw") for key in random.sample("klm", 2)},
            metadata=random.choice(['{"x": {"y": true}}', '{"x": {"y": "a"}}', '{"x": [1]}', ""]),
        )
        wanted = [rule for _, rule in sorted(rules.items()) if mismatch(rule, room, who) is None]
        assert index.matching(P, JobType.PARTICIPANT, room, who) == wanted
        matched += len(wanted)
    assert matched > 500


def test_an_index_that_was_emptied_holds_nothing() -> None:
    index = index_of(200)
    for rule in mixed_rules(200):
        index.remove("default", rule.name)
    assert len(index) == 0
    assert index._shelves == {}


def test_nothing_is_looked_for_that_no_rule_asks_for_any_more() -> None:
    index = _index(_rule("last"))
    for number, form in enumerate(SELECTIVE):
        index.add(P, _rule(f"r{number}", form(number)))
    for number in range(len(SELECTIVE)):
        index.remove(P, f"r{number}")
    left = index._shelves[P, JobType.PARTICIPANT]
    fresh = _index(_rule("last"))._shelves[P, JobType.PARTICIPANT]
    assert left._lengths == fresh._lengths
    assert left._attributes == fresh._attributes
    assert not any(paths._root.below for paths in left._paths.values())
    assert left._places.keys() == fresh._places.keys()


# ---- how many are tested ----


def _tested_at_most(rules: int) -> int:
    index = index_of(rules)
    return max(rules_tested(index, *event) for event in mixed_events(200, rules))


def test_an_event_is_tested_against_as_few_of_10000_rules_as_of_10() -> None:
    assert _tested_at_most(10_000) <= 3 * _tested_at_most(10)


SELECTIVE: list[Callable[[int], Match]] = [
    lambda number: Match(room=f"room-{number}"),
    lambda number: Match(room=f"room-{number}-*"),
    lambda number: Match(room=f"*-room-{number}"),
    lambda number: Match(identities=(f"user-{number}", f"deputy-{number}")),
    lambda number: Match(identities=(f"user-{number}-*",)),
    lambda number: Match(attributes={f"key-{number}": "x"}),
    lambda number: Match(attributes={"tier": "gold", "account": str(number)}),
    lambda number: Match(room="call-*", attributes={"tier": "gold"}, metadata={"id": number}),
    lambda number: Match(metadata={f"key{number}.x": 1}),
    lambda number: Match(metadata={f"lines[{number}]": 1}),
    lambda number: Match(room_metadata={"customer.id": number}),
    lambda _: Match(kinds=frozenset({ParticipantKind.SIP})),
]


@pytest.mark.parametrize("form", range(len(SELECTIVE)))
def test_rules_that_ask_for_something_else_are_not_tested(form: int) -> None:
    index = _index(*(_rule(f"r{number}", SELECTIVE[form](number)) for number in range(1000)))
    room = RoomInfo("call-1", metadata='{"customer": {"id": -1}}')
    everything = Participant(
        "ann", attributes={"tier": "gold", "account": "-1"}, metadata='{"id": -1, "lines": []}'
    )
    found = list(index.candidates(P, JobType.PARTICIPANT, room, everything))
    # Before an index of attributes or metadata tells them apart, the first few stand elsewhere.
    assert len(found) <= 16


def test_metadata_is_read_once_for_all_rules() -> None:
    index = _index(*(_rule(f"r{number}", Match(metadata={"id": 5})) for number in range(100)))
    who = Participant("p", metadata='{"id": 5, "of": "the test of one reading"}')
    before = document.cache_info().misses
    assert len(index.matching(P, JobType.PARTICIPANT, ROOM, who)) == 100
    assert document.cache_info().misses == before + 1
