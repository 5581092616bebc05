"""Ids are bounded, typed by prefix, ordered by time, and the same for a repeated call."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import ids
from protocol.ids import RandomBits

NOW_NS = 1_800_000_000_123_456_789
MILLISECOND_NS = 1_000_000

MAKERS = [
    (ids.new_worker_id, "AW_", ids.is_worker_id),
    (ids.new_job_id, "AJ_", ids.is_job_id),
    (ids.new_dispatch_id, "AD_", ids.is_dispatch_id),
]


@pytest.mark.parametrize(("make", "prefix", "is_id"), MAKERS)
def test_a_new_id_has_its_prefix_and_its_form(
    make: Callable[[int, RandomBits], str], prefix: str, is_id: Callable[[str], bool]
) -> None:
    made = make(NOW_NS, Random(1))

    assert made.startswith(prefix)
    assert len(made) == 25
    assert is_id(made)
    assert [other(made) for _, _, other in MAKERS].count(True) == 1


@given(
    times=st.lists(st.integers(0, (1 << 48) - 1), min_size=2, max_size=2, unique=True),
    seed=st.integers(),
)
def test_ids_of_different_milliseconds_sort_by_time(times: list[int], seed: int) -> None:
    random = Random(seed)
    earlier, later = sorted(times)

    assert ids.new_job_id(earlier * MILLISECOND_NS, random) < ids.new_job_id(
        later * MILLISECOND_NS, random
    )


@given(milliseconds=st.integers(0, (1 << 48) - 1), seed=st.integers())
def test_an_id_tells_when_it_was_made(milliseconds: int, seed: int) -> None:
    now_ns = milliseconds * MILLISECOND_NS

    assert ids.id_time_ns(ids.new_job_id(now_ns, Random(seed))) == now_ns


@pytest.mark.parametrize("text", ["", "AJ_", "AJ_short", "AJ_" + "u" * 22, "AJ_" + "0" * 1_000_000])
def test_other_text_tells_no_time(text: str) -> None:
    assert ids.id_time_ns(text) is None


def test_ids_of_one_millisecond_differ() -> None:
    random = Random(1)

    assert len({ids.new_job_id(NOW_NS, random) for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("now_ns", [-1, (1 << 48) * MILLISECOND_NS])
def test_a_time_that_does_not_fit_is_refused(now_ns: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        ids.new_job_id(now_ns, Random(1))


def test_a_repeated_request_gets_the_same_dispatch_id() -> None:
    call = ("project", "request", "room", "agent", "blue")

    assert ids.dispatch_id_for(*call) == ids.dispatch_id_for(*call)
    assert ids.is_dispatch_id(ids.dispatch_id_for(*call))


def test_the_dispatch_id_of_a_request_never_changes_between_versions() -> None:
    made = ids.dispatch_id_for("p", "req_1", "room", "agent", "")

    assert made == "AD_ZK1HVQFTAHXJ6XFQR30MAK"


@given(
    st.lists(
        st.tuples(st.text(), st.text(min_size=1), st.text(), st.text(), st.text()),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_different_calls_get_different_dispatch_ids(
    calls: list[tuple[str, str, str, str, str]],
) -> None:
    first, second = calls

    assert ids.dispatch_id_for(*first) != ids.dispatch_id_for(*second)


def test_text_may_not_move_between_the_parts_of_a_call() -> None:
    assert ids.dispatch_id_for("p", "r", "ab", "c", "") != ids.dispatch_id_for(
        "p", "r", "a", "bc", ""
    )


def test_a_dispatch_id_needs_a_request_id() -> None:
    with pytest.raises(ValueError, match="request_id"):
        ids.dispatch_id_for("p", "", "room", "agent", "")


@pytest.mark.parametrize("text", ["AJ_8hT2mNqPzXwv", "AJ_a", "AJ_" + "z" * 61])
def test_ids_that_livekit_made_are_ids(text: str) -> None:
    assert ids.is_job_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AJ_",
        "aj_x",
        "AW_x",
        "xAJ_x",
        "AJ_a b",
        "AJ_a\n",
        "AJ_é",
        "AJ_\x00",
        "AJ_../x",
        "AJ_" + "z" * 62,
        "AJ_" + "z" * 1_000_000,
    ],
)
def test_anything_else_is_no_job_id(text: str) -> None:
    assert not ids.is_job_id(text)
