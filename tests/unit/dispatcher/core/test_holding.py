"""Jobs that workers hold: reports, retries, lost workers, hand-overs, restarts."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import (
    Ignored,
    SendOffer,
    SendStatusReceipt,
    Verdict,
)
from dispatcher.core.events import AssignmentExpired, MoveRefused
from dispatcher.core.jobs import (
    SECOND,
    AttemptReason,
    JobStateReason,
    JobStatus,
    RestartPolicy,
    seconds,
)
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.policy import AgentPolicy, Policy
from tests.support.engine_bench import EngineBench
from tests.unit.dispatcher.core.board_checks import board_of, watched

BIG_EPOCH = 2**64 - 1


# --- reports ---


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


# --- failures and retries ---


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


# --- lost workers ---


def test_a_lost_workers_job_is_held_for_its_grace_time(bench: EngineBench) -> None:
    bench.worker("a")
    bench.worker("b")
    job = bench.running()
    bench.lose(bench.holder(job) or "")
    assert bench.phase(job) is JobPhase.ORPHANED
    bench.pass_time(19.9)
    assert bench.phase(job) is JobPhase.ORPHANED
    assert len(bench.offers(job)) == 1


def test_after_the_grace_time_another_worker_resumes_it_with_the_next_epoch(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job, identity="me")
    bench.lose("a")
    bench.worker("b")
    bench.pass_time(20)
    assert bench.offered(job) == "b"
    offer = bench.of(SendOffer)[-1]
    assert offer.resuming
    assert (offer.state.epoch, offer.state.attempt) == (2, 2)
    assert offer.state.attempt_reason is AttemptReason.WORKER_LOST
    bench.accept(job)
    assert bench.state(job).participant_identity == "me"
    assert bench.assignments(job)[-1].state.epoch == 2


def test_a_lost_job_that_is_never_to_be_restarted_fails_after_the_grace_time(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running(restart=RestartPolicy.NEVER)
    bench.lose("a")
    bench.pass_time(20)
    assert bench.phase(job) is JobPhase.FAILED
    assert "was lost" in bench.state(job).error


def test_a_job_that_loses_every_worker_ends_at_the_limit_of_attempts(
    bench: EngineBench,
) -> None:
    job = bench.dispatch()
    for n in range(5):
        bench.worker(f"w{n}")
        while bench.offered(job) is None:
            bench.pass_time(1)
        bench.accept(job)
        bench.lose(f"w{n}")
        bench.pass_time(20)
    assert bench.phase(job) is JobPhase.FAILED
    assert bench.state(job).error == "its worker w4 was lost; attempt 5 of 5, the last"


def test_a_job_that_was_lost_again_waits_longer_each_time_before_it_has_another_worker(
    bench: EngineBench,
) -> None:
    job = bench.dispatch()
    pauses = []
    for n in range(4):
        bench.worker(f"w{n}")
        bench.accept(job)
        bench.lose(f"w{n}")
        lost_at = bench.now
        bench.worker(f"other{n}")
        bench.pass_time(20)
        while bench.offered(job) is None:
            bench.pass_time(0.05)
        pauses.append((bench.now - lost_at) / SECOND - 20)
        bench.lose(f"other{n}")
    assert pauses[0] == 0
    assert 1 <= pauses[1] <= 2.1
    assert 2 <= pauses[2] <= 4.1
    assert 4 <= pauses[3] <= 8.1


def test_a_process_that_is_back_has_its_time_to_claim_after_the_grace_time(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one", grace_seconds=3)
    job = bench.running()
    bench.lose("a")
    bench.pass_time(2.9)
    bench.connect("b", instance="one")
    bench.pass_time(0.4)
    assert bench.claim("b", job) == {job: Verdict.KEEP}


def test_a_process_that_is_back_and_does_not_claim_has_lost_its_job(bench: EngineBench) -> None:
    bench.worker("a", instance="one", grace_seconds=3)
    job = bench.running()
    bench.lose("a")
    bench.pass_time(2.9)
    bench.connect("b", instance="one")
    bench.pass_time(1.1)
    assert bench.state(job).epoch == 2


def test_a_server_that_drains_leaves_orphans_to_where_their_workers_come_back(
    bench: EngineBench,
) -> None:
    bench.worker("a", grace_seconds=3)
    job = bench.running()
    bench.drain()
    bench.lose("a")
    bench.pass_time(60)
    assert bench.phase(job) is JobPhase.ORPHANED
    bench.restart()
    bench.connect("b")
    assert bench.claim("b", job) == {job: Verdict.KEEP}


@pytest.mark.parametrize(
    ("declared", "configured", "grace_seconds"),
    [(None, None, 20), (3, None, 3), (3, 7, 7), (None, 7, 7), (1e6, None, 3600)],
)
def test_the_grace_time_is_the_agents_setting_else_the_workers_word_else_the_default(
    declared: float | None, configured: float | None, grace_seconds: float
) -> None:
    grace = seconds(configured) if configured is not None else None
    bench = EngineBench(Policy(agents={"greeter": AgentPolicy(grace=grace)}), watch=watched)
    bench.worker("a", grace_seconds=declared)
    job = bench.running()
    bench.lose("a")
    bench.pass_time(grace_seconds - 0.1)
    assert bench.phase(job) is JobPhase.ORPHANED
    bench.pass_time(0.1)
    assert bench.phase(job) is JobPhase.QUEUED


# --- hand-over ---


def test_a_job_that_was_handed_over_resumes_on_another_worker_as_the_same_attempt(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job, identity="me")
    bench.start(job)
    bench.worker("b")
    bench.report("a", draining=True)
    bench.hand_over("a", job)
    assert bench.offered(job) == "b"
    offer = bench.of(SendOffer)[-1]
    assert (offer.resuming, offer.state.epoch, offer.state.attempt) == (True, 2, 1)
    assert offer.state.attempt_reason is AttemptReason.HANDED_OVER
    assert bench.stops("a") == [job]
    bench.accept(job)
    assert bench.state(job).participant_identity == "me"


def test_a_hand_over_is_no_failure_even_where_nothing_is_to_be_restarted(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running(restart=RestartPolicy.NEVER)
    bench.hand_over("a", job)
    assert bench.phase(job) is JobPhase.QUEUED


def test_a_job_that_was_handed_over_does_not_come_back_while_it_still_runs_there(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.hand_over("a", job)
    assert bench.offered(job) is None


def test_what_a_worker_does_not_hold_it_cannot_hand_over(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.worker("b")
    bench.hand_over("b", job, "AJ_none")
    assert bench.holder(job) == "a"
    assert bench.ignored() == [Ignored.NOT_HOLDER, Ignored.NOT_HOLDER]


# --- the store has another truth ---


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


# --- restart of the server ---


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


# --- assignments that were cut -----------------------------------------------------------------


def test_an_assignment_that_its_worker_may_not_have_got_is_sent_again_at_the_same_epoch(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one", grace_seconds=3)
    job = bench.dispatch()
    bench.accept(job)
    bench.lose("a")
    bench.connect("b", instance="one", grace_seconds=3)
    bench.pass_time(2.9)
    assert len(bench.assignments(job)) == 1  # it may be about to claim it
    bench.report("b")
    again = bench.assignments(job)[1]
    assert (again.worker_id, again.state.epoch, again.state.attempt) == ("b", 1, 1)
    bench.pass_time(10)
    assert bench.holder(job) == "b"


def test_an_assignment_that_its_worker_claims_or_reports_is_not_sent_again(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one")
    claimed, reported = bench.dispatch(room="claimed"), bench.dispatch(room="reported")
    started = bench.dispatch(room="started")
    for job in (claimed, reported, started):
        bench.accept(job)
    bench.start(started)
    bench.lose("a")
    bench.connect("b", instance="one")
    bench.claim("b", claimed)
    bench.job_status(reported, JobStatus.RUNNING, worker="b", epoch=1)
    bench.report("b")
    assert [len(bench.assignments(job)) for job in (claimed, reported, started)] == [1, 1, 1]


def test_nobody_else_gets_an_assignment_that_was_cut(bench: EngineBench) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.accept(job)
    bench.lose("a")
    bench.worker("b", instance="two")
    bench.worker("c")
    assert len(bench.assignments(job)) == 1
    bench.pass_time(20)
    assert board_of(bench.engine).undelivered == {}
    assert bench.offered(job) in ("b", "c")


def test_an_assignment_that_was_not_durable_when_its_worker_came_back_is_sent_once(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.decline(job)
    bench.pass_time(1)
    bench.holds_commits = True
    bench.accept(job)
    bench.lose("a")
    bench.worker("b", instance="one")
    bench.release_commits()
    assert [message.worker_id for message in bench.assignments(job)] == ["a", "b"]
    assert bench.holder(job) == "b"


def test_an_assignment_that_is_superseded_by_another_does_not_end_it_when_it_expires(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.accept(job)
    bench.lose("a")
    bench.pass_time(4)
    bench.worker("b", instance="one")
    bench.pass_time(3)
    bench.tell(AssignmentExpired(job, 1))
    assert bench.holder(job) == "b"
    assert bench.state(job).epoch == 1


def test_workers_that_keep_coming_are_waited_for_for_one_more_grace_time(
    bench: EngineBench,
) -> None:
    bench.worker("a", grace_seconds=3)
    job = bench.running()
    bench.lose("a")
    for number in range(13):
        bench.pass_time(0.4)
        bench.connect(f"w{number}")
    assert bench.phase(job) is JobPhase.ORPHANED  # after 5.2 s
    assert bench.claim("w12", job) == {job: Verdict.KEEP}


def test_a_job_is_not_held_for_longer_however_many_come(bench: EngineBench) -> None:
    bench.worker("a", grace_seconds=3)
    job = bench.running()
    bench.lose("a")
    for number in range(17):
        bench.pass_time(0.4)
        bench.connect(f"w{number}")
    assert bench.state(job).epoch == 2  # after 6.8 s


def test_workers_of_other_agents_that_come_hold_up_nothing(bench: EngineBench) -> None:
    bench.worker("a", grace_seconds=3)
    job = bench.running()
    bench.lose("a")
    for number in range(8):
        bench.pass_time(0.4)
        bench.connect(f"w{number}", agent="other")
    assert bench.state(job).epoch == 2


# --- who is to blame ---------------------------------------------------------------------------


def test_a_job_that_kills_its_workers_is_parked_before_its_neighbours_are(
    bench: EngineBench,
) -> None:
    calls = [bench.dispatch(room=f"call {n}") for n in range(3)]
    poison = bench.dispatch(room="poison")
    for n in range(12):
        worker = bench.worker(f"w{n}")
        waiting = [*calls, poison]
        while waiting and bench.phase(poison) is not JobPhase.FAILED:
            for job in list(waiting):
                if bench.offered(job) == worker and (job != poison or len(waiting) == 1):
                    bench.accept(job)
                    waiting.remove(job)
            bench.pass_time(1)
        bench.lose(worker)
        bench.pass_time(20)
        if bench.phase(poison) is JobPhase.FAILED:
            break
    assert bench.state(poison).attempt == 5
    assert all(not bench.phase(job).is_ended for job in calls)


def test_a_neighbour_that_is_lost_too_often_ends_all_the_same() -> None:
    bench = EngineBench(Policy(attempts_max=2, losses_max=4))
    job = bench.dispatch(room="call")
    for n in range(4):
        worker = bench.worker(f"w{n}")
        while bench.offered(job) is None:
            bench.pass_time(1)
        bench.accept(job)
        bench.pass_time(1)
        bench.accept(bench.dispatch(room=f"poison {n}"))
        bench.lose(worker)
        bench.pass_time(20)
    assert bench.phase(job) is JobPhase.FAILED
    assert bench.state(job).error == "its worker w3 was lost; attempt 4 of 4, the last"


def test_a_job_that_was_excused_and_claimed_was_not_lost(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running("first")
    bench.pass_time(1)
    bench.running("second")
    bench.lose("a")
    bench.connect("b")
    bench.claim("b", job)
    assert not board_of(bench.engine).excused


def test_evidence_that_gave_a_job_away_is_in_its_record(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.report("a", jobs=1)
    bench.report("a", jobs=0)
    bench.pass_time(31)
    assert "; its worker says since 30 s that it runs no job" in bench.events(job)[-1].detail
