"""Placement: a bag draws fairly, a pool counts rightly, and choosing costs the same for any size."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.events import Registration
from dispatcher.core.jobs import JobType, Lane
from dispatcher.core.lifecycle import WorkerPhase
from dispatcher.core.placement import Bag, Pools
from dispatcher.core.policy import Policy
from dispatcher.core.workers import Worker

LANE = Lane("p", "a")
OTHER = Lane("p", "a", job_type=JobType.PUBLISHER)


def worker(
    name: str,
    load: float = 0.0,
    *,
    capacity: int | None = None,
    lanes: tuple[Lane, ...] = (LANE,),
    phase: WorkerPhase = WorkerPhase.AVAILABLE,
) -> Worker:
    """Return a worker with this load."""
    said = Registration("p", "a", "", "", (JobType.ROOM,))
    made = Worker(name, said, lanes, capacity, 0, 0)
    made.phase = phase
    made.reported_load = load
    return made


def pools_of(*workers: Worker, policy: Policy | None = None) -> Pools:
    """Return pools with these workers."""
    pools = Pools(policy or Policy())
    for one in workers:
        pools.place(one)
    return pools


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=200))
def test_a_bag_holds_what_was_added_and_not_removed(steps: list[tuple[bool, int]]) -> None:
    workers = [worker(str(n)) for n in range(8)]
    bag, model = Bag(), set[Worker]()
    for adds, index in steps:
        one = workers[index]
        if adds and one not in model:
            bag.add(one)
            model.add(one)
        elif not adds and one in model:
            bag.remove(one)
            model.discard(one)
        assert len(bag) == len(model)
        assert set(bag._items) == model
        assert all(bag._items[place] is held for held, place in bag._places.items())
        drawn = bag.draw("job", Policy(), Random(1))
        assert (drawn in model) if model else (drawn is None)


def test_every_worker_of_a_bag_is_drawn_about_as_often_as_any_other() -> None:
    pools, random = pools_of(*(worker(str(n)) for n in range(10))), Random(5)
    drawn = Counter(_name(pools.draw(LANE, "job", random)) for _ in range(10_000))
    assert all(850 < drawn[str(n)] < 1150 for n in range(10))


def test_the_better_of_two_random_workers_is_drawn() -> None:
    busy, idle = worker("busy", 0.5), worker("idle", 0.1)
    pools, random = pools_of(busy, idle), Random(3)
    drawn = Counter(_name(pools.draw(LANE, "job", random)) for _ in range(4_000))
    # the busy one only when it is drawn twice: a quarter of the time
    assert 800 < drawn["busy"] < 1200


def test_a_worker_below_the_target_load_is_preferred_to_any_above_it() -> None:
    loaded = [worker(f"loaded{n}", 0.75) for n in range(50)]
    pools, random = pools_of(worker("below", 0.69), *loaded), Random(3)
    assert {_name(pools.draw(LANE, "job", random)) for _ in range(200)} == {"below"}


def test_a_worker_above_the_target_load_is_drawn_when_there_is_no_other() -> None:
    assert _name(pools_of(worker("w", 0.99)).draw(LANE, "job", Random(1))) == "w"


@pytest.mark.parametrize("phase", list(WorkerPhase))
def test_only_an_available_worker_is_drawn(phase: WorkerPhase) -> None:
    drawn = pools_of(worker("w", phase=phase)).draw(LANE, "job", Random(1))
    assert (drawn is not None) == (phase is WorkerPhase.AVAILABLE)


def test_a_worker_that_may_still_run_the_job_is_not_drawn_for_it() -> None:
    may_run, other = worker("may run"), worker("other", 0.9)
    may_run.stopping.add("job")
    pools, random = pools_of(may_run, other), Random(1)
    assert {_name(pools.draw(LANE, "job", random)) for _ in range(50)} == {"other"}
    assert "may run" in {_name(pools.draw(LANE, "another", random)) for _ in range(50)}


def test_nobody_is_drawn_where_all_may_still_run_the_job() -> None:
    one = worker("one")
    one.stopping.add("job")
    assert pools_of(one).draw(LANE, "job", Random(1)) is None


def test_nobody_is_drawn_for_a_lane_without_workers() -> None:
    assert pools_of(worker("w")).draw(OTHER, "job", Random(1)) is None


def test_a_worker_of_two_lanes_gives_both_its_room_and_takes_it_from_both() -> None:
    both = worker("both", capacity=3, lanes=(LANE, OTHER))
    pools = pools_of(both)
    assert (pools.room(LANE), pools.room(OTHER)) == (3, 3)
    both.unclaimed_jobs = 2
    pools.place(both)
    assert (pools.room(LANE), pools.room(OTHER)) == (1, 1)
    pools.remove(both)
    assert (pools.room(LANE), pools.room(OTHER)) == (0, 0)


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["load", "jobs", "phase", "gone"]),
        st.integers(0, 6),
    ),
    max_size=100,
)


@given(CHANGES)
def test_the_room_of_a_lane_is_always_the_sum_of_its_workers_rooms(
    changes: list[tuple[int, str, int]],
) -> None:
    policy = Policy()
    workers = [
        worker(str(n), capacity=n or None, lanes=(LANE, OTHER) if n % 2 else (LANE,))
        for n in range(6)
    ]
    pools = pools_of(*workers, policy=policy)
    for index, what, value in changes:
        one = workers[index]
        if what == "load":
            one.reported_load = value / 5
        elif what == "jobs":
            one.unclaimed_jobs = value
        elif what == "phase":
            one.phase = list(WorkerPhase)[value % len(WorkerPhase)]
        if what == "gone":
            pools.remove(one)
            one.phase = WorkerPhase.GONE
        else:
            pools.place(one)
        for lane in (LANE, OTHER):
            has = [w for w in workers if lane in w.lanes and w.room(policy) > 0]
            assert pools.room(lane) == sum(w.room(policy) for w in has)
            pool = pools._pools.get(lane)
            assert (pool is not None) == bool(has)
            if pool is not None:
                assert {w for bag in pool.bags.values() for w in bag._items} == set(has)


class CountingRandom(Random):
    """Counts how often it is drawn from."""

    draws = 0

    def random(self) -> float:
        """Draw, and count it."""
        self.draws += 1
        return super().random()


class CountingWorker(Worker):
    """Counts how often anybody asks how full it is."""

    questions = 0

    def pressure(self, policy: Policy) -> float:
        """Answer, and count it."""
        CountingWorker.questions += 1
        return super().pressure(policy)

    def room(self, policy: Policy) -> int:
        """Answer, and count it."""
        CountingWorker.questions += 1
        return super().room(policy)


def cost_of_a_choice(workers_count: int) -> tuple[int, int]:
    """Return the random draws and the questions that one draw and one placement cost."""
    said = Registration("p", "a", "", "", (JobType.ROOM,))
    workers = [CountingWorker(str(n), said, (LANE,), None, 0, 0) for n in range(workers_count)]
    for one in workers:
        one.phase = WorkerPhase.AVAILABLE
    pools, random = pools_of(*workers), CountingRandom(1)
    CountingWorker.questions = 0
    drawn = pools.draw(LANE, "job", random)
    assert drawn is not None
    drawn.unreported_jobs += 10
    pools.place(drawn)
    return random.draws, CountingWorker.questions


def test_a_choice_among_ten_thousand_workers_costs_what_one_among_ten_does() -> None:
    assert cost_of_a_choice(10_000) == cost_of_a_choice(10) == (2, 4)


def _name(drawn: Worker | None) -> str:
    assert drawn is not None
    return drawn.id
