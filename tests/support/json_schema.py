"""As much of JSON Schema as our schema uses: whether a document fits it.

A keyword that is not known here fails, so that none is passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PASSED_OVER = {"$schema", "$defs", "title", "description"}


def fits(
    document: object, schema: Mapping[str, Any], root: Mapping[str, Any] | None = None
) -> bool:
    """Does the document fit the schema? `root` has the definitions that it refers to."""
    root = root or schema
    return all(
        _holds(keyword, value, document, schema, root)
        for keyword, value in schema.items()
        if keyword not in _PASSED_OVER
    )


def _holds(
    keyword: str,
    value: Any,
    document: object,
    schema: Mapping[str, Any],
    root: Mapping[str, Any],
) -> bool:
    number = document if isinstance(document, int | float) else None
    if isinstance(document, bool):
        number = None
    match keyword:
        case "$ref":
            return fits(document, root["$defs"][value.removeprefix("#/$defs/")], root)
        case "type":
            return any(
                _is_a(document, name) for name in ([value] if isinstance(value, str) else value)
            )
        case "enum":
            return document in value
        case "anyOf":
            return any(fits(document, each, root) for each in value)
        case "oneOf":
            return sum(fits(document, each, root) for each in value) == 1
        case "minimum":
            return number is None or number >= value
        case "maximum":
            return number is None or number <= value
        case "minLength":
            return not isinstance(document, str) or len(document) >= value
        case "pattern":
            return not isinstance(document, str) or re.search(value, document) is not None
        case "required":
            return not isinstance(document, dict) or set(value) <= set(document)
        case "properties":
            return not isinstance(document, dict) or all(
                fits(document[name], each, root) for name, each in value.items() if name in document
            )
        case "additionalProperties":
            if not isinstance(document, dict):
                return True
            others = [
                document[name] for name in document if name not in schema.get("properties", {})
            ]
            return not others if value is False else all(fits(each, value, root) for each in others)
        case "items":
            return not isinstance(document, list) or all(
                fits(each, value, root) for each in document
            )
        case "minItems":
            return not isinstance(document, list) or len(document) >= value
        case _:
            raise AssertionError(f"{keyword} is not known here")


def _is_a(document: object, name: str) -> bool:
    match name:
        case "object":
            return isinstance(document, dict)
        case "array":
            return isinstance(document, list)
        case "string":
            return isinstance(document, str)
        case "boolean":
            return isinstance(document, bool)
        case "null":
            return document is None
        case "integer" | "number":
            is_number = isinstance(document, int | float) and not isinstance(document, bool)
            return is_number and (name == "number" or document == int(document))  # type: ignore[call-overload]
        case _:
            raise AssertionError(f"{name} is not known here")
