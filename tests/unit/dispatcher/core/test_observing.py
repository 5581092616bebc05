"""From news of rooms to what is durable of it: answers, notes, restarts, lists, bounds."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import Outcome
from dispatcher.core.engine import Engine
from dispatcher.core.jobs import SECOND, JobType, seconds
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.notes import Note, NoteKind
from dispatcher.core.room_events import DisconnectReason, RoomEventKind
from dispatcher.core.room_states import RoomLimits, RoomState
from dispatcher.core.rules import Match
from tests.support.engine_bench import EngineBench
from tests.support.room_words import PROJECT, bare_room, outcome, person, room_info, seen


def notes(bench: EngineBench, kind: NoteKind) -> list[Note]:
    """Return the notes of a kind that are durable."""
    return [note for note in bench.database._notes.values() if note.kind is kind]


def keys(bench: EngineBench, kind: NoteKind) -> list[str]:
    """Return the keys of the notes of a kind that are durable."""
    return sorted(note.key for note in notes(bench, kind))


def room_of(bench: EngineBench, name: str = "room") -> RoomState:
    """Return a room that is there."""
    return bench.engine.rooms[PROJECT, name]


def picture(engine: Engine) -> object:
    """Return all that is known of rooms, to be compared."""
    return [
        (
            room.key,
            room.info,
            room.started_at,
            room.jobs,
            sorted(room.gone),
            sorted(
                (
                    key,
                    member.participant.identity,
                    member.subject,
                    member.is_known,
                    member.is_replaced,
                    sorted(member.tracks),
                    sorted(member.jobs.items()),
                )
                for key, member in room.members.items()
            ),
            sorted((subject, member.key) for subject, member in room.successors.items()),
            sorted((identity, member.key) for identity, member in room.identities.items()),
        )
        for room in sorted(engine.rooms.values(), key=lambda room: room.key)
    ]


# --- what is durable ---


def test_an_event_is_done_when_it_is_durable(bench: EngineBench) -> None:
    bench.holds_commits = True
    assert bench.joins("ann") is None
    assert notes(bench, NoteKind.MEMBER) == []
    bench.commit()
    assert keys(bench, NoteKind.MEMBER) == ["PA_ann_1"]
    assert outcome(bench.reply(1)) is Outcome.DONE


def test_a_job_and_what_made_it_are_durable_together(bench: EngineBench) -> None:
    bench.rule(job_type=JobType.PARTICIPANT)
    bench.holds_commits = True
    bench.joins("ann")
    bench.commit()
    [note] = notes(bench, NoteKind.MEMBER)
    assert bench.job_of() in note.text


def test_an_event_that_says_nothing_new_is_done_too(bench: EngineBench) -> None:
    bench.joins("ann")
    assert outcome(bench.joins("ann")) is Outcome.DONE
    assert outcome(bench.leaves("bob")) is Outcome.DONE
    bench.room_finishes()
    assert outcome(bench.room_finishes()) is Outcome.DONE


def test_a_doubled_event_writes_nothing(bench: EngineBench) -> None:
    bench.joins("ann")
    bench.publishes("ann")
    batches = len(bench.batches)
    bench.joins("ann")
    bench.publishes("ann")
    assert len(bench.batches) == batches


def test_after_a_restart_all_that_was_known_is_known(bench: EngineBench) -> None:
    duplicate = DisconnectReason.DUPLICATE_IDENTITY
    bench.rule(job_type=JobType.PARTICIPANT)
    bench.rule("rooms")
    bench.room_starts("empty")
    for who in ("ann", "bob", "cyd", "eve"):
        bench.joins(who)
    bench.publishes("ann")
    bench.publishes("dan")  # not known yet
    bench.leaves("bob")
    bench.joins("cyd", 2)
    bench.leaves("eve", reason=duplicate)
    before = picture(bench.engine)
    bench.restart()
    assert picture(bench.engine) == before
    bench.restart()
    assert picture(bench.engine) == before


def test_after_a_restart_late_news_is_still_late(bench: EngineBench) -> None:
    bench.joins("ann")
    bench.leaves("ann")
    bench.room_starts("over")
    bench.room_finishes("over")
    bench.restart()
    bench.joins("ann")
    bench.room_starts("over")
    assert list(room_of(bench).members) == []
    assert list(bench.engine.rooms) == [(PROJECT, "room")]


def test_a_room_that_is_over_leaves_nothing_but_that_it_is(bench: EngineBench) -> None:
    bench.joins("ann")
    bench.joins("bob")
    bench.leaves("bob")
    bench.room_finishes()
    assert notes(bench, NoteKind.ROOM) == notes(bench, NoteKind.MEMBER) == []
    assert keys(bench, NoteKind.OVER) == ["RM_room_1"]


def test_a_session_that_is_over_is_forgotten_after_a_while(bench: EngineBench) -> None:
    bench.room_starts()
    bench.room_finishes()
    bench.pass_time(500)
    bench.room_starts()
    assert not bench.engine.rooms
    bench.pass_time(300)
    assert notes(bench, NoteKind.OVER) == []
    assert bench.engine.next_deadline() is None


def test_a_session_that_is_over_is_forgotten_after_a_restart_too(bench: EngineBench) -> None:
    bench.room_starts()
    bench.room_finishes()
    bench.restart()
    bench.pass_time(800)
    assert notes(bench, NoteKind.OVER) == []


def test_a_next_session_does_not_bring_back_who_was_in_the_one_before(bench: EngineBench) -> None:
    bench.joins("ann", session=1)
    bench.joins("bob", session=2)
    assert keys(bench, NoteKind.MEMBER) == ["PA_bob_1"]
    bench.restart()
    assert list(room_of(bench).members) == ["PA_bob_1"]


def test_who_left_is_remembered_up_to_a_bound_also_in_the_store() -> None:
    bench = EngineBench(room_limits=RoomLimits(gone_max=2))
    for who in ("ann", "bob", "cyd", "dan"):
        bench.joins(who)
        bench.leaves(who)
    assert keys(bench, NoteKind.MEMBER) == ["PA_cyd_1", "PA_dan_1"]


# --- bounds ---


def test_a_participant_beyond_the_bound_is_refused_by_name_and_changes_nothing() -> None:
    bench = EngineBench(room_limits=RoomLimits(participants_max=2))
    bench.rule(job_type=JobType.PARTICIPANT)
    for who in ("ann", "bob"):
        bench.joins(who)
    before = picture(bench.engine)
    reply = bench.joins("cyd")
    assert outcome(reply) is Outcome.REFUSED
    assert reply is not None
    assert "room 'room' has 2 participants, which is the limit" in reply.detail
    assert picture(bench.engine) == before
    assert len(bench.jobs_of()) == 2
    bench.leaves("ann")
    assert outcome(bench.joins("cyd")) is Outcome.DONE


def test_who_takes_the_place_of_another_is_not_one_more() -> None:
    bench = EngineBench(room_limits=RoomLimits(participants_max=2))
    bench.joins("ann", 1)
    bench.joins("bob", 1)
    assert outcome(bench.joins("ann", 2)) is Outcome.DONE
    assert sorted(room_of(bench).members) == ["PA_ann_2", "PA_bob_1"]


def test_a_room_beyond_the_bound_is_refused_by_name() -> None:
    bench = EngineBench(room_limits=RoomLimits(rooms_max=1))
    bench.rule()
    bench.room_starts("one")
    reply = bench.room_starts("two")
    assert outcome(reply) is Outcome.REFUSED
    assert reply is not None
    assert "there are 1 rooms, which is the limit" in reply.detail
    assert len(bench.jobs_of()) == 1


def test_what_an_event_says_of_its_room_counts_though_its_participant_is_refused() -> None:
    bench = EngineBench(room_limits=RoomLimits(participants_max=1))
    bench.rule(match=Match(room_metadata={"tier": "gold"}))
    bench.joins("ann")
    gold = room_info(metadata='{"tier": "gold"}')
    reply = bench.tell_room(RoomEventKind.PARTICIPANT_JOINED, gold, person("bob"))
    assert outcome(reply) is Outcome.REFUSED
    assert len(bench.jobs_of()) == 1


# --- the SFU's list ---


def test_a_list_makes_and_ends_what_lost_events_would_have(bench: EngineBench) -> None:
    bench.rule("rooms")
    bench.rule("all", JobType.PARTICIPANT)
    bench.rule("publishers", JobType.PUBLISHER)
    bench.joins("ann")
    bench.joins("ann", room="over")
    bench.lists_rooms(
        seen(person("bob"), publishers=["bob"]), seen(person("cyd"), room="unheard-of")
    )
    assert [len(bench.live_jobs_of(rule)) for rule in ("rooms", "all", "publishers")] == [2, 2, 1]
    assert sorted(name for _, name in bench.engine.rooms) == ["room", "unheard-of"]


def test_what_a_list_ends_is_cancelled_with_its_reason(bench: EngineBench) -> None:
    bench.worker("w", types=(JobType.PARTICIPANT,))
    bench.rule(job_type=JobType.PARTICIPANT)
    bench.joins("ann")
    bench.joins("bob", room="over")
    ann, bob = bench.jobs_of()
    for job in (ann, bob):
        bench.accept(job)
        bench.start(job)
    bench.lists_rooms(seen())
    assert bench.phase(ann) is bench.phase(bob) is JobPhase.CANCELLED
    assert "'ann' left" in bench.events(ann)[-1].detail
    assert "its room is over" in bench.events(bob)[-1].detail
    assert sorted(bench.stops("w")) == sorted([ann, bob])


def test_a_list_asked_for_before_somebody_came_ends_nothing(bench: EngineBench) -> None:
    bench.rule(job_type=JobType.PARTICIPANT)
    asked_at = bench.now
    bench.pass_time(1)
    bench.joins("ann")
    bench.lists_rooms(asked_at=asked_at)
    bench.lists_rooms(seen(), asked_at=asked_at)
    assert len(bench.live_jobs_of()) == 1


def test_a_list_of_some_rooms_ends_no_other(bench: EngineBench) -> None:
    bench.rule()
    bench.room_starts("one")
    bench.room_starts("two")
    bench.lists_rooms(seen(room="one"), others_gone=False)
    assert len(bench.live_jobs_of()) == 2


def test_a_list_mends_also_when_the_clock_was_set_back_before_a_restart(bench: EngineBench) -> None:
    bench.joins("ann")
    bench.room_starts("over")
    bench.now -= seconds(300)
    bench.restart()
    bench.pass_time(1)
    bench.lists_rooms(seen(person("bob")))
    assert {room.info.name: set(room.members) for room in bench.engine.rooms.values()} == {
        "room": {"PA_bob_1"}
    }


def test_a_list_of_one_project_ends_nothing_of_another(bench: EngineBench) -> None:
    bench.rule(project="other")
    bench.room_starts(project="other")
    bench.lists_rooms()
    assert len(bench.live_jobs_of(project="other")) == 1


def test_a_list_is_durable(bench: EngineBench) -> None:
    bench.lists_rooms(seen(person("ann"), publishers=["ann"]))
    bench.restart()
    assert room_of(bench).members["PA_ann_1"].is_publisher


@pytest.mark.parametrize("times", [1, 3])
def test_the_same_list_again_changes_nothing(bench: EngineBench, times: int) -> None:
    bench.rule(job_type=JobType.PUBLISHER)
    bench.lists_rooms(seen(person("ann"), publishers=["ann"]))
    batches = len(bench.batches)
    for _ in range(times):
        bench.pass_time(10)
        bench.lists_rooms(seen(person("ann"), publishers=["ann"]))
    assert len(bench.jobs_of()) == 1
    assert len(bench.batches) == batches


def test_a_list_forgives_a_replaced_connection_nothing(bench: EngineBench) -> None:
    bench.rule(job_type=JobType.PARTICIPANT)
    bench.joins("ann", 1)
    bench.leaves("ann", 1, reason=DisconnectReason.DUPLICATE_IDENTITY)
    bench.lists_rooms(seen(person("ann", 2)))
    job = bench.job_of()
    bench.pass_time(60)
    assert bench.live_jobs_of() == [job]


# --- sessions ---


def test_a_late_track_of_an_older_session_costs_the_live_one_nothing(bench: EngineBench) -> None:
    bench.rule(job_type=JobType.PARTICIPANT)
    bench.joins("bob", session=9)
    late = bare_room(session=2)
    at = room_of(bench).started_at - 3 * SECOND
    bench.tell_room(RoomEventKind.TRACK_PUBLISHED, late, person("ann"), track="TR_1", at=at)
    bench.joins("cyd", session=9)
    assert len(bench.live_jobs_of()) == 2


def test_each_session_of_a_room_has_its_own_jobs(bench: EngineBench) -> None:
    bench.rule()
    for session in (1, 2, 3):
        bench.room_starts(session=session)
        bench.room_finishes(session=session)
        bench.room_starts(session=session)  # late
    assert len(bench.jobs_of()) == 3
    assert bench.live_jobs_of() == []
