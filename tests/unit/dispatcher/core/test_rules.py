"""When two rules are the same."""

from __future__ import annotations

from dataclasses import replace

from dispatcher.core.jobs import JobType
from dispatcher.core.rules import Match, Rule

RULE = Rule("r", JobType.ROOM, "greeter", Match(metadata={"a": 1, "b": "x"}), version=3)


def test_version_and_times_do_not_make_another_rule() -> None:
    assert RULE.says_the_same(replace(RULE, version=4, created_at=5, updated_at=6))


def test_the_order_of_conditions_does_not_make_another_rule() -> None:
    assert RULE.says_the_same(replace(RULE, match=Match(metadata={"b": "x", "a": 1})))


def test_another_field_makes_another_rule() -> None:
    assert not RULE.says_the_same(replace(RULE, priority=1))


def test_true_is_not_1() -> None:
    assert not RULE.says_the_same(replace(RULE, match=Match(metadata={"a": True, "b": "x"})))
