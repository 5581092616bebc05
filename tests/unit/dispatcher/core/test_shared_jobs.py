"""Uniqueness keys: who shares the key of a live job is served by that job."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import JobStatus, JobType, RestartPolicy
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.room_events import DisconnectReason
from dispatcher.core.rules import Match
from tests.support.engine_bench import EngineBench
from tests.support.room_words import ALL_TYPES, PROJECT, ROOM, person
from tests.unit.dispatcher.core.called_jobs import called, come_back

PARTICIPANT = JobType.PARTICIPANT
DUPLICATE = DisconnectReason.DUPLICATE_IDENTITY


def family(bench: EngineBench, *people: str) -> str:
    """Return the one job of these people, who share a key; a worker runs it."""
    bench.worker("w", types=ALL_TYPES)
    bench.rule(
        job_type=PARTICIPANT,
        unique="{participant.attributes.customer}",
        restart=RestartPolicy.NEVER,
    )
    for who in people:
        customer_joins(bench, who)
    job = bench.job_of()
    bench.accept(job)
    bench.start(job)
    return job


def customer_joins(bench: EngineBench, who: str, connection: int = 1) -> None:
    bench.joins(person(who, connection, attributes={"customer": "7"}))


def made_for(bench: EngineBench, who: str, connection: int = 1) -> list[str]:
    """Return what is remembered of somebody's jobs, with its marks."""
    room = bench.engine.rooms[PROJECT, ROOM]
    return list(room.members[f"PA_{who}_{connection}"].jobs.values())


def test_one_job_for_one_uniqueness_key(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, unique="{participant.identity}")
    bench.joins("ann", room="one")
    bench.joins(person("ann", 2), room="two")
    bench.joins("bob", room="two")
    assert called(bench) == ["ann", "bob"]


def test_a_uniqueness_key_is_free_again_when_its_job_has_ended(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, unique="{participant.attributes.customer}")
    bench.joins(person("ann", attributes={"customer": "7"}))
    bench.joins(person("bob", attributes={"customer": "7"}))
    bench.leaves("ann")
    bench.joins(person("cyd", attributes={"customer": "7"}))
    assert len(called(bench)) == 1
    assert len(bench.jobs_of()) == 2


def test_who_shares_a_uniqueness_key_is_called_for_when_it_is_free(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, unique="{participant.identity}")
    bench.joins("ann", room="one")
    bench.joins(person("ann", 2), room="two")
    bench.leaves("ann", room="one")
    assert called(bench) == ["ann"]


def test_a_uniqueness_key_that_is_empty_for_somebody_restricts_nothing(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, unique="{participant.attributes.customer}")
    bench.joins("ann")
    bench.joins("bob")
    assert called(bench) == ["ann", "bob"]


def test_uniqueness_keys_of_two_rules_do_not_meet(bench: EngineBench) -> None:
    bench.rule("one", PARTICIPANT, unique="same")
    bench.rule("two", PARTICIPANT, unique="same")
    bench.joins("ann")
    assert called(bench, "one") == called(bench, "two") == ["ann"]


def test_a_uniqueness_key_holds_after_a_restart(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, unique="{participant.identity}")
    bench.joins("ann", room="one")
    bench.restart()
    bench.pass_time(1)
    bench.joins(person("ann", 2), room="two")
    assert len(bench.jobs_of()) == 1


# --- the end of a job that is shared ---


@pytest.mark.parametrize("ends", ["succeeds", "fails", "is cancelled by its worker"])
def test_a_shared_job_that_has_ended_has_served_all_who_share_it(
    bench: EngineBench, ends: str
) -> None:
    job = family(bench, "ann", "bob", "cyd")
    if ends == "succeeds":
        bench.succeed(job)
    elif ends == "fails":
        bench.fail(job)
    else:
        bench.job_status(job, JobStatus.CANCELLED)
    assert bench.phase(job).is_ended
    bench.pass_time(60)
    assert bench.jobs_of() == [job]


def test_who_comes_after_the_end_of_a_shared_job_has_a_new_one(bench: EngineBench) -> None:
    job = family(bench, "ann", "bob")
    bench.succeed(job)
    customer_joins(bench, "cyd")
    assert called(bench) == ["cyd"]
    bench.leaves("cyd")
    bench.decline(bench.live_jobs_of()[0])
    assert called(bench) == []  # ann and bob have been served


def test_who_shares_a_job_and_leaves_does_not_end_it(bench: EngineBench) -> None:
    job = family(bench, "ann", "bob")
    bench.leaves("bob")
    assert bench.phase(job) is JobPhase.RUNNING


def test_when_its_own_subject_leaves_those_who_share_have_one_job_again(
    bench: EngineBench,
) -> None:
    job = family(bench, "ann", "bob", "cyd", "dan")
    bench.leaves("bob")
    bench.leaves("ann")
    assert bench.phase(job) is JobPhase.CANCELLED
    [second] = bench.live_jobs_of()
    assert called(bench) == ["cyd"]
    assert made_for(bench, "dan") == [f"+{second}"]
    bench.accept(second)
    bench.leaves("cyd")
    assert called(bench) == ["dan"]


def test_the_next_is_called_when_the_room_of_a_shared_job_is_over(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, unique="{participant.identity}")
    bench.joins("ann", room="one")
    bench.joins(person("ann", 2), room="two")
    bench.room_finishes("two")
    assert len(bench.live_jobs_of()) == 1
    bench.joins(person("ann", 3), room="three")
    bench.room_finishes("one")
    [_, second] = bench.jobs_of()
    assert bench.live_jobs_of() == [second]


def test_rooms_share_a_job_as_participants_do(bench: EngineBench) -> None:
    bench.rule(unique="one for all", match=Match(identities=("*",)))
    for room in ("one", "two"):
        bench.joins(f"first of {room}", room=room)
        bench.joins(f"second of {room}", room=room)
    assert called(bench) == ["one"]
    bench.leaves("first of two", room="two")
    bench.room_finishes("one")
    assert called(bench) == ["two"]


def test_who_takes_the_place_of_one_who_shares_a_job_shares_it(bench: EngineBench) -> None:
    job = family(bench, "ann", "bob")
    bench.leaves("bob", 1, reason=DUPLICATE)
    customer_joins(bench, "bob", 2)
    assert made_for(bench, "bob", 2) == [f"+{job}"]
    bench.leaves("ann")
    assert called(bench) == ["bob"]


def test_who_shares_a_job_is_known_after_a_restart(bench: EngineBench) -> None:
    job = family(bench, "ann", "bob", "cyd")
    bench.restart()
    come_back(bench, "w2")
    bench.pass_time(1)
    assert bench.live_jobs_of() == [job]
    bench.leaves("ann")
    assert called(bench) == ["bob"]


def test_whose_job_is_called_off_right_after_a_restart_those_who_share_it_are_called(
    bench: EngineBench,
) -> None:
    family(bench, "ann", "bob", "cyd")
    bench.restart()
    bench.leaves("ann")
    assert called(bench) == ["bob"]
    assert made_for(bench, "cyd") == [f"+{bench.live_jobs_of()[0]}"]


def test_who_was_served_before_a_restart_is_not_called_after_it(bench: EngineBench) -> None:
    job = family(bench, "ann", "bob")
    bench.succeed(job)
    bench.restart()
    bench.pass_time(60)
    assert bench.live_jobs_of() == []


@pytest.mark.parametrize("runs", [False, True], ids=["queued", "running"])
def test_who_shares_a_job_is_called_though_the_server_dies_when_it_was_called_off(
    bench: EngineBench, runs: bool
) -> None:
    if runs:
        family(bench, "ann", "bob", "cyd")
    else:
        bench.rule(job_type=PARTICIPANT, unique="{participant.attributes.customer}")
        for who in ("ann", "bob", "cyd"):
            customer_joins(bench, who)
    bench.holds_commits = True
    bench.leaves("ann")
    bench.commit()  # and what follows from it is not durable
    bench.restart()
    bench.pass_time(1)
    assert called(bench) == ["bob"]
    assert made_for(bench, "cyd") == [f"+{bench.live_jobs_of()[0]}"]


def test_who_comes_to_share_a_job_that_was_called_off_is_called_after_a_restart(
    bench: EngineBench,
) -> None:
    bench.worker("w", types=ALL_TYPES)
    bench.rule(job_type=PARTICIPANT, unique="{participant.attributes.customer}")
    customer_joins(bench, "ann")
    bench.leaves("ann")  # while it is on offer: it ends when that is over
    customer_joins(bench, "bob")
    assert made_for(bench, "bob") == [f"+-{bench.job_of()}"]
    bench.restart()
    bench.pass_time(60)
    assert called(bench) == ["bob"]


def test_who_shares_a_job_does_not_wait_for_room_under_the_limit(bench: EngineBench) -> None:
    bench.worker("w", types=ALL_TYPES)
    bench.rule(job_type=PARTICIPANT, limit=1, unique="{participant.attributes.customer}")
    customer_joins(bench, "ann")
    customer_joins(bench, "bob")
    bench.joins(person("cyd", attributes={"customer": "8"}))
    job = bench.job_of()
    bench.accept(job)
    bench.succeed(job)
    assert called(bench) == ["cyd"]


def test_a_rule_that_is_changed_while_a_shared_job_waits_calls_for_them_once(
    bench: EngineBench,
) -> None:
    unique = "{participant.attributes.customer}"
    bench.rule(job_type=PARTICIPANT, unique=unique, agent="typ-greeter")
    for who in ("ann", "bob", "cyd"):
        customer_joins(bench, who)
    bench.rule(job_type=PARTICIPANT, unique=unique)
    bench.pass_time(1)
    [job] = bench.live_jobs_of()
    assert len(bench.jobs_of()) == 2
    assert made_for(bench, "ann") == [job]
    assert made_for(bench, "bob") == made_for(bench, "cyd") == [f"+{job}"]
    bench.leaves("ann")
    assert len(called(bench)) == 1


def test_a_rule_that_is_changed_lets_a_shared_job_run_on(bench: EngineBench) -> None:
    job = family(bench, "ann", "bob")
    bench.rule(job_type=PARTICIPANT, unique="{participant.attributes.customer}", metadata="new")
    bench.pass_time(1)
    assert bench.jobs_of() == [job]
    bench.leaves("ann")
    assert called(bench) == ["bob"]
