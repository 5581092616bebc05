"""Moments in turns, by sleeps that are over late or early."""

from __future__ import annotations

import pytest

from worker_sdk.loadtest.turns import seconds_to_turn


def moments(now: float, *late_by: float) -> list[float]:
    """When each turn comes, if each sleep is over so much after its time."""
    came = []
    for late in late_by:
        now += seconds_to_turn(now, 0.5) + late
        came.append(round(now, 3))
    return came


@pytest.mark.parametrize("begun", [7.0, 7.1, 7.2])
def test_they_are_multiples_of_the_period_whenever_one_begins(begun: float) -> None:
    assert moments(begun, 0, 0, 0) == [7.5, 8.0, 8.5]


def test_a_sleep_that_is_over_early_makes_no_second_moment() -> None:
    assert moments(7.1, -0.001, -0.1, -0.001) == [7.499, 7.9, 8.499]


def test_a_late_one_is_followed_by_the_next_in_time() -> None:
    assert moments(7.1, 0.2, 0) == [7.7, 8.0]


def test_one_that_is_nearly_as_late_as_the_next_takes_its_place() -> None:
    assert moments(7.1, 0.4, 0) == [7.9, 8.5]


def test_after_a_long_stand_none_is_made_up_for() -> None:
    assert moments(7.1, 10.1, 0, 0) == [17.6, 18.0, 18.5]
