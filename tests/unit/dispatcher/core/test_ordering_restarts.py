"""What rules make when the server ends meanwhile: nothing is lost, and nothing made twice."""

from __future__ import annotations

from dispatcher.core.effects import Outcome
from dispatcher.core.jobs import JobType
from dispatcher.core.room_events import DisconnectReason
from tests.support.engine_bench import EngineBench
from tests.support.room_words import ALL_TYPES, outcome, person, seen
from tests.unit.dispatcher.core.called_jobs import called, come_back

PUBLISHER, PARTICIPANT = JobType.PUBLISHER, JobType.PARTICIPANT


def test_an_event_that_was_lost_with_the_server_makes_its_job_when_it_comes_again(
    bench: EngineBench,
) -> None:
    bench.rule()
    bench.holds_commits = True
    bench.room_starts()
    bench.restart()
    assert bench.jobs_of() == []
    assert outcome(bench.room_starts()) is Outcome.DONE
    assert called(bench) == ["room"]


def test_after_a_restart_nothing_is_made_twice(bench: EngineBench) -> None:
    for job_type in ALL_TYPES:
        bench.rule(job_type.name, job_type)
    bench.worker("w", types=ALL_TYPES)
    bench.joins("ann")
    bench.publishes("ann")
    for job in list(bench.engine.jobs):
        bench.accept(job)
    [ended] = bench.jobs_of("PARTICIPANT")
    bench.succeed(ended)
    for number in range(3):
        bench.restart()
        come_back(bench, f"w{number}")
        bench.pass_time(1)
        bench.room_starts()
        bench.joins("ann")
        bench.publishes("ann", track="TR_2")
        bench.lists_rooms(seen(person("ann"), publishers=["ann"]))
    for job_type in ALL_TYPES:
        assert len(bench.jobs_of(job_type.name)) == 1, job_type


def test_a_replaced_connection_without_a_successor_has_left_after_a_restart_too(
    bench: EngineBench,
) -> None:
    bench.rule(job_type=PARTICIPANT)
    bench.joins("ann")
    bench.leaves("ann", reason=DisconnectReason.DUPLICATE_IDENTITY)
    bench.restart()
    bench.pass_time(31)
    assert bench.live_jobs_of() == []


def test_after_a_restart_rules_go_on_and_rooms_are_known(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT)
    bench.joins("ann")
    bench.publishes("ann")
    bench.restart()
    bench.pass_time(1)
    bench.joins("bob")
    assert called(bench) == ["ann", "bob"]
    bench.rule("late", PUBLISHER)
    bench.pass_time(1)
    assert called(bench, "late") == ["ann"]
    bench.leaves("ann")
    assert called(bench) == ["bob"]


def test_after_a_restart_a_succession_goes_on(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT)
    bench.joins("ann", 1)
    bench.leaves("ann", 1, reason=DisconnectReason.DUPLICATE_IDENTITY)
    bench.restart()
    bench.joins("ann", 2)
    bench.restart()
    bench.pass_time(20)
    job = bench.job_of()
    assert bench.live_jobs_of() == [job]
    bench.leaves("ann", 1)  # it had left by itself: who took its place is another
    [new] = bench.live_jobs_of()
    assert new != job
