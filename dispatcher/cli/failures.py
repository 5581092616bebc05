"""What a person reads when a command fails: one line on stderr, and the exit code.

Only errors that were foreseen become a line; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer

from protocol.errors import CallboardError, ConfigError, TwirpCode, TwirpError

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


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
        outcome.code = _say(f"{message.rstrip('.')}; try --help", WRONG_USAGE)
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


def sentence(error: CallboardError) -> str:
    """Return the error for a person, with what can be done about it where that is known."""
    if not isinstance(error, TwirpError):
        return str(error)
    remedies = {
        TwirpCode.UNAUTHENTICATED: (
            "the server does not take this key: check --api-key and --api-secret"
            " (LIVEKIT_API_KEY, LIVEKIT_API_SECRET) against the server's keys, and both clocks"
        ),
        TwirpCode.BAD_ROUTE: "the server has no such call: check --url and the server's version",
    }
    remedy = remedies.get(error.code)
    return f"{error.msg}; {remedy}" if remedy else error.msg or error.code.value


def _say(text: str, code: int) -> int:
    line = " ".join(text.split())
    print(f"callboard: {line}", file=sys.stderr)
    return code
