"""What an HTTP answer of the server means: pure, one place for all status codes and bodies.

A message, an error for good (raised), or a `Failure` that may pass: 502, 503 and 504, whether the
server says why or a proxy that does not; 429 where it names a time (Retry-After) or gives no reason. A
429 with a reason and no time is a limit of the server's (so many rules): waiting does not help.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import DecodeError, Message

from protocol.errors import TwirpCode, TwirpError
from worker_sdk.client.retries import Failure
from worker_sdk.errors import CREDENTIALS_ADVICE, CredentialsRefused, UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROTOBUF", "Answer", "failure_of", "message_of"]

M = TypeVar("M", bound=Message)

PROTOBUF = "application/protobuf"
# Of what a server says in plain text, so much is shown.
SHOWN_CHARACTERS_MAX = 200

_PASSING = (
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_SECONDS_DIGITS_MAX = 9


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. Names of headers are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_ok(self) -> bool:
        """Was the call carried out?"""
        return self.status == HTTPStatus.OK

    @property
    def content_type(self) -> str:
        """The type of the body, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def message_of(answer: Answer, answer_type: type[M]) -> M:
    """The message in an answer that is OK. Raises UnexpectedAnswer."""
    if answer.content_type != PROTOBUF:
        raise UnexpectedAnswer(answer.url, answer.status, "the body is no protobuf message")
    try:
        return answer_type.FromString(answer.body)
    except DecodeError:
        reason = "the body is not the expected message"
    raise UnexpectedAnswer(answer.url, answer.status, reason)


def failure_of(answer: Answer, now_seconds: float | None = None) -> Failure:
    """The failure that an answer which is not OK is, where it may pass; else raises its error.

    TwirpError with the server's words, CredentialsRefused, UnexpectedAnswer. `now_seconds`: Unix time.
    """
    refusal = _refusal(answer)
    now = time.time() if now_seconds is None else now_seconds
    retry_after_seconds = _retry_after_seconds(answer.headers.get("retry-after", ""), now)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        if refusal is not None and retry_after_seconds is None:
            raise refusal
        # Refused before it was begun.
        return Failure(
            "HTTP 429",
            may_have_happened=False,
            retry_after_seconds=retry_after_seconds or 0.0,
            refusal=refusal
            or TwirpError(TwirpCode.RESOURCE_EXHAUSTED, "too many requests (HTTP 429)"),
        )
    if answer.status in _PASSING and (refusal is None or refusal.code is TwirpCode.UNAVAILABLE):
        return Failure(
            f"HTTP {answer.status} without a reason",
            may_have_happened=True,
            retry_after_seconds=retry_after_seconds or 0.0,
            refusal=refusal,
        )
    if refusal is None:
        raise UnexpectedAnswer(answer.url, answer.status, "the body is no Twirp error")
    raise refusal


def _refusal(answer: Answer) -> TwirpError | None:
    """The server's own error; None where the body is none, so that it may be a proxy's."""
    if answer.status == HTTPStatus.UNAUTHORIZED and answer.content_type != "application/json":
        # LiveKit answers a bad token before Twirp sees the call, in plain text.
        return _credentials_refused(_plain(answer.body))
    try:
        told: Any = json.loads(answer.body)
        error = TwirpError(TwirpCode(told["code"]), str(told["msg"]), told.get("meta"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if error.code is TwirpCode.UNAUTHENTICATED:
        return _credentials_refused(error.msg)
    return error


def _credentials_refused(told: str) -> CredentialsRefused:
    reason = f" ({told})" if told else ""
    return CredentialsRefused(
        TwirpCode.UNAUTHENTICATED, f"the token was refused{reason}; {CREDENTIALS_ADVICE}"
    )


def _plain(body: bytes) -> str:
    """The first line of a text, as far as a person may be shown it."""
    text = body[: 4 * SHOWN_CHARACTERS_MAX].decode("utf-8", "replace").strip()
    line = text.splitlines()[0][:SHOWN_CHARACTERS_MAX] if text else ""
    return line if line.isprintable() and not line.startswith("<") else ""


def _retry_after_seconds(text: str, now_seconds: float) -> float | None:
    """The time of a Retry-After (RFC 9110, 10.2.3: seconds or a date); None where there is none."""
    if text.isascii() and text.isdecimal():
        return float(text[:_SECONDS_DIGITS_MAX])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_seconds)
    except (ValueError, OverflowError):
        return None
