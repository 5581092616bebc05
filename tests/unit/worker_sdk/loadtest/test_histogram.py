"""The histogram: percentiles to three significant digits, merged exactly."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_sdk.loadtest.histogram import Histogram

SHARES = (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)


def of(values: Sequence[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def exact(values: Sequence[int], share: float) -> int:
    """The nearest-rank percentile."""
    rank = max(1, math.ceil(share * len(values) - 1e-9))
    return sorted(values)[rank - 1]


@pytest.mark.parametrize(
    "values",
    [
        [7],
        list(range(2048)),
        [random.Random(1).randrange(1, 60_000_000) for _ in range(5000)],
        [round(random.Random(n).lognormvariate(7, 2)) for n in range(5000)],
        [900] * 990 + [3_000_000] * 10,
    ],
    ids=["one", "small ones", "evenly spread", "as latencies are", "two lumps"],
)
def test_a_percentile_is_never_below_the_exact_one_and_less_than_a_thousandth_above(
    values: list[int],
) -> None:
    histogram = of(values)
    for share in SHARES:
        wanted = exact(values, share)
        assert wanted <= histogram.at(share) <= wanted * 1.001, share


@given(st.integers(0, 2**40))
def test_one_sample_is_within_a_thousandth_at_any_size(value: int) -> None:
    assert of([value]).at(0.5) == value  # bounded by the greatest, which is exact
    among = of([value, 2**41])
    assert value <= among.at(0.5) <= value * 1.001


def test_numbers_below_2048_are_exact() -> None:
    histogram = of(list(range(0, 2048, 7)))
    assert histogram.curve()[10][1] == 70


def test_the_greatest_the_least_and_the_mean_are_exact() -> None:
    histogram = of([1, 5_000_001, 17])
    assert (histogram.least, histogram.greatest, histogram.count) == (1, 5_000_001, 3)
    assert histogram.mean == pytest.approx(5_000_019 / 3)


def test_a_sample_below_zero_counts_as_zero() -> None:
    assert of([-5]).at(1.0) == 0


def test_an_empty_one_says_zero() -> None:
    histogram = Histogram()
    assert (histogram.at(0.99), histogram.mean, histogram.curve()) == (0, 0.0, [])


@given(st.lists(st.lists(st.integers(0, 2**33), max_size=50), max_size=5))
def test_a_merged_one_is_that_of_all_samples(parts: list[list[int]]) -> None:
    merged = Histogram.merged(of(part) for part in parts)
    assert merged == of([value for part in parts for value in part])


@given(st.lists(st.integers(0, 2**40), max_size=50))
def test_it_comes_back_whole_from_a_list(values: list[int]) -> None:
    histogram = of(values)
    back = Histogram.from_list(histogram.as_list())
    assert back == histogram
    assert back.count == len(values)


def test_a_curve_ends_with_all_samples_at_the_greatest() -> None:
    assert of([5, 5, 9_999_999]).curve()[-1] == (1.0, 9_999_999)
