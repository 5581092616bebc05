"""50,000 events of rooms, in disorder, doubled and with losses: exactly the jobs that should live.

Seeds are fresh ones, or CALLBOARD_SIMULATION_SEED; each is printed with the command that replays it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from tests.simulation.room_life import RoomLife
from tests.simulation.room_replay import (
    EVENTS,
    Broken,
    Disorder,
    Replay,
    Replayed,
    arrivals,
    expected_jobs,
    replay,
    replay_command,
)
from tests.support.engine_bench import START


def _fresh_seed() -> int:
    chosen = os.environ.get("CALLBOARD_SIMULATION_SEED")
    return int(chosen) if chosen else random.SystemRandom().getrandbits(32)


def _must_hold(
    seed: int, disorder: Disorder, events: int, restarts: int = 0, lists: bool = False
) -> Replayed:
    command = f"{replay_command(seed, disorder, restarts, lists)} --events {events}"
    print(command)
    try:
        replayed = replay(seed, disorder, events, restarts, lists)
    except Broken as broken:
        pytest.fail(f"{broken}\nreplay: {command}", pytrace=False)
    print(replayed)
    return replayed


@pytest.mark.parametrize("disorder", list(Disorder))
def test_fifty_thousand_events_in_disorder_leave_exactly_the_jobs_that_should_live(
    disorder: Disorder,
) -> None:
    replayed = _must_hold(_fresh_seed(), disorder, EVENTS)
    assert replayed.told >= EVENTS
    assert replayed.live > 500
    assert replayed.made > 2 * replayed.live


@pytest.mark.parametrize("disorder", list(Disorder))
def test_a_server_that_is_killed_on_the_way_ends_with_the_same_jobs(disorder: Disorder) -> None:
    _must_hold(_fresh_seed(), disorder, 5_000, restarts=10)


def test_a_list_every_ten_seconds_amid_late_news_ends_with_the_same_jobs() -> None:
    _must_hold(_fresh_seed(), Disorder.SLIDING, 10_000, restarts=3, lists=True)


def test_a_seed_is_one_replay() -> None:
    one, two = (replay(11, Disorder.SLIDING, 2_000, 1) for _ in range(2))
    assert (one.arrived, one.made, one.live_before) == (two.arrived, two.made, two.live_before)


def test_a_twentieth_is_lost_and_a_twentieth_told_twice_and_most_out_of_order() -> None:
    for disorder in Disorder:
        told = RoomLife(Random(5), START, 20_000).told
        arriving = arrivals(Random(6), told, START, disorder)
        times = Counter(id(event) for _, event in arriving)
        assert 0.04 < 1 - len(times) / len(told) < 0.06
        assert 0.04 < sum(count == 2 for count in times.values()) / len(times) < 0.06
        place = {id(happened.event): number for number, happened in enumerate(told)}
        order = [place[id(event)] for _, event in arriving]
        late = sum(one > two for one, two in pairwise(order))
        assert late / len(order) > 0.3, disorder


def _replayed_in_order(events: int) -> tuple[Replay, RoomLife]:
    life = RoomLife(Random(3), START, events)
    replayed = Replay(3)
    for happened in life.told:
        replayed.take(happened.at, happened.event)
    return replayed, life


def test_without_losses_and_in_order_no_list_is_needed() -> None:
    replayed, life = _replayed_in_order(3_000)
    replayed.check(life)


def test_a_job_too_few_and_a_job_too_many_are_noticed() -> None:
    replayed, life = _replayed_in_order(3_000)
    [subject, *_] = expected_jobs(life)
    replayed.live[subject] += 1
    with pytest.raises(Broken, match="1 jobs are not as they should be"):
        replayed.check(life)
    replayed.live[subject] -= 1
    for job_id, hand in list(replayed.bench.engine.jobs.items()):
        if hand.worker is not None:
            replayed.bench.succeed(job_id)
            break
    replayed.look()
    with pytest.raises(Broken, match="1 jobs are not as they should be"):
        replayed.check(life)
