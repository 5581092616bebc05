"""Runs one job function to its end, in a task of this event loop, and says how it ended.

What every executor does in the end, in the worker's own process or in another: an exception of the
function, of whatever kind, never leaves here; a cancellation from outside the job does. Before the end is told, the
job's shutdown callbacks are called; they change nothing of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import anyio

from protocol.errors import ConfigError
from protocol.limits import escaped_text
from worker_sdk.function_errors import errors_line, own_errors
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
    "execute",
    "prewarm",
]

JobFunction = Callable[[JobContext], Awaitable[None]]
PrewarmFunction = Callable[[], object]


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
    except BaseException as error:  # noqa: BLE001 - what is not the job's own is raised again
        return _failure(own_errors(error), error, context)
    return Outcome(OutcomeKind.SUCCESS)


def _failure(raised: list[BaseException], error: BaseException, context: JobContext) -> Outcome:
    if not raised:
        # Nobody cancelled this job: it awaited something of its own that was.
        return Outcome(OutcomeKind.FAILED, "something that the job awaited was cancelled")
    if isinstance(raised[0], SystemExit):
        return Outcome(OutcomeKind.FAILED, escaped_text(f"the job called exit({raised[0].code!r})"))
    context.log.error(LogEvent.JOB_FAILED, exc_info=error)
    return Outcome(OutcomeKind.FAILED, errors_line(raised))


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
