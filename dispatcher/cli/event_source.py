"""A client of GET /events: reads the stream, and takes it up again where a connection broke.

Server-Sent Events as HTML's standard has them, as far as our server sends them. Who follows is held
through a restart of the server: it is asked again, with `Last-Event-ID`, until it has been away for
too long.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2

from protocol.errors import TwirpCode, TwirpError
from protocol.tokens import mint_api_token
from worker_sdk.backoff import CallBackoff
from worker_sdk.credentials import Credentials
from worker_sdk.errors import ServerUnreachable, UnexpectedAnswer

CONNECT_SECONDS_MAX = 10.0
# The server says something every 15 s; a stream that is silent for longer is dead.
SILENCE_SECONDS_MAX = 60.0
TOKEN_LIFE_SECONDS = 600.0

_GONE = "gone"


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One event: its number in the log, its kind, and what the API says of it."""

    sequence: int
    kind: str
    data: dict[str, Any]

    @property
    def is_gone(self) -> bool:
        """Does it say that events before this place are no longer there?"""
        return self.kind == _GONE


@dataclass(slots=True)
class EventSource:
    """Reads the events after `place` (None: those from now on).

    `retry_seconds_max` is how long the server may be away. Errors: TwirpError (its answer),
    ServerUnreachable, UnexpectedAnswer.
    """

    credentials: Credentials
    place: int | None
    follows: bool
    retry_seconds_max: float
    _backoff: CallBackoff = field(default_factory=CallBackoff)

    async def events(self) -> AsyncIterator[StreamedEvent]:
        """Yield the events, for ever if it follows, else up to the log's end."""
        failures, away_since = 0, anyio.current_time()
        timeout = httpx2.Timeout(CONNECT_SECONDS_MAX, read=SILENCE_SECONDS_MAX)
        async with httpx2.AsyncClient(timeout=timeout) as client:
            while True:
                cause = "the stream ended"
                refusal: TwirpError | None = None
                try:
                    async for event in self._read(client):
                        failures, away_since = 0, anyio.current_time()
                        if event is not None:
                            yield event
                    if not self.follows:
                        return
                except httpx2.TransportError as error:
                    cause = f"{type(error).__name__}: {error}"
                except TwirpError as error:
                    if error.code not in (TwirpCode.UNAVAILABLE, TwirpCode.RESOURCE_EXHAUSTED):
                        raise
                    refusal = error
                failures += 1
                pause_seconds = self._backoff.delay_seconds(failures, random.SystemRandom())
                away_seconds = anyio.current_time() - away_since + pause_seconds
                if away_seconds > self.retry_seconds_max:
                    # what the server said, if it said why
                    raise refusal or ServerUnreachable(self.credentials.api_url, cause, failures)
                await anyio.sleep(pause_seconds)

    async def _read(self, client: httpx2.AsyncClient) -> AsyncIterator[StreamedEvent | None]:
        """Yield what one connection brings; None for a block that only moves the place."""
        headers = {"Authorization": f"Bearer {self._token()}", "Accept": "text/event-stream"}
        if self.place is not None:
            headers["Last-Event-ID"] = str(self.place)
        params = {"follow": "true" if self.follows else "false"}
        url = f"{self.credentials.api_url}/events"
        async with client.stream("GET", url, headers=headers, params=params) as response:
            if response.status_code != httpx2.codes.OK:
                await response.aread()
                raise _refusal(response)
            kind, data = "", ""
            async for line in response.aiter_lines():
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if name == "id":
                    self.place = int(value)
                elif name == "event":
                    kind = value
                elif name == "data":
                    data = value
                elif not line:
                    place = self.place or 0
                    yield StreamedEvent(place, kind, json.loads(data)) if data else None
                    kind, data = "", ""

    def _token(self) -> str:
        return mint_api_token(
            self.credentials.api_key,
            self.credentials.api_secret,
            now_ns=time.time_ns(),
            dispatch_admin=True,
            life_seconds=TOKEN_LIFE_SECONDS,
        )


def _refusal(response: httpx2.Response) -> TwirpError | UnexpectedAnswer:
    status = response.status_code
    try:
        body = response.json()
        return TwirpError(TwirpCode(body["code"]), str(body["msg"]))
    except (ValueError, TypeError, KeyError):
        if status == httpx2.codes.UNAUTHORIZED:
            return TwirpError(TwirpCode.UNAUTHENTICATED, "the token was refused")
        return UnexpectedAnswer(str(response.url), status, "there is no event stream")
