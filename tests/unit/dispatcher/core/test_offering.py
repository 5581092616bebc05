"""From the queue to a worker: refusals, silence, order, and who is asked at all."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import ClaimJobs, Ignored, RecordMove, SendAssignment, SendOffer
from dispatcher.core.jobs import JobStateReason, JobStatus, JobType, seconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.policy import Policy
from tests.support.engine_bench import START, EngineBench
from tests.unit.dispatcher.core.board_checks import board_of, watched

POLICY = Policy()


def small() -> EngineBench:
    """Return a bench whose workers are asked one thing at a time."""
    return EngineBench(Policy(offers_in_flight_max=1), watch=watched)


# --- answers ---


def test_a_job_is_offered_accepted_and_assigned(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch("room")
    assert bench.offered(job) == "a"
    bench.accept(job, identity="somebody")
    assert [sent.worker_id for sent in bench.assignments(job)] == ["a"]
    state = bench.state(job)
    assert (state.phase, state.epoch, state.worker_id) == (JobPhase.ASSIGNED, 1, "a")
    assert state.participant_identity == "somebody"


def test_a_participant_without_a_name_of_its_own_is_named_after_its_job(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job)
    assert bench.state(job).participant_identity == f"agent-{job}"


def test_an_offer_of_a_queued_job_is_not_stored(bench: EngineBench) -> None:
    job = bench.dispatch()
    bench.worker("a")
    assert bench.offered(job) == "a"
    assert bench.state(job).phase is JobPhase.QUEUED
    assert [event.trigger for event in bench.events(job)] == [JobTrigger.CREATED]


def test_a_new_job_is_stored_as_offered_to_its_worker(bench: EngineBench) -> None:
    bench.worker("a", grace_seconds=7)
    job = bench.dispatch()
    assert bench.offered(job) == "a"
    state = bench.state(job)
    assert (state.phase, state.worker_id, state.epoch) == (JobPhase.OFFERED, "a", 1)
    assert state.grace == seconds(7)
    assert state.until == bench.now + seconds(300)
    assert [event.trigger for event in bench.events(job)] == [JobTrigger.CREATED]


@pytest.mark.parametrize("how", ["decline", "lose", "silence"])
def test_a_reservation_that_ends_is_ended_in_the_store(bench: EngineBench, how: str) -> None:
    bench.worker("a")
    job = bench.dispatch()
    if how == "decline":
        bench.decline(job)
    elif how == "lose":
        bench.lose("a")
    else:
        bench.pass_time(10)
    state = bench.state(job)
    assert (state.phase, state.worker_id, state.epoch) == (JobPhase.QUEUED, "", 1)
    assert state.until == START + seconds(300)
    bench.worker("b")
    bench.accept(job, worker="b")
    assert bench.state(job).worker_id == "b"


def test_a_declined_job_goes_to_the_next_worker_at_once(bench: EngineBench) -> None:
    bench.worker("a")
    bench.worker("b")
    job = bench.dispatch()
    first = bench.offered(job)
    bench.decline(job)
    assert {first, bench.offered(job)} == {"a", "b"}


def test_who_declined_is_asked_again_after_its_pause(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.decline(job)
    assert bench.offered(job) is None
    bench.pass_time(0.24)
    assert bench.offered(job) is None
    bench.pass_time(0.01)
    assert bench.offered(job) == "a"


def test_the_pause_after_a_refusal_doubles_up_to_its_bound(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    pauses = []
    for _ in range(7):
        bench.decline(job)
        since = bench.now
        while bench.offered(job) is None:
            bench.pass_time(0.25)
        pauses.append((bench.now - since) / 1e9)
    assert pauses == [0.25, 0.5, 1, 2, 4, 4, 4]


def test_an_acceptance_makes_refusals_forgotten(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    for _ in range(3):
        bench.decline(job)
        bench.pass_time(4)
    bench.accept(job)
    second = bench.dispatch("second")
    bench.decline(second)
    bench.pass_time(0.25)
    assert bench.offered(second) == "a"


def test_refusals_of_offers_that_were_made_together_count_once(bench: EngineBench) -> None:
    bench.worker("a")
    jobs = [bench.dispatch(f"r{n}") for n in range(6)]
    for job in jobs:
        bench.pass_time(0.001)
        bench.decline(job)
    bench.pass_time(0.25)
    assert [bench.offered(job) for job in jobs] == ["a"] * 6


def test_a_status_does_not_take_a_refusal_back(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.decline(job)
    bench.report("a")
    assert bench.offered(job) is None


def test_a_silent_worker_costs_a_job_one_offer_and_never_the_job(bench: EngineBench) -> None:
    bench.worker("silent")
    job = bench.dispatch()
    bench.worker("b")
    bench.pass_time(9.9)
    assert bench.offered(job) == "silent"
    bench.pass_time(0.1)
    assert bench.offered(job) == "b"
    bench.accept(job)
    assert bench.holder(job) == "b"


def test_a_silent_worker_is_left_alone_for_at_least_as_long_as_an_offer(
    bench: EngineBench,
) -> None:
    bench.worker("silent")
    job = bench.dispatch()
    bench.pass_time(10)
    assert bench.offered(job) is None
    bench.pass_time(9.9)
    assert bench.offered(job) is None
    bench.pass_time(0.1)
    assert bench.offered(job) == "silent"


def test_a_worker_that_says_terminate_ends_the_job_without_an_assignment(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    bench.worker("b")
    job = bench.dispatch()
    bench.terminate(job)
    assert bench.state(job).phase is JobPhase.SUCCEEDED
    assert bench.state(job).wire_status is JobStatus.SUCCESS
    assert not bench.of(SendAssignment)
    assert len(bench.offers(job)) == 1


def test_who_says_terminate_is_asked_for_the_next_job_at_once(bench: EngineBench) -> None:
    bench.worker("a")
    bench.terminate(bench.dispatch())
    assert bench.offered(bench.dispatch("next")) == "a"


def test_a_lost_workers_offer_goes_to_the_next(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.worker("b")
    bench.lose("a")
    assert bench.offered(job) == "b"


@pytest.mark.parametrize("worker", ["b", "nobody"])
def test_an_answer_by_somebody_who_was_not_asked_is_of_no_consequence(
    bench: EngineBench, worker: str
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.worker("b")
    bench.accept(job, worker=worker)
    assert bench.offered(job) == "a"
    assert bench.ignored() == [Ignored.NOT_OFFERED if worker == "b" else Ignored.UNKNOWN_WORKER]


def test_an_answer_for_a_job_that_is_unknown_is_of_no_consequence(bench: EngineBench) -> None:
    bench.worker("a")
    bench.accept("AJ_none", worker="a")
    assert bench.ignored() == [Ignored.NOT_OFFERED]


def test_an_offer_that_was_accepted_twice_is_assigned_once(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job)
    bench.accept(job, worker="a")
    assert len(bench.assignments(job)) == 1


# --- who is asked ---


@pytest.mark.parametrize("deployment", ["", "x", "y"])
def test_a_job_goes_to_workers_of_its_deployment_only(bench: EngineBench, deployment: str) -> None:
    for name in ("", "x"):
        bench.worker(f"of {name}", deployment=name)
    job = bench.dispatch(deployment=deployment)
    assert bench.offered(job) == (None if deployment == "y" else f"of {deployment}")


@pytest.mark.parametrize("namespace", ["", "x", "X"])
def test_a_job_goes_to_workers_of_exactly_its_namespace(bench: EngineBench, namespace: str) -> None:
    for name in ("", "x"):
        bench.worker(f"of {name}", namespace=name)
    job = bench.dispatch(namespace=namespace)
    assert bench.offered(job) == (None if namespace == "X" else f"of {namespace}")


def test_a_job_goes_to_workers_of_its_agent_its_type_and_its_project_only(
    bench: EngineBench,
) -> None:
    bench.worker("other agent", agent="other")
    bench.worker("other type", types=(JobType.PUBLISHER,))
    bench.worker("other project", project="other")
    assert bench.offered(bench.dispatch()) is None


def test_a_worker_of_several_types_is_offered_jobs_of_each(bench: EngineBench) -> None:
    bench.worker("a", types=(JobType.ROOM, JobType.PUBLISHER, JobType.ROOM))
    jobs = [
        bench.new_job(job_type=job_type, dispatch_id="AD_1")
        for job_type in (JobType.ROOM, JobType.PUBLISHER)
    ]
    bench.request("AD_1", *jobs)
    assert [bench.offered(job.id) for job in jobs] == ["a", "a"]


def test_a_new_worker_is_offered_nothing_until_its_first_status(bench: EngineBench) -> None:
    bench.connect("a")
    job = bench.dispatch()
    assert bench.offered(job) is None
    bench.report("a")
    assert bench.offered(job) == "a"


def test_a_new_worker_that_tells_no_status_is_offered_jobs_after_a_moment(
    bench: EngineBench,
) -> None:
    bench.connect("a")
    job = bench.dispatch()
    bench.pass_time(0.5)
    assert bench.offered(job) == "a"


# --- the queue ---


def test_a_job_that_nobody_takes_waits_for_a_worker_that_comes_later(bench: EngineBench) -> None:
    job = bench.dispatch()
    assert bench.phase(job) is JobPhase.QUEUED
    bench.pass_time(299)
    bench.worker("late")
    assert bench.offered(job) == "late"


def test_a_job_that_nobody_takes_fails_for_lack_of_capacity_at_its_deadline(
    bench: EngineBench,
) -> None:
    job = bench.dispatch()
    bench.pass_time(299.9)
    assert bench.phase(job) is JobPhase.QUEUED
    bench.pass_time(0.1)
    state = bench.state(job)
    assert state.phase is JobPhase.FAILED
    assert state.reason is JobStateReason.NO_CAPACITY
    assert state.ended_at == bench.now
    assert state.error == "no worker of agent 'greeter' took the job within 300 s"


@pytest.mark.parametrize(
    ("namespace", "deployment", "lane"),
    [
        ("eu", "", "namespace 'eu',"),
        ("", "blue", "deployment 'blue',"),
        ("eu", "blue", "namespace 'eu', deployment 'blue',"),
    ],
)
def test_the_error_of_no_capacity_names_all_that_a_worker_has_to_have(
    bench: EngineBench, namespace: str, deployment: str, lane: str
) -> None:
    job = bench.dispatch(namespace=namespace, deployment=deployment)
    bench.pass_time(300)
    error = bench.state(job).error
    assert error == f"no worker of agent 'greeter', {lane} took the job within 300 s"


def test_a_job_that_waited_for_a_server_too_is_told_how_long_in_all_and_for_this_one(
    bench: EngineBench,
) -> None:
    job = bench.dispatch()
    bench.now += seconds(900)
    bench.restart()
    bench.pass_time(2)
    assert bench.state(job).error.endswith(
        "took the job within 900 s, and the server was started only 0 s before that was over"
    )


def test_a_job_that_was_only_ever_declined_fails_for_lack_of_capacity_too(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch(queue_seconds=20)
    for _ in range(100):
        if bench.offered(job) is not None:
            bench.decline(job)
        bench.pass_time(0.25)
    assert bench.state(job).reason is JobStateReason.NO_CAPACITY


def test_a_job_on_offer_at_its_deadline_may_still_be_accepted(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch(queue_seconds=1)
    bench.pass_time(2)
    bench.accept(job)
    assert bench.holder(job) == "a"


def test_a_job_whose_last_offer_is_declined_after_its_deadline_fails(bench: EngineBench) -> None:
    bench.worker("a")
    bench.worker("b")
    job = bench.dispatch(queue_seconds=1)
    bench.pass_time(2)
    bench.decline(job)
    assert bench.state(job).reason is JobStateReason.NO_CAPACITY


def test_waiting_jobs_go_by_priority_and_then_in_order_of_arrival(bench: EngineBench) -> None:
    jobs = [bench.dispatch(f"r{n}", priority=n % 2) for n in range(6)]
    bench.worker("a")
    order = [message.job.id for message in bench.of(SendOffer)]
    assert order == [jobs[n] for n in (1, 3, 5, 0, 2, 4)]


def test_a_new_job_does_not_pass_one_that_waits() -> None:
    bench = small()
    bench.worker("a")
    bench.dispatch("first")
    second = bench.dispatch("second")
    bench.holds_commits = True
    bench.worker("b")  # has room: the second is being fetched
    third = bench.dispatch("third")
    assert bench.offered(third) is None
    bench.release_commits()
    assert bench.offered(second) == "b"
    assert bench.offered(third) is None


def test_a_declined_job_keeps_its_place_in_the_queue() -> None:
    bench = small()
    bench.worker("a")
    first = bench.dispatch("first")
    second = bench.dispatch("second")
    bench.decline(first)
    bench.pass_time(0.25)
    assert (bench.offered(first), bench.offered(second)) == ("a", None)


def test_no_more_jobs_are_claimed_than_workers_have_room_for() -> None:
    bench = EngineBench(Policy(claim_max=64), watch=watched)
    for n in range(20):
        bench.dispatch(f"r{n}")
    bench.worker("a", capacity=3)
    limits = [r.limit for batch in bench.batches for r in batch if isinstance(r, ClaimJobs)]
    assert limits == [3]
    assert len(bench.of(SendOffer)) == 3


def test_no_worker_is_asked_more_than_the_bound_at_once(bench: EngineBench) -> None:
    bench.worker("a")
    for n in range(100):
        bench.dispatch(f"r{n}")
    assert len(bench.of(SendOffer)) == POLICY.offers_in_flight_max


def test_a_large_queue_flows_in_bounded_claims_until_all_is_given_out() -> None:
    bench = EngineBench(Policy(claim_max=8), watch=watched)
    jobs = [bench.dispatch(f"r{n}") for n in range(60)]
    bench.worker("a")
    bench.worker("b")
    for _ in range(200):
        waiting = [job for job in jobs if bench.offered(job)]
        if not waiting:
            break
        bench.accept(waiting[0])
        bench.succeed(waiting[0])
    assert {bench.phase(job) for job in jobs} == {JobPhase.SUCCEEDED}
    limits = [r.limit for batch in bench.batches for r in batch if isinstance(r, ClaimJobs)]
    assert max(limits) <= 8


def test_a_job_that_is_queued_while_a_claim_is_in_flight_is_not_forgotten() -> None:
    bench = small()
    first = bench.dispatch("first")
    bench.holds_commits = True
    bench.worker("a")  # asks the store for the first
    second = bench.dispatch("second")
    bench.release_commits()
    bench.accept(first)
    assert bench.offered(second) == "a"


def test_a_job_that_is_queued_while_an_empty_claim_is_in_flight_is_not_forgotten(
    bench: EngineBench,
) -> None:
    job = bench.dispatch("gone")
    bench.holds_commits = True
    bench.delete("AD_gone", "gone")
    bench.worker("a")
    late = bench.dispatch("late")
    bench.release_commits()
    assert bench.phase(job) is JobPhase.CANCELLED
    assert bench.offered(late) == "a"


def test_an_empty_lane_is_forgotten(bench: EngineBench) -> None:
    bench.dispatch(queue_seconds=1)
    assert len(bench.engine.lanes) == 1
    bench.pass_time(1)
    assert not bench.engine.lanes


# --- caps ---


def test_offers_count_against_the_cap_until_they_are_answered(bench: EngineBench) -> None:
    bench.worker("a", capacity=2)
    jobs = [bench.dispatch(f"r{n}") for n in range(4)]
    assert [bench.offered(job) for job in jobs] == ["a", "a", None, None]
    bench.decline(jobs[0])
    bench.pass_time(0.25)
    assert sum(bench.offered(job) is not None for job in jobs) == 2


def test_a_capped_worker_never_holds_more_than_its_cap(bench: EngineBench) -> None:
    bench.worker("a", capacity=2)
    jobs = [bench.dispatch(f"r{n}") for n in range(6)]
    for _ in range(6):
        for job in jobs:
            if bench.offered(job):
                bench.accept(job)
        assert len(bench.engine.workers["a"].jobs) <= 2
        held = [job for job in jobs if bench.holder(job)]
        bench.succeed(held[0])
    assert {bench.phase(job) for job in jobs} == {JobPhase.SUCCEEDED}


def test_an_acceptance_beyond_the_cap_is_refused_where_claims_filled_the_worker(
    bench: EngineBench,
) -> None:
    bench.worker("old", capacity=1)
    claimed = bench.running("first")
    bench.lose("old")
    bench.worker("new", capacity=1)
    offered = bench.dispatch("second")
    bench.claim("new", claimed)
    bench.accept(offered, worker="new")
    assert bench.holder(claimed) == "new"
    assert bench.holder(offered) is None
    assert not bench.assignments(offered)
    bench.succeed(claimed)
    bench.pass_time(1)
    assert bench.offered(offered) == "new"


def test_a_job_that_is_to_stop_still_counts_against_the_cap(bench: EngineBench) -> None:
    bench.worker("a", capacity=1)
    job = bench.running("first")
    waiting = bench.dispatch("second")
    bench.delete("AD_first", "first")
    bench.report("a")
    assert bench.offered(waiting) is None
    bench.job_status(job, JobStatus.SUCCESS, worker="a")
    assert bench.offered(waiting) == "a"


# --- drain ---


def test_a_draining_server_makes_no_offer_and_lets_those_in_flight_be_answered(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    in_flight = bench.dispatch("first")
    bench.drain()
    waiting = bench.dispatch("second")
    bench.worker("b")
    assert bench.offered(waiting) is None
    assert bench.engine.has_offers
    bench.accept(in_flight)
    assert bench.holder(in_flight) == "a"
    assert not bench.engine.has_offers


def test_what_a_draining_server_cannot_offer_waits_for_the_next_server(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    bench.worker("b")
    job = bench.dispatch()
    bench.drain()
    bench.decline(job)
    assert bench.phase(job) is JobPhase.QUEUED
    bench.restart()
    bench.worker("c")
    assert bench.offered(job) == "c"


def test_the_assignment_of_a_new_job_waits_for_nothing_but_its_creation(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    bench.holds_commits = True
    job = bench.dispatch()
    assert bench.commit()
    bench.accept(job)
    assert len(bench.assignments(job)) == 1
    assert bench.state(job).phase is JobPhase.OFFERED
    bench.release_commits()
    assert bench.state(job).phase is JobPhase.ASSIGNED


def test_the_assignment_of_a_queued_job_goes_out_only_after_the_move_is_durable(
    bench: EngineBench,
) -> None:
    job = bench.dispatch()
    bench.worker("a")
    bench.holds_commits = True
    bench.accept(job)
    assert not bench.assignments(job)
    bench.commit()
    assert isinstance(bench.batches[-1][-1], RecordMove)
    assert len(bench.assignments(job)) == 1


def test_an_assignment_that_its_worker_waits_for_no_longer_is_offered_again_instead(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    bench.holds_commits = True
    job = bench.dispatch()
    bench.accept(job)
    bench.pass_time(60)  # the store is slow
    bench.release_commits()
    assert not bench.assignments(job)
    assert bench.offered(job) == "a"
    bench.accept(job)
    state = bench.state(job)
    assert (state.epoch, state.attempt) == (2, 1)
    assert len(bench.assignments(job)) == 1


# --- answers that cross to another connection ---


def test_an_offer_of_a_connection_that_was_cut_may_be_accepted_on_the_next(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.lose("a")
    bench.worker("b", instance="one")
    bench.decline(job)  # it is asked anew, and at the moment it has no slot but the reserved one
    bench.accept(job, worker="b")
    assert bench.holder(job) == "b"


def test_who_was_asked_meanwhile_has_the_job_before_who_was_cut(bench: EngineBench) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.lose("a")
    bench.worker("other")
    bench.connect("b", instance="one")
    bench.accept(job, worker="b")
    assert bench.offered(job) == "other"
    bench.accept(job, worker="other")
    assert bench.holder(job) == "other"
    assert len(bench.assignments(job)) == 1


@pytest.mark.parametrize(("instance", "agent"), [("two", "greeter"), ("one", "other agent")])
def test_nobody_else_may_accept_the_offer_of_a_connection_that_was_cut(
    bench: EngineBench, instance: str, agent: str
) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.lose("a")
    bench.worker("b", instance=instance, agent=agent)
    if bench.offered(job):
        bench.decline(job)
    bench.accept(job, worker="b")
    assert bench.holder(job) is None
    assert bench.ignored() == [Ignored.NOT_OFFERED]


def test_an_offer_that_was_cut_is_not_remembered_for_longer_than_a_worker_waits(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.lose("a")
    bench.pass_time(5.1)
    bench.connect("b", instance="one")
    bench.accept(job, worker="b")
    assert bench.holder(job) is None


def test_of_only_so_many_cut_offers_it_is_remembered() -> None:
    bench = EngineBench(Policy(cut_offers_max=1))
    bench.worker("a")
    bench.dispatch(room="first")
    bench.dispatch(room="second")
    bench.lose("a")
    bench.worker("b")
    assert len(board_of(bench.engine).cut_offers) <= 2
    bench.dispatch(room="third")
    bench.lose("b")
    assert list(board_of(bench.engine).cut_offers)[-1] == "AJ_3"
