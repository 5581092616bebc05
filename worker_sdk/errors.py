"""Errors that the SDK raises to the program that uses it: what happened, and what to do about it.

    CallboardError                      (protocol.errors)
    ├── ConfigError                     a setting is missing or wrong
    ├── TwirpError                      the server's own answer to an API call
    ├── ServerUnreachable               (retryable) no answer, after all retries
    └── UnexpectedAnswer                an answer that no Callboard or LiveKit server gives

What happens inside a running worker (a lost connection, a refused token) is logged and retried; it
is not raised.
"""

from __future__ import annotations

from protocol.errors import CallboardError

__all__ = ["CREDENTIALS_ADVICE", "ServerUnreachable", "UnexpectedAnswer"]

CREDENTIALS_ADVICE = (
    "check that LIVEKIT_API_KEY and LIVEKIT_API_SECRET are a pair that the server knows, and that"
    " both clocks agree"
)


class ServerUnreachable(CallboardError):
    """No answer from the server, in spite of retries. A create may or may not have happened."""

    retryable = True

    def __init__(self, url: str, cause: str, attempts: int) -> None:
        super().__init__(url, cause, attempts)
        self.url = url
        self.cause = cause
        self.attempts = attempts

    def __str__(self) -> str:
        return (
            f"no answer from {self.url} in {self.attempts} attempts ({self.cause}); "
            "check that the server runs and that LIVEKIT_URL is its address"
        )


class UnexpectedAnswer(CallboardError):
    """An HTTP answer that is not Twirp's: most likely the URL is another program's."""

    def __init__(self, url: str, status: int, reason: str) -> None:
        super().__init__(url, status, reason)
        self.url = url
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"{self.url} answered HTTP {self.status} ({self.reason}); "
            "check that LIVEKIT_URL is the address of a Callboard or LiveKit server"
        )
