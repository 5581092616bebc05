"""A session that an agent opened by coming late calls nobody for the room as such."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import JobType
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.room_events import Participant, ParticipantKind
from dispatcher.core.rules import Match
from tests.support.engine_bench import EngineBench
from tests.support.room_words import person, seen
from tests.unit.dispatcher.core.board_checks import watched


@pytest.fixture
def bench() -> EngineBench:
    """Return a bench with a rule for every room, and a worker for it."""
    made = EngineBench(watch=watched)
    made.worker("a")
    made.rule()
    return made


def agent(job: str, connection: int = 1) -> Participant:
    """Return the agent of a job as the SFU lists it."""
    return person(f"agent-{job}", connection, kind=ParticipantKind.AGENT)


def first_session(bench: EngineBench) -> str:
    """Bring a room's job to run with somebody in the room; return it."""
    bench.room_starts()
    bench.joins("ada")
    job = bench.job_of()
    bench.accept(job, identity=f"agent-{job}")
    bench.start(job)
    return job


def test_a_list_with_a_new_session_and_our_agent_alone_calls_nobody(bench: EngineBench) -> None:
    job = first_session(bench)
    bench.lists_rooms(seen(agent(job), session=2))
    assert bench.phase(job) is JobPhase.CANCELLED
    assert bench.live_jobs_of() == []
    bench.pass_time(600)
    bench.lists_rooms(seen(agent(job), session=2))
    bench.restart()
    bench.pass_time(600)
    assert bench.live_jobs_of() == []


def test_a_session_that_our_agent_opened_calls_when_a_person_comes(bench: EngineBench) -> None:
    job = first_session(bench)
    bench.lists_rooms(seen(agent(job), session=2))
    bench.joins("ben", session=2)
    assert len(bench.live_jobs_of()) == 1


def test_a_webhook_of_a_session_that_our_agent_opens_calls_nobody(bench: EngineBench) -> None:
    job = first_session(bench)
    bench.room_finishes()
    bench.room_starts(session=2)
    assert bench.live_jobs_of() == []
    bench.joins(agent(job), session=2)
    bench.pass_time(600)
    assert bench.live_jobs_of() == []


def test_a_room_that_is_used_again_calls_with_its_first_person(bench: EngineBench) -> None:
    first_session(bench)
    bench.room_finishes()
    bench.room_starts(session=2)
    bench.joins("ada", 2, session=2)
    assert len(bench.live_jobs_of()) == 1


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_room_that_is_made_again_for_later_calls_after_a_while(
    bench: EngineBench, *, is_restarted: bool
) -> None:
    first_session(bench)
    bench.room_finishes()
    bench.room_starts(session=2)
    if is_restarted:
        bench.restart()
    bench.pass_time(16)
    assert len(bench.live_jobs_of()) == 1


def test_a_rule_that_asks_for_agents_is_called_for_them(bench: EngineBench) -> None:
    bench.rule("asks", match=Match(kinds=frozenset({ParticipantKind.AGENT})))
    job = first_session(bench)
    bench.lists_rooms(seen(agent(job), session=2))
    assert bench.live_jobs_of() == []
    assert len(bench.live_jobs_of("asks")) == 1


def test_the_unnamed_are_not_called_either(bench: EngineBench) -> None:
    bench.worker("u", agent="", types=(JobType.ROOM,))
    job = first_session(bench)
    bench.lists_rooms(seen(agent(job), session=2))
    assert bench.engine.rooms["project", "room"].jobs == {}
