"""Runs one job function to its end, in a task of this event loop, and says how it ended.

What every executor does in the end, in the worker's own process or in another: an exception of the
function, of whatever kind, never leaves here; a cancellation from outside the job does. Before the end is told, the
job's shutdown callbacks are called; they change nothing of it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import anyio

from protocol.errors import ConfigError
from protocol.limits import escaped_text
from worker_sdk.job import JobContext
from worker_sdk.log_events import LogEvent
from worker_sdk.shutdown import SHUTDOWN_SECONDS_MAX_DEFAULT, ShutdownReason

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from worker_sdk.planner import Start

__all__ = [
    "JobFunction",
    "Outcome",
    "OutcomeKind",
    "PrewarmFunction",
    "context_for",
    "error_line",
    "execute",
    "is_being_cancelled",
    "prewarm",
]

JobFunction = Callable[[JobContext], Awaitable[None]]
PrewarmFunction = Callable[[], object]


# Of a group's exceptions so many are told.
LINE_ERRORS_MAX = 5


class OutcomeKind(Enum):
    """How a job function ended. The values are those of the worker's own record."""

    SUCCESS = "success"  # it returned
    FAILED = "failed"  # it raised
    STOPPED = "stopped"  # it was cancelled and let the cancellation pass


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job function ended; `error` is one line for people, of a failure only."""

    kind: OutcomeKind
    error: str = ""


_SHUTDOWN_REASONS = {
    OutcomeKind.SUCCESS: ShutdownReason.RETURNED,
    OutcomeKind.FAILED: ShutdownReason.FAILED,
    OutcomeKind.STOPPED: ShutdownReason.STOPPED,
}


async def execute(
    function: JobFunction,
    context: JobContext,
    scope: anyio.CancelScope,
    shutdown_seconds_max: float = SHUTDOWN_SECONDS_MAX_DEFAULT,
) -> Outcome:
    """Run the function inside `scope`; whoever cancels the scope stops it."""
    outcome = Outcome(OutcomeKind.STOPPED)
    try:
        with scope:
            outcome = await _outcome_of(function, context)
    finally:
        # Also when all is cancelled: the callbacks are shielded.
        await context.shutdown_callbacks.run(
            _SHUTDOWN_REASONS[outcome.kind], shutdown_seconds_max, context.log
        )
    return outcome


async def _outcome_of(function: JobFunction, context: JobContext) -> Outcome:
    try:
        running: object = function(context)
        if not inspect.isawaitable(running):
            raise ConfigError("the job function must be defined with `async def`")
        await running
    except (KeyboardInterrupt, GeneratorExit):  # Python's own: not for the job alone
        raise
    except BaseException as error:
        # A task group of trio's adds its own cancellation to what was raised in it.
        cancellation = anyio.get_cancelled_exc_class()
        raised = [each for each in _leaves(error) if not isinstance(each, cancellation)]
        if not raised and is_being_cancelled():
            raise
        return _failure(raised, error, context)
    return Outcome(OutcomeKind.SUCCESS)


def _failure(raised: list[BaseException], error: BaseException, context: JobContext) -> Outcome:
    if not raised:
        # Nobody cancelled this job: it awaited something of its own that was.
        return Outcome(OutcomeKind.FAILED, "something that the job awaited was cancelled")
    if isinstance(raised[0], SystemExit):
        return Outcome(OutcomeKind.FAILED, escaped_text(f"the job called exit({raised[0].code!r})"))
    context.log.error(LogEvent.JOB_FAILED, exc_info=error)
    return Outcome(OutcomeKind.FAILED, _line_of(raised))


def is_being_cancelled() -> bool:
    """Has a scope around this task been cancelled? Else who is cancelled awaited what was."""
    return anyio.current_effective_deadline() == -math.inf


async def prewarm(function: PrewarmFunction) -> None:
    """Call a prewarm function, which is synchronous or not; what it raises passes."""
    result = function()
    if inspect.isawaitable(result):
        await result


def context_for(start: Start, log: FilteringBoundLogger) -> JobContext:
    """What the job function is given; `log` has job, room and attempt bound already."""
    if start.job.participant is not None:
        log = log.bind(participant=start.job.participant.identity)
    return JobContext(
        job=start.job,
        attempt=start.attempt,
        attempt_reason=start.attempt_reason,
        epoch=start.epoch,
        resuming=start.resuming,
        url=start.url,
        token=start.token,
        log=log,
    )


def error_line(error: BaseException) -> str:
    """An exception in one line: `ValueError: text`; of a group, those that are in it.

    It can be sent, whatever the text is; nothing is raised here.
    """
    return _line_of(_leaves(error))


def _leaves(error: BaseException) -> list[BaseException]:
    """The exceptions that a group holds, at any depth; of any other exception itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in _leaves(each)]


def _line_of(errors: Sequence[BaseException]) -> str:
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
