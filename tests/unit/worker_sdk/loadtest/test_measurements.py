"""What a run's looks say of the measured time, with which they neither begin nor end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.worker_sdk.loadtest.measured_runs import LOOK
from worker_sdk.loadtest.measurements import Measurements


def looked_at(*looks: tuple[int, float | None, float]) -> Measurements:
    """Looks, each by its second, the server's cores, and over how many seconds."""
    measured = Measurements()
    for second, cores, over_seconds in looks:
        measured.looks[second] = replace(
            LOOK, second=second, server_cpu=cores, server_cpu_over_seconds=over_seconds
        )
    return measured


def test_a_run_that_is_interrupted_soon_did_not_use_the_cpu_of_its_warm_up() -> None:
    measured = looked_at((-1, 0.5, 1.0), (0, 0.5, 0.8))
    assert measured.server_cpu_seconds(0.1) == pytest.approx(0.05)


def test_the_end_of_a_run_that_no_look_came_to_counts_like_the_rest() -> None:
    measured = looked_at((0, 0.25, 1.0), (1, 0.75, 1.0))
    assert measured.server_cpu_seconds(3.0) == pytest.approx(1.5)


def test_a_look_at_more_time_counts_for_more() -> None:
    measured = looked_at((0, 0.1, 1.0), (3, 0.9, 3.0))
    assert measured.server_cpu_seconds(4.0) == pytest.approx(0.1 + 2.7)


def test_a_look_that_was_too_soon_to_tell_of_cpu_takes_none_from_the_others() -> None:
    measured = looked_at((0, 0.5, 1.0), (1, None, 0.0))
    assert measured.server_cpu_seconds(2.0) == pytest.approx(1.0)


def test_the_cpu_of_the_drain_does_not_count() -> None:
    measured = looked_at((0, 0.5, 1.0), (1, 4.0, 1.0))
    assert measured.server_cpu_seconds(1.0) == pytest.approx(0.5)


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_where_nobody_could_look_nothing_is_known_of_the_servers_cpu(seconds: float) -> None:
    measured = looked_at((0, None, 0.0), (1, None, 0.0))
    assert measured.server_cpu_seconds(seconds) is None
