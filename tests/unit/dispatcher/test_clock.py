"""The steady clock starts at the wall clock and never goes back."""

import time

from dispatcher.clock import steady_clock


def test_the_steady_clock_starts_at_the_wall_clock() -> None:
    before = time.time_ns()
    told = steady_clock()()
    assert abs(told - before) < 1_000_000_000


def test_the_steady_clock_never_goes_back() -> None:
    clock = steady_clock()
    told = [clock() for _ in range(1000)]
    assert told == sorted(told)
