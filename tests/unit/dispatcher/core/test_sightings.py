"""What is seen of agents in their rooms, and what it says of their jobs."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import Verdict
from dispatcher.core.jobs import SECOND, JobStatus, RestartPolicy
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.room_events import DisconnectReason, ParticipantKind
from dispatcher.core.sightings import CLEAN, NO_EVIDENCE
from dispatcher.core.workers import Absence
from tests.support.engine_bench import EngineBench
from tests.support.room_words import bare_person, person, seen

Reason = DisconnectReason
UNCLEAN = sorted(set(Reason) - CLEAN - NO_EVIDENCE)
PARTING_SECONDS = 10


def agent_of(bench: EngineBench, job: str) -> str:
    """Return the identity of the job's agent."""
    return bench.state(job).participant_identity


def joins(bench: EngineBench, job: str, connection: int = 1) -> None:
    """The job's agent is seen to join."""
    bench.joins(person(agent_of(bench, job), connection, kind=ParticipantKind.AGENT))


def leaves(bench: EngineBench, job: str, reason: DisconnectReason, connection: int = 1) -> None:
    """The job's agent is seen to leave."""
    bench.leaves(agent_of(bench, job), connection, reason=reason)


def assigned(bench: EngineBench, restart: RestartPolicy = RestartPolicy.ON_FAILURE) -> str:
    """Return a job whose worker says nothing of it (as Node's), with its agent in the room."""
    bench.worker("w")
    bench.room_starts()
    job = bench.dispatch(restart=restart)
    bench.accept(job)
    joins(bench, job)
    return job


def running(bench: EngineBench, restart: RestartPolicy = RestartPolicy.ON_FAILURE) -> str:
    """Return a job whose worker said that it runs it, with its agent in the room."""
    job = assigned(bench, restart)
    bench.start(job)
    return job


# --- clean ---


@pytest.mark.parametrize("reason", sorted(CLEAN))
def test_a_clean_leave_ends_the_job_of_a_worker_that_reports_nothing(
    bench: EngineBench, reason: DisconnectReason
) -> None:
    job = assigned(bench)
    leaves(bench, job, reason)
    assert bench.phase(job) is JobPhase.SUCCEEDED
    assert reason.name.lower() in bench.events(job)[-1].detail
    assert not bench.engine.workers["w"].jobs


def test_the_worker_whose_job_ended_by_what_was_seen_has_room_again(bench: EngineBench) -> None:
    bench.worker("one", capacity=1)
    bench.room_starts()
    job = bench.dispatch()
    bench.accept(job)
    joins(bench, job)
    other = bench.dispatch("other")
    assert bench.phase(other) is JobPhase.QUEUED
    leaves(bench, job, Reason.CLIENT_INITIATED)
    assert bench.offered(other) == "one"


def test_a_worker_that_goes_on_with_a_job_that_is_over_is_told_and_keeps_its_place(
    bench: EngineBench,
) -> None:
    bench.worker("one", capacity=1)
    bench.room_starts()
    job = bench.dispatch()
    bench.accept(job)
    bench.start(job)
    joins(bench, job)
    other = bench.dispatch("other")
    leaves(bench, job, Reason.CLIENT_INITIATED)
    bench.pass_time(PARTING_SECONDS)
    assert bench.phase(job) is JobPhase.SUCCEEDED
    assert bench.stops("one") == [job]
    assert bench.offered(other) is None
    bench.job_status(job, JobStatus.SUCCESS, worker="one")
    assert bench.offered(other) == "one"


def test_a_worker_that_reports_has_time_to_say_how_its_job_ended(bench: EngineBench) -> None:
    job = running(bench, RestartPolicy.NEVER)
    leaves(bench, job, Reason.CLIENT_INITIATED)
    bench.pass_time(PARTING_SECONDS - 1)
    assert bench.phase(job) is JobPhase.RUNNING
    bench.fail(job, "boom")
    assert bench.phase(job) is JobPhase.FAILED
    bench.pass_time(PARTING_SECONDS)
    assert bench.phase(job) is JobPhase.FAILED


def test_a_running_job_whose_agent_left_cleanly_has_succeeded_after_a_while(
    bench: EngineBench,
) -> None:
    job = running(bench)
    leaves(bench, job, Reason.CLIENT_INITIATED)
    bench.pass_time(PARTING_SECONDS + 1)
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_a_clean_leave_is_the_end_of_a_job_whose_worker_is_lost(bench: EngineBench) -> None:
    job = running(bench)
    bench.lose("w")
    leaves(bench, job, Reason.CLIENT_INITIATED)
    assert bench.phase(job) is JobPhase.SUCCEEDED
    assert bench.events(job)[-1].trigger is JobTrigger.LEFT


# --- unclean ---


@pytest.mark.parametrize("reason", UNCLEAN)
def test_an_unclean_leave_of_a_lost_workers_agent_gives_the_job_to_another_at_once(
    bench: EngineBench, reason: DisconnectReason
) -> None:
    job = running(bench)
    bench.lose("w")
    bench.worker("other")
    leaves(bench, job, reason)
    assert bench.offered(job) == "other"
    assert bench.state(job).epoch == 2
    assert bench.state(job).attempt == 2


def test_the_job_of_a_worker_that_reports_nothing_is_tried_again_after_a_while(
    bench: EngineBench,
) -> None:
    job = assigned(bench)
    leaves(bench, job, Reason.CONNECTION_TIMEOUT)
    bench.pass_time(PARTING_SECONDS - 1)
    assert bench.phase(job) is JobPhase.ASSIGNED
    bench.pass_time(2)
    assert bench.state(job).epoch == 2
    assert bench.stops("w") == [job]


def test_a_job_that_is_never_tried_again_is_lost_with_its_agent(bench: EngineBench) -> None:
    job = assigned(bench, RestartPolicy.NEVER)
    leaves(bench, job, Reason.STATE_MISMATCH)
    bench.pass_time(PARTING_SECONDS + 1)
    assert bench.phase(job) is JobPhase.FAILED


def test_a_worker_that_says_that_it_runs_the_job_is_believed(bench: EngineBench) -> None:
    job = running(bench)
    leaves(bench, job, Reason.SIGNAL_CLOSE)
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.phase(job) is JobPhase.RUNNING
    assert bench.state(job).epoch == 1
    left_at = bench.now - PARTING_SECONDS * 3 * SECOND
    assert bench.engine.jobs[job].absence == Absence(left_at, Reason.SIGNAL_CLOSE)
    joins(bench, job, connection=2)
    assert bench.engine.jobs[job].absence is None


def test_a_worker_that_is_lost_while_its_agent_is_away_is_believed_no_longer(
    bench: EngineBench,
) -> None:
    job = running(bench)
    leaves(bench, job, Reason.SIGNAL_CLOSE)
    bench.pass_time(1)
    bench.lose("w")
    bench.worker("other")
    bench.pass_time(0)
    assert bench.offered(job) == "other"


def test_an_agent_that_comes_back_in_time_has_not_left(bench: EngineBench) -> None:
    job = assigned(bench)
    leaves(bench, job, Reason.CONNECTION_TIMEOUT, connection=1)
    bench.pass_time(PARTING_SECONDS - 1)
    joins(bench, job, connection=2)
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.phase(job) is JobPhase.ASSIGNED


def test_a_clean_leave_counts_whoever_else_said_that_it_runs_the_job(bench: EngineBench) -> None:
    job = assigned(bench)
    bench.worker("stranger")
    bench.job_status(job, JobStatus.RUNNING, worker="stranger")
    bench.pong("w")
    assert bench.verdicts("stranger") == {job: Verdict.STOP_REASSIGNED}
    leaves(bench, job, Reason.CLIENT_INITIATED)
    assert bench.phase(job) is JobPhase.SUCCEEDED


# --- no evidence ---


@pytest.mark.parametrize("reason", sorted(NO_EVIDENCE))
def test_a_leave_that_says_nothing_of_the_agent_ends_nothing(
    bench: EngineBench, reason: DisconnectReason
) -> None:
    job = assigned(bench)
    leaves(bench, job, reason)
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.phase(job) is JobPhase.ASSIGNED


@pytest.mark.parametrize("duplicate_first", [True, False])
@pytest.mark.parametrize("says_running", [True, False])
def test_an_agent_that_takes_its_own_place_does_not_end_its_job(
    bench: EngineBench, duplicate_first: bool, says_running: bool
) -> None:
    job = running(bench) if says_running else assigned(bench)
    phase = bench.phase(job)
    if duplicate_first:
        leaves(bench, job, Reason.DUPLICATE_IDENTITY, connection=1)
    joins(bench, job, connection=2)
    if not duplicate_first:
        leaves(bench, job, Reason.DUPLICATE_IDENTITY, connection=1)
    bench.pass_time(PARTING_SECONDS * 6)
    assert bench.phase(job) is phase
    assert bench.state(job).epoch == 1
    assert bench.stops("w") == []


def test_a_retry_that_evicts_the_old_agent_is_no_loop(bench: EngineBench) -> None:
    job = running(bench)
    bench.lose("w")
    bench.worker("two")
    bench.pass_time(21)  # the grace of a stock worker
    bench.accept(job)
    bench.start(job)
    leaves(bench, job, Reason.DUPLICATE_IDENTITY, connection=1)
    joins(bench, job, connection=2)
    bench.pass_time(PARTING_SECONDS * 6)
    assert bench.holder(job) == "two"
    assert bench.state(job).epoch == 2


@pytest.mark.parametrize("reason", [*sorted(CLEAN), Reason.CONNECTION_TIMEOUT])
def test_an_agent_of_an_older_attempt_that_leaves_late_ends_nothing(
    bench: EngineBench, reason: DisconnectReason
) -> None:
    job = assigned(bench)
    bench.pass_time(1)
    bench.lose("w")
    bench.worker("two")
    bench.pass_time(21)
    bench.accept(job)
    assert bench.state(job).epoch == 2
    leaves(bench, job, reason, connection=1)
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.phase(job) is JobPhase.ASSIGNED
    assert bench.holder(job) == "two"


def test_an_older_agent_told_late_to_have_left_by_itself_does_not_end_the_newer(
    bench: EngineBench,
) -> None:
    job = assigned(bench)
    bench.pass_time(1)
    bench.lose("w")
    bench.worker("two")
    bench.pass_time(21)
    bench.accept(job)
    joins(bench, job, connection=2)
    leaves(bench, job, Reason.CLIENT_INITIATED, connection=1)
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.holder(job) == "two"


def test_somebody_else_who_leaves_says_nothing_of_a_job(bench: EngineBench) -> None:
    job = assigned(bench)
    bench.joins("ann")
    bench.leaves("ann")
    bench.joins(agent_of(bench, job), 9, room="other")
    bench.leaves(agent_of(bench, job), 9, room="other")
    assert bench.phase(job) is JobPhase.ASSIGNED


def test_an_agent_under_an_identity_that_its_worker_chose_is_known(bench: EngineBench) -> None:
    bench.worker("w")
    bench.room_starts()
    job = bench.dispatch()
    bench.accept(job, identity="the-greeter")
    bench.joins("the-greeter")
    bench.leaves("the-greeter")
    assert bench.phase(job) is JobPhase.SUCCEEDED


# --- lists ---


def test_an_agent_that_is_missing_from_a_list_has_not_ended_its_job(bench: EngineBench) -> None:
    job = running(bench)
    bench.pass_time(1)
    bench.lists_rooms(seen())
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.phase(job) is JobPhase.RUNNING


@pytest.mark.parametrize("is_listed", [True, False])
def test_an_agent_that_was_seen_and_is_listed_no_longer_ends_a_job_nobody_reports(
    bench: EngineBench, is_listed: bool
) -> None:
    """Its leave was not told, and perhaps its joining neither."""
    bench.worker("w")
    bench.room_starts()
    job = bench.dispatch()
    bench.accept(job)
    if is_listed:
        agent = person(agent_of(bench, job), kind=ParticipantKind.AGENT)
        bench.lists_rooms(seen(agent))
    else:
        joins(bench, job)
    bench.pass_time(1)
    bench.lists_rooms(seen())
    bench.pass_time(PARTING_SECONDS - 1)
    assert bench.phase(job) is JobPhase.ASSIGNED
    bench.pass_time(2)
    assert bench.phase(job) is JobPhase.SUCCEEDED
    assert bench.events(job)[-1].detail == "its agent is no longer in the room (the SFU's list)"


def test_an_agent_that_a_later_list_has_again_has_not_left(bench: EngineBench) -> None:
    job = assigned(bench)
    agent = person(agent_of(bench, job), kind=ParticipantKind.AGENT)
    bench.pass_time(1)
    bench.lists_rooms(seen())
    bench.pass_time(PARTING_SECONDS - 1)
    bench.lists_rooms(seen(agent))
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.phase(job) is JobPhase.ASSIGNED


def test_an_agent_that_was_never_seen_is_not_missing(bench: EngineBench) -> None:
    bench.worker("w")
    bench.room_starts()
    job = bench.dispatch()
    bench.accept(job)
    bench.pass_time(1)
    bench.lists_rooms(seen())
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.phase(job) is JobPhase.ASSIGNED


def test_a_worker_that_says_that_it_runs_the_job_while_its_agent_is_missing_is_believed(
    bench: EngineBench,
) -> None:
    job = assigned(bench)
    bench.pass_time(1)
    bench.lists_rooms(seen())
    bench.start(job)
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.phase(job) is JobPhase.RUNNING


def test_a_missing_agent_of_a_lost_worker_leaves_its_job_to_the_grace_time(
    bench: EngineBench,
) -> None:
    job = assigned(bench)
    bench.pass_time(1)
    bench.lists_rooms(seen())
    bench.lose("w")
    bench.pass_time(PARTING_SECONDS + 1)
    assert bench.phase(job) is JobPhase.ORPHANED
    bench.pass_time(PARTING_SECONDS)
    assert bench.phase(job) is JobPhase.QUEUED
    assert bench.state(job).attempt == 2


def test_an_agent_whose_workers_report_and_that_is_missing_is_not_taken_for_done(
    bench: EngineBench,
) -> None:
    running(bench)
    job = bench.dispatch(dispatch_id="AD_second")
    bench.accept(job)
    joins(bench, job)
    bench.pass_time(1)
    bench.lists_rooms(seen())
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.phase(job) is JobPhase.ASSIGNED
    bench.pass_time(60)  # then its worker should have started it
    assert bench.state(job).attempt == 2


@pytest.mark.parametrize("seconds", [45, 55])
def test_a_missing_agent_that_is_being_waited_for_is_not_lost_meanwhile(
    bench: EngineBench, seconds: float
) -> None:
    job = assigned(bench)
    bench.pass_time(seconds)
    bench.lists_rooms(seen())
    bench.pass_time(PARTING_SECONDS + 1)
    assert bench.phase(job) is JobPhase.SUCCEEDED
    assert bench.state(job).attempt == 1


def test_a_leave_that_is_told_after_a_list_says_how_the_agent_left(bench: EngineBench) -> None:
    job = assigned(bench)
    bench.pass_time(1)
    bench.lists_rooms(seen())
    leaves(bench, job, Reason.CONNECTION_TIMEOUT)
    bench.pass_time(PARTING_SECONDS + 1)
    assert bench.state(job).attempt == 2


# --- leaves in odd orders ---


def test_a_leave_told_twice_is_one(bench: EngineBench) -> None:
    job = running(bench)
    leaves(bench, job, Reason.CLIENT_INITIATED)
    bench.pass_time(PARTING_SECONDS - 1)
    leaves(bench, job, Reason.CLIENT_INITIATED)
    bench.pass_time(2)
    assert bench.phase(job) is JobPhase.SUCCEEDED


@pytest.mark.parametrize("identity", ["", "the-greeter"])
def test_a_leave_that_is_told_before_its_join_ends_the_job_as_in_order(
    bench: EngineBench, identity: str
) -> None:
    bench.worker("w")
    bench.room_starts()
    job = bench.dispatch()
    bench.accept(job, identity=identity)
    leaves(bench, job, Reason.CLIENT_INITIATED)
    assert bench.phase(job) is JobPhase.SUCCEEDED
    joins(bench, job)
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_an_unclean_leave_that_is_told_before_its_join_is_settled_as_in_order(
    bench: EngineBench,
) -> None:
    bench.worker("w")
    bench.room_starts()
    job = bench.dispatch()
    bench.accept(job)
    leaves(bench, job, Reason.CONNECTION_TIMEOUT)
    joins(bench, job)
    bench.pass_time(PARTING_SECONDS + 1)
    assert bench.state(job).attempt == 2


def test_a_leave_without_a_join_of_an_older_attempts_agent_ends_nothing(
    bench: EngineBench,
) -> None:
    bench.worker("w")
    bench.room_starts()
    job = bench.dispatch()
    bench.accept(job)
    bench.pass_time(2)
    bench.lose("w")
    bench.worker("two")
    bench.pass_time(21)
    bench.accept(job)
    leaves(bench, job, Reason.CLIENT_INITIATED, connection=1)
    assert bench.phase(job) is JobPhase.ASSIGNED
    leaves(bench, job, Reason.CLIENT_INITIATED, connection=23)
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_an_older_connection_of_an_agent_that_is_there_ends_nothing(bench: EngineBench) -> None:
    job = assigned(bench)
    joins(bench, job, connection=2)
    leaves(bench, job, Reason.CLIENT_INITIATED, connection=1)
    leaves(bench, job, Reason.CLIENT_INITIATED, connection=0)
    bench.pass_time(PARTING_SECONDS * 3)
    assert bench.phase(job) is JobPhase.ASSIGNED


def test_after_a_restart_a_clean_leave_still_ends_the_job(bench: EngineBench) -> None:
    job = assigned(bench)
    bench.restart()
    leaves(bench, job, Reason.CLIENT_INITIATED)
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_after_a_restart_a_worker_that_came_back_is_asked_first(bench: EngineBench) -> None:
    job = running(bench)
    bench.restart()
    bench.connect("w")
    bench.claim("w", job)
    bench.report("w")
    leaves(bench, job, Reason.CLIENT_INITIATED)
    assert bench.phase(job) is JobPhase.RUNNING
    bench.job_status(job, JobStatus.SUCCESS)
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_the_agent_of_a_rules_job_that_leaves_cleanly_is_not_called_again(
    bench: EngineBench,
) -> None:
    bench.worker("w")
    bench.rule()
    bench.room_starts()
    job = bench.job_of()
    bench.accept(job)
    joins(bench, job)
    leaves(bench, job, Reason.CLIENT_INITIATED)
    bench.joins("ann")
    bench.pass_time(60)
    assert bench.jobs_of() == [job]
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_an_agent_known_by_its_track_alone_that_leaves_is_evidence_too(bench: EngineBench) -> None:
    bench.worker("w")
    bench.room_starts()
    job = bench.dispatch()
    bench.accept(job)
    identity = agent_of(bench, job)
    bench.publishes(identity)
    bench.leaves(bare_person(identity))
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_a_leave_while_an_older_run_is_being_stopped_is_no_evidence(bench: EngineBench) -> None:
    job = running(bench)
    bench.lose("w")
    bench.worker("other")
    bench.pass_time(21)
    bench.accept(job, worker="other")
    bench.connect("w2")
    bench.claim("w2", job, epoch=1)  # and it is told to stop, and leaves the room
    joins(bench, job, 2)
    leaves(bench, job, Reason.CLIENT_INITIATED, 2)
    assert bench.phase(job) is JobPhase.ASSIGNED
    bench.job_status(job, JobStatus.SUCCESS, worker="w2")
    joins(bench, job, 3)
    leaves(bench, job, Reason.CLIENT_INITIATED, 3)
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_an_unclean_leave_told_before_its_worker_is_lost_gives_the_job_away_at_once(
    bench: EngineBench,
) -> None:
    job = running(bench)
    bench.worker("other", load=0.1)
    leaves(bench, job, Reason.CONNECTION_TIMEOUT)
    bench.lose("w")
    bench.pass_time(0)
    assert bench.offered(job) == "other"
    assert bench.state(job).epoch == 2


def test_a_clean_leave_told_before_its_worker_is_lost_ends_the_job_at_once(
    bench: EngineBench,
) -> None:
    job = running(bench)
    leaves(bench, job, Reason.CLIENT_INITIATED)
    bench.lose("w")
    bench.pass_time(0)
    assert bench.phase(job) is JobPhase.SUCCEEDED
