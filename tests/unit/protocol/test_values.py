"""A quick value is made as the dataclass that it is would be made."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from protocol.values import changed, quick


@quick
@dataclass(frozen=True, slots=True)
class Thing:
    name: str
    count: int = 3
    more: Mapping[str, int] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Pair:
    left: int
    right: int


def test_a_quick_value_takes_arguments_by_place_and_by_name() -> None:
    assert Thing("a", 1, {"b": 2}) == Thing(more={"b": 2}, count=1, name="a")


def test_a_quick_value_has_its_defaults() -> None:
    assert (Thing("a").count, Thing("a").more) == (3, {})


def test_each_quick_value_has_a_default_of_its_own() -> None:
    assert Thing("a").more is not Thing("a").more


def test_a_quick_value_wants_what_has_no_default() -> None:
    with pytest.raises(TypeError, match="name"):
        cast(Any, Thing)()


def test_a_quick_value_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="other"):
        cast(Any, Thing)("a", other=1)


def test_a_quick_value_has_no_field_but_those_of_its_class() -> None:
    with pytest.raises(AttributeError, match="other"):
        cast(Any, Thing("a")).other = "b"


def test_a_quick_value_is_one_of_a_set() -> None:
    assert len({Pair(1, 2), Pair(1, 2), Pair(2, 1)}) == 2


def test_a_quick_value_can_be_made_anew_with_some_fields_changed() -> None:
    thing = Thing("a", 1, {"b": 2})
    assert changed(thing, count=2) == Thing("a", 2, {"b": 2})
    assert thing == Thing("a", 1, {"b": 2})


def test_a_quick_value_is_not_made_anew_with_a_field_that_it_has_not() -> None:
    with pytest.raises(TypeError, match="other"):
        changed(Thing("a"), other=1)


def test_a_quick_value_can_be_replaced() -> None:
    assert replace(Thing("a", 1), count=2) == Thing("a", 2)
