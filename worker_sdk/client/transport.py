"""One call over HTTP: its token, its deadline, its tries, and what its answer means.

A call is a POST of a protobuf message (Twirp). It is tried again, with the same X-Livekit-Request-Id,
as `retries` says. A write that is one only by that id is made again only where the server is one of
Callboard's, which heeds it: LiveKit's own makes a second dispatch. Which it is, is asked when it
matters, after an answer was lost.

Every error of the HTTP library ends here. Left to others: what is called (`dispatches`, `jobs` ...),
what an answer means (`answers`), whether and when to try again (`retries`).
"""

from __future__ import annotations

import random
import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit
from weakref import WeakSet

import httpx2
from google.protobuf.message import Message

from protocol.errors import InvalidField, TwirpCode, TwirpError
from protocol.tokens import mint_api_token
from worker_sdk.client.answers import PROTOBUF, Answer, failure_of, message_of
from worker_sdk.client.concurrency import chunks, deadline, now, sleep
from worker_sdk.client.retries import Failure, Repeatable, Tries
from worker_sdk.errors import UnexpectedAnswer

if TYPE_CHECKING:
    from worker_sdk.credentials import Credentials

__all__ = [
    "CALL_TIMEOUT_SECONDS",
    "RETRY_SECONDS_MAX",
    "Call",
    "Calls",
    "Transport",
]

M = TypeVar("M", bound=Message)

# Longer than the server's own (10 s), so that its answer is seen and not only its silence.
CALL_TIMEOUT_SECONDS = 15.0
# From the first try of a call to the last.
RETRY_SECONDS_MAX = 30.0
CONNECTIONS_MAX = 100
# Shorter than the server's own (30 s): a call must not meet a connection that is just being closed.
KEEP_ALIVE_SECONDS = 20.0
TOKEN_LIFE_SECONDS = 600.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024
REQUEST_ID_CHARACTERS_MAX = 256

# What is read of an answer at once, and so the most by which it may be too large, is 64 KiB.
_TOO_LARGE = f"the body is larger than {ANSWER_BYTES_MAX} bytes"
# The server was not even connected to.
_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


@dataclass(frozen=True, slots=True)
class Call(Generic[M]):
    """What is asked of a service. `room` None: one of Callboard's own services, else LiveKit's."""

    service: str
    method: str
    request: Message
    answer_type: type[M]
    repeatable: Repeatable = Repeatable.ALWAYS
    room: str | None = None
    # Names the call in all its tries; empty: a new name.
    request_id: str = ""
    # The answer, where a try finds gone what an earlier one may have deleted.
    gone: M | None = None

    @property
    def path(self) -> str:
        """The path of the call."""
        return f"/twirp/{self.service}/{self.method}"


class Reader(Protocol):
    """What reads over a connection for as long as it likes."""

    async def close(self) -> None:
        """Give the connection back."""
        ...


class Transport:
    """The pooled connections to one server. Any number of calls may be under way at once."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        call_timeout_seconds: float,
        retry_seconds_max: float,
        rng: random.Random | None,
        transport: httpx2.AsyncBaseTransport | None,
    ) -> None:
        self._credentials = credentials
        # Without a user and a password, which would be sent in the place of the token.
        self.url = _without_user(credentials.api_url)
        self._call_timeout_seconds = call_timeout_seconds
        self.retry_seconds_max = retry_seconds_max
        self.rng = rng or random.SystemRandom()
        # Is the server known to heed the id of a request?
        self._heeds_request_ids: bool | None = None
        # What reads over a connection of ours and was not dropped.
        self._readers: WeakSet[Reader] = WeakSet()
        self._http = httpx2.AsyncClient(
            base_url=self.url,
            timeout=call_timeout_seconds,
            transport=transport,
            limits=httpx2.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX,
                keepalive_expiry=KEEP_ALIVE_SECONDS,
            ),
        )

    def __repr__(self) -> str:
        return f"Transport({self.url!r})"

    def add(self, reader: Reader) -> None:
        """Close this too when the connections are closed."""
        self._readers.add(reader)

    async def close(self) -> None:
        """Close the connections."""
        for reader in list(self._readers):
            await reader.close()
        await self._http.aclose()

    async def call(self, call: Call[M]) -> M:
        """Make a call until it has an answer, within bounds.

        Raises TwirpError, CredentialsRefused, ServerUnreachable, CallTimedOut, UnexpectedAnswer.
        """
        request_id = _checked_request_id(call.request_id) or str(uuid.uuid4())
        body = call.request.SerializeToString()
        tries = Tries(self.retry_seconds_max, now())
        while True:
            outcome = await self._ask(call, body, request_id, tries.may_have_happened)
            if not isinstance(outcome, Failure):
                return outcome
            failure = outcome
            tries.note(failure)
            is_named = call.repeatable is Repeatable.BY_REQUEST_ID and tries.may_have_happened
            while True:
                repeatable = call.repeatable
                if is_named and self._heeds_request_ids is not None:
                    repeatable = Repeatable.ALWAYS if self._heeds_request_ids else Repeatable.NEVER
                pause = tries.pause_seconds(failure, repeatable, now(), self.rng)
                if pause is None:
                    # The last try decides: a server that says why it cannot is no server that is away.
                    raise failure.error(self.url, tries.failures, tries.may_have_happened)
                await sleep(pause)
                if not is_named or self._heeds_request_ids:
                    break
                told = await self._ask_whose_server()
                if isinstance(told, Failure):
                    failure = told
                    tries.note(failure)
                    continue
                self._heeds_request_ids = told
                if told:
                    break

    async def open(
        self, path: str, headers: dict[str, str], params: dict[str, str], timeout: httpx2.Timeout
    ) -> httpx2.Response | Answer | Failure:
        """GET something that goes on: the response is open where it is OK, and the caller's to close."""
        headers["Authorization"] = f"Bearer {self._token(None)}"
        request = self._http.build_request(
            "GET", path, headers=headers, params=params, timeout=timeout
        )
        try:
            response = await self._http.send(request, stream=True)
            if response.status_code == httpx2.codes.OK:
                return response
            with deadline(self._call_timeout_seconds):
                return await _read(response, now() + self._call_timeout_seconds)
        except httpx2.RequestError as error:
            return self._failure_to_reach(error)
        except TimeoutError:
            return self._too_slow()

    async def _ask(
        self, call: Call[M], body: bytes, request_id: str, may_have_happened: bool
    ) -> M | Failure:
        """Try a call once. `may_have_happened`: an earlier try may have been carried out."""
        answer = await self._post(call.path, call.room, body, request_id)
        if isinstance(answer, Failure):
            return answer
        if answer.is_ok:
            return message_of(answer, call.answer_type)
        try:
            return failure_of(answer)
        except TwirpError as error:
            # An earlier try has deleted it, and its answer was lost.
            if call.gone is None or not may_have_happened or error.code is not TwirpCode.NOT_FOUND:
                raise
            return call.gone

    async def _ask_whose_server(self) -> bool | Failure:
        """Does the server heed the ids of requests?"""
        # Only a server of ours answers this by a Twirp error: there is no job without an id.
        answer = await self._post(
            "/twirp/callboard.JobService/GetJob", None, b"", str(uuid.uuid4())
        )
        if isinstance(answer, Failure):
            return answer
        try:
            return failure_of(answer)
        except TwirpError as error:
            return error.code is TwirpCode.NOT_FOUND
        except UnexpectedAnswer:
            return False

    async def _post(
        self, path: str, room: str | None, body: bytes, request_id: str
    ) -> Answer | Failure:
        headers = {
            "Authorization": f"Bearer {self._token(room)}",
            "Content-Type": PROTOBUF,
            "X-Livekit-Request-Id": request_id,
        }
        until = now() + self._call_timeout_seconds
        try:
            with deadline(self._call_timeout_seconds):
                request = self._http.build_request("POST", path, content=body, headers=headers)
                return await _read(await self._http.send(request, stream=True), until)
        except httpx2.RequestError as error:
            return self._failure_to_reach(error)
        except TimeoutError:
            return self._too_slow()

    def _failure_to_reach(self, error: httpx2.RequestError) -> Failure:
        if isinstance(error, httpx2.TimeoutException) and not isinstance(error, _NEVER_SENT):
            return self._too_slow()
        return failure_to_reach(error)

    def _too_slow(self) -> Failure:
        return Failure(
            f"none within {self._call_timeout_seconds:g} s", may_have_happened=True, is_timeout=True
        )

    def _token(self, room: str | None) -> str:
        return mint_api_token(
            self._credentials.api_key,
            self._credentials.api_secret,
            now_ns=time.time_ns(),
            room=room or "",
            room_admin=room is not None,
            dispatch_admin=room is None,
            life_seconds=TOKEN_LIFE_SECONDS,
        )


class Calls:
    """Calls of a service, as methods: what `DispatchClient` is put together from."""

    _transport: Transport


def failure_to_reach(error: httpx2.RequestError) -> Failure:
    """The failure that an error of the HTTP library is."""
    told, kind = str(error), type(error).__name__
    return Failure(
        f"{kind}: {told}" if told else kind,
        may_have_happened=not isinstance(error, _NEVER_SENT),
    )


async def _read(response: httpx2.Response, until: float) -> Answer:
    """Read an answer to its end and close it. Raises TimeoutError, UnexpectedAnswer."""
    body = bytearray()
    url, status = str(response.url), response.status_code
    try:
        async with aclosing(chunks(response)) as parts:
            async for part in parts:
                body += part
                if len(body) > ANSWER_BYTES_MAX:
                    raise UnexpectedAnswer(url, status, _TOO_LARGE)
                if now() > until:
                    raise TimeoutError
    finally:
        await response.aclose()
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(url, status, headers, bytes(body))


def _checked_request_id(request_id: str) -> str:
    """A request id that a header can carry. Raises InvalidField."""
    if len(request_id) > REQUEST_ID_CHARACTERS_MAX:
        raise InvalidField("request_id", f"is over {REQUEST_ID_CHARACTERS_MAX} characters")
    if not (request_id.isascii() and request_id.isprintable()) or request_id != request_id.strip():
        raise InvalidField("request_id", "must be printable ASCII, without spaces around it")
    return request_id


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
