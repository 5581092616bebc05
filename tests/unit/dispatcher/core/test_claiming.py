"""Who may speak for a job: claims, their verdicts, and contests of two connections."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import (
    DropReason,
    DropWorker,
    PingWorker,
    Verdict,
)
from dispatcher.core.jobs import (
    JobStatus,
)
from dispatcher.core.lifecycle import JobPhase
from tests.support.engine_bench import EngineBench

BIG_EPOCH = 2**64 - 1


# --- claims ---


def test_a_claimed_orphan_is_kept_at_the_same_epoch(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.pass_time(19)
    bench.connect("a2")
    assert bench.claim("a2", job) == {job: Verdict.KEEP}
    state = bench.state(job)
    assert (state.phase, state.epoch, state.worker_id) == (JobPhase.RUNNING, 1, "a2")
    bench.report("a2", jobs=1)
    bench.pass_time(100)
    assert bench.holder(job) == "a2"
    assert len(bench.offers(job)) == 1


@pytest.mark.parametrize("restarted", [True, False])
def test_a_claim_of_an_older_epoch_is_stopped_and_leaves_the_job_to_its_holder(
    bench: EngineBench, restarted: bool
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.worker("b")
    bench.pass_time(20)
    bench.accept(job)
    if restarted:
        bench.restart()
    else:
        bench.lose("b")
    bench.connect("a2")
    bench.connect("b2")
    assert bench.claim("a2", job, epoch=1) == {job: Verdict.STOP_REASSIGNED}
    assert bench.claim("b2", job, epoch=2) == {job: Verdict.KEEP}


def test_a_worker_that_is_back_may_declare_another_grace_time(bench: EngineBench) -> None:
    bench.worker("a", grace_seconds=3)
    job = bench.running()
    bench.lose("a")
    bench.connect("a2", grace_seconds=9)
    bench.claim("a2", job)
    bench.lose("a2")
    bench.pass_time(8.9)
    assert bench.phase(job) is JobPhase.ORPHANED
    bench.pass_time(0.1)
    assert bench.phase(job) is JobPhase.QUEUED


def test_a_verdict_goes_out_only_after_it_is_durable(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.holds_commits = True
    bench.connect("a2")
    assert bench.claim("a2", job) == {}
    bench.commit()
    assert bench.verdicts("a2") == {job: Verdict.KEEP}


def test_a_reconnecting_worker_claims_a_hundred_jobs_at_once_and_none_is_restarted(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    jobs = [bench.running(f"r{n}") for n in range(100)]
    bench.lose("a")
    bench.connect("a2")
    assert bench.claim("a2", *jobs) == dict.fromkeys(jobs, Verdict.KEEP)
    bench.report("a2", jobs=100)
    bench.pass_time(100)
    assert {bench.holder(job) for job in jobs} == {"a2"}


def test_each_claimed_job_gets_its_own_verdict(bench: EngineBench) -> None:
    bench.worker("a")
    kept, ended = bench.running("kept"), bench.running("ended")
    bench.succeed(ended)
    waiting = bench.dispatch("waiting", agent="other")
    bench.lose("a")
    bench.connect("a2")
    assert bench.claim("a2", kept, ended, waiting, "AJ_none") == {
        kept: Verdict.KEEP,
        ended: Verdict.STOP_ENDED,
        waiting: Verdict.STOP_REASSIGNED,
        "AJ_none": Verdict.STOP_UNKNOWN,
    }


def test_a_claim_of_a_job_that_waits_for_another_worker_is_told_to_stop(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.pass_time(20)
    bench.connect("a2")
    assert bench.claim("a2", job) == {job: Verdict.STOP_REASSIGNED}


def test_a_claim_of_a_job_that_is_offered_to_another_worker_is_told_to_stop(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.worker("b")
    bench.pass_time(20)
    bench.connect("a2")
    assert bench.claim("a2", job) == {job: Verdict.STOP_REASSIGNED}
    assert bench.offered(job) == "b"


def test_another_projects_job_is_unknown(bench: EngineBench) -> None:
    bench.worker("a")
    held = bench.running("held")
    waiting = bench.dispatch("waiting", agent="nobody")
    bench.connect("spy", project="other")
    verdicts = bench.claim("spy", held, waiting)
    assert verdicts == dict.fromkeys((held, waiting), Verdict.STOP_UNKNOWN)
    assert bench.holder(held) == "a"


def test_a_claim_by_another_agents_worker_changes_nothing(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.connect("b", agent="other")
    assert bench.claim("b", job) == {job: Verdict.STOP_REASSIGNED}
    assert bench.phase(job) is JobPhase.ORPHANED


def test_a_claim_by_another_process_does_not_take_an_orphan(bench: EngineBench) -> None:
    bench.worker("a", instance="one")
    job = bench.running()
    bench.lose("a")
    bench.connect("b", instance="two")
    assert bench.claim("b", job) == {job: Verdict.STOP_REASSIGNED}
    bench.connect("a2", instance="one")
    assert bench.claim("a2", job) == {job: Verdict.KEEP}


def test_a_worker_claiming_what_it_holds_keeps_it(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    assert bench.claim("a", job, job) == {job: Verdict.KEEP}


def test_a_job_that_a_worker_was_told_to_stop_is_not_offered_to_it_until_it_stopped(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.pass_time(20)
    bench.connect("a2")
    bench.claim("a2", job)
    bench.report("a2")
    bench.pass_time(5)
    bench.report("a2")
    assert bench.offered(job) is None
    bench.job_status(job, JobStatus.SUCCESS, worker="a2")
    assert bench.offered(job) == "a2"


def test_a_worker_that_never_says_that_it_stopped_may_be_asked_after_a_time(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.pass_time(20)
    bench.connect("a2")
    bench.claim("a2", job)
    bench.report("a2")
    bench.pass_time(30)
    assert bench.offered(job) == "a2"


def test_a_job_behind_one_that_its_only_worker_must_not_get_is_offered(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running("first")
    bench.lose("a")
    bench.pass_time(20)
    bench.connect("a2", capacity=2)
    bench.claim("a2", job)
    second = bench.dispatch("second")
    bench.report("a2")
    assert (bench.offered(job), bench.offered(second)) == (None, "a2")


def test_a_worker_that_claims_a_job_while_that_is_offered_to_it_does_not_get_it_twice(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.pass_time(20)
    bench.worker("a2")
    assert bench.offered(job) == "a2"
    bench.claim("a2", job)
    bench.accept(job, worker="a2")
    assert bench.holder(job) is None
    assert len(bench.assignments(job)) == 1


def test_a_report_on_a_new_connection_claims_the_orphan(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.connect("a2")
    bench.job_status(job, JobStatus.RUNNING, worker="a2")
    assert bench.holder(job) == "a2"
    assert bench.state(job).epoch == 1


def test_a_result_on_a_new_connection_ends_the_orphan(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.connect("a2")
    bench.job_status(job, JobStatus.SUCCESS, worker="a2")
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_a_result_of_an_older_epoch_does_not_end_an_orphan(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.fail(job)
    bench.pass_time(2)
    bench.accept(job)
    bench.lose("a")
    bench.connect("a2")
    bench.job_status(job, JobStatus.SUCCESS, worker="a2", epoch=1)
    assert bench.phase(job) is JobPhase.ORPHANED


def test_no_result_counts_of_a_holder_whose_job_was_given_to_another(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="a")
    job = bench.running()
    bench.lose("a")
    bench.worker("b", instance="b")
    bench.pass_time(20)
    bench.accept(job)
    bench.connect("a2", instance="a")
    bench.job_status(job, JobStatus.SUCCESS, worker="a2")
    assert bench.holder(job) == "b"
    bench.job_status(job, JobStatus.RUNNING, worker="a2")
    assert bench.stops("a2") == [job]


# --- two connections ---


def test_the_same_process_on_a_new_connection_takes_over_at_once(bench: EngineBench) -> None:
    bench.worker("a", instance="one")
    job = bench.running()
    bench.connect("a2", instance="one")
    assert bench.of(DropWorker) == [DropWorker("a", DropReason.TAKEN_OVER)]
    assert bench.claim("a2", job) == {job: Verdict.KEEP}
    assert bench.holder(job) == "a2"


def test_the_same_instance_id_in_another_project_is_another_process(bench: EngineBench) -> None:
    bench.worker("a", instance="one")
    bench.connect("b", instance="one", project="other")
    assert not bench.of(DropWorker)


def test_who_claims_a_live_connections_job_waits_until_that_was_asked(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.connect("a2")
    assert bench.claim("a2", job) == {}
    assert bench.of(PingWorker) == [PingWorker("a")]
    assert bench.holder(job) == "a"


def test_an_older_connection_that_answers_keeps_its_jobs(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.connect("a2")
    bench.claim("a2", job)
    bench.pass_time(1.9)
    bench.pong("a")
    assert bench.verdicts("a2") == {job: Verdict.STOP_REASSIGNED}
    bench.pass_time(10)
    assert bench.holder(job) == "a"


def test_who_reports_an_end_and_then_claims_the_job_has_a_verdict(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.connect("a2")
    bench.job_status(job, JobStatus.FAILED, worker="a2")
    bench.claim("a2", job)
    bench.pong("a")
    assert bench.verdicts("a2") == {job: Verdict.STOP_REASSIGNED}


def test_an_older_connection_that_keeps_silent_loses_its_jobs_to_the_claimant(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.connect("a2")
    bench.claim("a2", job)
    bench.pass_time(2)
    assert bench.verdicts("a2") == {job: Verdict.KEEP}
    assert bench.holder(job) == "a2"
    assert bench.state(job).epoch == 1
    assert bench.stops("a") == [job]


def test_an_older_connection_that_ends_meanwhile_loses_its_jobs_at_once(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.connect("a2")
    bench.claim("a2", job)
    bench.lose("a")
    assert bench.verdicts("a2") == {job: Verdict.KEEP}
    assert bench.holder(job) == "a2"


def test_a_claimant_that_ends_meanwhile_gets_nothing(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.connect("a2")
    bench.claim("a2", job)
    bench.lose("a2")
    bench.pass_time(5)
    assert bench.holder(job) == "a"


@pytest.mark.parametrize("silent", [True, False])
def test_a_result_told_beside_a_live_looking_connection_counts_if_that_is_dead(
    bench: EngineBench, silent: bool
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.connect("a2")
    bench.job_status(job, JobStatus.RUNNING, worker="a2")
    bench.job_status(job, JobStatus.SUCCESS, worker="a2")
    assert bench.stops("a2") == []
    if silent:
        bench.pass_time(2)
        assert bench.phase(job) is JobPhase.SUCCEEDED
    else:
        bench.pong("a")
        assert bench.holder(job) == "a"


def test_who_was_told_to_stop_cannot_claim_the_next_try(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.worker("b")
    bench.hand_over("a", job)
    bench.accept(job, worker="b")
    assert bench.claim("a", job) == {job: Verdict.STOP_REASSIGNED}
    bench.lose("b")
    assert bench.claim("a", job) == {job: Verdict.STOP_REASSIGNED}
    assert bench.phase(job) is JobPhase.ORPHANED


def test_a_claimant_is_not_offered_the_job_that_it_claims(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.worker("a2")
    bench.claim("a2", job)
    bench.hand_over("a", job)
    assert bench.offered(job) is None
