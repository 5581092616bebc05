"""Whether a call is made again, and when."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_sdk.client.retries import Failure, Repeatable, Tries
from worker_sdk.errors import CallTimedOut, ServerUnreachable

REFUSED = Failure("refused", may_have_happened=False)
CUT = Failure("cut", may_have_happened=True)


def tries_after(*failures: Failure, retry_seconds_max: float = 30.0) -> Tries:
    tries = Tries(retry_seconds_max, started_at=0.0)
    for failure in failures:
        tries.note(failure)
    return tries


def test_a_call_that_may_have_happened_is_not_repeated_where_twice_is_not_once() -> None:
    pause = tries_after(CUT).pause_seconds(CUT, Repeatable.NEVER, 0.0, random.Random(1))
    assert pause is None


def test_nor_is_it_after_a_later_try_that_surely_did_nothing() -> None:
    tries = tries_after(CUT, REFUSED)
    assert tries.pause_seconds(REFUSED, Repeatable.NEVER, 0.0, random.Random(1)) is None


def test_a_call_that_was_never_sent_is_repeated_whatever_it_is() -> None:
    pause = tries_after(REFUSED).pause_seconds(REFUSED, Repeatable.NEVER, 0.0, random.Random(1))
    assert pause is not None


@given(failures=st.integers(1, 1000), now=st.floats(0.0, 40.0), seed=st.integers())
def test_every_try_begins_within_the_bound(failures: int, now: float, seed: int) -> None:
    tries = tries_after(*[CUT] * failures)
    pause = tries.pause_seconds(CUT, Repeatable.ALWAYS, now, random.Random(seed))
    assert pause is None or (pause >= 0 and now + pause < 30.0)


def test_pauses_are_spread_from_nothing_to_a_bound_that_doubles() -> None:
    rng = random.Random(1)
    bounds = []
    for failures in (1, 2, 3, 9):
        tries = tries_after(*[CUT] * failures)
        found = [tries.pause_seconds(CUT, Repeatable.ALWAYS, 0.0, rng) or 0.0 for _ in range(500)]
        assert min(found) < 0.05 * max(found)
        bounds.append(max(found))
    assert bounds == pytest.approx([0.1, 0.2, 0.4, 2.0], rel=0.05)


def test_the_server_is_given_the_time_that_it_asks_for() -> None:
    failure = Failure("HTTP 429", may_have_happened=False, retry_after_seconds=7.0)
    pause = tries_after(failure).pause_seconds(failure, Repeatable.ALWAYS, 0.0, random.Random(1))
    assert pause is not None
    assert 7.0 <= pause <= 7.1


def test_a_server_that_asks_for_more_time_than_there_is_is_not_waited_for() -> None:
    failure = Failure("HTTP 429", may_have_happened=False, retry_after_seconds=30.0)
    tries = tries_after(failure)
    assert tries.pause_seconds(failure, Repeatable.ALWAYS, 0.0, random.Random(1)) is None


def test_retries_that_are_switched_off_are_none() -> None:
    tries = tries_after(REFUSED, retry_seconds_max=0.0)
    assert tries.pause_seconds(REFUSED, Repeatable.ALWAYS, 0.0, random.Random(1)) is None


def test_the_last_failure_says_whether_something_may_have_happened() -> None:
    error = REFUSED.error("http://x", 2, True)
    assert isinstance(error, ServerUnreachable)
    assert "in 2 attempts (refused)" in str(error)
    assert "may be done or not" in str(error)
    assert "may be done" not in str(REFUSED.error("http://x", 1, False))


def test_a_server_that_is_slow_is_told_from_one_that_is_away() -> None:
    slow = Failure("none within 15 s", may_have_happened=True, is_timeout=True)
    error = slow.error("http://x", 1, True)
    assert isinstance(error, CallTimedOut)
    assert "call_timeout_seconds" in str(error)
