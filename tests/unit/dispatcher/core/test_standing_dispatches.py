"""Dispatches as standing orders: for those who are there, for those who come, by type of job (A5)."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import Outcome
from dispatcher.core.events import RoomEventReported
from dispatcher.core.jobs import JobStateReason, JobStatus, JobType
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.room_events import (
    DisconnectReason,
    Participant,
    ParticipantKind,
    RoomEvent,
    RoomEventKind,
    RoomInfo,
)
from protocol import wire_pb2
from tests.support.engine_bench import PROJECT, EngineBench

ROOM = RoomInfo("room", "RM_1")
EVERYTHING = tuple(JobType)


def happens(
    bench: EngineBench,
    kind: RoomEventKind,
    identity: str = "",
    *,
    reason: DisconnectReason = DisconnectReason.CLIENT_INITIATED,
    participant_kind: ParticipantKind = ParticipantKind.STANDARD,
) -> None:
    """Let something happen in the room."""
    who = Participant(identity, f"PA_{identity}", kind=participant_kind) if identity else None
    bench.tell(RoomEventReported(1, RoomEvent(kind, PROJECT, ROOM, who, "TR_1", reason)))


def joins(
    bench: EngineBench,
    identity: str,
    participant_kind: ParticipantKind = ParticipantKind.STANDARD,
) -> None:
    """Let somebody join the room."""
    happens(bench, RoomEventKind.PARTICIPANT_JOINED, identity, participant_kind=participant_kind)


def publishes(bench: EngineBench, identity: str) -> None:
    """Let somebody publish a track."""
    happens(bench, RoomEventKind.TRACK_PUBLISHED, identity)


def jobs(bench: EngineBench, dispatch_id: str = "AD_room") -> list[tuple[JobType, str, JobPhase]]:
    """Return the dispatch's jobs: type, participant, phase."""
    stored = bench.database.get_dispatch(PROJECT, dispatch_id)
    assert stored is not None
    return [
        (
            each.job.lane.job_type,
            wire_pb2.Job.FromString(each.job.config).participant.identity,
            each.state.phase,
        )
        for each in stored.jobs
    ]


def order(bench: EngineBench, agent: str = "greeter") -> None:
    """Dispatch an agent to the room, as a caller does."""
    types = bench.engine.job_types(PROJECT, agent)
    made = [bench.new_job(agent=agent, dispatch_id="AD_room")] if JobType.ROOM in types else []
    bench.request("AD_room", *made)


def test_an_agent_that_nobody_knows_is_called_for_the_room_alone(bench: EngineBench) -> None:
    joins(bench, "alice")
    order(bench)
    assert jobs(bench) == [(JobType.ROOM, "", JobPhase.QUEUED)]


def test_one_call_makes_a_job_of_each_type_that_the_agents_workers_took(
    bench: EngineBench,
) -> None:
    bench.worker("w", types=EVERYTHING)
    joins(bench, "alice")
    publishes(bench, "alice")
    joins(bench, "bob")
    order(bench)
    assert [(job_type, who) for job_type, who, _ in jobs(bench)] == [
        (JobType.ROOM, ""),
        (JobType.PARTICIPANT, "alice"),
        (JobType.PUBLISHER, "alice"),
        (JobType.PARTICIPANT, "bob"),
    ]


def test_who_comes_later_gets_a_job_and_only_one(bench: EngineBench) -> None:
    bench.worker("w", types=(JobType.PUBLISHER,))
    order(bench)
    assert jobs(bench) == []
    joins(bench, "alice")
    assert jobs(bench) == []
    publishes(bench, "alice")
    publishes(bench, "alice")
    joins(bench, "alice")
    assert [(job_type, who) for job_type, who, _ in jobs(bench)] == [(JobType.PUBLISHER, "alice")]


def test_agents_and_egress_summon_nobody(bench: EngineBench) -> None:
    bench.worker("w", types=EVERYTHING)
    order(bench)
    joins(bench, "agent-1", ParticipantKind.AGENT)
    joins(bench, "egress", ParticipantKind.EGRESS)
    assert [job_type for job_type, _, _ in jobs(bench)] == [JobType.ROOM]


def test_a_type_that_is_learned_later_is_called_for_those_who_are_there(
    bench: EngineBench,
) -> None:
    joins(bench, "alice")
    order(bench)
    bench.worker("w", types=(JobType.ROOM, JobType.PARTICIPANT))
    assert [(job_type, who) for job_type, who, _ in jobs(bench)] == [
        (JobType.ROOM, ""),
        (JobType.PARTICIPANT, "alice"),
    ]


def test_a_room_job_whose_agent_turns_out_to_take_none_is_called_off(bench: EngineBench) -> None:
    joins(bench, "alice")
    order(bench)
    bench.worker("w", types=(JobType.PARTICIPANT,))
    assert [(job_type, who) for job_type, who, _ in jobs(bench)] == [
        (JobType.ROOM, ""),
        (JobType.PARTICIPANT, "alice"),
    ]
    assert jobs(bench)[0][2] is JobPhase.CANCELLED


def test_who_leaves_ends_the_job_that_was_made_for_it(bench: EngineBench) -> None:
    bench.worker("w", types=(JobType.PARTICIPANT,))
    order(bench)
    joins(bench, "alice")
    [job] = bench.engine.jobs
    bench.accept(job)
    happens(bench, RoomEventKind.PARTICIPANT_LEFT, "alice")
    assert bench.state(job).phase is JobPhase.CANCELLED
    assert bench.stops("w") == [job]


def test_a_dispatch_that_was_deleted_calls_nobody_who_comes_later(bench: EngineBench) -> None:
    bench.worker("w", types=(JobType.PARTICIPANT,))
    joins(bench, "alice")
    order(bench)
    bench.delete("AD_room")
    joins(bench, "bob")
    assert [who for _, who, _ in jobs(bench)] == ["alice"]


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("running", [False, True])
def test_a_room_that_is_over_ends_its_dispatches_and_their_jobs(
    bench: EngineBench, is_restarted: bool, running: bool
) -> None:
    if running:
        bench.worker("w")
    happens(bench, RoomEventKind.ROOM_STARTED)
    order(bench)
    job = bench.database._jobs_of["AD_room"][0].job.id
    if running:
        bench.accept(job)
        bench.start(job)
    if is_restarted:
        bench.restart()
    happens(bench, RoomEventKind.ROOM_FINISHED)
    state = bench.state(job)
    assert (state.phase, state.reason) == (JobPhase.CANCELLED, JobStateReason.ROOM_CLOSED)
    stored = bench.database.get_dispatch(PROJECT, "AD_room")
    assert stored is not None
    assert stored.dispatch.deleted_at
    if running and not is_restarted:
        assert bench.stops("w") == [job]


def test_a_dispatch_to_a_room_that_was_never_seen_is_left_alone(bench: EngineBench) -> None:
    order(bench)
    happens(bench, RoomEventKind.ROOM_STARTED)
    assert jobs(bench) == [(JobType.ROOM, "", JobPhase.QUEUED)]


def test_what_was_made_is_not_made_again_after_a_restart(bench: EngineBench) -> None:
    bench.worker("w", types=(JobType.PARTICIPANT,))
    order(bench)
    joins(bench, "alice")
    bench.restart()
    joins(bench, "alice")
    joins(bench, "bob")
    assert [who for _, who, _ in jobs(bench)] == ["alice", "bob"]
    assert bench.engine.job_types(PROJECT, "greeter") == {JobType.PARTICIPANT}


def test_a_type_that_is_learned_after_a_restart_finds_who_is_there(bench: EngineBench) -> None:
    joins(bench, "alice")
    order(bench)
    bench.restart()
    bench.worker("w", types=(JobType.ROOM, JobType.PARTICIPANT))
    assert (JobType.PARTICIPANT, "alice") in [(t, who) for t, who, _ in jobs(bench)]


def test_a_call_that_is_repeated_makes_nothing_more(bench: EngineBench) -> None:
    bench.worker("w", types=EVERYTHING)
    joins(bench, "alice")
    order(bench)
    before = jobs(bench)
    again = bench.request("AD_room", bench.new_job(dispatch_id="AD_room"))
    assert bench.outcome(again) is Outcome.EXISTED
    assert jobs(bench) == before


def test_what_was_on_offer_for_somebody_who_left_goes_to_nobody_after_a_restart(
    bench: EngineBench,
) -> None:
    bench.worker("w", types=(JobType.PARTICIPANT,))
    order(bench)
    joins(bench, "alice")
    [job] = bench.engine.jobs
    assert bench.offered(job) == "w"
    happens(bench, RoomEventKind.PARTICIPANT_LEFT, "alice")
    bench.restart()
    bench.worker("v", types=(JobType.PARTICIPANT,))
    bench.pass_time(60)
    assert bench.state(job).phase is JobPhase.CANCELLED
    assert bench.offers(job) == ["w"]


# --- workers without a name ---


def unnamed(bench: EngineBench) -> list[tuple[str, str]]:
    """Return the jobs that were made automatically: order, participant."""
    return [
        (entry.job.order, wire_pb2.Job.FromString(entry.job.config).participant.identity)
        for entry in bench.database._jobs.values()
        if entry.job.order.startswith("automatic")
    ]


def test_workers_without_a_name_are_called_for_every_room_once(bench: EngineBench) -> None:
    happens(bench, RoomEventKind.ROOM_STARTED)
    assert unnamed(bench) == []
    bench.worker("w", agent="")
    assert unnamed(bench) == [("automatic:room", "")]
    bench.worker("w2", agent="")
    happens(bench, RoomEventKind.ROOM_STARTED)
    joins(bench, "alice")
    assert unnamed(bench) == [("automatic:room", "")]


def test_workers_without_a_name_are_called_for_publishers_if_they_take_those(
    bench: EngineBench,
) -> None:
    bench.worker("w", agent="", types=(JobType.PUBLISHER,))
    joins(bench, "alice")
    joins(bench, "agent", ParticipantKind.AGENT)
    publishes(bench, "agent")
    assert unnamed(bench) == []
    publishes(bench, "alice")
    assert unnamed(bench) == [("automatic:publisher", "alice")]


def test_an_automatic_job_is_a_job_like_any_other(bench: EngineBench) -> None:
    bench.worker("w", agent="")
    happens(bench, RoomEventKind.ROOM_STARTED)
    [job] = bench.engine.jobs
    bench.accept(job)
    bench.job_status(job, JobStatus.RUNNING)
    happens(bench, RoomEventKind.ROOM_FINISHED)
    assert bench.state(job).reason is JobStateReason.ROOM_CLOSED
