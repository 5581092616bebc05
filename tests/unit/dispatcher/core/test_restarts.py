"""A restart of the server: running jobs wait for their workers, the queue is whole and in order."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import SendOffer, Verdict
from dispatcher.core.jobs import AttemptReason, JobStateReason, RestartPolicy
from dispatcher.core.lifecycle import JobPhase
from tests.support.engine_bench import EngineBench


def test_running_jobs_survive_a_restart_of_the_server_and_are_kept_when_claimed(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.restart()
    assert bench.phase(job) is JobPhase.ORPHANED
    bench.pass_time(19)
    bench.connect("a2")
    assert bench.claim("a2", job) == {job: Verdict.KEEP}
    assert bench.state(job).epoch == 1


def test_running_jobs_that_nobody_claims_after_a_restart_go_to_others(
    bench: EngineBench,
) -> None:
    bench.worker("a", grace_seconds=3)
    job = bench.running()
    bench.restart()
    bench.worker("b")
    bench.pass_time(3)
    assert bench.offered(job) == "b"
    assert bench.of(SendOffer)[-1].resuming


def test_the_grace_time_starts_anew_when_the_server_is_back(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.pass_time(15)
    bench.restart()
    bench.pass_time(15)
    assert bench.phase(job) is JobPhase.ORPHANED
    bench.pass_time(5)
    assert bench.phase(job) is JobPhase.QUEUED


def test_the_queue_survives_a_restart_whole_and_in_order(bench: EngineBench) -> None:
    jobs = [bench.dispatch(f"r{n}") for n in range(5)]
    bench.restart()
    bench.worker("a")
    assert [message.job.id for message in bench.of(SendOffer)] == jobs


def test_deadlines_in_the_queue_survive_a_restart(bench: EngineBench) -> None:
    job = bench.dispatch(queue_seconds=60)
    bench.pass_time(30)
    bench.restart()
    bench.pass_time(30)
    assert bench.state(job).reason is JobStateReason.NO_CAPACITY


def test_a_retry_that_was_waiting_survives_a_restart(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.fail(job)
    bench.restart()
    bench.worker("b")
    bench.pass_time(1)
    assert bench.offered(job) == "b"


def test_an_offer_that_was_not_answered_before_a_restart_is_made_again(
    bench: EngineBench,
) -> None:
    job = bench.dispatch()
    bench.worker("a")
    assert bench.offered(job) == "a"
    bench.restart()
    bench.worker("b")
    assert bench.offered(job) == "b"
    assert bench.state(job).epoch == 1


def test_an_assignment_that_the_store_had_not_recorded_is_kept_when_it_is_claimed(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.holds_commits = True
    bench.accept(job)
    assert len(bench.assignments(job)) == 1
    bench.restart()
    bench.worker("b")
    assert bench.state(job).phase is JobPhase.ORPHANED
    bench.worker("a again")
    assert bench.claim("a again", job) == {job: Verdict.KEEP}
    state = bench.state(job)
    assert (state.phase, state.epoch, state.attempt) == (JobPhase.RUNNING, 1, 1)
    assert state.participant_identity == f"agent-{job}"
    assert state.started_at == bench.now
    assert bench.offers(job) == ["a"]


@pytest.mark.parametrize("restart", list(RestartPolicy))
def test_a_job_that_was_on_offer_at_a_restart_and_that_nobody_claims_goes_to_another(
    bench: EngineBench, restart: RestartPolicy
) -> None:
    bench.worker("a", grace_seconds=5)
    job = bench.dispatch(restart=restart)
    bench.restart()
    bench.worker("b")
    bench.pass_time(4.9)
    assert bench.offered(job) is None
    bench.pass_time(0.2)
    assert bench.offered(job) == "b"
    state = bench.state(job)
    assert (state.epoch, state.attempt) == (2, 1)
    assert state.attempt_reason is AttemptReason.NOT_DELIVERED


def test_a_job_that_was_claimed_after_a_restart_is_lost_like_any_other(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch(restart=RestartPolicy.NEVER)
    bench.restart()
    bench.worker("a again", grace_seconds=5)
    bench.claim("a again", job)
    bench.lose("a again")
    bench.pass_time(5)
    assert bench.state(job).phase is JobPhase.FAILED


def test_an_acceptance_that_was_not_durable_was_never_promised(bench: EngineBench) -> None:
    job = bench.dispatch()
    bench.worker("a")
    bench.holds_commits = True
    bench.accept(job)
    bench.restart()
    assert not bench.assignments(job)
    bench.worker("b")
    bench.accept(job)
    assert len(bench.assignments(job)) == 1
