"""How the log of a worker program looks: coloured lines for people, JSON lines for machines.

Set up by `worker.run()` alone, and only where the program has not configured structlog itself: a
worker that serves inside another program's loop logs as that program does. Everything goes to
standard error; where that takes nothing, lines are lost and nothing else is.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, cast

import structlog

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import Processor

__all__ = ["LogFormat", "LogLevel", "configure_logs"]


class LogLevel(Enum):
    """The least important event that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(Enum):
    """How a log line looks."""

    AUTO = "auto"  # for people on a terminal, else JSON
    HUMAN = "human"
    JSON = "json"


class _Unfailing:
    """A file for logs alone: a line that cannot be written (a full disk) is lost, and ends no job."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write it, if that is possible."""
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Hand it to the operating system, if that is possible."""
        with suppress(OSError):
            self._file.flush()


def configure_logs(level: LogLevel, log_format: LogFormat) -> None:
    """Set up structlog for this process, unless that was done."""
    if structlog.is_configured():
        return
    out = sys.stderr
    for_people = log_format is LogFormat.HUMAN or (log_format is LogFormat.AUTO and out.isatty())
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(
            fmt="%H:%M:%S.%f" if for_people else "iso", utc=not for_people
        ),
    ]
    # Tracebacks without local variables, which may hold tokens.
    if for_people:
        plain = structlog.dev.plain_traceback
        processors.append(
            structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=plain)
        )
    else:
        processors += [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=repr),
        ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.name]
        ),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Unfailing(out))),
        cache_logger_on_first_use=False,
    )
