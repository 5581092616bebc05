"""Twirp: POST /twirp/<package>.<Service>/<Method>, in protobuf or JSON.

An ASGI application, and `Calls` for calls that come whole (`call_connection`).

A table says for each method what it is asked, who may ask, and who answers. The order of checks is
LiveKit's: a bad token is 401 in plain text before all else; then the route; then the body; then the
grant, which may depend on it. Errors are Twirp's, with LiveKit's words where it has some.

Left to others: what the methods do (`dispatch_service`, `job_service`, `worker_service`), which
text and bytes a message is (`protocol.codec`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar

import structlog
from google.protobuf.message import Message

from dispatcher.core.jobs import Nanoseconds
from dispatcher.metrics.call_counts import OTHER, CallCounts
from dispatcher.server.access import Access, Bearer, header
from dispatcher.server.bodies import read_body
from dispatcher.server.limits import ServerLimits
from protocol.codec import BodyFormat, body_format, parse_body, print_body
from protocol.errors import CallboardError, StoreError, TokenError, TwirpCode, TwirpError, WireError
from protocol.limits import check_text
from protocol.values import quick

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = structlog.get_logger()

PATH_START = "/twirp/"

_INTERNAL = TwirpError(TwirpCode.INTERNAL, "internal error")

Headers = list[tuple[bytes, bytes]]

Q = TypeVar("Q", bound=Message)


class Answer(NamedTuple):
    """An answer with a whole body."""

    status: int
    content_type: bytes
    body: bytes


@quick
@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, and which call this is: the same id means the same call again ("": none)."""

    bearer: Bearer
    request_id: str

    @property
    def project(self) -> str:
        """The project that the caller sees."""
        return self.bearer.project


@dataclass(frozen=True, slots=True)
class Method(Generic[Q]):
    """One row of the table.

    `takes_unknown` False: a JSON body with a field that we do not know is refused, where leaving it
    out would change what is asked for. `takes_unknown_names`: so is the name of an enum's value, but
    where LiveKit's own messages are passed on, which may be newer than we are.
    """

    request: type[Q]
    may_call: Callable[[Bearer, Q], bool]
    handle: Callable[[Call, Q], Awaitable[Message]]
    takes_unknown: bool = True
    takes_unknown_names: bool = False


# By service ("livekit.AgentDispatchService") and method.
MethodTable = Mapping[str, Mapping[str, Method[Any]]]


class Twirp:
    """The ASGI application for paths that begin with /twirp/."""

    def __init__(
        self,
        methods: MethodTable,
        access: Access,
        limits: ServerLimits,
        clock: Callable[[], Nanoseconds],
        note_damage: Callable[[StoreError], None] = lambda _: None,
        calls: CallCounts | None = None,
    ) -> None:
        self._services = frozenset(methods)
        self._methods = {
            f"{PATH_START}{service}/{name}": method
            for service, rows in methods.items()
            for name, method in rows.items()
        }
        self._targets = frozenset(path.encode() for path in self._methods)
        self._access = access
        self._limits = limits
        self._clock = clock
        # told of a store that is broken beyond trying again
        self._note_damage = note_damage
        self._calls = calls or CallCounts()
        # what calls of a path are counted as
        self._names = {path: path.removeprefix(PATH_START) for path in self._methods}

    def serves(self, path: str) -> bool:
        """Is a path below /twirp/ that of a service in the table, whatever its method?"""
        return path[len(PATH_START) :].partition("/")[0] in self._services

    @property
    def body_bytes_max(self) -> int:
        """The largest body that is read."""
        return self._limits.wire.body_bytes_max

    def takes(self, target: bytes) -> bool:
        """Is this request target, as it was sent, that of a method in the table?"""
        return target in self._targets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] == "POST":
            read = partial(
                read_body, receive, self.body_bytes_max, self._limits.body_timeout_seconds
            )
            answer = await self.answer(scope["path"], scope["headers"], scope["query_string"], read)
        else:
            answer = await self._refuse_method(scope)
        await send_answer(send, answer)

    async def answer(
        self, path: str, headers: Headers, query: bytes, body: Callable[[], Awaitable[bytes]]
    ) -> Answer:
        """Answer a POST; `body` reads its body, and raises TwirpError. Raises nothing itself."""
        return await self._answered(path, self._call(path, headers, query, body))

    async def _refuse_method(self, scope: Scope) -> Answer:
        async def refuse() -> Answer:
            self._access.bearer(scope["headers"], scope["query_string"], self._clock())
            _bad_route(f"unsupported method {scope['method']!r} (only POST is allowed)")

        return await self._answered(scope["path"], refuse())

    async def _answered(self, path: str, call: Awaitable[Answer]) -> Answer:
        """Await a call's answer, whatever it is, and count it."""
        began = time.perf_counter()
        answer = await self._told(path, call)
        self._calls.note(self._names.get(path, OTHER), answer.status, time.perf_counter() - began)
        return answer

    async def _told(self, path: str, call: Awaitable[Answer]) -> Answer:
        """Return the answer of a call, or how its error is told."""
        try:
            return await call
        except TokenError as error:
            return Answer(401, b"text/plain; charset=utf-8", f"{error}\n".encode())
        except WireError as error:
            return error_answer(error.as_twirp())
        except CallboardError as error:
            if error.retryable:
                return error_answer(TwirpError(TwirpCode.UNAVAILABLE, error.for_caller))
            if isinstance(error, StoreError):
                self._note_damage(error)
                return error_answer(TwirpError(TwirpCode.UNAVAILABLE, "the store is damaged"))
            log.exception("api_call_failed", path=path)
            return error_answer(_INTERNAL)
        except Exception:  # the edge: a bug of ours must not reach the caller
            log.exception("api_call_failed", path=path)
            return error_answer(_INTERNAL)

    async def _call(
        self, path: str, headers: Headers, query: bytes, read: Callable[[], Awaitable[bytes]]
    ) -> Answer:
        bearer = self._access.bearer(headers, query, self._clock())
        method = self._methods.get(path)
        if method is None:
            _bad_route(f"no handler for path {path[:200]!r}")
        form = body_format(header(headers, b"content-type"))
        if bearer is None:
            _deny()
        request = parse_body(
            await read(),
            form,
            method.request,
            self._limits.wire,
            ignore_unknown=method.takes_unknown,
            ignore_unknown_names=method.takes_unknown_names,
        )
        if not method.may_call(bearer, request):
            _deny()
        call = Call(bearer, self._request_id(headers))
        answer = await method.handle(call, request)
        return Answer(200, form.content_type.encode(), print_body(answer, form))

    def _request_id(self, headers: Headers) -> str:
        request_id = header(headers, b"x-livekit-request-id") or header(headers, b"idempotency-key")
        check_text("request id", request_id, self._limits.wire.label_bytes_max)
        return request_id


def _bad_route(msg: str) -> NoReturn:
    raise TwirpError(TwirpCode.BAD_ROUTE, msg)


def _deny() -> NoReturn:
    raise TwirpError(TwirpCode.UNAUTHENTICATED, "permissions denied")


def error_answer(error: TwirpError) -> Answer:
    """Return how an error is told."""
    body = json.dumps(error.to_json()).encode()
    # Exactly this type: LiveKit's Node client parses errors of no other.
    return Answer(error.http_status, BodyFormat.JSON.content_type.encode(), body)


async def send_answer(send: Send, answer: Answer) -> None:
    """Answer with a whole body."""
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
