"""Who waits while a rule is at its limit, or for a unique key."""

from __future__ import annotations

from dispatcher.core.jobs import JobType
from dispatcher.core.room_states import Place
from dispatcher.core.waiting_lists import TIDIED_BEYOND, WaitingLists
from tests.support.engine_bench import EngineBench
from tests.support.room_words import ALL_TYPES
from tests.unit.dispatcher.core.called_jobs import called

PARTICIPANT = JobType.PARTICIPANT


ORDER = ("project", "rule:rule")


def place(name: str) -> Place:
    """Return somebody's place."""
    return ("project", "room"), name


# --- the lists by themselves ---


def test_who_came_first_is_first_also_when_it_is_told_again() -> None:
    lists = WaitingLists(lambda _: True)
    for name in ("ann", "bob", "ann"):
        lists.add(ORDER, "", place(name))
    taken = [lists.take_first(ORDER, "") for _ in range(3)]
    assert taken == [place("ann"), place("bob"), None]
    assert not lists


def test_each_unique_key_has_a_list_of_its_own() -> None:
    lists = WaitingLists(lambda _: True)
    lists.add(ORDER, "", place("ann"))
    lists.add(ORDER, "7", place("bob"))
    lists.add(ORDER, "8", place("cyd"))
    assert lists.take_first(ORDER, "8") == place("cyd")
    assert lists.take_first(ORDER, "8") is None
    assert len(lists) == 2
    assert lists.take_first(ORDER, "") == place("ann")
    assert lists.take_first(ORDER, "7") == place("bob")


def test_a_list_that_is_taken_whole_leaves_the_others() -> None:
    lists = WaitingLists(lambda _: True)
    other = ("project", "rule:other")
    for order in (ORDER, other):
        for unique_key in ("", "7"):
            lists.add(order, unique_key, place("ann"))
    assert lists.take_all(ORDER, "7") == [place("ann")]
    assert lists.take_all(ORDER, "7") == []
    assert lists.take_all(ORDER, "") == [place("ann")]
    assert lists.take_first(ORDER, "") is None
    assert len(lists) == 2


def test_a_list_keeps_those_who_are_there_however_many() -> None:
    lists = WaitingLists(lambda place: place[1] != "gone")
    lists.add(ORDER, "", place("gone"))
    names = [f"p{number}" for number in range(3 * TIDIED_BEYOND)]
    for name in names:
        lists.add(ORDER, "", place(name))
    taken = [lists.take_first(ORDER, "") for _ in names]
    assert taken == [place(name) for name in names]


# --- limits ---


def test_a_rule_over_its_limit_goes_on_in_order_as_jobs_end(bench: EngineBench) -> None:
    bench.worker("w", types=ALL_TYPES)
    bench.rule(job_type=PARTICIPANT, limit=2)
    for who in ("ann", "bob", "cyd", "dan", "eve"):
        bench.joins(who)
    assert called(bench) == ["ann", "bob"]
    order = ["ann", "bob"]
    for _ in range(3):
        job = bench.live_jobs_of()[0]
        bench.accept(job)
        bench.succeed(job)
        assert len(called(bench)) == 2
        order.append(called(bench)[-1])
    assert order == ["ann", "bob", "cyd", "dan", "eve"]


def test_a_job_that_is_called_off_makes_room_for_the_next(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, limit=1)
    bench.joins("ann")
    bench.joins("bob")
    bench.leaves("ann")
    assert called(bench) == ["bob"]


def test_who_left_before_its_turn_has_none(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, limit=1)
    for who in ("ann", "bob", "cyd"):
        bench.joins(who)
    bench.leaves("bob")
    bench.leaves("ann")
    assert called(bench) == ["cyd"]


def test_those_who_left_before_their_turn_are_forgotten() -> None:
    bench = EngineBench()
    bench.rule(job_type=PARTICIPANT, limit=1)
    bench.joins("ann")
    bench.joins("bob")
    for number in range(4 * TIDIED_BEYOND):
        bench.joins(f"p{number}")
        bench.leaves(f"p{number}")
    waiting = bench.engine._ordering._waiting
    assert len(waiting) <= TIDIED_BEYOND
    bench.joins("cyd")
    bench.leaves("ann")
    assert called(bench) == ["bob"]
    bench.leaves("bob")
    assert called(bench) == ["cyd"]


def test_a_limit_holds_over_all_rooms_and_after_a_restart(bench: EngineBench) -> None:
    bench.rule(limit=2)
    for number in range(5):
        bench.room_starts(f"r{number}")
    bench.restart()
    bench.pass_time(1)
    assert called(bench) == ["r0", "r1"]
    bench.room_finishes("r0")
    assert len(called(bench)) == 2


def test_a_limit_that_is_raised_lets_in_who_waited(bench: EngineBench) -> None:
    bench.rule(limit=1)
    for number in range(4):
        bench.room_starts(f"r{number}")
    bench.rule(limit=3)
    bench.pass_time(1)
    assert called(bench) == ["r0", "r1", "r2"]
