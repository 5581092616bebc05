"""Rules between the wire's messages (`callboard.Rule`) and the core's values.

A rule that has fields which this server does not know is refused: a condition that is left out would
make it match more than its author wanted.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from google.protobuf.struct_pb2 import NULL_VALUE, Value
from google.protobuf.unknown_fields import UnknownFieldSet

from dispatcher.core.conditions import Mismatch
from dispatcher.core.jobs import SECOND
from dispatcher.core.room_events import ParticipantKind
from dispatcher.core.rules import JsonScalar, Match, Rule
from dispatcher.rule_checks import RuleLimits, check_rule, duration
from dispatcher.server.wire_jobs import job_type_of, restart_policy_of
from protocol import api_pb2, wire_pb2
from protocol.errors import InvalidField
from protocol.limits import WireLimits, check_count

if TYPE_CHECKING:
    from google.protobuf.message import Message

# A double holds every whole number up to here.
_WHOLE_NUMBER_MAX = 1 << 53
_KIND_NAMES = [kind.name for kind in ParticipantKind]


def read_rule(message: api_pb2.Rule, limits: RuleLimits, wire: WireLimits) -> Rule:
    """Return the rule that a caller asks for, checked; its times are not read. Raises WireError."""
    _check_known(message, "rule")
    _check_known(message.match, "match")
    # Before anything of it is read, which for many conditions would take its time.
    match = message.match
    count = len(match.room_metadata) + len(match.identity) + len(match.kind)
    count += len(match.attributes) + len(match.metadata) + bool(match.room)
    check_count("match", count, limits.conditions_max, "conditions")
    rule = Rule(
        name=message.name,
        job_type=job_type_of(message.type),
        agent_name=message.agent_name,
        match=Match(
            room=match.room,
            room_metadata=_scalars("match.room_metadata", match.room_metadata),
            identities=tuple(match.identity),
            kinds=frozenset(kind_of("match.kind", name) for name in match.kind),
            attributes=dict(match.attributes),
            metadata=_scalars("match.metadata", match.metadata),
        ),
        deployment=message.deployment,
        namespace=message.namespace,
        metadata=message.metadata,
        attributes=dict(message.attributes),
        priority=message.priority,
        queue_time=duration(
            "queue_deadline_seconds",
            message.queue_deadline_seconds,
            limits.queue_deadline_seconds_max,
        ),
        uniqueness_key=message.uniqueness_key,
        concurrency_limit=message.concurrency_limit,
        delay=duration("delay_seconds", message.delay_seconds, limits.delay_seconds_max),
        restart_policy=restart_policy_of(message.restart_policy),
        enabled=message.enabled if message.HasField("enabled") else True,
        version=message.version,
    )
    check_rule(rule, limits, wire)
    return rule


def rule_message(rule: Rule) -> api_pb2.Rule:
    """Return a rule as API callers see it."""
    message = api_pb2.Rule()
    message.name = rule.name
    message.version = rule.version
    message.type = cast("wire_pb2.JobType", int(rule.job_type))
    match = rule.match
    if match != Match():
        message.match.room = match.room
        message.match.identity.extend(match.identities)
        message.match.kind.extend(kind.name for kind in sorted(match.kinds))
        message.match.attributes.update(match.attributes)
        _fill_scalars(message.match.room_metadata, match.room_metadata)
        _fill_scalars(message.match.metadata, match.metadata)
    message.agent_name = rule.agent_name
    message.deployment = rule.deployment
    message.namespace = rule.namespace
    message.metadata = rule.metadata
    message.attributes.update(rule.attributes)
    message.priority = rule.priority
    message.queue_deadline_seconds = rule.queue_time / SECOND
    message.uniqueness_key = rule.uniqueness_key
    message.concurrency_limit = rule.concurrency_limit
    message.delay_seconds = rule.delay / SECOND
    message.restart_policy = cast("wire_pb2.JobRestartPolicy", int(rule.restart_policy))
    message.enabled = rule.enabled
    message.created_at = rule.created_at
    message.updated_at = rule.updated_at
    return message


def mismatch_message(failed: Mismatch) -> api_pb2.RuleMismatch:
    """Return why a rule does not match."""
    return api_pb2.RuleMismatch(
        condition=failed.condition, wanted=failed.wanted, found=failed.found
    )


def kind_of(field: str, name: str) -> ParticipantKind:
    """Return the kind of a participant by its name, in any case. Raises InvalidField."""
    try:
        return ParticipantKind[name.upper()]
    except KeyError:
        near = difflib.get_close_matches(name[:64].upper(), _KIND_NAMES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InvalidField(
            field, f"has {name[:64]!r}, which is none of {', '.join(_KIND_NAMES)}{hint}"
        ) from None


def _check_known(message: Message, name: str) -> None:
    unknown = UnknownFieldSet(message)
    if len(unknown):
        numbers = ", ".join(str(unknown[at].field_number) for at in range(min(len(unknown), 10)))
        raise InvalidField(name, f"has fields that this server does not know: {numbers}")


def _scalars(field: str, values: Mapping[str, Value]) -> dict[str, JsonScalar]:
    return {path: scalar_of(f"{field}.{path[:100]}", value) for path, value in values.items()}


def scalar_of(field: str, value: Value) -> JsonScalar:
    match value.WhichOneof("kind"):
        case "null_value":
            return None
        case "bool_value":
            return value.bool_value
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            whole = number.is_integer() and abs(number) <= _WHOLE_NUMBER_MAX
            return int(number) if whole else number
        case _:
            raise InvalidField(field, "must be a text, a number, true, false or null")


def _fill_scalars(target: Mapping[str, Value], values: Mapping[str, JsonScalar]) -> None:
    for path, value in values.items():
        # Reading an entry of a map of messages makes it.
        entry = target[path]
        if value is None:
            entry.null_value = NULL_VALUE
        elif isinstance(value, bool):
            entry.bool_value = value
        elif isinstance(value, str):
            entry.string_value = value
        else:
            entry.number_value = value
