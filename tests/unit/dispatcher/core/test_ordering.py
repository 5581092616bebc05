"""What rules make: whom they call, once for each, and what becomes of it with them."""

from __future__ import annotations

import pytest

from dispatcher.core.drafting import order_of
from dispatcher.core.effects import Outcome
from dispatcher.core.jobs import SECOND, JobStateReason, JobType, RestartPolicy
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.room_events import DisconnectReason, ParticipantKind
from dispatcher.core.rules import Match
from protocol import wire_pb2
from tests.support.engine_bench import EngineBench
from tests.support.room_words import ALL_TYPES, outcome, person, room_info, seen
from tests.unit.dispatcher.core.board_checks import watched
from tests.unit.dispatcher.core.called_jobs import called, config_of

PUBLISHER, PARTICIPANT = JobType.PUBLISHER, JobType.PARTICIPANT


# --- whom a rule calls ---


def test_a_room_rule_makes_one_job_for_a_room(bench: EngineBench) -> None:
    bench.rule()
    bench.room_starts()
    bench.room_starts()
    bench.joins("ann")
    bench.joins("bob")
    assert called(bench) == ["room"]


def test_a_room_rule_makes_one_job_for_each_session(bench: EngineBench) -> None:
    bench.rule()
    bench.room_starts(session=1)
    bench.room_finishes(session=1)
    bench.room_starts(session=2)
    assert len(bench.jobs_of()) == 2
    assert called(bench) == ["room"]


def test_a_room_whose_start_was_lost_has_its_job_when_somebody_joins(bench: EngineBench) -> None:
    bench.rule()
    bench.joins("ann")
    assert called(bench) == ["room"]


def test_a_room_that_does_not_match_has_none(bench: EngineBench) -> None:
    bench.rule(match=Match(room="call-*"))
    bench.room_starts("meet-1")
    assert bench.jobs_of() == []
    bench.room_starts("call-1")
    assert called(bench) == ["call-1"]


def test_a_room_that_matches_by_metadata_that_is_told_later_has_one(bench: EngineBench) -> None:
    bench.rule(match=Match(room_metadata={"tier": "gold"}))
    bench.room_starts()
    assert bench.jobs_of() == []
    bench.room_starts(metadata='{"tier": "gold"}')
    assert called(bench) == ["room"]


def test_a_room_rule_that_asks_for_somebody_waits_for_who_matches(bench: EngineBench) -> None:
    bench.rule(match=Match(attributes={"tier": "gold"}))
    bench.joins("ann")
    assert bench.jobs_of() == []
    bench.joins(person("bob", attributes={"tier": "gold"}))
    bench.joins(person("cyd", attributes={"tier": "gold"}))
    assert called(bench) == ["room"]


def test_a_participant_rule_makes_one_job_for_each(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT)
    for who in ("ann", "bob", "ann"):
        bench.joins(who)
    assert called(bench) == ["ann", "bob"]


def test_somebody_who_matches_by_attributes_that_are_told_later_is_called_for(
    bench: EngineBench,
) -> None:
    bench.rule(job_type=PARTICIPANT, match=Match(attributes={"tier": "gold"}))
    bench.joins("ann")
    assert bench.jobs_of() == []
    bench.joins(person("ann", attributes={"tier": "gold"}))
    assert called(bench) == ["ann"]


def test_a_publisher_has_one_job_however_many_tracks(bench: EngineBench) -> None:
    bench.rule(job_type=PUBLISHER)
    bench.joins("ann")
    bench.joins("bob")
    for track in ("TR_1", "TR_2", "TR_1"):
        bench.publishes("ann", track=track)
    assert called(bench) == ["ann"]


def test_a_publisher_whose_track_came_first_has_its_job_when_it_is_known(
    bench: EngineBench,
) -> None:
    bench.rule(job_type=PUBLISHER)
    bench.rule("everybody", PARTICIPANT)
    bench.publishes("ann")
    assert bench.jobs_of() == []
    bench.joins("ann")
    assert called(bench) == ["ann"]
    assert called(bench, "everybody") == ["ann"]


def test_a_publisher_that_pauses_keeps_its_job(bench: EngineBench) -> None:
    bench.rule(job_type=PUBLISHER)
    bench.joins("ann")
    bench.publishes("ann", track="TR_1")
    bench.unpublishes("ann", track="TR_1")
    assert called(bench) == ["ann"]
    bench.publishes("ann", track="TR_2")
    assert len(bench.jobs_of()) == 1


def test_leaving_ends_the_job_and_says_why(bench: EngineBench) -> None:
    bench.rule(job_type=PUBLISHER)
    bench.joins("ann")
    bench.publishes("ann")
    bench.leaves("ann")
    job = bench.job_of()
    assert bench.phase(job) is JobPhase.CANCELLED
    assert "'ann' left (client_initiated)" in bench.events(job)[-1].detail


def test_who_comes_again_is_called_for_anew(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT)
    bench.joins("ann", 1)
    bench.leaves("ann", 1)
    bench.joins("ann", 2)
    old, new = bench.jobs_of()
    assert bench.live_jobs_of() == [new]
    assert config_of(bench, old).participant.sid == "PA_ann_1"
    assert config_of(bench, new).participant.sid == "PA_ann_2"


@pytest.mark.parametrize("duplicate_first", [True, False])
def test_who_takes_its_own_place_keeps_its_jobs(bench: EngineBench, duplicate_first: bool) -> None:
    bench.worker("w", types=ALL_TYPES)
    bench.rule(job_type=PARTICIPANT)
    bench.joins("ann", 1)
    job = bench.job_of()
    bench.accept(job)
    duplicate = DisconnectReason.DUPLICATE_IDENTITY
    if duplicate_first:
        bench.leaves("ann", 1, reason=duplicate)
    bench.joins("ann", 2)
    if not duplicate_first:
        bench.leaves("ann", 1, reason=duplicate)
    bench.pass_time(60)
    assert bench.jobs_of() == [job]
    assert bench.phase(job) is JobPhase.ASSIGNED
    bench.leaves("ann", 2)
    assert bench.phase(job) is JobPhase.CANCELLED


def test_a_replaced_connection_without_a_successor_has_left_after_a_while(
    bench: EngineBench,
) -> None:
    bench.rule(job_type=PARTICIPANT)
    bench.joins("ann", 1)
    bench.leaves("ann", 1, reason=DisconnectReason.DUPLICATE_IDENTITY)
    bench.pass_time(29)
    assert called(bench) == ["ann"]
    bench.pass_time(2)
    assert called(bench) == []
    bench.joins("ann", 2)
    assert called(bench) == ["ann"]


def test_a_next_connection_that_is_told_late_keeps_the_job_that_runs(bench: EngineBench) -> None:
    bench.worker("w", types=ALL_TYPES)
    bench.rule(job_type=PUBLISHER)
    bench.joins("ann", 1)
    bench.publishes("ann", 1)
    job = bench.job_of()
    bench.accept(job)
    bench.start(job)
    bench.leaves("ann", 1, reason=DisconnectReason.DUPLICATE_IDENTITY)
    bench.pass_time(5)
    bench.lists_rooms(seen())
    bench.pass_time(7)
    bench.joins("ann", 2)
    bench.publishes("ann", 2)
    bench.pass_time(60)
    assert bench.phase(job) is JobPhase.RUNNING
    assert bench.job_of() == job


def test_dependents_summon_nobody(bench: EngineBench) -> None:
    for job_type in (PUBLISHER, PARTICIPANT):
        bench.rule(job_type.name, job_type)
    bench.joins(person("agent", kind=ParticipantKind.AGENT))
    bench.joins(person("egress", kind=ParticipantKind.EGRESS))
    bench.joins(person("permitted", is_agent=True))
    bench.joins(person("recorder", is_recorder=True))
    for who in ("agent", "egress", "permitted", "recorder"):
        bench.publishes(who)
    assert bench.jobs_of("PUBLISHER") == bench.jobs_of("PARTICIPANT") == []


def test_dependents_are_called_for_where_a_rule_asks_for_them(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, match=Match(kinds=frozenset({ParticipantKind.AGENT})))
    bench.joins(person("agent", kind=ParticipantKind.AGENT))
    bench.joins("ann")
    assert called(bench) == ["agent"]


def test_listed_identities_alone_are_called_for(bench: EngineBench) -> None:
    bench.rule(job_type=PUBLISHER, match=Match(identities=("ann", "guest-*")))
    for who in ("ann", "bob", "guest-1"):
        bench.joins(who)
        bench.publishes(who)
    assert called(bench) == ["ann", "guest-1"]


def test_the_rules_of_a_project_are_for_its_rooms_alone(bench: EngineBench) -> None:
    bench.rule()
    bench.room_starts(project="other")
    assert bench.jobs_of() == bench.jobs_of(project="other") == []


def test_a_job_that_has_ended_is_not_made_again_while_its_subject_is_there(
    bench: EngineBench,
) -> None:
    bench.worker("w")
    bench.rule()
    bench.room_starts()
    job = bench.job_of()
    bench.accept(job)
    bench.succeed(job)
    bench.joins("ann")
    bench.lists_rooms(seen(person("ann")))
    bench.rule(metadata="another")
    bench.pass_time(1)
    assert bench.jobs_of() == [job]


def test_a_disabled_rule_calls_nobody(bench: EngineBench) -> None:
    bench.rule(enabled=False)
    bench.room_starts()
    assert bench.jobs_of() == []


def test_a_late_worker_finds_what_was_made_before_it_came(bench: EngineBench) -> None:
    bench.rule()
    bench.room_starts()
    bench.pass_time(100)
    bench.worker("w")
    assert bench.offered(bench.job_of()) == "w"


def test_an_event_is_answered_when_what_follows_from_it_is_durable(bench: EngineBench) -> None:
    bench.rule()
    bench.holds_commits = True
    assert bench.room_starts() is None
    bench.release_commits()
    assert len(bench.jobs_of()) == 1


# --- the job that is made ---


def test_a_job_says_what_its_rule_says_of_its_room_and_participant(bench: EngineBench) -> None:
    bench.rule(
        job_type=PARTICIPANT,
        metadata="for {participant.identity} of {room.name}",
        attributes={"tier": "{participant.attributes.tier}", "fixed": "yes"},
        priority=3,
        queue_seconds=40,
        restart=RestartPolicy.NEVER,
    )
    bench.joins(person("ann", attributes={"tier": "gold"}))
    job = bench.job_of()
    config = config_of(bench, job)
    assert config.id == job
    assert config.type == wire_pb2.JT_PARTICIPANT
    assert (config.room.name, config.room.sid) == ("room", "RM_room_1")
    assert (config.participant.identity, config.participant.sid) == ("ann", "PA_ann_1")
    assert config.metadata == "for ann of room"
    assert dict(config.attributes) == {"tier": "gold", "fixed": "yes"}
    stored = bench.stored(job)
    assert stored is not None
    assert stored.job.priority == 3
    assert stored.job.queue_time == 40 * SECOND
    assert stored.job.restart_policy is RestartPolicy.NEVER
    assert stored.job.order == "rule:rule"
    assert stored.job.dispatch_id == ""


def test_a_room_job_has_no_participant(bench: EngineBench) -> None:
    bench.rule(match=Match(identities=("ann",)), metadata="because of {participant.identity}")
    bench.joins("ann")
    config = config_of(bench, bench.job_of())
    assert not config.HasField("participant")
    assert config.metadata == "because of ann"


def test_a_job_that_nobody_takes_ends_after_the_queue_time_of_its_rule(bench: EngineBench) -> None:
    bench.rule(queue_seconds=40)
    bench.room_starts()
    bench.pass_time(39)
    assert bench.phase(bench.job_of()) is JobPhase.QUEUED
    bench.pass_time(2)
    state = bench.state(bench.job_of())
    assert (state.phase, state.reason) == (JobPhase.FAILED, JobStateReason.NO_CAPACITY)


def test_an_order_is_named_by_its_rule() -> None:
    bench = EngineBench(watch=watched)
    bench.rule("greeters")
    assert order_of(bench.engine.rules["project", "greeters"]) == "rule:greeters"


def test_a_uniqueness_key_is_cut_at_its_bound(bench: EngineBench) -> None:
    bench.rule(job_type=PARTICIPANT, unique="{participant.attributes.long}")
    bench.joins(person("ann", attributes={"long": "x" * 5000}))
    stored = bench.stored(bench.job_of())
    assert stored is not None
    assert len(stored.job.unique_key) == 1024
    assert room_info().name == stored.job.room


# --- delays ---


def test_a_delayed_job_waits_for_its_time(bench: EngineBench) -> None:
    bench.worker("w")
    bench.rule(delay_seconds=5)
    bench.room_starts()
    job = bench.job_of()
    bench.pass_time(4)
    assert bench.phase(job) is JobPhase.DELAYED
    bench.pass_time(2)
    assert bench.offered(job) == "w"


def test_who_left_before_the_delay_is_over_is_not_called_for(bench: EngineBench) -> None:
    bench.worker("w", types=ALL_TYPES)
    bench.rule(job_type=PARTICIPANT, delay_seconds=5)
    bench.joins("ann")
    job = bench.job_of()
    bench.leaves("ann")
    assert bench.phase(job) is JobPhase.CANCELLED
    bench.pass_time(10)
    assert bench.offers(job) == []


def test_a_delay_goes_on_after_a_restart(bench: EngineBench) -> None:
    bench.rule(delay_seconds=5)
    bench.room_starts()
    bench.restart()
    bench.worker("w")
    bench.pass_time(6)
    assert bench.offered(bench.job_of()) == "w"


# --- applying and deleting ---


def test_applying_a_rule_twice_changes_nothing(bench: EngineBench) -> None:
    assert outcome(bench.rule()) is Outcome.CREATED
    assert outcome(bench.rule()) is Outcome.EXISTED
    assert bench.engine.rules["project", "rule"].version == 1


def test_each_change_is_a_version(bench: EngineBench) -> None:
    bench.rule()
    created_at = bench.now
    bench.pass_time(10)
    assert outcome(bench.rule(metadata="new")) is Outcome.CHANGED
    rule = bench.engine.rules["project", "rule"]
    assert (rule.version, rule.created_at, rule.updated_at) == (2, created_at, bench.now)


def test_a_condition_that_changes_from_one_to_true_is_a_change(bench: EngineBench) -> None:
    bench.rule(match=Match(metadata={"paid": 1}))
    assert outcome(bench.rule(match=Match(metadata={"paid": True}))) is Outcome.CHANGED
    assert bench.engine.rules["project", "rule"].match.metadata == {"paid": True}


def test_a_stale_update_is_refused_with_both_versions_named(bench: EngineBench) -> None:
    bench.rule()
    bench.rule(metadata="second")
    reply = bench.rule(metadata="third", version=1)
    assert outcome(reply) is Outcome.STALE
    assert reply is not None
    assert "version 2" in reply.detail
    assert "1" in reply.detail
    assert bench.engine.rules["project", "rule"].metadata == "second"
    assert outcome(bench.rule(metadata="third", version=2)) is Outcome.CHANGED


def test_an_update_of_a_rule_that_is_not_there_is_stale(bench: EngineBench) -> None:
    assert outcome(bench.rule(version=3)) is Outcome.STALE
    assert not bench.engine.rules


def test_a_rule_that_is_not_there_cannot_be_deleted(bench: EngineBench) -> None:
    assert outcome(bench.delete_rule()) is Outcome.NOT_FOUND


def test_a_stale_deletion_is_refused(bench: EngineBench) -> None:
    bench.rule()
    assert outcome(bench.delete_rule(version=2)) is Outcome.STALE
    assert outcome(bench.delete_rule(version=1)) is Outcome.DELETED
    assert not bench.engine.rules


def test_rules_are_durable_when_they_are_answered(bench: EngineBench) -> None:
    bench.rule()
    bench.rule("gone")
    bench.delete_rule("gone")
    bench.holds_commits = True
    assert bench.rule("late") is None
    before = dict(bench.engine.rules)
    bench.restart()
    assert bench.engine.rules == {key: r for key, r in before.items() if r.name == "rule"}
