"""What a run looks at, however soon it is over: without a server, on this very process."""

from __future__ import annotations

import os
import time

import pytest

from worker_sdk.credentials import Credentials
from worker_sdk.loadtest.profile import Profile
from worker_sdk.loadtest.run import LoadTest
from worker_sdk.loadtest.server_watch import ServerWatch


def measured_for(seconds: float) -> LoadTest:
    """A run that has made calls for so long, and that has looked at nothing yet."""
    test = LoadTest(Profile(), Credentials("ws://127.0.0.1:1", "key", "secret"))
    test.watch = ServerWatch("", 0, os.getpid())
    # Longer ago than that, for time passes while this is tested.
    test.calling.begin_ns = time.monotonic_ns() - 7200 * 1_000_000_000
    test.calling.seconds = seconds
    return test


@pytest.mark.parametrize(("seconds", "last_second"), [(0.5, 0), (1.0, 0), (3600.5, 3600)])
def test_a_run_that_ends_with_no_look_at_its_last_second_looks_at_once(
    seconds: float, last_second: int
) -> None:
    test = measured_for(seconds)
    test.end_measuring()
    assert list(test.measured.looks) == [last_second]
    rss_mib = test.measured.looks[last_second].server_rss_mib
    assert rss_mib is not None
    assert rss_mib > 1


def test_a_look_tells_over_how_many_seconds_it_tells_of_the_servers_cpu() -> None:
    test = measured_for(0.1)
    test.watch = ServerWatch("", 0, os.getpid(), clock=iter([50.0, 52.0]).__next__)
    test.end_measuring()
    assert test.measured.looks[0].server_cpu is not None
    assert test.measured.looks[0].server_cpu_over_seconds == 2.0


def test_a_run_that_is_interrupted_in_its_warm_up_is_looked_at_too() -> None:
    test = measured_for(0.0)
    test.calling.begin_ns = time.monotonic_ns() + 7200 * 1_000_000_000
    test.end_measuring()
    assert list(test.measured.looks) == [0]


def test_a_second_that_was_looked_at_is_not_looked_at_again() -> None:
    test = measured_for(1800.5)
    test.end_measuring()
    (look,) = test.measured.looks.values()
    test.end_measuring()
    assert test.measured.looks[1800] is look


def test_a_run_that_never_came_to_calls_has_nothing_to_look_at() -> None:
    test = measured_for(1.0)
    test.watch = None
    test.end_measuring()
    assert not test.measured.looks
