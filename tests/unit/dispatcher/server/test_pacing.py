"""Heavy events wait for their turn, light ones do not, and nobody's words change places."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import pytest

from dispatcher.core.events import (
    Event,
    JobsMigrated,
    Registration,
    WorkerDisconnected,
    WorkerPonged,
    WorkerRegistered,
    WorkerUnreachable,
)
from dispatcher.core.jobs import JobType
from dispatcher.server.pacing import Line, Pacer

pytestmark = pytest.mark.anyio


class Ear:
    """Hears events, each in one second of a clock of its own."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.now = 0.0

    def hear(self, event: Event) -> None:
        """Hear one."""
        self.heard.append(event)
        self.now += 1.0

    def clock(self) -> float:
        """Tell the time."""
        return self.now


def pacer(ear: Ear, budget_seconds: float = 2.0, behind_max: int = 100) -> Pacer:
    """Return a pacer that is heard by this ear: so many events in a turn."""
    return Pacer(ear.hear, budget_seconds, behind_max, clock=ear.clock)


def claim(worker_id: str) -> JobsMigrated:
    """Return a claim."""
    return JobsMigrated(worker_id, ("AJ_1",))


def registered(worker_id: str) -> WorkerRegistered:
    """Return a registration."""
    return WorkerRegistered(worker_id, Registration("p", "agent", "", "", (JobType.ROOM,)))


async def turn() -> None:
    """Let the event loop make one turn."""
    await asyncio.sleep(0)


async def test_an_idle_server_hears_a_claim_at_once() -> None:
    ear = Ear()
    pacer(ear).submit("a", claim("a"))
    assert ear.heard == [claim("a")]


async def test_of_many_claims_each_turn_of_the_loop_takes_a_part() -> None:
    ear = Ear()
    paced = pacer(ear)
    for name in "abcdef":
        paced.submit(name, claim(name))
    assert len(ear.heard) == 2
    await turn()
    assert len(ear.heard) == 4
    await turn()
    assert [event.worker_id for event in ear.heard if isinstance(event, JobsMigrated)] == [
        *"abcdef"
    ]


async def test_a_light_event_of_somebody_else_does_not_wait() -> None:
    ear = Ear()
    paced = pacer(ear)
    for name in "abc":
        paced.submit(name, claim(name))
    paced.submit("d", WorkerPonged("d"))
    assert ear.heard[-1] == WorkerPonged("d")


async def test_what_one_worker_says_stays_in_order() -> None:
    ear = Ear()
    paced = pacer(ear)
    said: list[Event] = [claim("c"), WorkerPonged("c"), WorkerDisconnected("c")]
    paced.submit("a", claim("a"))
    paced.submit("b", claim("b"))
    for event in said:
        paced.submit("c", event)
    with anyio.fail_after(60):
        while len(ear.heard) < 5:
            await turn()
    assert ear.heard[2:] == said


async def test_a_worker_that_says_too_much_while_it_waits_is_heard_at_once() -> None:
    ear = Ear()
    paced = pacer(ear, behind_max=3)
    paced.submit("a", claim("a"))
    paced.submit("b", claim("b"))
    for _ in range(10):
        paced.submit("c", claim("c"))
    assert len(ear.heard) == 9


async def test_who_has_begun_is_let_finish_before_others_come_and_others_are_lost() -> None:
    ear = Ear()
    paced = pacer(ear, budget_seconds=1.0)
    paced.submit("a", claim("a"))
    paced.submit("b", WorkerDisconnected("b"))
    paced.submit("c", registered("c"))
    paced.submit("c", claim("c"))
    paced.submit("d", claim("d"))
    with anyio.fail_after(60):
        while len(ear.heard) < 6:
            await turn()
    assert ear.heard == [
        claim("a"),
        WorkerUnreachable("b"),
        claim("d"),
        registered("c"),
        claim("c"),
        WorkerDisconnected("b"),
    ]


# --- calls in a line ---


class Calls:
    """Calls that each take one second of a clock of their own."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.turns: list[Callable[[], None]] = []
        self.line = Line(2.0, self.turns.append, lambda: float(len(self.made)))

    def submit(self, number: int) -> None:
        """Put one in the line."""
        self.line.submit(lambda: self.made.append(number))

    def turn(self) -> None:
        """Let the loop have its next turn."""
        turns, self.turns[:] = list(self.turns), []
        for call in turns:
            call()


def test_calls_that_come_at_once_are_made_in_order_some_in_each_turn() -> None:
    calls = Calls()
    for number in range(5):
        calls.submit(number)
    assert calls.made == [0, 1]
    calls.turn()
    assert calls.made == [0, 1, 2, 3]
    calls.turn()
    assert calls.made == [0, 1, 2, 3, 4]


def test_who_comes_while_others_wait_does_not_pass_them() -> None:
    calls = Calls()
    for number in range(3):
        calls.submit(number)
    calls.turn()
    calls.submit(3)
    calls.submit(4)
    assert calls.made == [0, 1, 2, 3]
    calls.turn()
    assert calls.made == [0, 1, 2, 3, 4]


def test_a_line_without_calls_asks_for_no_turns() -> None:
    calls = Calls()
    calls.submit(0)
    calls.turn()
    assert calls.turns == []
    calls.submit(1)
    assert calls.made == [0, 1]
