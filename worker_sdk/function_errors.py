"""What a user's function raised: told apart from its cancellation, and told in one line.

Invariant: nothing that a function raises, of whatever kind, is for anybody but who called it. Only a
cancellation from outside passes on, and what is Python's own: an interrupt, the end of a generator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import anyio

from protocol.limits import escaped_text

__all__ = ["error_line", "errors_line", "own_errors"]

# Of a group's exceptions so many are told.
LINE_ERRORS_MAX = 5


def own_errors(error: BaseException) -> list[BaseException]:
    """What a function raised by itself; called where `error` was caught.

    Empty: it awaited something of its own that was cancelled. Raises `error` again where that is no
    end of the function's own making.
    """
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        raise error
    # A task group of trio's adds its own cancellation to what was raised in it.
    cancellation = anyio.get_cancelled_exc_class()
    own = [each for each in _leaves(error) if not isinstance(each, cancellation)]
    if not own and anyio.current_effective_deadline() == -math.inf:
        raise error
    return own


def error_line(error: BaseException) -> str:
    """An exception in one line: `ValueError: text`; of a group, those that are in it.

    It can be sent, whatever the text is; nothing is raised here.
    """
    return errors_line(_leaves(error))


def _leaves(error: BaseException) -> list[BaseException]:
    """The exceptions that a group holds, at any depth; of any other exception itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in _leaves(each)]


def errors_line(errors: Sequence[BaseException]) -> str:
    """Exceptions in one line, with `;` between."""
    parts = [_part_of(error) for error in errors[:LINE_ERRORS_MAX]]
    if len(errors) > len(parts):
        parts.append(f"and {len(errors) - len(parts)} more")
    return escaped_text("; ".join(parts))


def _part_of(error: BaseException) -> str:
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - the user's own class
        text = "(its text raised)"
    return f"{name}: {text}" if text else name
