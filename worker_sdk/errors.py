"""Errors that the SDK raises to the program that uses it: what happened, and what to do about it.

    CallboardError                      (protocol.errors)
    ├── ConfigError                     a setting is missing or wrong
    ├── TwirpError                      the server's own answer to an API call
    │   └── CredentialsRefused          it does not take the API key, or the token made with it
    ├── ServerUnreachable               (retryable) no answer, after all retries
    │   └── CallTimedOut                (retryable) connected, and no answer in time
    ├── UnexpectedAnswer                an answer that no Callboard or LiveKit server gives
    └── EventsGone                      events that were asked for are no longer kept

No message, repr or argument holds a secret, a token or a body. What happens inside a running worker
(a lost connection, a refused token) is logged and retried; it is not raised.
"""

from __future__ import annotations

from http import HTTPStatus

from protocol.errors import CallboardError, TwirpError

__all__ = [
    "CREDENTIALS_ADVICE",
    "CallTimedOut",
    "CredentialsRefused",
    "EventsGone",
    "ServerUnreachable",
    "UnexpectedAnswer",
]

CREDENTIALS_ADVICE = (
    "check that LIVEKIT_API_KEY and LIVEKIT_API_SECRET are a pair that the server knows, and that"
    " both clocks agree"
)


class CredentialsRefused(TwirpError):
    """The server does not take our token (`unauthenticated`). Trying again does not help."""


class ServerUnreachable(CallboardError):
    """No answer from the server, in spite of retries.

    `may_have_happened`: a try may have reached it, so that what was asked for may be done or not.
    """

    retryable = True

    def __init__(
        self, url: str, cause: str, attempts: int, may_have_happened: bool = False
    ) -> None:
        super().__init__(url, cause, attempts, may_have_happened)
        self.url = url
        self.cause = cause
        self.attempts = attempts
        self.may_have_happened = may_have_happened

    def __str__(self) -> str:
        return (
            f"no answer from {self.url} in {_attempts(self.attempts)} ({self.cause});"
            " check that the server runs and that LIVEKIT_URL is its address"
            + self._what_may_have_happened
        )

    @property
    def _what_may_have_happened(self) -> str:
        return "; what was asked for may be done or not" if self.may_have_happened else ""


class CallTimedOut(ServerUnreachable):
    """The server was connected, and gave no answer in time."""

    def __str__(self) -> str:
        return (
            f"no answer from {self.url} in {_attempts(self.attempts)} ({self.cause});"
            " it is connected but slow: see its log, or give it more call_timeout_seconds"
            + self._what_may_have_happened
        )


class UnexpectedAnswer(CallboardError):
    """An HTTP answer that is not Twirp's: most likely the URL is another program's."""

    def __init__(self, url: str, status: int, reason: str) -> None:
        super().__init__(url, status, reason)
        self.url = url
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        answered = f"{self.url} answered HTTP {self.status} ({self.reason}); "
        if self.status == HTTPStatus.NOT_FOUND and "/twirp/callboard." in self.url:
            return answered + (
                "check that LIVEKIT_URL is Callboard's address: livekit-server has dispatches alone"
            )
        return answered + "check that LIVEKIT_URL is the address of a Callboard or LiveKit server"


class EventsGone(CallboardError):
    """Events that a stream asked for are not there; it can go on with number `next_sequence`.

    They were pruned before they were read; or (`is_of_another_log`) the number `after` is of another
    log than the server's: its store was replaced, or is a backup's. Either way, what was built from
    events has to be read anew (`list_jobs`).
    """

    def __init__(self, after: int, next_sequence: int) -> None:
        super().__init__(after, next_sequence)
        self.after = after
        self.next_sequence = next_sequence

    @property
    def is_of_another_log(self) -> bool:
        """Has the server's log not come as far as what was asked for?"""
        return self.next_sequence <= self.after

    @property
    def resume_after(self) -> int:
        """The `after` with which a stream goes on."""
        return self.next_sequence - 1

    @property
    def told(self) -> str:
        """What is not there, in words."""
        if self.is_of_another_log:
            return f"there is no event {self.after} yet: this log goes on at {self.next_sequence}"
        return f"events {self.after + 1} to {self.resume_after} are no longer kept"

    def __str__(self) -> str:
        return (
            f"{self.told}; read what is there now (list_jobs), then go on with"
            f" after={self.resume_after}"
        )


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"
