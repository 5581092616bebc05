"""Which rules are accepted: every bound of a rule has a name here, and every error names its field.

The same checks stand before a rule that comes over the wire and before one that is read from a file,
where they point at a line. A rule that passes can be indexed, matched and filled without an error,
and nothing that it makes is larger than what a dispatch may be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from dispatcher.core.documents import path
from dispatcher.core.globs import glob
from dispatcher.core.jobs import SECOND, Nanoseconds
from dispatcher.core.rules import JsonScalar, Match, NotUnderstood, Rule
from dispatcher.core.templates import template
from protocol.errors import InvalidField
from protocol.limits import (
    DEFAULT_LIMITS,
    WireLimits,
    check_agent_name,
    check_attributes,
    check_count,
    check_metadata,
    check_text,
    validate_deployment,
)

T = TypeVar("T")

DAY_SECONDS = 86_400

# What protobuf's Value, a double, can hold of a whole number.
_WHOLE_NUMBER_MAX = 1 << 53
VERSION_MAX = (1 << 63) - 1
NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME = re.compile(NAME_PATTERN)
_NAME_WANTED = (
    "must begin with a letter or a digit, and have only letters, digits, '.', '_' and '-'"
)


@dataclass(frozen=True, slots=True)
class RuleLimits:
    """The bounds of rules. Bounds on agent names, metadata and the like are `WireLimits`."""

    # Rules of one project.
    rules_max: int = 20_000
    name_bytes_max: int = 128
    # Conditions of one rule: each entry of its match counts as one.
    conditions_max: int = 100
    # One glob, one path into metadata, one attribute's name, one wanted value.
    condition_bytes_max: int = 1024
    # Steps of one path into metadata.
    path_steps_max: int = 16
    # Values that one template takes.
    places_max: int = 100
    uniqueness_key_bytes_max: int = 1024
    priority_max: int = 1_000_000
    concurrency_limit_max: int = 1_000_000
    queue_deadline_seconds_max: float = 365.0 * DAY_SECONDS
    delay_seconds_max: float = 365.0 * DAY_SECONDS
    # Verdicts of one explanation; what would need more has to name a rule.
    verdicts_max: int = 20_000


DEFAULT_RULE_LIMITS = RuleLimits()


def check_rule(
    rule: Rule,
    limits: RuleLimits = DEFAULT_RULE_LIMITS,
    wire: WireLimits = DEFAULT_LIMITS,
) -> None:
    """Refuse a rule that breaks a bound: InvalidField or LimitExceeded, named as in a file."""
    check_rule_name("name", rule.name, limits)
    if not rule.agent_name:
        raise InvalidField("agent_name", "is missing")
    check_agent_name("agent_name", rule.agent_name, wire)
    validate_deployment(rule.deployment, wire)
    check_text("namespace", rule.namespace, wire.namespace_bytes_max)
    _check_match(rule.match, limits)
    check_metadata("metadata", rule.metadata, wire)
    _check_template("metadata", rule.metadata, limits)
    check_attributes("attributes", rule.attributes, wire)
    for name, text in rule.attributes.items():
        _check_template(f"attributes.{name}", text, limits)
    check_text("uniqueness_key", rule.uniqueness_key, limits.uniqueness_key_bytes_max)
    _check_template("uniqueness_key", rule.uniqueness_key, limits)
    if abs(rule.priority) > limits.priority_max:
        raise InvalidField(
            "priority", f"must be from {-limits.priority_max} to {limits.priority_max}"
        )
    if not 0 <= rule.concurrency_limit <= limits.concurrency_limit_max:
        raise InvalidField("concurrency_limit", f"must be from 0 to {limits.concurrency_limit_max}")
    if not 0 <= rule.version <= VERSION_MAX:
        raise InvalidField("version", "is not a version of a rule")
    _check_time("queue_deadline_seconds", rule.queue_time, limits.queue_deadline_seconds_max)
    _check_time("delay_seconds", rule.delay, limits.delay_seconds_max)


def check_rule_name(field: str, name: str, limits: RuleLimits = DEFAULT_RULE_LIMITS) -> None:
    """Refuse what is no name of a rule: InvalidField or LimitExceeded."""
    if not name:
        raise InvalidField(field, "is missing")
    check_text(field, name, limits.name_bytes_max)
    if not _NAME.fullmatch(name):
        raise InvalidField(field, _NAME_WANTED)


def duration(field: str, seconds: float, seconds_max: float) -> Nanoseconds:
    """Return seconds as a time of a rule. Raises InvalidField for what is none."""
    if not math.isfinite(seconds) or not 0 <= seconds <= seconds_max:
        raise _wrong_time(field, seconds_max)
    return round(seconds * SECOND)


def _check_time(field: str, time: Nanoseconds, seconds_max: float) -> None:
    if not 0 <= time <= seconds_max * SECOND:
        raise _wrong_time(field, seconds_max)


def _wrong_time(field: str, seconds_max: float) -> InvalidField:
    return InvalidField(field, f"must be a number of seconds from 0 to {seconds_max:.15g}")


def _check_match(match: Match, limits: RuleLimits) -> None:
    count = bool(match.room) + len(match.kinds) + len(match.identities)
    count += len(match.room_metadata) + len(match.attributes) + len(match.metadata)
    check_count("match", count, limits.conditions_max, "conditions")
    _check_glob("match.room", match.room, limits)
    _check_values("match.room_metadata", match.room_metadata, limits)
    for pattern in match.identities:
        if not pattern:
            raise InvalidField("match.identity", "has an empty glob, which matches nobody")
        _check_glob("match.identity", pattern, limits)
    for name, wanted in match.attributes.items():
        if not name:
            raise InvalidField("match.attributes", "has an empty name")
        check_text("match.attributes", name, limits.condition_bytes_max)
        check_text(f"match.attributes.{name}", wanted, limits.condition_bytes_max)
    _check_values("match.metadata", match.metadata, limits)


def _check_glob(field: str, pattern: str, limits: RuleLimits) -> None:
    check_text(field, pattern, limits.condition_bytes_max)
    _understand(field, glob, pattern)


def _check_values(field: str, values: Mapping[str, JsonScalar], limits: RuleLimits) -> None:
    for text, wanted in values.items():
        check_text(field, text, limits.condition_bytes_max)
        steps = _understand(field, path, text)
        check_count(f"{field}.{text}", len(steps), limits.path_steps_max, "steps")
        if isinstance(wanted, str):
            check_text(f"{field}.{text}", wanted, limits.condition_bytes_max)
        elif isinstance(wanted, float) and not math.isfinite(wanted):
            raise InvalidField(f"{field}.{text}", "is not a number of JSON")
        elif isinstance(wanted, int) and abs(wanted) > _WHOLE_NUMBER_MAX:
            raise InvalidField(f"{field}.{text}", "is a larger number than JSON keeps exactly")


def _check_template(field: str, text: str, limits: RuleLimits) -> None:
    check_count(field, _understand(field, template, text).places, limits.places_max, "values")


def _understand(field: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except NotUnderstood as error:
        raise InvalidField(field, error.reason) from None
