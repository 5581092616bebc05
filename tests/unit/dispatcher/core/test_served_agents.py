"""The unnamed are called while their workers are here, and a while longer; names until told otherwise."""

from __future__ import annotations

import pytest

from dispatcher.core.bridged import AgentForgotten, AgentServed, Served
from dispatcher.core.effects import Outcome
from dispatcher.core.jobs import JobType
from tests.support.engine_bench import AGENT, PROJECT, EngineBench
from tests.unit.dispatcher.core.board_checks import watched

MEMORY_SECONDS = 600


@pytest.fixture
def bench() -> EngineBench:
    """Return a bench with the default policy."""
    return EngineBench(watch=watched)


def called(bench: EngineBench, room: str) -> bool:
    """Start a room; is the unnamed agent called for it?"""
    before = set(bench.engine.rooms)
    bench.room_starts(room)
    assert (PROJECT, room) not in before
    return bool(bench.engine.rooms[PROJECT, room].jobs)


def serve_unnamed(bench: EngineBench, worker: str) -> None:
    """A worker without a name comes, and the bridge says so."""
    bench.worker(worker, agent="")
    bench.tell(AgentServed(PROJECT, Served("")))


def test_the_unnamed_are_called_for_a_while_after_the_last_of_them_left(
    bench: EngineBench,
) -> None:
    serve_unnamed(bench, "a")
    serve_unnamed(bench, "b")
    bench.lose("a")
    bench.pass_time(MEMORY_SECONDS * 2)
    assert called(bench, "while-one-is-here")
    bench.lose("b")
    bench.pass_time(MEMORY_SECONDS - 1)
    assert called(bench, "within-the-memory")
    assert (PROJECT, Served("")) in bench.engine.served
    bench.pass_time(2)
    assert not called(bench, "after-it")
    assert (PROJECT, Served("")) not in bench.engine.served


def test_an_unnamed_worker_that_returns_in_time_is_as_if_it_had_not_left(
    bench: EngineBench,
) -> None:
    serve_unnamed(bench, "a")
    bench.lose("a")
    bench.pass_time(MEMORY_SECONDS - 1)
    serve_unnamed(bench, "a2")
    bench.pass_time(MEMORY_SECONDS * 2)
    assert called(bench, "room")


def test_after_a_restart_the_unnamed_have_their_time_to_return(bench: EngineBench) -> None:
    serve_unnamed(bench, "a")
    bench.lose("a")
    bench.pass_time(MEMORY_SECONDS - 1)
    bench.restart()
    bench.pass_time(MEMORY_SECONDS - 1)
    assert called(bench, "within-the-memory")
    bench.pass_time(2)
    assert not called(bench, "after-it")
    bench.restart()
    assert not called(bench, "forgotten-for-good")
    assert not bench.engine.served


def test_a_late_unnamed_worker_is_called_as_the_first_was(bench: EngineBench) -> None:
    serve_unnamed(bench, "a")
    bench.lose("a")
    bench.pass_time(MEMORY_SECONDS + 1)
    serve_unnamed(bench, "b")
    assert called(bench, "room")


def test_a_name_is_remembered(bench: EngineBench) -> None:
    bench.worker("a", types=(JobType.PUBLISHER,))
    bench.lose("a")
    bench.pass_time(MEMORY_SECONDS * 100)
    bench.restart()
    assert bench.engine.job_types(PROJECT, AGENT) == {JobType.PUBLISHER}


def _forgets(bench: EngineBench, agent: str) -> Outcome | None:
    bench._requests += 1
    bench.tell(AgentForgotten(bench._requests, PROJECT, agent))
    return bench.outcome(bench._requests)


@pytest.mark.parametrize("agent", [AGENT, ""])
def test_an_agent_is_forgotten_when_a_caller_says_so(bench: EngineBench, agent: str) -> None:
    bench.worker("a", agent=agent, types=(JobType.PUBLISHER, JobType.ROOM))
    bench.tell(AgentServed(PROJECT, Served(agent)))
    assert _forgets(bench, agent) is Outcome.REFUSED  # its worker is here
    assert bench.engine.served
    bench.lose("a")
    assert _forgets(bench, agent) is Outcome.DELETED
    assert not bench.engine.served
    assert not bench.engine.agents
    bench.restart()
    assert not bench.engine.served
    assert not bench.engine.agents
    assert _forgets(bench, agent) is Outcome.NOT_FOUND
    assert not called(bench, "room")
