"""JSON in metadata: a path into it, and what is there.

A path is `customer.tier`, `lines[0].number` or `labels["a.b"]`, from the document's root. Metadata
is whatever a peer wrote: what is no JSON, and what is not there, is `NOTHING`, which equals no value
(the JSON null is a value).
"""

from __future__ import annotations

import json
import re
from enum import Enum
from functools import lru_cache
from typing import Final

from dispatcher.core.rules import JsonScalar, NotUnderstood

Step = str | int
Path = tuple[Step, ...]


class _Absent(Enum):
    NOTHING = "nothing"


NOTHING: Final = _Absent.NOTHING

_SHOWN_CHARACTERS_MAX = 100
_PATHS_REMEMBERED = 32_768
# One of a room and one of a participant are in use at a time; each may be large.
_DOCUMENTS_REMEMBERED = 4

_STEP = re.compile(
    r"""\[(?P<index>\d{1,9})\]              # [0]
      | \[(?P<quoted>"(?:[^"\\]|\\.)*")\]   # ["a.b"], a JSON string
      | (?P<dot>\.?)(?P<name>[^.\[\]"{}]+)  # name, or .name
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=_PATHS_REMEMBERED)
def path(text: str) -> Path:
    """Return the steps of a path. Raises NotUnderstood."""
    steps: list[Step] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        # A dot stands between two steps, and before a name alone.
        if found is None or (found["name"] is not None and bool(found["dot"]) != bool(steps)):
            raise _not_a_path(text)
        steps.append(_step(found, text))
        at = found.end()
    if not steps:
        raise NotUnderstood("has an empty path")
    if steps[0] == "$" and text.startswith("$"):
        raise NotUnderstood(f"has a path that begins with '$': leave it out of {_short(text)!r}")
    return tuple(steps)


def _step(found: re.Match[str], text: str) -> Step:
    if found["index"] is not None:
        return int(found["index"])
    if found["quoted"] is None:
        return found["name"]
    try:
        quoted: str = json.loads(found["quoted"])
    except ValueError:
        raise _not_a_path(text) from None
    return quoted


def _not_a_path(text: str) -> NotUnderstood:
    return NotUnderstood(
        f'has {_short(text)!r}, which is not a path such as customer.tier, lines[0] or labels["a.b"]'
    )


@lru_cache(maxsize=_DOCUMENTS_REMEMBERED)
def document(text: str) -> object:
    """Return the JSON document of a text, NOTHING where it is none."""
    if not text:
        return NOTHING
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return NOTHING


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def value_at(found: object, steps: Path) -> object:
    """Return what a document has at a path, NOTHING where the path leads nowhere."""
    for step in steps:
        found = child(found, step)
        if found is NOTHING:
            break
    return found


def child(parent: object, step: Step) -> object:
    """Return what is one step below, NOTHING where nothing is."""
    if isinstance(step, int):
        if isinstance(parent, list) and step < len(parent):
            return parent[step]
    elif isinstance(parent, dict):
        return parent.get(step, NOTHING)
    return NOTHING


def sort_of(value: object) -> str:
    """Return what sort of JSON value it is: 1 and 1.0 are the same, 1 and true are not."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "text"
        case dict():
            return "object"
        case list():
            return "array"
        case _:
            return "nothing"


def is_equal(found: object, wanted: JsonScalar) -> bool:
    """Does the document have the wanted value there, as JSON compares?"""
    return sort_of(found) == sort_of(wanted) and found == wanted


def shown(value: object) -> str:
    """Return a value for a person: as JSON, cut if it is long."""
    if value is NOTHING:
        return "nothing"
    return _short(json.dumps(value, ensure_ascii=False, default=str))


def _short(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS_MAX:
        return text
    return text[:_SHOWN_CHARACTERS_MAX] + "..."
