"""What a job wants done when it is over: its shutdown callbacks.

They are called when the job's function has returned, raised or was cancelled, the last added first,
one after the other, shielded from cancellation, and all within one deadline. Whatever they do, the
job ends as its function did: the work is done or it is not, and that is what the server is told. A
callback that raises is logged and stops no other; those that the deadline cuts off are logged.

A process that is killed or crashes calls none: what must not be lost is saved while the job runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

import anyio

from protocol.errors import ConfigError
from worker_sdk.function_errors import own_errors
from worker_sdk.log_events import LogEvent

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = [
    "SHUTDOWN_SECONDS_MAX_DEFAULT",
    "ShutdownCallback",
    "ShutdownCallbacks",
    "ShutdownReason",
]

# As LiveKit's SDK has it; less than what a job that is told to stop has until it is killed.
SHUTDOWN_SECONDS_MAX_DEFAULT = 10.0
CALLBACKS_MAX = 1000


class ShutdownReason(StrEnum):
    """How the job's function ended."""

    RETURNED = "returned"
    FAILED = "failed"  # it raised
    STOPPED = "stopped"  # it was cancelled: the job is over, or goes on at another worker


# Synchronous or not; called with the reason where it has a parameter that must be given.
ShutdownCallback = Callable[[], object] | Callable[[ShutdownReason], object]


class ShutdownCallbacks:
    """The shutdown callbacks of one job."""

    def __init__(self) -> None:
        self._callbacks: list[tuple[ShutdownCallback, bool]] = []
        self._has_run = False

    def add(self, callback: ShutdownCallback) -> None:
        """Call it before those that were added earlier. Raises ConfigError for what cannot be."""
        if self._has_run:
            raise ConfigError("the job is over: its shutdown callbacks have been called")
        if len(self._callbacks) >= CALLBACKS_MAX:
            raise ConfigError(f"a job has at most {CALLBACKS_MAX} shutdown callbacks")
        self._callbacks.append((callback, _wants_reason(callback)))

    async def run(
        self, reason: ShutdownReason, seconds_max: float, log: FilteringBoundLogger
    ) -> None:
        """Call them all, and those that they add. Raises nothing of theirs."""
        if self._callbacks:
            with anyio.move_on_after(seconds_max, shield=True) as scope:
                while self._callbacks:
                    callback, wants_reason = self._callbacks.pop()
                    await _call(callback, (reason,) if wants_reason else (), log)
            if scope.cancelled_caught:
                log.error(
                    LogEvent.SHUTDOWN_CUT_OFF,
                    seconds_max=seconds_max,
                    not_called=len(self._callbacks),
                )
                self._callbacks.clear()
        self._has_run = True


async def _call(
    callback: ShutdownCallback,
    arguments: tuple[ShutdownReason, ...],
    log: FilteringBoundLogger,
) -> None:
    try:
        result = callback(*arguments)
        if inspect.isawaitable(result):
            await result
    except BaseException as error:
        own_errors(error)  # raises what is not
        log.error(LogEvent.SHUTDOWN_CALLBACK_FAILED, callback=_name(callback), exc_info=error)


def _wants_reason(callback: ShutdownCallback) -> bool:
    """Must it be given an argument? An optional one is not the reason (`close(code=1000)`)."""
    try:
        signature = inspect.signature(callback)
    except (TypeError, ValueError):  # written in C, and says nothing of its parameters
        if not callable(callback):
            raise ConfigError(f"{callback!r} is no function: nothing to call") from None
        return False
    for arguments in ((), (ShutdownReason.RETURNED,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise ConfigError(
        f"the shutdown callback {_name(callback)} must take no argument, or the reason alone"
    )


def _name(callback: ShutdownCallback) -> str:
    return getattr(callback, "__qualname__", None) or repr(callback)
