"""What of the engine's tables a batch of schedules has been through.

The lifecycles are data, so they can be watched as data: while `watched_tables` is open, each table
notes which of its entries are used. Deadlines are noted by an engine that listens to its alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any, TypeVar

from dispatcher.core.board import DeadlineKind
from dispatcher.core.engine import Engine
from dispatcher.core.lifecycle import JOB_MOVES, WORKER_MOVES
from dispatcher.core.policy import Policy

Phase = TypeVar("Phase", bound=Enum)
Trigger = TypeVar("Trigger", bound=Enum)


@dataclass(slots=True)
class Coverage:
    """Entries that were used: (phase, trigger) of the tables, kinds of deadlines that fired."""

    moves: set[tuple[Enum, Enum]] = field(default_factory=set)
    deadlines: set[DeadlineKind] = field(default_factory=set)

    def add(self, other: Coverage) -> None:
        """Take in what others went through."""
        self.moves |= other.moves
        self.deadlines |= other.deadlines

    @property
    def entries(self) -> int:
        """How many entries there are."""
        jobs = sum(len(moves) for moves in JOB_MOVES.values())
        return jobs + sum(len(moves) for moves in WORKER_MOVES.values()) + len(DeadlineKind)

    @property
    def missed(self) -> list[str]:
        """Whatever never occurred, in words."""
        entries: list[tuple[Enum, Enum]] = [
            (phase, trigger) for phase, moves in JOB_MOVES.items() for trigger in moves
        ]
        entries += [(phase, trigger) for phase, moves in WORKER_MOVES.items() for trigger in moves]
        return [
            f"{phase} on {trigger}"
            for phase, trigger in entries
            if (phase, trigger) not in self.moves
        ] + [f"deadline {kind}" for kind in DeadlineKind if kind not in self.deadlines]


class WatchedMoves(dict[Trigger, Phase]):
    """The moves out of one phase; notes those that are looked up."""

    def __init__(
        self, moves: dict[Trigger, Phase], phase: Phase, seen: set[tuple[Enum, Enum]]
    ) -> None:
        super().__init__(moves)
        self._phase = phase
        self._seen = seen

    def __getitem__(self, trigger: Trigger) -> Phase:
        after = super().__getitem__(trigger)
        self._seen.add((self._phase, trigger))
        return after


def _watch(table: dict[Phase, dict[Trigger, Phase]], seen: set[tuple[Enum, Enum]]) -> None:
    for phase, moves in table.items():
        table[phase] = WatchedMoves(moves, phase, seen)


@contextmanager
def watched_tables() -> Iterator[Coverage]:
    """Note the moves that are made meanwhile."""
    coverage = Coverage()
    jobs, workers = dict(JOB_MOVES), dict(WORKER_MOVES)
    _watch(JOB_MOVES, coverage.moves)
    _watch(WORKER_MOVES, coverage.moves)
    try:
        yield coverage
    finally:
        JOB_MOVES.update(jobs)
        WORKER_MOVES.update(workers)


class WatchedEngine(Engine):
    """The engine, with a note of each deadline that fires."""

    def __init__(self, policy: Policy, random: Random, coverage: Coverage) -> None:
        super().__init__(policy, random)
        for kind, alarm in list(self._alarms.items()):
            self._alarms[kind] = self._noted(kind, alarm, coverage)

    @staticmethod
    def _noted(
        kind: DeadlineKind, alarm: Callable[..., Any], coverage: Coverage
    ) -> Callable[..., None]:
        def fire(one: str, two: str) -> None:
            coverage.deadlines.add(kind)
            alarm(one, two)

        return fire
