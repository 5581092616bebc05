"""Jobs that workers hold: reports, failures and retries, moves that the store refused."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import Ignored, SendOffer, SendStatusReceipt
from dispatcher.core.events import MoveRefused
from dispatcher.core.jobs import AttemptReason, JobStateReason, JobStatus, RestartPolicy, seconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.policy import Policy
from tests.support.engine_bench import EngineBench

BIG_EPOCH = 2**64 - 1


# --- reports ----------------------------------------------------------------------------------


def test_a_job_starts_and_succeeds(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job)
    bench.start(job)
    assert bench.state(job).phase is JobPhase.RUNNING
    bench.pass_time(5)
    bench.succeed(job)
    state = bench.state(job)
    assert (state.phase, state.ended_at) == (JobPhase.SUCCEEDED, bench.now)
    assert [event.trigger for event in bench.events(job)] == [
        JobTrigger.CREATED,
        JobTrigger.OFFER_ACCEPTED,
        JobTrigger.STARTED,
        JobTrigger.SUCCEEDED,
    ]


def test_a_job_that_never_said_that_it_runs_may_end(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job)
    bench.succeed(job)
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_a_worker_may_say_that_its_job_was_cancelled(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.job_status(job, JobStatus.CANCELLED)
    assert bench.phase(job) is JobPhase.CANCELLED


def test_running_told_twice_is_written_once(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.start(job)
    assert [e.trigger for e in bench.events(job)].count(JobTrigger.STARTED) == 1


def test_pending_means_nothing_of_a_job_that_is_held(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.job_status(job, JobStatus.PENDING)
    assert bench.ignored() == [Ignored.STATUS_WITHOUT_MEANING]
    assert bench.phase(job) is JobPhase.RUNNING


def test_a_status_of_a_job_that_ended_changes_nothing(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.succeed(job)
    bench.job_status(job, JobStatus.FAILED, worker="a")
    assert bench.phase(job) is JobPhase.SUCCEEDED
    assert bench.ignored() == [Ignored.UNKNOWN_JOB]


def test_who_runs_a_job_that_ended_is_told_to_stop(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.succeed(job)
    bench.job_status(job, JobStatus.RUNNING, worker="a")
    assert bench.stops("a") == [job]


def test_another_agents_worker_cannot_end_a_job(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.worker("b", agent="other")
    bench.job_status(job, JobStatus.SUCCESS, worker="b")
    assert bench.holder(job) == "a"
    assert bench.ignored() == [Ignored.NOT_HOLDER]


@pytest.mark.parametrize("epoch", [2, BIG_EPOCH])
def test_a_report_of_another_epoch_does_not_count(bench: EngineBench, epoch: int) -> None:
    bench.worker("a")
    job = bench.running()
    bench.job_status(job, JobStatus.SUCCESS, epoch=epoch)
    assert bench.phase(job) is JobPhase.RUNNING
    assert bench.ignored() == [Ignored.STALE_EPOCH]


def test_a_late_report_of_an_older_try_does_not_stop_the_live_one(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.fail(job)
    bench.pass_time(2)
    bench.accept(job)
    bench.job_status(job, JobStatus.RUNNING, epoch=1)
    assert bench.holder(job) == "a"
    assert bench.stops("a") == []


def test_each_numbered_report_is_confirmed_after_it_is_durable(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.holds_commits = True
    bench.job_status(job, JobStatus.SUCCESS, sequence=41)
    assert not bench.of(SendStatusReceipt)
    bench.commit()
    assert bench.of(SendStatusReceipt) == [SendStatusReceipt("a", 41)]


def test_a_numbered_report_of_no_consequence_is_confirmed_too(bench: EngineBench) -> None:
    bench.worker("a")
    bench.job_status("AJ_none", JobStatus.SUCCESS, worker="a", sequence=7)
    assert bench.of(SendStatusReceipt) == [SendStatusReceipt("a", 7)]


# --- failures and retries ---------------------------------------------------------------------


def test_a_failed_job_is_tried_again_with_the_next_epoch_and_the_same_identity(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job, identity="me")
    bench.fail(job, "boom")
    state = bench.state(job)
    assert (state.phase, state.epoch, state.attempt) == (JobPhase.DELAYED, 2, 2)
    assert (state.error, state.reason) == ("boom", JobStateReason.RETRYING)
    bench.pass_time(1)
    bench.accept(job, identity="somebody else")
    assert bench.state(job).participant_identity == "me"
    assert bench.state(job).attempt_reason is AttemptReason.FAILED
    assert not bench.of(SendOffer)[-1].resuming


def test_the_pause_before_a_retry_doubles_with_half_of_it_at_random() -> None:
    pauses: list[set[float]] = [set() for _ in range(4)]
    for seed in range(60):
        bench = EngineBench(Policy(retry_backoff_max=seconds(6)), seed)
        bench.worker("a")
        job = bench.dispatch()
        for seen in pauses:
            bench.accept(job)
            bench.fail(job)
            seen.add((bench.state(job).until - bench.now) / 1e9)
            bench.pass_time(6)
    for seen, longest in zip(pauses, [1, 2, 4, 6], strict=True):
        assert longest / 2 <= min(seen) < longest * 0.6
        assert longest * 0.9 < max(seen) <= longest


def test_a_job_fails_for_good_at_the_limit_of_attempts(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    for _ in range(5):
        bench.accept(job)
        bench.fail(job, "boom")
        while bench.phase(job) is JobPhase.DELAYED:
            bench.pass_time(0.5)
    state = bench.state(job)
    assert (state.phase, state.attempt, state.error) == (JobPhase.FAILED, 5, "boom")
    assert len(bench.assignments(job)) == 5


def test_a_job_that_is_never_to_be_restarted_fails_at_once(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running(restart=RestartPolicy.NEVER)
    bench.fail(job, "boom")
    state = bench.state(job)
    assert (state.phase, state.error) == (JobPhase.FAILED, "boom")
    assert state.wire_status is JobStatus.FAILED


# --- the store has another truth --------------------------------------------------------------


@pytest.mark.parametrize("lost", [True, False])
def test_a_job_whose_move_the_store_refused_is_held_no_longer(
    bench: EngineBench, lost: bool
) -> None:
    bench.worker("a")
    job = bench.running()
    if lost:
        bench.lose("a")
    bench.tell(MoveRefused(job, 7))
    assert job not in bench.engine.jobs
    if not lost:
        assert bench.stops("a") == [job]
