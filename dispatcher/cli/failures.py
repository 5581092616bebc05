"""What a person reads when a command fails: one line on stderr, and the exit code.

Only errors that were foreseen become a line; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer

from dispatcher.cli import INTERRUPTED
from protocol.errors import CallboardError, ConfigError, TwirpCode, TwirpError

FAILED = 1
WRONG_USAGE = 2


@dataclass(slots=True)
class Outcome:
    """The exit code of a command."""

    code: int = 0


class CommandFailed(CallboardError):
    """A command that could not do what it was asked; the message says why."""


@contextmanager
def exit_code_of_failure() -> Iterator[Outcome]:
    """Turn what is raised inside into a line on stderr and an exit code."""
    outcome = Outcome()
    try:
        yield outcome
        sys.stdout.flush()
    except ConfigError as error:
        outcome.code = _say(str(error), WRONG_USAGE)
    except CallboardError as error:
        outcome.code = _say(sentence(error), FAILED)
    except typer.Exit as error:
        outcome.code = error.exit_code
    except typer.Abort:
        outcome.code = _say("interrupted", INTERRUPTED)
    except typer.TyperException as error:
        message = getattr(error, "format_message", error.__str__)()
        outcome.code = _say(f"{_plain(message).rstrip('.')}; try --help", WRONG_USAGE)
    except KeyboardInterrupt:
        outcome.code = _say("interrupted", INTERRUPTED)
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read our output has gone: `callboard ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            outcome.code = FAILED
        else:
            place = f"{error.filename}: " if error.filename else ""
            outcome.code = _say(f"{place}{error.strerror or error}", FAILED)
    return


@contextmanager
def missing_is(text: str) -> Iterator[None]:
    """Say `text` where the server answers that what was asked for is not there."""
    try:
        yield
    except TwirpError as error:
        if error.code is TwirpCode.NOT_FOUND:
            raise CommandFailed(text) from None
        raise


# What the library advises a program, which has no options, and what we advise a person.
_ADVICE_FOR_PROGRAMS = (
    ("check that LIVEKIT_URL is", "check that --url (LIVEKIT_URL) is"),
    ("and that LIVEKIT_URL is", "and that --url (LIVEKIT_URL) is"),
    (", or give it more call_timeout_seconds", ""),
)


def sentence(error: CallboardError) -> str:
    """Return the error for a person, with what can be done about it where that is known."""
    if not isinstance(error, TwirpError):
        return _replaced(str(error), _ADVICE_FOR_PROGRAMS)
    from worker_sdk.errors import CREDENTIALS_ADVICE

    remedies = {
        TwirpCode.UNAUTHENTICATED: (
            "the server does not take this key: check --api-key and --api-secret"
            " (LIVEKIT_API_KEY, LIVEKIT_API_SECRET) against the server's keys, and both clocks"
        ),
        TwirpCode.BAD_ROUTE: "the server has no such call: check --url and the server's version",
    }
    # The library's own advice is for programs, which have no options.
    text = error.msg.removesuffix(CREDENTIALS_ADVICE).rstrip("; ") or error.code.value
    remedy = remedies.get(error.code)
    return f"{text}; {remedy}" if remedy else text


# How the library that reads options begins what it says of a value, and what we say.
_LIBRARY_WORDS = (
    ("Value error, ", ""),
    (
        "Input should be a valid integer, unable to parse string as an integer",
        "must be a whole number",
    ),
    ("Input should be a valid number, unable to parse string as a number", "must be a number"),
    ("Input should be greater than or equal to ", "must be at least "),
    ("Input should be less than or equal to ", "must be at most "),
    ("Input should be greater than ", "must be over "),
    ("Input should be less than ", "must be under "),
    ("Input should be ", "must be "),
)


def _plain(message: str) -> str:
    """Return what is wrong with an option, in the words of the rest of our messages."""
    return _replaced(message, _LIBRARY_WORDS)


def _replaced(text: str, words: Iterable[tuple[str, str]]) -> str:
    for theirs, ours in words:
        text = text.replace(theirs, ours)
    return text


def _say(text: str, code: int) -> int:
    line = " ".join(text.split())
    print(f"callboard: {line}", file=sys.stderr)
    return code
