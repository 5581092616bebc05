"""Drains, as jobs in hand see them: a worker hands its jobs over, a server gives no orphan away.

What a worker or a server that drains is offered: `test_offering`; who goes when: `test_presence`.
"""

from __future__ import annotations

from dispatcher.core.effects import Ignored, SendOffer, Verdict
from dispatcher.core.jobs import AttemptReason, RestartPolicy
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import Policy
from tests.support.engine_bench import EngineBench
from tests.unit.dispatcher.core.board_checks import watched


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


# --- given away only where there is room ---


def test_jobs_are_given_away_one_for_each_room_that_others_have(bench: EngineBench) -> None:
    bench.worker("a", capacity=2)
    jobs = [bench.running("one"), bench.running("two")]
    bench.worker("b", capacity=1)
    bench.hand_over("a", *jobs, when_room=True)
    (taken,) = bench.stops("a")
    assert taken in jobs
    assert bench.offered(taken) == "b"
    assert bench.state(taken).attempt_reason is AttemptReason.HANDED_OVER
    (kept,) = set(jobs) - {taken}
    assert bench.holder(kept) == "a"


def test_more_jobs_than_may_be_offered_at_once_are_handed_over_within_a_second() -> None:
    bench = EngineBench(Policy(offers_in_flight_max=2), watch=watched)
    bench.worker("a", capacity=5)
    jobs = [bench.running(str(number)) for number in range(5)]
    bench.worker("b", capacity=5)
    bench.hand_over("a", *jobs, when_room=True)
    for _ in range(2):
        assert 0 < len(bench.stops("a")) < 5
        for job in jobs:
            if bench.offered(job) == "b":
                bench.accept(job)
        bench.pass_time(0.5)
    assert sorted(bench.stops("a")) == sorted(jobs)


def test_a_job_runs_on_where_it_is_until_another_worker_has_room_for_it(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.hand_over("a", job, when_room=True)
    bench.pass_time(30)
    assert (bench.holder(job), bench.stops("a")) == ("a", [])
    bench.worker("b")
    bench.pass_time(5)
    assert bench.offered(job) == "b"
    assert bench.stops("a") == [job]


def test_the_room_of_a_worker_that_leaves_is_no_room_for_its_own_jobs(bench: EngineBench) -> None:
    bench.worker("a", capacity=5)
    job = bench.running()
    bench.hand_over("a", job, when_room=True)
    assert bench.holder(job) == "a"


def test_only_the_jobs_that_were_named_last_are_given_away(bench: EngineBench) -> None:
    bench.worker("a", capacity=2)
    first, second = bench.running("one"), bench.running("two")
    bench.hand_over("a", first, when_room=True)
    bench.hand_over("a", second, when_room=True)
    bench.worker("b", capacity=5)
    bench.pass_time(5)
    assert bench.stops("a") == [second]
    assert bench.holder(first) == "a"


def test_a_job_that_ends_before_anybody_has_room_was_simply_done(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.hand_over("a", job, when_room=True)
    bench.succeed(job)
    bench.worker("b")
    bench.pass_time(30)
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_a_server_that_drains_gives_no_job_away(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.worker("b")
    bench.drain()
    bench.hand_over("a", job, when_room=True)
    bench.pass_time(1)
    assert (bench.holder(job), bench.stops("a")) == ("a", [])


def test_what_a_worker_would_give_away_is_forgotten_with_its_connection(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one")
    job = bench.running()
    bench.hand_over("a", job, when_room=True)
    bench.lose("a")
    bench.worker("a2", instance="one")
    bench.claim("a2", job)
    bench.worker("b")
    bench.pass_time(10)
    assert bench.holder(job) == "a2"
    bench.hand_over("a2", job, when_room=True)
    assert bench.stops("a2") == [job]


# --- a server that drains ---


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
