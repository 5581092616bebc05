"""How the values of options are read from text and checked, wherever they were said.

A reader takes the text of a variable or a flag; a check takes a value of the program too, and may
replace it. Both raise ValueError with what would be right: "must be ...".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from protocol.errors import ConfigError
from worker_sdk.credentials import Credentials
from worker_sdk.job import JobType

__all__ = [
    "Check",
    "Reader",
    "between",
    "choice",
    "comma_words",
    "job_types",
    "member",
    "number",
    "port",
    "secret",
    "some_job_types",
    "text_that",
    "url",
    "whole_between",
    "whole_number",
]

# Reads the text of a variable or a flag. Raises ValueError: "must be ...".
Reader = Callable[[str], Any]
# Checks a value, wherever it is from, and may replace it. Raises ValueError, WireError.
Check = Callable[[Any], Any]


# ---- reading text ----


def whole_number(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"must be a whole number, not {text!r}") from None


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"must be a number, not {text!r}") from None


def comma_words(text: str) -> list[str]:
    """Words with commas between."""
    return [word.strip() for word in text.split(",") if word.strip()]


def choice(choices: type[Enum]) -> Reader:
    """One of the values of an enum."""

    def read(text: str) -> Enum:
        try:
            return choices(text.strip().lower().replace("-", "_"))
        except ValueError:
            words = any_of(choice.value for choice in choices)
            raise ValueError(f"must be {words}, not {text!r}") from None

    return read


def job_types(text: str) -> tuple[JobType, ...]:
    """Names of job types, with commas between."""
    by_name = {job_type.name.lower(): job_type for job_type in JobType}
    try:
        return tuple(by_name[word.lower().removeprefix("jt_")] for word in comma_words(text))
    except KeyError:
        raise ValueError(f"must be some of {any_of(by_name)}, with commas between") from None


def any_of(words: Iterable[str]) -> str:
    """These words in a sentence: `a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}"


# ---- checking values ----


def between(least: float, most: float) -> Check:
    """A number within these bounds, which count too."""

    def check(value: Any) -> Any:  # noqa: ANN401 - an int stays one
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"must be a number, not {value!r}")
        if not least <= value <= most:
            raise ValueError(f"must be {_digits(least)} to {_digits(most)}, not {_digits(value)}")
        return value

    return check


def whole_between(least: int, most: int) -> Check:
    """A whole number within these bounds, which count too."""
    is_between = between(least, most)

    def check(value: Any) -> int:  # noqa: ANN401
        is_between(value)
        if not isinstance(value, int):
            raise ValueError(f"must be a whole number, not {value!r}")
        return value

    return check


def _digits(value: float) -> str:
    """A number as people write it: 10000000, 0.5."""
    return f"{value:.16g}"


def port(value: Any) -> int | None:  # noqa: ANN401
    """A TCP port; 0 is a free one, None none."""
    return None if value is None else whole_between(0, 65_535)(value)


def some_job_types(value: Any) -> tuple[JobType, ...]:  # noqa: ANN401
    """At least one job type, each once."""
    try:
        types = tuple(dict.fromkeys(JobType(job_type) for job_type in value))
    except (TypeError, ValueError):
        raise ValueError(f"must be a list such as [JobType.ROOM], not {value!r}") from None
    if not types:
        raise ValueError("must name at least one JobType")
    return types


def member(choices: type[Enum]) -> Check:
    """A member of an enum, or its value."""

    def check(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, choices):
            return value
        if isinstance(value, str):
            return choice(choices)(value)
        raise ValueError(f"must be {any_of(choice.value for choice in choices)}")

    return check


def url(value: Any) -> str:  # noqa: ANN401
    """A server's address."""
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {value!r}")
    try:
        _ = Credentials(value, "", "").worker_url
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("url (LIVEKIT_URL) ")) from None
    return value


def text_that(check: Callable[[str], None]) -> Check:
    """A text that passes this check, which raises."""

    def checked(value: Any) -> str:  # noqa: ANN401
        if not isinstance(value, str):
            raise ValueError(f"must be text, not {value!r}")
        check(value)
        return value

    return checked


def secret(value: Any) -> str:  # noqa: ANN401
    """A text that is never told."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    if value != value.strip():
        raise ValueError("begins or ends with white space, as the end of a file's line would be")
    return value
