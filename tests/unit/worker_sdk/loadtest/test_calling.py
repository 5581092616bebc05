"""How calls come: shares, bursts, steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_sdk.loadtest.calling import burst_moments, ramp_rates, share
from worker_sdk.loadtest.profile import Profile


@given(st.integers(0, 10**6), st.integers(1, 300))
def test_shares_add_up_and_are_as_equal_as_can_be(whole: int, parts: int) -> None:
    shares = [share(whole, index, parts) for index in range(parts)]
    assert sum(shares) == whole
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(
    ("duration", "every", "warm_up", "moments"),
    [
        (30.0, 10.0, 0.0, [0.0, 10.0, 20.0]),
        (31.0, 10.0, 2.0, [-2.0, 0.0, 10.0, 20.0, 30.0]),
        (5.0, 10.0, 0.5, [0.0]),
    ],
)
def test_bursts_come_while_it_is_measured_and_one_before(
    duration: float, every: float, warm_up: float, moments: list[float]
) -> None:
    profile = Profile(duration_seconds=duration, burst_every_seconds=every, warm_up_seconds=warm_up)
    assert burst_moments(profile) == moments


def test_a_ramp_ends_where_its_rate_or_its_time_does() -> None:
    rates = ramp_rates(Profile(rate=100.0, ramp_factor=2.0, rate_max=500.0, duration_seconds=300))
    assert rates == [100.0, 200.0, 400.0]
    short = Profile(rate=100.0, ramp_factor=2.0, ramp_step_seconds=5.0, duration_seconds=10)
    assert ramp_rates(short) == [100.0, 200.0]


def test_a_ramp_has_one_step_at_the_least() -> None:
    assert ramp_rates(Profile(rate=7.0, ramp_step_seconds=60.0, duration_seconds=1)) == [7.0]
