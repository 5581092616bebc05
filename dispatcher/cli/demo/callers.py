"""The callers: their rooms start, people join, some hang up; told as an SFU's webhooks would tell.

Nobody here asks for an agent: one rule does, for every room `call-*`. What is to be done in a room
is in its metadata, from which the rule takes the job's. Every event has an id, and is reported
under it until it is acknowledged: a server that was killed between a report and its answer hears it
again, and must make nothing new of it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from dispatcher.cli.demo.scene import CALLING, ENDED, Scene
from dispatcher.cli.demo.worker import AGENT_NAME
from protocol import api_pb2, wire_pb2
from protocol.errors import CallboardError
from worker_sdk import DispatchClient

RULE_NAME = "greet-calls"
ROOM_GLOB = "call-*"
CALLS = 24
# Rooms that start together while the server is being killed: some of their reports are on its disk
# and have no answer, some never arrived. They are repeated until it is back.
LATE_CALLS = 4

FEED_SECONDS = 0.11
JOB_SECONDS = (1.8, 3.2)


@dataclass(frozen=True, slots=True)
class Call:
    """What happens in one room. `hangs_up`: the room is over soon after its agent is done."""

    room: str
    number: int
    seconds: float
    people: tuple[str, ...]
    hangs_up: bool

    def event(self, name: str, person: str = "") -> api_pb2.RoomEvent:
        """Return an event of this room; its id is the same whenever it is told."""
        told = api_pb2.RoomEvent(
            event=name, id="-".join(filter(None, ("EV", name, self.room, person)))
        )
        told.created_at = int(time.time())
        told.room.name, told.room.sid = self.room, f"RM_{self.number:04d}"
        told.room.metadata = f'{{"seconds": {self.seconds:.2f}}}'
        if person:
            told.participant.identity, told.participant.sid = person, f"PA_{person}"
        return told


def new_calls() -> list[Call]:
    """Return the calls of a run, in the order in which they begin."""
    rng = random.Random(24)
    calls: list[Call] = []
    for number in range(1, CALLS + 1):
        people = [f"caller-{number}", f"callee-{number}"][: 1 + (number % 4 == 0)]
        calls.append(
            Call(
                room=f"call-{number:02d}",
                number=number,
                seconds=rng.uniform(*JOB_SECONDS),
                people=tuple(people),
                hangs_up=number % 3 == 1,
            )
        )
    return calls


def new_rule(name: str = RULE_NAME, room: str = ROOM_GLOB) -> api_pb2.Rule:
    """Return the rule: every room of such a name gets the agent."""
    return api_pb2.Rule(
        name=name,
        type=wire_pb2.JT_ROOM,
        match=api_pb2.RuleMatch(room=room),
        agent_name=AGENT_NAME,
        metadata='{{"seconds": {room.metadata.seconds}}}',
    )


@dataclass(slots=True)
class Callers:
    """Reports what happens in all rooms, and keeps what was acknowledged."""

    client: DispatchClient
    scene: Scene
    calls: list[Call]
    # waits until something of the scene is so
    until: Callable[[Callable[[], bool]], Awaitable[None]]
    # the late rooms may start
    rush: anyio.Event = field(default_factory=anyio.Event)
    # the start of one of them was acknowledged
    is_rushing: anyio.Event = field(default_factory=anyio.Event)
    # rooms whose start the server has acknowledged
    reported: set[str] = field(default_factory=set)

    @property
    def are_done(self) -> bool:
        """Are all rooms over that were to be?"""
        return all(self.scene.rooms[call.room].is_over for call in self.calls if call.hangs_up)

    async def call(self) -> None:
        """Play all calls."""
        async with anyio.create_task_group() as tasks:
            for call in self.calls[:-LATE_CALLS]:
                tasks.start_soon(self._play, call)
                await anyio.sleep(FEED_SECONDS)
            await self.rush.wait()
            for call in self.calls[-LATE_CALLS:]:
                tasks.start_soon(self._play, call)

    async def _play(self, call: Call) -> None:
        row = self.scene.rooms[call.room]
        row.phase = row.phase or CALLING
        try:
            await self._report(call.event("room_started"))
            self.reported.add(call.room)
            if self.rush.is_set():
                self.is_rushing.set()
            for person in call.people:
                await self._report(call.event("participant_joined", person))
            if not call.hangs_up:
                return
            await self.until(lambda: row.phase in ENDED)
            await self._report(call.event("participant_left", call.people[0]))
            await self._report(call.event("room_finished"))
            row.is_over = True
        except CallboardError:
            return  # never acknowledged: the verdict counts the rooms
        finally:
            if row.phase == CALLING:
                row.phase = ""

    async def _report(self, event: api_pb2.RoomEvent) -> None:
        self.scene.unanswered += 1
        try:
            await self.client.report_room_event(event)
            self.scene.reports += 1
        finally:
            self.scene.unanswered -= 1
