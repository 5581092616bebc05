"""When to try again."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from worker_sdk.backoff import CallBackoff, ReconnectBackoff

seconds = st.floats(min_value=0.0, max_value=1e6)


def test_the_first_reconnect_is_at_once() -> None:
    assert ReconnectBackoff(grace_seconds=3.0).delay_seconds(0, 0.0, random.Random(1)) == 0.0


@given(failures=st.integers(1, 1000), away=st.floats(0.0, 2.99), seed=st.integers())
def test_within_the_grace_time_every_try_comes_within_a_second(
    failures: int, away: float, seed: int
) -> None:
    delay = ReconnectBackoff(grace_seconds=3.0).delay_seconds(failures, away, random.Random(seed))
    assert 0.05 <= delay <= 1.0


@given(failures=st.integers(1, 10**9), away=seconds, seed=st.integers())
def test_a_reconnect_never_waits_longer_than_the_bound(
    failures: int, away: float, seed: int
) -> None:
    backoff = ReconnectBackoff(grace_seconds=3.0, delay_seconds_max=10.0)
    assert 0.05 <= backoff.delay_seconds(failures, away, random.Random(seed)) <= 10.0


@given(failures=st.integers(1, 10**9), away=seconds, seed=st.integers())
def test_a_reconnect_never_waits_for_as_long_as_a_new_server_holds_the_jobs(
    failures: int, away: float, seed: int
) -> None:
    backoff = ReconnectBackoff(grace_seconds=3.0)
    assert backoff.delay_seconds(failures, away, random.Random(seed)) <= 1.8


def test_after_a_long_time_away_the_delays_spread_over_the_whole_bound() -> None:
    backoff = ReconnectBackoff(grace_seconds=60.0, delay_seconds_max=10.0)
    rng = random.Random(7)
    delays = [backoff.delay_seconds(20, 600.0, rng) for _ in range(1000)]
    assert min(delays) < 1.0
    assert max(delays) > 9.0
    assert 4.5 < sum(delays) / len(delays) < 5.5


def test_the_delay_is_a_function_of_the_random_numbers_alone() -> None:
    backoff = ReconnectBackoff(grace_seconds=3.0)
    assert backoff.delay_seconds(3, 1.0, random.Random(5)) == backoff.delay_seconds(
        3, 1.0, random.Random(5)
    )


@given(failures=st.integers(1, 10**6), seed=st.integers())
def test_a_call_is_repeated_within_its_bound(failures: int, seed: int) -> None:
    assert 0.0 <= CallBackoff().delay_seconds(failures, random.Random(seed)) <= 2.0


def test_the_first_repeat_of_a_call_comes_soon() -> None:
    assert CallBackoff().delay_seconds(1, random.Random(3)) <= 0.1
