"""Frozen values that are quick to make, and to make anew with some fields changed.

The `__init__` of a frozen dataclass goes through `object.__setattr__` for each field, by name.
The server makes some twenty values for a job, so that was a fifteenth of what a job costs the
server. `quick` sets the fields as an ordinary class does, seven times as fast, and to be able to it
leaves it to the type checker that nobody changes one afterwards; everything else stays what
`dataclass` made it. `changed` is `dataclasses.replace` for such a value, without its walk over the
fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)
Value = TypeVar("Value")

# how each quick class makes a value anew
_CHANGES: dict[type, Callable[..., Any]] = {}


def changed(value: Value, **changes: object) -> Value:
    """Return a quick value with these fields changed. TypeError for a field that it has not."""
    made: Value = _CHANGES[type(value)](value, **changes)
    return made


def quick(cls: Class) -> Class:
    """Class decorator, above `@dataclass(frozen=True, slots=True)`: give it a quick `__init__`."""
    scope: dict[str, Any] = {"MISSING": MISSING}
    parameters: list[str] = []
    lines: list[str] = []
    keeps: list[str] = []
    copies: list[str] = []
    for field in fields(cls):
        parameters.append(_parameter(field, scope))
        value = field.name
        if field.default_factory is not MISSING:
            value = f"new_{value}() if {value} is MISSING else {value}"
        lines.append(f"    self.{field.name} = {value}")
        keeps.append(f"{field.name}=MISSING")
        copies.append(
            f"    new.{field.name} = old.{field.name} if {field.name} is MISSING else {field.name}"
        )
    scope["blank"] = cls.__new__
    scope["cls"] = cls
    source = f"def __init__(self, {', '.join(parameters)}):\n" + "\n".join(lines)
    source += f"\ndef change(old, *, {', '.join(keeps)}):\n    new = blank(cls)\n"
    source += "\n".join(copies) + "\n    return new\n"
    # What makes it frozen makes each assignment a call, also ours.
    del cls.__setattr__
    del cls.__delattr__
    exec(source, scope)  # noqa: S102 (as dataclasses does; the names are those of our own fields)
    _CHANGES[cls] = scope["change"]
    scope["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = scope["__init__"]  # type: ignore[misc]  # the same signature as before
    return cls


def _parameter(field: Field[Any], scope: dict[str, Any]) -> str:
    """Return the field as a parameter; its default goes into the scope."""
    if field.default is not MISSING:
        scope[f"default_{field.name}"] = field.default
        return f"{field.name}=default_{field.name}"
    if field.default_factory is not MISSING:
        scope[f"new_{field.name}"] = field.default_factory
        return f"{field.name}=MISSING"
    return field.name
