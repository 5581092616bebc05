"""Whether a call is made again, and when: pure, with time and chance as arguments.

Which failures may pass is told by `answers` and the transport; here it is weighed against what was
asked for. A call that has surely done nothing is made again whatever it is. One that may have been
carried out, its answer lost, is made again only where twice is the same as once.

All tries of a call begin within `retry_seconds_max`; the pauses between them have full jitter under a
bound that doubles, on top of what the server asks for (Retry-After).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from worker_sdk.backoff import CallBackoff
from worker_sdk.errors import CallTimedOut, ServerUnreachable

if TYPE_CHECKING:
    import random

    from protocol.errors import TwirpError

__all__ = ["Failure", "Repeatable", "Tries"]


class Repeatable(Enum):
    """What it does to make a call twice, where the first may have been carried out."""

    # Reads; writes that carry what makes them one (a room event's id, a rule's version), or that
    # leave the same behind however often they are made (deletions).
    ALWAYS = "always"
    # Writes that are named by their X-Livekit-Request-Id: with a server that heeds it.
    BY_REQUEST_ID = "by_request_id"
    # Writes that would undo what another has written in between.
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that may go well another time."""

    cause: str
    # It may have been carried out all the same.
    may_have_happened: bool
    is_timeout: bool = False
    # What the server asks for.
    retry_after_seconds: float = 0.0
    # The server's own words, where it gave a reason.
    refusal: TwirpError | None = None

    def error(
        self, url: str, attempts: int, may_have_happened: bool
    ) -> TwirpError | ServerUnreachable:
        """The error to raise when this was the last of so many tries."""
        if self.refusal is not None:
            return self.refusal
        kind = CallTimedOut if self.is_timeout else ServerUnreachable
        return kind(url, self.cause, attempts, may_have_happened)


@dataclass(slots=True)
class Tries:
    """The failed tries of one call, or of one stream's connection since it was last well."""

    retry_seconds_max: float
    started_at: float
    backoff: CallBackoff = field(default_factory=CallBackoff)
    failures: int = 0
    # One of them may have been carried out.
    may_have_happened: bool = False

    def note(self, failure: Failure) -> None:
        """Count a try that failed."""
        self.failures += 1
        self.may_have_happened = self.may_have_happened or failure.may_have_happened

    def pause_seconds(
        self, failure: Failure, repeatable: Repeatable, now: float, rng: random.Random
    ) -> float | None:
        """How long to wait before the next try; None: there is none."""
        if self.may_have_happened and repeatable is Repeatable.NEVER:
            return None
        pause = failure.retry_after_seconds + self.backoff.delay_seconds(self.failures, rng)
        return pause if now - self.started_at + pause < self.retry_seconds_max else None
