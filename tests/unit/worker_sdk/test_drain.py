"""The stages of a worker's way out, with a clock that the test moves."""

from __future__ import annotations

from worker_sdk.drain import LEAVING_SECONDS_MAX, Drain, DrainPolicy, DrainStage


def test_a_drain_begins_once() -> None:
    drain = Drain()
    assert drain.begin(1.0)
    assert not drain.begin(2.0)
    assert drain.stage is DrainStage.DRAINING
    assert drain.stage_began_at == 1.0


def test_who_leaves_does_not_go_back_to_draining() -> None:
    drain = Drain()
    assert drain.leave(1.0)
    assert not drain.begin(2.0)
    assert not drain.leave(2.0)
    assert drain.stage is DrainStage.LEAVING


def test_a_drain_lasts_as_long_as_it_may_and_leaving_some_seconds() -> None:
    drain = Drain(DrainPolicy.WAIT, seconds_max=60.0)
    drain.begin(100.0)
    assert drain.seconds_left(130.0) == 30.0
    assert drain.seconds_left(170.0) == 0.0
    drain.leave(170.0)
    assert drain.seconds_left(171.0) == LEAVING_SECONDS_MAX - 1.0


def test_what_is_waited_for_is_said_at_once_and_then_every_ten_seconds() -> None:
    drain = Drain()
    drain.begin(0.0)
    said = []
    for now in range(25):
        if drain.is_announcement_due(float(now)):
            drain.announced(float(now))
            said.append(now)
    assert said == [0, 10, 20]


def test_each_stage_says_at_once_what_it_waits_for() -> None:
    drain = Drain()
    drain.begin(0.0)
    drain.announced(0.0)
    drain.leave(1.0)
    assert drain.is_announcement_due(1.0)
