"""The jobs of a room that nothing in its own record names: those of dispatches, and of the SFU's calls.

What rules made is written down with the room. A dispatch may be older than its room, and what the SFU
called for is the bridge's: both are found by the room's name, among what is called for or in hand.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from typing import Protocol

from dispatcher.core.bridging import Called
from dispatcher.core.workers import JobInHand


class Engine(Protocol):
    """Who knows what is in hand (`core.engine.Engine`)."""

    @property
    def jobs(self) -> Mapping[str, JobInHand]:
        """The jobs that are offered or held, by id."""
        ...

    def calls_of_room(self, project: str, room: str) -> Collection[Called]:
        """The SFU's calls for a room."""
        ...


class RoomJobs:
    """Finds the live jobs of rooms."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def by_subject(self, project: str, names: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """Return, by room, live jobs by id, each with the sid of whom it is for: empty, the room."""
        found: dict[str, dict[str, str]] = {name: {} for name in names}
        for name, job_id in self._in_hand(project, found):
            found[name][job_id] = ""
        for name, jobs in found.items():
            for called in self._engine.calls_of_room(project, name):
                if not called.has_ended:
                    jobs[called.job_id] = called.call.participant_sid
        return found

    def _in_hand(self, project: str, names: Container[str]) -> list[tuple[str, str]]:
        return [
            (hand.held.room, hand.id)
            for hand in self._engine.jobs.values()
            if hand.held.room in names and hand.lane.project == project
        ]
