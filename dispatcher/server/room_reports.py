"""The one door for room events, whoever brings them: webhooks of an SFU, or calls of the API.

An event is handed to the engine and told to be taken when what follows from it is durable. The ids of
the last events that were taken are remembered, so that one that is sent again does nothing; the
memory is bounded, and begins anew with the server. What an event's content says is old (a
connection that has left, a room that is over) the core knows on its own, durably, and of events
without sids, which say no such thing, it knows the ids.

Left to others: who may report (`webhooks`, `room_service`), what an event means (`dispatcher.core`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.events import RoomEventReported
from dispatcher.core.recent import Recent
from dispatcher.core.room_events import RoomEvent
from protocol.errors import CallboardError


class BeingTaken(CallboardError):
    """The same event came a moment ago and is not durable yet."""

    retryable = True


class Engineer(Protocol):
    """Who asks the engine (`dispatcher.runtime.Runtime`)."""

    async def ask(self, make_event: Callable[[int], RoomEventReported], /) -> Reply:
        """Submit a request, made with the number given to it; return its answer."""
        ...


class Taken(Enum):
    """What became of an event."""

    NOW = "now"
    BEFORE = "before"  # it came again
    REFUSED = "refused"  # over a bound of the core's; nothing has changed


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an event, and why it was refused, if it was."""

    taken: Taken
    detail: str = ""


class RoomReports:
    """Takes room events, each once."""

    def __init__(self, engineer: Engineer, event_ids_max: int) -> None:
        self._engineer = engineer
        # Both by project and id. `_being_taken` is as large as there are callers who wait for the
        # engine.
        self._taken = Recent[tuple[str, str], None](event_ids_max)
        self._being_taken: set[tuple[str, str]] = set()

    async def report(self, event: RoomEvent, event_id: str) -> Answer:
        """Hand an event to the engine, unless it was taken before. An empty id is always news.

        Raises a retryable CallboardError when it cannot be taken now.
        """
        if not event_id:
            return await self._ask(event, "")
        key = (event.project, event_id)
        if key in self._taken:
            return Answer(Taken.BEFORE)
        if key in self._being_taken:
            raise BeingTaken("this event is being taken; try again in a moment")
        self._being_taken.add(key)
        try:
            answer = await self._ask(event, event_id)
        finally:
            self._being_taken.discard(key)
        if answer.taken is not Taken.REFUSED:
            self._taken.note(key, None)
        return answer

    async def _ask(self, event: RoomEvent, event_id: str) -> Answer:
        reply = await self._engineer.ask(lambda number: RoomEventReported(number, event, event_id))
        if reply.outcome is Outcome.REFUSED:
            return Answer(Taken.REFUSED, reply.detail)
        if reply.outcome is Outcome.EXISTED:
            return Answer(Taken.BEFORE)
        return Answer(Taken.NOW)
