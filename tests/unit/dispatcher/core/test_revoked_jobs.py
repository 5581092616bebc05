"""Rules that are disabled, deleted, and there again."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import JobType
from dispatcher.core.lifecycle import JobPhase
from tests.support.engine_bench import EngineBench
from tests.support.room_words import ALL_TYPES
from tests.unit.dispatcher.core.called_jobs import called, come_back

PARTICIPANT = JobType.PARTICIPANT


def three_jobs(bench: EngineBench, rule: str = "rule") -> tuple[str, str, str]:
    """Return a running job, one on offer, and one in the queue, of a PARTICIPANT rule."""
    bench.worker("w", types=ALL_TYPES, capacity=2)
    bench.rule(rule, PARTICIPANT)
    bench.joins("ann")
    [running] = bench.jobs_of(rule)
    bench.accept(running)
    bench.start(running)
    bench.joins("bob")
    bench.joins("cyd")
    _, on_offer, waiting = bench.jobs_of(rule)
    assert bench.phase(on_offer) is JobPhase.OFFERED
    assert bench.phase(waiting) is JobPhase.QUEUED
    return running, on_offer, waiting


@pytest.mark.parametrize("deletes", [True, False])
def test_a_rule_that_goes_cancels_what_waits_and_lets_run_what_runs(
    bench: EngineBench, deletes: bool
) -> None:
    running, on_offer, waiting = three_jobs(bench)
    if deletes:
        bench.delete_rule()
    else:
        bench.rule(job_type=PARTICIPANT, enabled=False)
    assert bench.phase(waiting) is JobPhase.CANCELLED
    what = "deleted" if deletes else "disabled"
    assert f"its rule 'rule' was {what}" in bench.events(waiting)[-1].detail
    bench.accept(on_offer)
    assert bench.phase(on_offer) is JobPhase.CANCELLED
    assert bench.phase(running) is JobPhase.RUNNING
    assert bench.stops("w") == []
    bench.joins("dan")
    assert bench.live_jobs_of() == [running]


def test_a_rule_that_is_enabled_again_makes_anew_what_it_called_off(bench: EngineBench) -> None:
    three_jobs(bench)
    bench.rule(job_type=PARTICIPANT, enabled=False)
    bench.decline(bench.live_jobs_of()[1])
    bench.rule(job_type=PARTICIPANT)
    bench.pass_time(1)
    assert called(bench) == ["ann", "bob", "cyd"]
    assert len(bench.jobs_of()) == 5


def test_a_rule_that_is_enabled_while_its_offer_is_called_off_makes_the_job_after_it(
    bench: EngineBench,
) -> None:
    _, on_offer, _ = three_jobs(bench)
    bench.rule(job_type=PARTICIPANT, enabled=False)
    bench.rule(job_type=PARTICIPANT)
    bench.pass_time(1)
    assert sorted(called(bench)) == ["ann", "bob", "cyd"]
    assert on_offer in bench.live_jobs_of()
    bench.accept(on_offer)
    assert bench.phase(on_offer) is JobPhase.CANCELLED
    assert sorted(called(bench)) == ["ann", "bob", "cyd"]


def test_a_rule_of_the_name_of_one_that_was_deleted_does_not_call_twice(bench: EngineBench) -> None:
    running, _, _ = three_jobs(bench)
    bench.delete_rule()
    bench.rule(job_type=PARTICIPANT)
    bench.pass_time(15)  # the offer lapses
    assert sorted(called(bench)) == ["ann", "bob", "cyd"]
    assert running in bench.live_jobs_of()


def test_a_rule_that_is_enabled_again_after_a_job_has_ended_does_not_make_it_anew(
    bench: EngineBench,
) -> None:
    running, _, _ = three_jobs(bench)
    bench.succeed(running)
    bench.rule(job_type=PARTICIPANT, enabled=False)
    bench.rule(job_type=PARTICIPANT)
    bench.pass_time(15)
    assert sorted(called(bench)) == ["bob", "cyd"]


def test_what_a_rule_called_off_stays_so_after_a_restart(bench: EngineBench) -> None:
    _, on_offer, _ = three_jobs(bench)
    bench.rule(job_type=PARTICIPANT, enabled=False)
    bench.restart()
    come_back(bench, "w2")
    bench.pass_time(60)
    assert on_offer not in bench.live_jobs_of()
    bench.rule(job_type=PARTICIPANT)
    bench.pass_time(1)
    assert {"bob", "cyd"} <= set(called(bench))
    assert len(called(bench)) == len(set(called(bench)))
