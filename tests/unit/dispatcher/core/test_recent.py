"""What was noted last is known, in a number that is bounded."""

from __future__ import annotations

from dispatcher.core.recent import Recent


def noted(*keys: str, entries_max: int = 2) -> Recent[str, int]:
    """Return what keeps so many of these keys; the value of each is its place, from 1 on."""
    recent = Recent[str, int](entries_max)
    for place, key in enumerate(keys, 1):
        recent.note(key, place)
    return recent


def test_beyond_the_bound_the_oldest_is_forgotten() -> None:
    recent = noted("a", "b", "c")
    assert [recent.get(key) for key in "abc"] == [None, 2, 3]
    assert ("a" in recent, "b" in recent, len(recent)) == (False, True, 2)


def test_what_is_noted_again_is_the_latest_and_has_its_new_value() -> None:
    recent = noted("a", "b", "a", "c")
    assert [recent.get(key) for key in "abc"] == [3, None, 4]


def test_reading_renews_nothing() -> None:
    recent = noted("a", "b")
    assert "a" in recent
    assert recent.get("a") == 1
    recent.note("c", 3)
    assert "a" not in recent


def test_what_is_taken_out_makes_room_and_is_known_no_longer() -> None:
    recent = noted("a", "b")
    assert recent.pop("b", 0) == 2
    assert recent.pop("b", 0) == 0
    recent.note("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
