"""Rules as data: whom to call, for which room, publisher or participant, and how.

A rule is a standing order for every room that there is and will be. What a condition leaves empty
matches everything; of a tuple of wanted values, one must match. Templates (`metadata`, the values
of `attributes`, `uniqueness_key`) may take values of the room and of the participant.

Left to others: what a glob, a path and a template are (`globs`, `documents`, `templates`), which rules
match what (`matching`), what becomes of a match (`orders`), which rules are accepted
(`dispatcher.rule_checks`), how one is written down (`dispatcher.rule_files`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dispatcher.core.jobs import JobType, Nanoseconds, RestartPolicy
from dispatcher.core.room_events import ParticipantKind
from protocol.errors import CallboardError

# What a JSON document has at the end of a path.
JsonScalar = str | int | float | bool | None


class NotUnderstood(CallboardError):
    """A glob, a path or a template that cannot be read; `reason` goes on after a field's name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Match:
    """The conditions of a rule; all of them must hold.

    `room` and `identities` are globs (`*`, `?`, `[...]`); metadata conditions go from a path
    (`customer.tier`, `lines[0].number`) to the value that the JSON document must have there.
    Without `kinds`, dependents (agents, egress, recorders) are nobody.
    """

    room: str = ""
    room_metadata: Mapping[str, JsonScalar] = field(default_factory=dict)
    identities: tuple[str, ...] = ()
    kinds: frozenset[ParticipantKind] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, JsonScalar] = field(default_factory=dict)

    @property
    def is_about_participants(self) -> bool:
        """Does it ask for anything of a participant?"""
        return bool(self.identities or self.kinds or self.attributes or self.metadata)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a project. `version` grows with each change; times are 0 where they are not set.

    A ROOM rule makes one job a room; if it asks for something of a participant, as soon as one
    matches. `queue_time` 0: the server's default. `concurrency_limit` 0: no limit.
    """

    name: str
    job_type: JobType
    agent_name: str
    match: Match = Match()
    deployment: str = ""
    namespace: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    queue_time: Nanoseconds = 0
    uniqueness_key: str = ""
    concurrency_limit: int = 0
    delay: Nanoseconds = 0
    restart_policy: RestartPolicy = RestartPolicy.ON_FAILURE
    enabled: bool = True
    version: int = 0
    created_at: Nanoseconds = 0
    updated_at: Nanoseconds = 0

    def says_the_same(self, other: Rule) -> bool:
        """Is it the same rule, whatever its version and times? (In JSON, 1 is not true.)"""
        return _content(self) == _content(other)


def _content(rule: Rule) -> tuple[object, ...]:
    match = rule.match
    plain = replace(rule, version=0, created_at=0, updated_at=0)
    # True equals 1 in Python.
    sorts = sorted(
        (where, name, isinstance(value, bool))
        for where, mapping in enumerate((match.room_metadata, match.metadata))
        for name, value in mapping.items()
    )
    return plain, tuple(sorts)
