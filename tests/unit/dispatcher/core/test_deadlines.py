"""Deadlines: against a naive model, and with bounded garbage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.deadlines import GARBAGE_MIN, Deadlines

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("schedule"), st.integers(0, 9), st.integers(0, 20)),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("pop"), st.just(0), st.integers(0, 20)),
    ),
    max_size=400,
)


@given(STEPS)
def test_deadlines_do_what_a_plain_table_does(steps: list[tuple[str, int, int]]) -> None:
    deadlines: Deadlines[int] = Deadlines()
    table: dict[int, tuple[int, int]] = {}  # key: (when, order of scheduling)
    for order, (what, key, when) in enumerate(steps):
        if what == "schedule":
            deadlines.schedule(key, when)
            table[key] = (when, order)
        elif what == "cancel":
            assert deadlines.cancel(key) == (table.pop(key, None) is not None)
        else:
            due = [(at, age, k) for k, (at, age) in table.items() if at <= when]
            expected = min(due)[2] if due else None
            assert deadlines.pop_due(when) == expected
            if expected is not None:
                del table[expected]
        assert len(deadlines) == len(table)
        assert all((k in deadlines) == (k in table) for k in range(10))
        assert deadlines.next_at() == min((at for at, _ in table.values()), default=None)


@given(STEPS)
def test_dead_entries_never_outnumber_the_live_ones_and_a_constant(
    steps: list[tuple[str, int, int]],
) -> None:
    deadlines: Deadlines[int] = Deadlines()
    for what, key, when in steps * 3:
        if what == "schedule":
            deadlines.schedule(key, when)
        elif what == "cancel":
            deadlines.cancel(key)
        garbage = len(deadlines._heap) - len(deadlines)
        assert garbage <= max(GARBAGE_MIN, len(deadlines))


def test_one_deadline_moved_ten_thousand_times_takes_no_memory_for_it() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for when in range(10_000):
        deadlines.schedule("key", when)
    assert len(deadlines._heap) <= GARBAGE_MIN + 2


def test_of_two_that_are_due_at_once_the_one_set_first_comes_first() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.schedule("z", 5)
    deadlines.schedule("a", 5)
    assert [deadlines.pop_due(5), deadlines.pop_due(5), deadlines.pop_due(5)] == ["z", "a", None]


def test_keys_that_cannot_be_ordered_are_never_compared() -> None:
    deadlines: Deadlines[object] = Deadlines()
    keys = [object() for _ in range(100)]
    for key in keys:
        deadlines.schedule(key, 1)
    assert [deadlines.pop_due(1) for _ in keys] == keys
