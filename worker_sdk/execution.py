"""Runs one job function to its end, in a task of this event loop, and says how it ended.

What every executor does in the end, in the worker's own process or in another: an exception of the
function never leaves here; a cancellation from outside the job does. Before the end is told, the
job's shutdown callbacks are called; they change nothing of it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import anyio

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
        await function(context)
    except anyio.get_cancelled_exc_class():
        if anyio.current_effective_deadline() == -math.inf:
            raise
        # Nobody cancelled this job: it awaited something of its own that was.
        return Outcome(OutcomeKind.FAILED, "something that the job awaited was cancelled")
    except SystemExit as error:
        return Outcome(OutcomeKind.FAILED, f"the job called exit({error.code!r})")
    except Exception as error:
        context.log.error(LogEvent.JOB_FAILED, exc_info=error)
        return Outcome(OutcomeKind.FAILED, error_line(error))
    return Outcome(OutcomeKind.SUCCESS)


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
    """An exception in one line: `ValueError: text`."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
