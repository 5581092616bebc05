"""Rules that are new or changed, held against all rooms and members that are there, bit by bit.

One turn of the engine looks at a slice alone, so that others have theirs between. Who comes or goes
meanwhile is no matter: who comes is looked at anyway, who has gone is not there when looked for.

Left to others: what follows where a rule matches, and when the next slice is due (`ordering`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from dispatcher.core.room_states import Place
from dispatcher.core.rooms import Rooms
from dispatcher.core.rules import Rule

# Rooms and members that one turn of the engine looks at.
SWEEP_MAX = 256

RuleKey = tuple[str, str]  # project, name


class Sweeps:
    """Rules that are being held against what is there."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._underway: deque[tuple[RuleKey, Iterator[Place]]] = deque()

    def __len__(self) -> int:
        return len(self._underway)

    def begin(self, key: RuleKey) -> None:
        """Hold a rule of a project against everything that is there in it."""
        self._underway.append((key, self._places(key[0])))

    def next_slice(self, rules: Mapping[RuleKey, Rule]) -> Iterator[tuple[Rule, Place]]:
        """Yield rules and where to try them next. What is not an enabled rule any more is dropped."""
        left = SWEEP_MAX
        while self._underway and left:
            key, places = self._underway[0]
            rule = rules.get(key)
            place = next(places, None) if rule is not None and rule.enabled else None
            if rule is None or place is None:
                self._underway.popleft()
                continue
            left -= 1
            yield rule, place

    def _places(self, project: str) -> Iterator[Place]:
        for room in self._rooms.of_project(project):
            yield room.key, None
            for key in list(room.members):
                yield room.key, key
