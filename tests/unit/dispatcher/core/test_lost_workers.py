"""Jobs whose workers were lost (`holding`): the grace time, who may still come, the next worker."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import SendOffer, Verdict
from dispatcher.core.jobs import SECOND, AttemptReason, RestartPolicy, seconds
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import AgentPolicy, Policy
from tests.support.engine_bench import EngineBench
from tests.unit.dispatcher.core.board_checks import watched

# --- the grace time ---------------------------------------------------------------------------


def test_a_lost_workers_job_is_held_for_its_grace_time(bench: EngineBench) -> None:
    bench.worker("a")
    bench.worker("b")
    job = bench.running()
    bench.lose(bench.holder(job) or "")
    assert bench.phase(job) is JobPhase.ORPHANED
    bench.pass_time(19.9)
    assert bench.phase(job) is JobPhase.ORPHANED
    assert len(bench.offers(job)) == 1


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


# --- after it ---------------------------------------------------------------------------------


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


def test_evidence_that_gave_a_job_away_is_in_its_record(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.report("a", jobs=1)
    bench.report("a", jobs=0)
    bench.pass_time(31)
    assert "; its worker has said for 30 s that it runs no job" in bench.events(job)[-1].detail
