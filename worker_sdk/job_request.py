"""What a request handler is given, an offered job, and how it is asked for its decision.

Invariants: whatever a handler does ends in an answer within a bound, and one that decides nothing,
raises, exits or takes too long has declined; an acceptance can be sent as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio

from protocol.errors import ConfigError, WireError
from protocol.limits import (
    DEFAULT_LIMITS,
    check_attributes,
    check_identity,
    check_metadata,
    check_text,
)
from worker_sdk.function_errors import errors_line, own_errors
from worker_sdk.log_events import LogEvent

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from worker_sdk.job import Job

__all__ = ["Decision", "JobRequest", "Participation", "RequestHandler", "ask"]

# The server counts an offer as unanswered after 10 s.
REQUEST_HANDLER_SECONDS_MAX = 9.0

_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})

# Synchronous or not.
RequestHandler = Callable[["JobRequest"], Awaitable[None] | None]


class Decision(Enum):
    """How an offer is answered."""

    ACCEPT = "accept"
    DECLINE = "decline"  # not here, not now: the server asks another worker, or later
    TERMINATE = "terminate"  # nowhere: the job ends without having run


@dataclass(frozen=True, slots=True)
class Participation:
    """The participant that the agent is to be in the room."""

    identity: str = ""
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: _NO_ATTRIBUTES)


def _check(participation: Participation) -> None:
    """Refuse what could not be sent, or would be refused there: ConfigError."""
    for name in ("identity", "name", "metadata"):
        _check_text(name, getattr(participation, name))
    for key, value in participation.attributes.items():
        _check_text("attributes", key)
        _check_text(f"attributes[{key!r}]", value)
    try:
        check_identity("identity", participation.identity)
        check_text("name", participation.name, DEFAULT_LIMITS.participant_name_bytes_max)
        check_metadata("metadata", participation.metadata)
        check_attributes("attributes", participation.attributes)
    except WireError as error:
        raise ConfigError(f"accept: {error}") from None


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"accept: {name} must be text, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"accept: {name} cannot be sent: {error}") from None


class JobRequest:
    """An offered job: the argument of a request handler, which makes exactly one decision.

    The answer is sent when the handler returns. A handler that decides nothing, raises or takes
    too long declines; the last decision counts.
    """

    def __init__(self, job: Job, *, resuming: bool, attempt: int, attempt_reason: str) -> None:
        self.job = job
        self.resuming = resuming
        self.attempt = attempt
        self.attempt_reason = attempt_reason
        # What was decided so far; read by the worker.
        self.decision: Decision | None = None
        self.participation = Participation()

    def __repr__(self) -> str:
        return f"<JobRequest {self.job.id} {self.decision.value if self.decision else 'undecided'}>"

    def accept(
        self,
        *,
        identity: str = "",
        name: str = "",
        metadata: str = "",
        attributes: Mapping[str, str] = _NO_ATTRIBUTES,
    ) -> None:
        """Take the job. `identity` empty: `agent-<job id>`, as LiveKit's SDK has it.

        Raises ConfigError for what a server cannot be told: no text, or too much of it.
        """
        participation = Participation(identity, name, metadata, dict(attributes))
        _check(participation)
        self.decision = Decision.ACCEPT
        self.participation = participation

    def decline(self) -> None:
        """Not here, not now."""
        self.decision = Decision.DECLINE

    def terminate(self) -> None:
        """End the job without running it anywhere."""
        self.decision = Decision.TERMINATE


async def ask(handler: RequestHandler, request: JobRequest, log: FilteringBoundLogger) -> str:
    """Have a handler decide. Returns what was wrong with it, which declined; "" where nothing was."""
    wrong = ""
    failure: BaseException | None = None
    with anyio.move_on_after(REQUEST_HANDLER_SECONDS_MAX) as scope:
        try:
            deciding = handler(request)
            if inspect.isawaitable(deciding):
                await deciding
        except BaseException as error:  # noqa: BLE001 - what is not its own is raised again
            own, failure = own_errors(error), error
            wrong = f"raised {errors_line(own)}" if own else "awaited what was cancelled"
    if scope.cancelled_caught:
        wrong = f"made no decision within {REQUEST_HANDLER_SECONDS_MAX:g} s"
    if wrong:
        request.decline()
        log.error(
            LogEvent.REQUEST_HANDLER_FAILED, job_id=request.job.id, cause=wrong, exc_info=failure
        )
    return wrong
