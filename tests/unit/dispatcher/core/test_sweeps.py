"""Rules that come late, or change: they find all who are there, a slice at a time."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import JobType
from dispatcher.core.rules import Match
from dispatcher.core.sweeps import SWEEP_MAX
from tests.support.engine_bench import EngineBench
from tests.support.room_words import ALL_TYPES, person, seen
from tests.unit.dispatcher.core.called_jobs import called, come_back

PARTICIPANT = JobType.PARTICIPANT


def test_a_late_rule_finds_who_is_there(bench: EngineBench) -> None:
    bench.joins("ann")
    bench.joins("bob")
    bench.publishes("bob")
    bench.room_starts("other")
    for job_type in ALL_TYPES:
        bench.rule(job_type.name, job_type)
    bench.pass_time(1)
    assert called(bench, "ROOM") == ["room", "other"]
    assert called(bench, "PARTICIPANT") == ["ann", "bob"]
    assert called(bench, "PUBLISHER") == ["bob"]


def test_a_late_rule_finds_all_however_many_they_are(bench: EngineBench) -> None:
    count = 2 * SWEEP_MAX + 10
    people = [person(f"p{number}") for number in range(count)]
    bench.lists_rooms(seen(*people))
    bench.rule(job_type=PARTICIPANT)
    bench.pass_time(1)
    assert len(called(bench)) == count


def test_a_late_rule_looks_at_a_slice_in_each_turn_and_lets_others_go_between() -> None:
    bench = EngineBench()
    bench.lists_rooms(seen(*(person(f"p{number}") for number in range(3 * SWEEP_MAX))))
    bench.rule(job_type=PARTICIPANT)
    made = [0]
    while (at := bench.engine.next_deadline()) is not None and at <= bench.now + 1000:
        bench.now = max(bench.now, at)
        bench.carry_out(bench.engine.expire(bench.now))
        made.append(len(bench.jobs_of()))
        assert made[-1] - made[-2] <= SWEEP_MAX
    assert made[-1] == 3 * SWEEP_MAX


def test_a_late_rule_does_not_call_for_who_left_before_its_turn(bench: EngineBench) -> None:
    count = 2 * SWEEP_MAX
    bench.lists_rooms(seen(*(person(f"p{number}") for number in range(count))))
    bench.rule(job_type=PARTICIPANT)
    bench.leaves(f"p{count - 1}")
    bench.pass_time(1)
    assert f"p{count - 1}" not in called(bench)
    assert len(bench.jobs_of()) == count - 1


def test_a_changed_rule_calls_for_those_that_now_match(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, match=Match(identities=("ann",)))
    bench.joins("ann")
    bench.joins("bob")
    assert called(bench) == ["ann"]
    bench.rule(job_type=PARTICIPANT)
    bench.pass_time(1)
    assert called(bench) == ["ann", "bob"]


@pytest.mark.parametrize("ends", [True, False])
def test_what_a_late_rule_made_is_not_made_again_after_a_restart(
    bench: EngineBench, ends: bool
) -> None:
    bench.worker("w", types=ALL_TYPES)
    bench.joins("ann")
    bench.rule(job_type=PARTICIPANT)
    bench.rule("rooms")
    bench.pass_time(1)
    for job in list(bench.engine.jobs):
        bench.accept(job)
        if ends:
            bench.succeed(job)
    bench.restart()
    come_back(bench, "w2")
    bench.pass_time(60)
    assert len(bench.jobs_of()) == len(bench.jobs_of("rooms")) == 1
    assert len(bench.live_jobs_of()) == len(bench.live_jobs_of("rooms")) == (0 if ends else 1)


def test_a_rule_that_was_applied_just_before_the_end_finds_all_after_it(bench: EngineBench) -> None:
    bench.lists_rooms(seen(*(person(f"p{number}") for number in range(SWEEP_MAX * 2))))
    bench.rule(job_type=PARTICIPANT)
    bench.restart()
    bench.pass_time(1)
    assert len(called(bench)) == SWEEP_MAX * 2
