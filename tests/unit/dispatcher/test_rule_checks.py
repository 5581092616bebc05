"""Which rules are accepted: each bound has a name, and each error names its field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.core.jobs import SECOND, JobType
from dispatcher.core.rules import Match, Rule
from dispatcher.rule_checks import DEFAULT_RULE_LIMITS, RuleLimits, check_rule, duration
from protocol.errors import InvalidField, LimitExceeded

RULE = Rule("greet-all.v2", JobType.ROOM, "greeter")


def _match(**fields: object) -> Rule:
    return replace(RULE, match=replace(Match(), **fields))  # type: ignore[arg-type]


def test_a_rule_with_everything_in_its_bounds_is_accepted() -> None:
    check_rule(
        Rule(
            "r",
            JobType.PUBLISHER,
            "transcriber",
            Match(
                room="call-*",
                room_metadata={"a.b[0]": None, "c": 1.5},
                identities=("ann", "b*"),
                attributes={"tier": ""},
                metadata={'["x.y"]': True},
            ),
            deployment="blue",
            namespace="n",
            metadata='{{"room": "{room.name}"}}',
            attributes={"who": "{participant.identity}"},
            priority=-5,
            queue_time=60 * SECOND,
            uniqueness_key="{participant.attributes.account}",
            concurrency_limit=10,
            delay=5 * SECOND,
        )
    )


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (replace(RULE, name=""), "name"),
        (replace(RULE, name="has space"), "name"),
        (replace(RULE, name="-first"), "name"),
        (replace(RULE, name="ümlaut"), "name"),
        (replace(RULE, agent_name=""), "agent_name"),
        (replace(RULE, deployment="a_b"), "deployment"),
        (replace(RULE, metadata="{nobody.name}"), "metadata"),
        (replace(RULE, metadata="{"), "metadata"),
        (replace(RULE, attributes={"a": "{room.nme}"}), "attributes.a"),
        (replace(RULE, uniqueness_key="{}"), "uniqueness_key"),
        (replace(RULE, priority=1_000_001), "priority"),
        (replace(RULE, priority=-1_000_001), "priority"),
        (replace(RULE, concurrency_limit=-1), "concurrency_limit"),
        (replace(RULE, version=-1), "version"),
        (replace(RULE, queue_time=-1), "queue_deadline_seconds"),
        (replace(RULE, delay=-1), "delay_seconds"),
        (replace(RULE, delay=366 * 86_400 * SECOND), "delay_seconds"),
        (_match(room="["), "match.room"),
        (_match(identities=("ok", "[z-a]")), "match.identity"),
        (_match(identities=("",)), "match.identity"),
        (_match(attributes={"": "x"}), "match.attributes"),
        (_match(metadata={"": 1}), "match.metadata"),
        (_match(metadata={"a..b": 1}), "match.metadata"),
        (_match(metadata={"a": float("nan")}), "match.metadata.a"),
        (_match(room_metadata={"a": 1 << 54}), "match.room_metadata.a"),
    ],
)
def test_a_field_that_is_not_allowed_is_named(rule: Rule, field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_rule(rule)
    assert refused.value.field == field
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "field", "unit"),
    [
        (replace(RULE, name="x" * 129), "name", "bytes"),
        (replace(RULE, agent_name="x" * 257), "agent_name", "bytes"),
        (replace(RULE, namespace="x" * 257), "namespace", "bytes"),
        (replace(RULE, metadata="x" * 524_289), "metadata", "bytes"),
        (replace(RULE, metadata="{room.name}" * 101), "metadata", "values"),
        (replace(RULE, attributes={"a": "x" * 65_536}), "attributes", "bytes"),
        (replace(RULE, uniqueness_key="x" * 1025), "uniqueness_key", "bytes"),
        (_match(attributes={str(n): "x" for n in range(10_000)}), "match", "conditions"),
        (_match(identities=("a",) * 101), "match", "conditions"),
        (_match(room="x" * 1025), "match.room", "bytes"),
        (_match(identities=("x" * 1025,)), "match.identity", "bytes"),
        (_match(attributes={"a": "x" * 1025}), "match.attributes.a", "bytes"),
        (_match(metadata={"a": "x" * 1025}), "match.metadata.a", "bytes"),
        (_match(metadata={"x" * 1025: 1}), "match.metadata", "bytes"),
        (_match(metadata={".".join("a" * 17): 1}), "match.metadata." + ".".join("a" * 17), "steps"),
    ],
)
def test_a_field_over_its_bound_is_named(rule: Rule, field: str, unit: str) -> None:
    with pytest.raises(LimitExceeded) as refused:
        check_rule(rule)
    assert (refused.value.field, refused.value.unit) == (field, unit)


def test_a_bound_that_an_operator_set_is_the_one_that_counts() -> None:
    three = _match(room="a", attributes={"a": "1", "b": "2"})
    check_rule(three, RuleLimits(conditions_max=3))
    with pytest.raises(LimitExceeded, match="3 conditions, the limit is 2"):
        check_rule(three, replace(DEFAULT_RULE_LIMITS, conditions_max=2))


@pytest.mark.parametrize("seconds", [-0.001, float("nan"), float("inf"), 11.0])
def test_what_is_no_time_of_a_rule_is_refused(seconds: float) -> None:
    with pytest.raises(
        InvalidField, match="delay_seconds must be a number of seconds from 0 to 10"
    ):
        duration("delay_seconds", seconds, 10.0)


def test_seconds_become_a_time() -> None:
    assert duration("delay_seconds", 1.5, 10.0) == 1_500_000_000
