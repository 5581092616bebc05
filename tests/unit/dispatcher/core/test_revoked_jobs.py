"""Rules that are disabled, deleted, changed, and there again."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import JobType, RestartPolicy
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.room_events import DisconnectReason
from dispatcher.core.rules import Match
from tests.support.engine_bench import AGENT, EngineBench
from tests.support.room_words import ALL_TYPES
from tests.unit.dispatcher.core.called_jobs import called, come_back, config_of

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


def test_who_took_the_place_of_one_whose_job_was_called_off_is_called(bench: EngineBench) -> None:
    bench.worker("w", types=ALL_TYPES)
    bench.rule(job_type=PARTICIPANT)
    bench.joins("ann")
    on_offer = bench.job_of()
    bench.rule(job_type=PARTICIPANT, enabled=False)
    bench.leaves("ann", 1, reason=DisconnectReason.DUPLICATE_IDENTITY)
    bench.joins("ann", 2)
    bench.decline(on_offer)
    assert bench.phase(on_offer) is JobPhase.CANCELLED
    bench.rule(job_type=PARTICIPANT)
    bench.pass_time(1)
    assert called(bench) == ["ann"]


# --- a rule that is changed ---


def test_a_rule_that_is_mended_calls_those_who_are_there(bench: EngineBench) -> None:
    bench.worker("w")
    bench.rule(agent="typ-greter")
    bench.room_starts()
    wrong = bench.job_of()
    bench.rule(agent=AGENT)
    bench.pass_time(1)
    assert bench.phase(wrong) is JobPhase.CANCELLED
    assert "its rule 'rule' was changed" in bench.events(wrong)[-1].detail
    [right] = bench.live_jobs_of()
    assert bench.offered(right) == "w"


def test_a_changed_rule_makes_anew_what_waits_and_lets_run_what_runs(bench: EngineBench) -> None:
    running, on_offer, waiting = three_jobs(bench)
    bench.rule(job_type=PARTICIPANT, metadata="new")
    assert bench.phase(waiting) is JobPhase.CANCELLED
    bench.accept(on_offer)
    assert bench.phase(on_offer) is JobPhase.CANCELLED
    bench.pass_time(1)
    assert sorted(called(bench)) == ["ann", "bob", "cyd"]
    assert bench.phase(running) is JobPhase.RUNNING
    others = [job for job in bench.live_jobs_of() if job != running]
    assert [config_of(bench, job).metadata for job in others] == ["new", "new"]


def test_a_changed_rule_calls_off_what_it_does_not_match_any_more(bench: EngineBench) -> None:
    three_jobs(bench)
    bench.rule(job_type=PARTICIPANT, match=Match(identities=("ann", "dan")))
    bench.pass_time(15)  # the offer lapses
    assert called(bench) == ["ann"]


def test_a_delayed_job_of_a_changed_rule_is_made_anew(bench: EngineBench) -> None:
    bench.rule(delay_seconds=60)
    bench.room_starts()
    delayed = bench.job_of()
    bench.rule(delay_seconds=1)
    bench.pass_time(2)
    assert bench.phase(delayed) is JobPhase.CANCELLED
    [job] = bench.live_jobs_of()
    assert bench.phase(job) is JobPhase.QUEUED


def test_a_rule_that_is_applied_as_it_is_calls_off_nothing(bench: EngineBench) -> None:
    bench.rule()
    bench.room_starts()
    bench.rule()
    bench.pass_time(1)
    assert bench.live_jobs_of() == [bench.job_of()]


def test_a_change_while_the_offer_of_the_last_is_open_calls_once(bench: EngineBench) -> None:
    _, on_offer, _ = three_jobs(bench)
    bench.rule(job_type=PARTICIPANT, metadata="one")
    bench.rule(job_type=PARTICIPANT, metadata="two")
    bench.restart()
    come_back(bench, "w2")
    bench.pass_time(60)
    assert on_offer not in bench.live_jobs_of()
    assert sorted(called(bench)) == ["ann", "bob", "cyd"]


@pytest.mark.parametrize("how", ["changed", "deleted", "disabled"])
@pytest.mark.parametrize("restarts", [True, False])
def test_whom_no_worker_was_found_for_is_called_when_the_rule_is_there_anew(
    bench: EngineBench, how: str, restarts: bool
) -> None:
    bench.rule(queue_seconds=5)
    bench.room_starts()
    failed = bench.job_of()
    bench.pass_time(6)
    assert bench.phase(failed) is JobPhase.FAILED
    if restarts:
        bench.restart()
        bench.pass_time(1)
    assert bench.jobs_of() == [failed]
    if how == "changed":
        bench.rule(queue_seconds=50)
    else:
        if how == "deleted":
            bench.delete_rule()
        else:
            bench.rule(queue_seconds=5, enabled=False)
        bench.rule(queue_seconds=5)
    bench.pass_time(1)
    assert called(bench) == ["room"]


def test_whom_no_worker_was_found_for_since_a_restart_is_called_with_a_changed_rule(
    bench: EngineBench,
) -> None:
    bench.rule(queue_seconds=5)
    bench.room_starts()
    bench.restart()
    bench.pass_time(6)
    assert bench.phase(bench.job_of()) is JobPhase.FAILED
    bench.rule(queue_seconds=50)
    bench.pass_time(1)
    assert called(bench) == ["room"]


def test_all_who_shared_a_job_that_no_worker_took_are_called_with_a_changed_rule(
    bench: EngineBench,
) -> None:
    bench.rule(job_type=PARTICIPANT, unique="one", queue_seconds=5)
    bench.joins("ann")
    bench.joins("bob")
    bench.pass_time(6)
    bench.leaves("ann")
    bench.rule(job_type=PARTICIPANT, unique="one", queue_seconds=50)
    bench.pass_time(1)
    assert called(bench) == ["bob"]


def test_a_changed_rule_does_not_call_anew_whose_job_failed_or_succeeded(
    bench: EngineBench,
) -> None:
    bench.worker("w")
    bench.rule(restart=RestartPolicy.NEVER)
    for room, ends in (("one", bench.succeed), ("two", bench.fail)):
        bench.room_starts(room)
        job = bench.live_jobs_of()[0]
        bench.accept(job)
        ends(job)
    bench.rule(metadata="new")
    bench.pass_time(1)
    assert bench.live_jobs_of() == []
