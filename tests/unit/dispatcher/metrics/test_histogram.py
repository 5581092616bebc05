"""How values are counted by their bounds."""

from __future__ import annotations

from math import inf

from dispatcher.metrics.histogram import QUICK_SECONDS, RUN_SECONDS, WAIT_SECONDS, Histogram


def test_a_value_is_counted_at_the_first_bound_that_it_does_not_exceed() -> None:
    histogram = Histogram((1, 2, 5))
    for value in (0, 1, 1.5, 2, 5, 5.1, 100):
        histogram.observe(value)
    assert histogram.cumulative() == [(1, 2), (2, 4), (5, 5), (inf, 7)]
    assert (histogram.count, histogram.sum) == (7, 114.6)


def test_the_bounds_that_there_are_grow() -> None:
    for bounds in (QUICK_SECONDS, WAIT_SECONDS, RUN_SECONDS):
        assert list(bounds) == sorted(set(bounds))
