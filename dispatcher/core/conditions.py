"""The conditions of a rule, translated once, in the order in which they are tested and explained.

Each one can say whether it holds for a room and a participant (or nobody), what it wants, and what
it found. The order is fixed: enabled, room, room metadata, is anybody there, kind, identity,
attributes, metadata; within one of these by key. So the first that fails is always the same.

Dependents (agents, egress, recorders) count only for rules whose `kinds` ask for them: who has the
permission of an agent is asked for as AGENT, who has that of a recorder as EGRESS, whatever its
kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dispatcher.core.documents import Path, document, is_equal, path, shown, value_at
from dispatcher.core.globs import Glob, glob
from dispatcher.core.jobs import JobType
from dispatcher.core.room_events import Participant, ParticipantKind, RoomInfo
from dispatcher.core.rules import JsonScalar, Rule

NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first condition that a room and a participant fail, as in a rule's file, and both values."""

    condition: str
    wanted: str
    found: str


class Condition(Protocol):
    """One condition. `participant` is None for an event of the room alone."""

    @property
    def name(self) -> str:
        """Its place in the rule's file: "match.attributes.tier"."""
        ...

    def holds(self, room: RoomInfo, participant: Participant | None) -> bool:
        """Does it hold?"""
        ...

    def wanted(self) -> str:
        """What it asks for, for a person."""
        ...

    def found(self, room: RoomInfo, participant: Participant | None) -> str:
        """What is there instead, for a person."""
        ...


@dataclass(frozen=True, slots=True)
class RoomName:
    """The room's name matches a glob."""

    glob: Glob
    name: str = "match.room"

    def holds(self, room: RoomInfo, participant: Participant | None) -> bool:
        return self.glob.matches(room.name)

    def wanted(self) -> str:
        return self.glob.pattern

    def found(self, room: RoomInfo, participant: Participant | None) -> str:
        return room.name


@dataclass(frozen=True, slots=True)
class RoomMetadata:
    """The room's metadata has a value at a path."""

    name: str
    path: Path
    value: JsonScalar

    def holds(self, room: RoomInfo, participant: Participant | None) -> bool:
        return is_equal(value_at(document(room.metadata), self.path), self.value)

    def wanted(self) -> str:
        return shown(self.value)

    def found(self, room: RoomInfo, participant: Participant | None) -> str:
        return shown(value_at(document(room.metadata), self.path))


@dataclass(frozen=True, slots=True)
class Somebody:
    """It is about somebody, not about the room alone."""

    wants: str
    name: str = "type"

    def holds(self, room: RoomInfo, participant: Participant | None) -> bool:
        return participant is not None

    def wanted(self) -> str:
        return self.wants

    def found(self, room: RoomInfo, participant: Participant | None) -> str:
        return NOBODY if participant is None else participant.identity


@dataclass(frozen=True, slots=True)
class Kinds:
    """The participant is of a kind that is asked for; of no kind: anybody but a dependent."""

    kinds: frozenset[ParticipantKind]
    name: str = "match.kind"

    def holds(self, room: RoomInfo, participant: Participant | None) -> bool:
        if participant is None:
            return False
        if not self.kinds:
            return not participant.is_dependent
        return not self.kinds.isdisjoint(kinds_of(participant))

    def wanted(self) -> str:
        if not self.kinds:
            return "not a dependent (AGENT, EGRESS)"
        return " or ".join(kind.name for kind in sorted(self.kinds))

    def found(self, room: RoomInfo, participant: Participant | None) -> str:
        if participant is None:
            return NOBODY
        names = " and ".join(kind.name for kind in kinds_of(participant))
        if participant.kind in kinds_of(participant):
            return names
        return f"{names} (by its permission)"


@dataclass(frozen=True, slots=True)
class Identity:
    """The participant's identity matches one of some globs."""

    globs: tuple[Glob, ...]
    name: str = "match.identity"

    def holds(self, room: RoomInfo, participant: Participant | None) -> bool:
        if participant is None:
            return False
        identity = participant.identity
        return any(one.matches(identity) for one in self.globs)

    def wanted(self) -> str:
        return " or ".join(one.pattern for one in self.globs)

    def found(self, room: RoomInfo, participant: Participant | None) -> str:
        return NOBODY if participant is None else participant.identity


@dataclass(frozen=True, slots=True)
class Attribute:
    """The participant has an attribute with a value."""

    name: str
    key: str
    value: str

    def holds(self, room: RoomInfo, participant: Participant | None) -> bool:
        return participant is not None and participant.attributes.get(self.key) == self.value

    def wanted(self) -> str:
        return shown(self.value)

    def found(self, room: RoomInfo, participant: Participant | None) -> str:
        if participant is None or self.key not in participant.attributes:
            return "nothing"
        return shown(participant.attributes[self.key])


@dataclass(frozen=True, slots=True)
class Metadata:
    """The participant's metadata has a value at a path."""

    name: str
    path: Path
    value: JsonScalar

    def holds(self, room: RoomInfo, participant: Participant | None) -> bool:
        if participant is None:
            return False
        return is_equal(value_at(document(participant.metadata), self.path), self.value)

    def wanted(self) -> str:
        return shown(self.value)

    def found(self, room: RoomInfo, participant: Participant | None) -> str:
        metadata = participant.metadata if participant is not None else ""
        return shown(value_at(document(metadata), self.path))


def kinds_of(participant: Participant) -> tuple[ParticipantKind, ...]:
    """Return what rules may ask for a participant as; a dependent by nothing but that."""
    if not participant.is_dependent:
        return (participant.kind,)
    kinds: list[ParticipantKind] = []
    if participant.is_agent or participant.kind is ParticipantKind.AGENT:
        kinds.append(ParticipantKind.AGENT)
    if participant.is_recorder or participant.kind is ParticipantKind.EGRESS:
        kinds.append(ParticipantKind.EGRESS)
    return tuple(kinds)


def needs_participant(rule: Rule) -> bool:
    """Can the rule match no room as such, but only somebody in it?"""
    return rule.job_type is not JobType.ROOM or rule.match.is_about_participants


def conditions(rule: Rule) -> tuple[Condition, ...]:
    """Translate the conditions of a rule. Raises NotUnderstood."""
    match = rule.match
    found: list[Condition] = []
    if match.room:
        found.append(RoomName(glob(match.room)))
    found += [
        RoomMetadata(f"match.room_metadata.{key}", path(key), match.room_metadata[key])
        for key in sorted(match.room_metadata)
    ]
    if needs_participant(rule):
        wants = "a participant" if rule.job_type is JobType.ROOM else rule.job_type.name.lower()
        found += [Somebody(wants), Kinds(match.kinds)]
    if match.identities:
        found.append(Identity(tuple(glob(pattern) for pattern in match.identities)))
    found += [
        Attribute(f"match.attributes.{key}", key, match.attributes[key])
        for key in sorted(match.attributes)
    ]
    found += [
        Metadata(f"match.metadata.{key}", path(key), match.metadata[key])
        for key in sorted(match.metadata)
    ]
    return tuple(found)


def mismatch(rule: Rule, room: RoomInfo, participant: Participant | None) -> Mismatch | None:
    """Return the first condition that fails, None where all hold. Raises NotUnderstood."""
    if not rule.enabled:
        return Mismatch("enabled", "true", "false")
    for condition in conditions(rule):
        if not condition.holds(room, participant):
            return Mismatch(condition.name, condition.wanted(), condition.found(room, participant))
    return None
