"""Which rules match a room or a participant: found by what is selective, then tested.

Each enabled rule stands in one place of an index, under one of its conditions that must hold in any
case: a room's name, an identity, an attribute, a value in metadata, else the beginning or the end of
a name, else a kind. Of several the place with the fewest rules is taken, so that ten thousand rules
which share all but one condition are told apart by that one. A room or a participant is looked up
under all that it has, and what stands there is tested. A rule with no such condition is always
tested.

What it costs does not grow with the rules that ask for something else: it is bounded by what the
participant has (attributes, metadata, lengths of names), not by the number of rules.

Left to others: the conditions (`conditions`), what becomes of a match (`orders`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dispatcher.core.conditions import (
    Attribute,
    Condition,
    Identity,
    Kinds,
    Metadata,
    Mismatch,
    RoomMetadata,
    RoomName,
    conditions,
    kinds_of,
    mismatch,
)
from dispatcher.core.documents import NOTHING, document, sort_of
from dispatcher.core.globs import Glob
from dispatcher.core.jobs import JobType
from dispatcher.core.path_tree import PathTree
from dispatcher.core.room_events import Participant, RoomInfo
from dispatcher.core.rules import Rule

__all__ = ["Mismatch", "RuleIndex", "mismatch"]

# A place in the index: which table, and what is looked up there.
_Key = tuple[object, ...]
_ALWAYS: _Key = ("always",)

# A place that many names lead to (a prefix, a kind) counts as so many times fuller than it is.
_WEAK = 8


@dataclass(frozen=True, slots=True)
class _Entry:
    """A rule with its conditions translated, and where it stands."""

    rule: Rule
    conditions: tuple[Condition, ...]
    keys: tuple[_Key, ...]

    def matches(self, room: RoomInfo, participant: Participant | None) -> bool:
        return all(condition.holds(room, participant) for condition in self.conditions)


class RuleIndex:
    """The rules of all projects. Rules have passed `rule_checks`; a name is unique in its project."""

    def __init__(self) -> None:
        self._shelves: dict[tuple[str, JobType], _Shelf] = {}
        self._types: dict[tuple[str, str], JobType] = {}

    def __len__(self) -> int:
        return len(self._types)

    def add(self, project: str, rule: Rule) -> None:
        """Add a rule; one of the same name is replaced. Raises NotUnderstood."""
        translated = conditions(rule)
        self.remove(project, rule.name)
        self._types[project, rule.name] = rule.job_type
        shelf = self._shelves.get((project, rule.job_type))
        if shelf is None:
            shelf = self._shelves[project, rule.job_type] = _Shelf()
        shelf.add(rule, translated)

    def remove(self, project: str, name: str) -> None:
        """Remove a rule, if it is there."""
        job_type = self._types.pop((project, name), None)
        if job_type is None:
            return
        shelf = self._shelves[project, job_type]
        shelf.remove(name)
        if not len(shelf):
            del self._shelves[project, job_type]

    def candidates(
        self, project: str, job_type: JobType, room: RoomInfo, participant: Participant | None
    ) -> Iterable[Rule]:
        """Return the rules that have to be tested: all that match, and few others."""
        return [entry.rule for entry in self._found(project, job_type, room, participant)]

    def matching(
        self, project: str, job_type: JobType, room: RoomInfo, participant: Participant | None
    ) -> list[Rule]:
        """Return the enabled rules whose conditions all hold, by name.

        `participant` is None for the room as such; then rules that ask for somebody do not match.
        A ROOM rule that asks for nobody matches with any participant, dependents too.
        """
        found = [
            entry.rule
            for entry in self._found(project, job_type, room, participant)
            if entry.matches(room, participant)
        ]
        found.sort(key=lambda rule: rule.name)
        return found

    def matches(
        self, project: str, rule: Rule, room: RoomInfo, participant: Participant | None
    ) -> bool:
        """Is a rule of this index enabled, and do its conditions all hold? False for a stranger."""
        shelf = self._shelves.get((project, rule.job_type))
        entry = None if shelf is None else shelf.entry(rule.name)
        return entry is not None and entry.rule.enabled and entry.matches(room, participant)

    def _found(
        self, project: str, job_type: JobType, room: RoomInfo, participant: Participant | None
    ) -> Iterable[_Entry]:
        shelf = self._shelves.get((project, job_type))
        return () if shelf is None else shelf.look_up(room, participant)


class _Shelf:
    """The rules of one project and job type."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        # by key, then by the rule's name
        self._places: dict[_Key, dict[str, _Entry]] = {}
        # how many places there are for each length of a prefix or suffix, by table
        self._lengths: dict[str, Counter[int]] = {
            "room^": Counter(),
            "room$": Counter(),
            "identity^": Counter(),
            "identity$": Counter(),
        }
        # how many places there are for each attribute's name
        self._attributes: Counter[str] = Counter()
        self._paths = {"room{}": PathTree(), "metadata{}": PathTree()}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, rule: Rule, translated: tuple[Condition, ...]) -> None:
        keys = self._choose(translated) if rule.enabled else ()
        entry = self._entries[rule.name] = _Entry(rule, translated, keys)
        for key in keys:
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = {}
                self._note(key, 1)
            place[rule.name] = entry

    def remove(self, name: str) -> None:
        for key in self._entries.pop(name).keys:
            place = self._places[key]
            del place[name]
            if not place:
                del self._places[key]
                self._note(key, -1)

    def entry(self, name: str) -> _Entry | None:
        return self._entries.get(name)

    def look_up(self, room: RoomInfo, participant: Participant | None) -> Iterable[_Entry]:
        found: dict[str, _Entry] = {}
        for key in self._keys(room, participant):
            place = self._places.get(key)
            if place is not None:
                found.update(place)
        return found.values()

    # ---- where a rule goes ----

    def _choose(self, translated: tuple[Condition, ...]) -> tuple[_Key, ...]:
        best: tuple[_Key, ...] = (_ALWAYS,)
        least = -1
        for keys, weight in _alternatives(translated):
            fullest = max(len(self._places.get(key, ())) for key in keys)
            cost = weight * (fullest + 1)
            if least < 0 or cost < least:
                best, least = keys, cost
        return best

    def _note(self, key: _Key, change: int) -> None:
        """Keep count of what is looked for at all: a place comes (1) or goes (-1)."""
        match key:
            case (("room^" | "room$" | "identity^" | "identity$") as table, str(text)):
                _count(self._lengths[table], len(text), change)
            case ("attribute", str(name), _):
                _count(self._attributes, name, change)
            case (("room{}" | "metadata{}") as table, tuple(path), _, _):
                self._paths[table].count(path, change)
            case _:
                pass

    # ---- what is looked up ----

    def _keys(self, room: RoomInfo, participant: Participant | None) -> Iterator[_Key]:
        yield _ALWAYS
        yield ("room", room.name)
        yield from self._ends("room", room.name)
        if self._paths["room{}"]:
            yield from self._values("room{}", room.metadata)
        if participant is None:
            return
        yield ("identity", participant.identity)
        yield from self._ends("identity", participant.identity)
        for kind in kinds_of(participant):
            yield ("kind", kind)
        attributes = participant.attributes
        if len(self._attributes) < len(attributes):
            for name in self._attributes:
                if name in attributes:
                    yield ("attribute", name, attributes[name])
        elif self._attributes:
            for name, value in attributes.items():
                yield ("attribute", name, value)
        if self._paths["metadata{}"]:
            yield from self._values("metadata{}", participant.metadata)

    def _ends(self, table: str, name: str) -> Iterator[_Key]:
        longest = len(name)
        for length in self._lengths[f"{table}^"]:
            if length <= longest:
                yield (f"{table}^", name[:length])
        for length in self._lengths[f"{table}$"]:
            if length <= longest:
                yield (f"{table}$", name[-length:])

    def _values(self, table: str, metadata: str) -> Iterator[_Key]:
        found = document(metadata)
        if found is not NOTHING:
            for path, value in self._paths[table].values(found):
                yield (table, path, sort_of(value), value)


def _alternatives(translated: tuple[Condition, ...]) -> Iterator[tuple[tuple[_Key, ...], int]]:
    """Yield the sets of places where a rule may stand, each with the weight of a place there.

    One condition is enough to find a rule; where it is one of several values, under each of them.
    """
    for condition in translated:
        match condition:
            case RoomName(glob=glob):
                yield from _keys_of_globs("room", (glob,))
            case Identity(globs=globs):
                yield from _keys_of_globs("identity", globs)
            case Attribute(key=key, value=value):
                yield (("attribute", key, value),), 1
            case RoomMetadata(path=path, value=value):
                yield (("room{}", path, sort_of(value), value),), 1
            case Metadata(path=path, value=value):
                yield (("metadata{}", path, sort_of(value), value),), 1
            case Kinds(kinds=kinds) if kinds:
                yield tuple(("kind", kind) for kind in sorted(kinds)), 2 * _WEAK
            case _:
                pass


def _keys_of_globs(table: str, globs: tuple[Glob, ...]) -> Iterator[tuple[tuple[_Key, ...], int]]:
    keys: list[_Key] = []
    weight = 1
    for glob in globs:
        if glob.exact is not None:
            keys.append((table, glob.exact))
            continue
        weight = _WEAK
        if not glob.prefix and not glob.suffix:
            return
        if len(glob.prefix) >= len(glob.suffix):
            keys.append((f"{table}^", glob.prefix))
        else:
            keys.append((f"{table}$", glob.suffix))
    yield tuple(dict.fromkeys(keys)), weight


def _count(counter: Counter[int] | Counter[str], key: int | str, change: int) -> None:
    numbers: Counter[int | str] = counter  # type: ignore[assignment]  # one of the two
    numbers[key] += change
    if not numbers[key]:
        del numbers[key]
