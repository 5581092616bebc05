"""JSON in metadata: paths, and what is at them."""

from __future__ import annotations

import pytest

from dispatcher.core.documents import NOTHING, document, is_equal, path, shown, value_at
from dispatcher.core.rules import JsonScalar, NotUnderstood

DOCUMENT = '{"customer": {"tier": "vip", "x.y": 1}, "lines": [{"number": 7}], "none": null}'


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("customer", ("customer",)),
        ("customer.tier", ("customer", "tier")),
        ("lines[0].number", ("lines", 0, "number")),
        ("[2][0]", (2, 0)),
        ('labels["a.b"].c', ("labels", "a.b", "c")),
        ('["\\"]"]', ('"]',)),
        ("with space.ü", ("with space", "ü")),
    ],
)
def test_a_path_has_steps(text: str, steps: tuple[str | int, ...]) -> None:
    assert path(text) == steps


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".a",
        "a.",
        "a..b",
        "a[",
        "a[x]",
        "a[-1]",
        "a[0]b",
        'a["b]',
        "a]",
        "a.[0]",
        "$.a",
        "$",
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(NotUnderstood, match="path"):
        path(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("customer.tier", "vip"),
        ('customer["x.y"]', 1),
        ("lines[0].number", 7),
        ("none", None),
        ("lines[1].number", NOTHING),
        ("lines.number", NOTHING),
        ("customer.tier.more", NOTHING),
        ("customer[0]", NOTHING),
        ("nobody", NOTHING),
    ],
)
def test_a_path_leads_to_a_value_or_to_nothing(text: str, value: object) -> None:
    assert value_at(document(DOCUMENT), path(text)) == value


@pytest.mark.parametrize(
    "text", ["", "{", "not json", "{'a': 1}", "[" * 100_000, "NaN", "9" * 5000]
)
def test_what_is_no_json_is_nothing(text: str) -> None:
    assert document(text) is NOTHING


@pytest.mark.parametrize(
    ("found", "wanted", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        ("1", 1, False),
        (None, None, True),
        (NOTHING, None, False),
        ([], None, False),
        ({}, "", False),
    ],
)
def test_values_are_equal_as_json_compares(found: object, wanted: JsonScalar, equal: bool) -> None:
    assert is_equal(found, wanted) is equal


def test_a_long_value_is_shown_in_part() -> None:
    assert shown("x" * 1000) == '"' + "x" * 99 + "..."
    assert shown(NOTHING) == "nothing"
