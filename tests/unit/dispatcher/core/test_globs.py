"""Globs: what each one matches, and that no name makes one slow."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.core.globs import Glob, glob
from dispatcher.core.rules import NotUnderstood


@pytest.mark.parametrize(
    ("pattern", "matched", "not_matched"),
    [
        ("lobby", ["lobby"], ["Lobby", "lobby1", "a-lobby", ""]),
        ("call-*", ["call-", "call-1", "call-\n-1"], ["call", "a-call-1"]),
        ("*-vip", ["-vip", "a-vip"], ["a-vip-b", "vip"]),
        ("a*b*a", ["aba", "axbxa", "abba"], ["ab", "aa", "aab"]),
        ("ab*ba", ["abba", "ab-ba"], ["aba"]),
        ("call-??", ["call-12"], ["call-1", "call-123"]),
        ("[abc]-[0-9]", ["a-0", "c-9"], ["d-0", "a-x", "ab-0"]),
        ("[!0-9]*", ["a", "a1"], ["1a", ""]),
        ("[^0-9]*", ["a"], ["1a"]),
        ("[]x]", ["]", "x"], ["[", "a"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[*]", ["*"], ["a", ""]),
        ("a.b+(c)", ["a.b+(c)"], ["axb+(c)"]),
        ("a\\*", ["a\\b"], ["a*"]),
        ("*", ["", "anything"], []),
        ("**", ["", "anything"], []),
        ("[\\w]", ["\\", "w"], ["a"]),
    ],
)
def test_a_glob_matches_whole_names(
    pattern: str, matched: list[str], not_matched: list[str]
) -> None:
    found = Glob(pattern)
    assert [name for name in matched if not found.matches(name)] == []
    assert [name for name in not_matched if found.matches(name)] == []


@pytest.mark.parametrize("pattern", ["[", "a[b", "[]", "[!]", "[^]", "x*["])
def test_a_set_that_is_not_closed_is_refused(pattern: str) -> None:
    with pytest.raises(NotUnderstood, match="has no ']'"):
        glob(pattern)


def test_a_range_the_wrong_way_round_is_refused_by_its_ends() -> None:
    with pytest.raises(NotUnderstood, match="z-a is the wrong way round"):
        glob("room-[z-a]")


@pytest.mark.parametrize(
    ("pattern", "exact", "prefix", "suffix"),
    [
        ("lobby", "lobby", "lobby", "lobby"),
        ("a[*]b", "a*b", "a*b", "a*b"),
        ("call-*", None, "call-", ""),
        ("*-vip", None, "", "-vip"),
        ("a-*-b", None, "a-", "-b"),
        ("a?c", None, "a", "c"),
        ("*", None, "", ""),
    ],
)
def test_what_every_match_begins_and_ends_with_is_known(
    pattern: str, exact: str | None, prefix: str, suffix: str
) -> None:
    found = Glob(pattern)
    assert (found.exact, found.prefix, found.suffix) == (exact, prefix, suffix)


_ALPHABET = "ab-"
_PARTS = st.sampled_from(["a", "b", "-", "*", "?", "[ab]", "[!a]", "[a-b]"])


@given(st.lists(_PARTS, max_size=8).map("".join), st.text(_ALPHABET, max_size=12))
@example("*a*a", "aa")
def test_globs_agree_with_pythons_own(pattern: str, name: str) -> None:
    found = Glob(pattern)
    assert found.matches(name) == fnmatch.fnmatchcase(name, pattern)
    if found.matches(name):
        assert name.startswith(found.prefix)
        assert name.endswith(found.suffix)


@pytest.mark.parametrize(
    "pattern", ["*a" * 128, "*" + "a?" * 60 + "*b", "*a*a*a*a*a*a*b", "?*" * 100 + "b"]
)
def test_no_name_makes_a_glob_slow(pattern: str) -> None:
    found = Glob(pattern)
    # Backtracking over so many stars would take longer than anybody lives.
    assert found.matches("a" * 10_000) == (pattern[-1] != "b")
