"""The fields of a rule's file, described once, and the JSON Schema that tells editors of them.

The names are those of `callboard.Rule` in its JSON form. `python -m dispatcher.rule_fields` writes the
schema, docs/rule.schema.json; a test holds both together, and another gives the same documents to the
schema and to the reader of files.

The schema says what a value looks like and how large it may be. Left to the reader alone: globs, paths,
templates, and bounds that are counted in bytes or over several fields.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dispatcher.core.jobs import JobType, RestartPolicy
from dispatcher.core.room_events import ParticipantKind
from dispatcher.rule_checks import DEFAULT_RULE_LIMITS as LIMITS
from dispatcher.rule_checks import NAME_PATTERN, VERSION_MAX


class Form(Enum):
    """How a field is written."""

    TEXT = "text"
    WHOLE = "whole"
    SECONDS = "seconds"
    SWITCH = "switch"
    CHOICE = "choice"
    TEXTS = "texts"  # one text, or a list of them
    TEXT_BY_NAME = "text_by_name"
    VALUE_BY_PATH = "value_by_path"
    FIELDS = "fields"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a rule's file."""

    name: str
    form: Form
    help: str
    choices: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    is_required: bool = False
    # of a number
    least: float = 0
    most: float = 0
    # of a text; it has at least one character
    is_filled: bool = False
    pattern: str = ""


_TEMPLATE = "A template: takes values such as {room.name} or {participant.attributes.tier}."

MATCH_FIELDS = (
    Field("room", Form.TEXT, "A glob over the room's name; empty: every room."),
    Field(
        "room_metadata",
        Form.VALUE_BY_PATH,
        "From a path into the room's metadata, which is JSON, to the value that is there.",
    ),
    Field(
        "identity",
        Form.TEXTS,
        "Globs over the participant's identity; one has to match.",
        is_filled=True,
    ),
    Field(
        "kind",
        Form.TEXTS,
        "Kinds of participants; without any, everybody but agents and recorders.",
        choices=tuple(kind.name for kind in ParticipantKind),
    ),
    Field("attributes", Form.TEXT_BY_NAME, "Attributes that the participant has."),
    Field(
        "metadata",
        Form.VALUE_BY_PATH,
        "From a path into the participant's metadata, which is JSON, to the value that is there.",
    ),
)

FIELDS = (
    Field(
        "name",
        Form.TEXT,
        "The rule's name, unique in its project.",
        is_required=True,
        is_filled=True,
        pattern=f"^{NAME_PATTERN}$",
    ),
    Field(
        "version",
        Form.WHOLE,
        "If it is given, the rule is changed only while it is at this version.",
        most=VERSION_MAX,
    ),
    Field(
        "type",
        Form.CHOICE,
        "What one job is for: a room, each publisher, or each participant.",
        choices=tuple(job_type.name.lower() for job_type in JobType),
    ),
    Field(
        "match",
        Form.FIELDS,
        "Whom the rule is about: all conditions must hold; without any, everybody.",
        fields=MATCH_FIELDS,
    ),
    Field("agent_name", Form.TEXT, "The agent that is called.", is_required=True, is_filled=True),
    Field("deployment", Form.TEXT, "Only workers of this deployment."),
    Field("namespace", Form.TEXT, "Only workers of this namespace."),
    Field("metadata", Form.TEXT, f"The job's metadata. {_TEMPLATE}"),
    Field("attributes", Form.TEXT_BY_NAME, f"The job's attributes. {_TEMPLATE}"),
    Field(
        "priority",
        Form.WHOLE,
        "Higher goes first.",
        least=-LIMITS.priority_max,
        most=LIMITS.priority_max,
    ),
    Field(
        "queue_deadline_seconds",
        Form.SECONDS,
        "A job that found no worker by then fails; 0: the server's default.",
        most=LIMITS.queue_deadline_seconds_max,
    ),
    Field(
        "uniqueness_key",
        Form.TEXT,
        f"Who shares the key of a job that has not ended is served by that job. {_TEMPLATE} Empty: one job for each subject.",
    ),
    Field(
        "concurrency_limit",
        Form.WHOLE,
        "Most jobs of the rule at once; 0: no limit.",
        most=LIMITS.concurrency_limit_max,
    ),
    Field(
        "delay_seconds",
        Form.SECONDS,
        "From the event until the job is queued.",
        most=LIMITS.delay_seconds_max,
    ),
    Field(
        "restart_policy",
        Form.CHOICE,
        "Whether a job that fails, or whose worker is lost, is tried again.",
        choices=tuple(policy.name.lower() for policy in RestartPolicy),
    ),
    Field("enabled", Form.SWITCH, "false: the rule is kept, and calls nobody."),
)


# ---- the schema ----


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a file: a rule, or a list of rules."""
    rule = _object_schema(FIELDS)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Callboard rules",
        "description": "A file of `callboard rule apply -f`: one rule or a list of rules.",
        "$defs": {"rule": rule},
        "oneOf": [
            {"$ref": "#/$defs/rule"},
            {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/rule"}},
        ],
    }


def schema_text() -> str:
    """Return docs/rule.schema.json."""
    return json.dumps(schema(), indent=2) + "\n"


def _object_schema(fields: Iterable[Field]) -> dict[str, Any]:
    described = tuple(fields)
    required = [each.name for each in described if each.is_required]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {
            each.name: {"description": each.help, **_field_schema(each)} for each in described
        },
    }


def _field_schema(what: Field) -> Mapping[str, Any]:
    match what.form:
        case Form.TEXT | Form.CHOICE:
            return _text_schema(what)
        case Form.WHOLE:
            return {"type": "integer", "minimum": what.least, "maximum": what.most}
        case Form.SECONDS:
            return {"type": "number", "minimum": what.least, "maximum": what.most}
        case Form.SWITCH:
            return {"type": "boolean"}
        case Form.TEXTS:
            text = _text_schema(what)
            return {"anyOf": [text, {"type": "array", "items": text}]}
        case Form.TEXT_BY_NAME:
            return {"type": "object", "additionalProperties": {"type": _TEXT_TYPES}}
        case Form.VALUE_BY_PATH:
            scalar = {"type": ["string", "number", "boolean", "null"]}
            return {"type": "object", "additionalProperties": scalar}
        case Form.FIELDS:
            return _object_schema(what.fields)


# A number or a truth is taken as the text that it is written as.
_TEXT_TYPES = ["string", "number", "boolean"]


def _text_schema(what: Field) -> dict[str, Any]:
    if what.choices:  # an editor offers them; they are read in any case
        in_any_case = {"type": "string", "pattern": _in_any_case(what.choices)}
        return {"anyOf": [{"enum": list(what.choices)}, in_any_case]}
    return {
        "type": _TEXT_TYPES,
        **({"minLength": 1} if what.is_filled else {}),
        # The bound is that of a number, which would begin with a sign.
        **({"pattern": what.pattern, "minimum": 0} if what.pattern else {}),
    }


def _in_any_case(words: Iterable[str]) -> str:
    """Return the pattern of these words, in upper and lower case; a schema's has no flags."""
    spelled = (
        "".join(f"[{each.upper()}{each.lower()}]" if each.isalpha() else each for each in word)
        for word in words
    )
    return f"^({'|'.join(spelled)})$"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
