"""Every call of LiveKit's API that is not ours, to the SFU and back, as it came (G10).

So a backend and the agents get by with one LIVEKIT_URL, which is ours. Method, path, query, body and
headers go on, status, headers and body come back; only what belongs to one connection is left out.
A token of a key of ours that the SFU does not know is verified, and goes on signed with the SFU's
key. Nothing is tried again: the caller decides that, and knows whether its call may be repeated.

CreateRoom is read on the way where rooms' agents are ours to dispatch (no bridge): the SFU is asked
for none of them (`create_room`), and when it has said yes `rooms` is told what was asked for, and
which room it is; the caller is answered after that.

Media never come here. Whoever looks for a room at our address is told where the rooms are.

Left to others: what is ours (`twirp`), our own calls to the SFU (`dispatcher.sfu.client`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import httpx2
import structlog

from dispatcher.core.jobs import Nanoseconds
from dispatcher.server.access import Access, ApiKey, find_token, header
from dispatcher.server.bodies import read_body
from dispatcher.server.create_room import RoomMaking, without_agents
from dispatcher.server.limits import ServerLimits
from dispatcher.server.twirp import Answer, error_answer, send_answer
from dispatcher.sfu.access import SfuAccess, claimed_key
from dispatcher.sfu.client import SfuError, http_pool, one_line
from dispatcher.sfu.limits import SfuLimits
from protocol import wire_pb2
from protocol.codec import body_format, parse_body
from protocol.errors import CallboardError, TokenError, TwirpCode, TwirpError, WireError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["Passthrough", "is_of_media"]

log = structlog.get_logger()

_CREATE_ROOM = "/twirp/livekit.RoomService/CreateRoom"
_PATH = re.compile(r"/twirp/livekit\.[\w.]+/\w+", re.ASCII)
_MEDIA = re.compile(r"/+rtc(/|$)")

# What belongs to one connection (RFC 9110, section 7.6.1), or is made anew for the next one.
_OF_ONE_CONNECTION = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
        b"host",
        b"content-length",
        b"date",
    }
)

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the SFU answered."""

    status: int
    headers: Headers
    body: bytes


class Passthrough:
    """The ASGI application for calls that are the SFU's. `sfu` None: there is no SFU.

    `project` is whose rooms the SFU's are, where a token's key is not one of ours. `transport`
    replaces the network, for tests.
    """

    def __init__(
        self,
        sfu: SfuAccess | None,
        keys: Mapping[str, ApiKey],
        project: str,
        clock: Callable[[], Nanoseconds],
        limits: ServerLimits,
        sfu_limits: SfuLimits | None = None,
        rooms: RoomMaking | None = None,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._sfu = sfu
        self._keys = keys
        self._project = project
        self._access = Access(keys, limits.wire)
        self._clock = clock
        self._limits = limits
        self._sfu_limits = sfu_limits or SfuLimits()
        self._rooms = rooms
        self._transport = transport
        # made at the first call: many servers have none
        self._http: httpx2.AsyncClient | None = None
        self._under_way = 0
        # what their bodies may take
        self._reserved_bytes = 0
        # has the SFU not answered last time?
        self._is_away = False

    async def close(self) -> None:
        """Close the pooled connections."""
        if self._http is not None:
            await self._http.aclose()

    @staticmethod
    def takes(scope: Scope) -> bool:
        """Has this request the path of a call of LiveKit's API, whatever its method?"""
        return _PATH.fullmatch(scope["path"]) is not None

    @property
    def has_sfu(self) -> bool:
        """Is there somebody to pass calls on to?"""
        return self._sfu is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        try:
            answer = await self._answer(scope, receive)
        except TokenError as error:
            await send_answer(
                send, Answer(401, b"text/plain; charset=utf-8", f"{error}\n".encode())
            )
        except WireError as error:
            await send_answer(send, error_answer(error.as_twirp()))
        except CallboardError as error:
            code = TwirpCode.UNAVAILABLE if error.retryable else TwirpCode.INTERNAL
            if isinstance(error, SfuError) and not error.retryable:  # its answer, no bug of ours
                log.warning("sfu_call_failed", path=scope["path"], reason=str(error))
            elif not error.retryable:
                log.exception("api_call_failed", path=scope["path"])
            await send_answer(send, error_answer(TwirpError(code, error.for_caller)))
        except Exception:  # the edge: a bug of ours must not reach the caller
            log.exception("api_call_failed", path=scope["path"])
            internal = TwirpError(TwirpCode.INTERNAL, "internal error")
            await send_answer(send, error_answer(internal))
        else:
            start = {"status": answer.status, "headers": answer.headers}
            await send({"type": "http.response.start", **start})
            await send({"type": "http.response.body", "body": answer.body})

    async def answer_media(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell whoever looks for a room here, by HTTP or websocket, where the rooms are: 404."""
        if self._sfu is None:
            line = "Callboard has no rooms: start it with --room-url, the address of the LiveKit server"
        else:
            line = f"Callboard has no rooms: connect to the LiveKit server, {self._sfu.shown_url}"
        kind = "http"
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            kind = "websocket.http"
        body = f"{line}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            # LiveKit's client in a browser reads this line, on whatever page it is.
            (b"access-control-allow-origin", b"*"),
        ]
        await send({"type": f"{kind}.response.start", "status": 404, "headers": headers})
        await send({"type": f"{kind}.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> _Answer:
        sfu = self._sfu
        if sfu is None:
            if self._access.bearer(scope["headers"], scope["query_string"], self._clock()) is None:
                raise TwirpError(TwirpCode.UNAUTHENTICATED, "permissions denied")
            raise TwirpError(
                TwirpCode.UNAVAILABLE,
                "this call is for the LiveKit server, and Callboard was started without its address:"
                " --room-url",
            )
        headers, project = self._admit(scope, sfu)
        if self._under_way >= self._sfu_limits.passthrough_calls_max:
            raise TwirpError(TwirpCode.UNAVAILABLE, "too many calls wait for the SFU; try again")
        reserved = self._bytes_of(scope)
        if self._reserved_bytes + reserved > self._sfu_limits.passthrough_bytes_max:
            raise TwirpError(TwirpCode.UNAVAILABLE, "too many bytes wait for the SFU; try again")
        self._under_way += 1
        self._reserved_bytes += reserved
        try:
            body = await read_body(
                receive,
                self._sfu_limits.passthrough_body_bytes_max,
                self._limits.body_timeout_seconds,
            )
            is_creation = scope["path"] == _CREATE_ROOM and scope["method"] == "POST"
            if is_creation and self._rooms is not None:
                is_ours = self._may_create(scope)
                return await self._create_room(
                    scope, sfu, headers, body, project, self._rooms, is_ours
                )
            return await self._while_connected(receive, scope, sfu, headers, body)
        finally:
            self._under_way -= 1
            self._reserved_bytes -= reserved

    def _bytes_of(self, scope: Scope) -> int:
        """Return how many bytes a call's body may take; nothing but its length is read."""
        bytes_max = self._sfu_limits.passthrough_body_bytes_max
        told = header(scope["headers"], b"content-length")
        if told.isascii() and told.isdecimal():
            return min(int(told[:20]), bytes_max)
        is_chunked = bool(header(scope["headers"], b"transfer-encoding"))
        return bytes_max if is_chunked else 0

    def _admit(self, scope: Scope, sfu: SfuAccess) -> tuple[Headers, str]:
        """Return the headers that go on, and whose call it is. Raises TokenError."""
        headers = [pair for pair in scope["headers"] if pair[0] not in _OF_ONE_CONNECTION]
        try:
            token = find_token(scope["headers"], scope["query_string"]) or ""
        except TokenError:  # the SFU has its own words for it
            return headers, self._project
        api_key = claimed_key(token)
        key = self._keys.get(api_key)
        if key is None:
            return headers, self._project
        if not sfu.opens_with(api_key, key.secret):
            self._access.verified(token, self._clock())
            headers = [pair for pair in headers if pair[0] != b"authorization"]
            headers.append((b"authorization", b"Bearer " + sfu.sign_anew(token).encode()))
        return headers, key.project

    # ---- CreateRoom ----

    def _may_create(self, scope: Scope) -> bool:
        """Is this a caller of ours that may create rooms? False: the SFU alone can tell.

        Raises TokenError or TwirpError where one of ours may not: what it asks for is looked up
        before the SFU has its say.
        """
        try:
            token = find_token(scope["headers"], scope["query_string"]) or ""
        except TokenError:
            return False
        if claimed_key(token) not in self._keys:
            return False
        if not self._access.verified(token, self._clock()).grants.room_create:
            raise TwirpError(TwirpCode.UNAUTHENTICATED, "permissions denied")
        return True

    async def _create_room(
        self,
        scope: Scope,
        sfu: SfuAccess,
        headers: Headers,
        body: bytes,
        project: str,
        rooms: RoomMaking,
        is_ours: bool,
    ) -> _Answer:
        form = body_format(header(headers, b"content-type"))
        asked = parse_body(body, form, wire_pb2.CreateRoomRequest, self._limits.wire)
        wanted = rooms.resolve(project, asked, tells_names=is_ours)
        content = without_agents(body, asked, wanted, form)
        if not wanted.agents:
            return await self._forward(scope, sfu, headers, content)
        # The answer is read here, so it must come as it is.
        headers = [pair for pair in headers if pair[0] != b"accept-encoding"]
        rooms.announce(project, wanted)
        answer = await self._forward(scope, sfu, headers, content)
        if answer.status == httpx2.codes.OK:
            await rooms.created(project, wanted, self._room_of(answer))
        else:
            rooms.withdraw(project, wanted)
        return answer

    def _room_of(self, answer: _Answer) -> wire_pb2.Room:
        try:
            form = body_format(header(answer.headers, b"content-type"))
            return parse_body(answer.body, form, wire_pb2.Room, self._limits.wire)
        except TwirpError as error:
            raise TwirpError(
                TwirpCode.INTERNAL, f"the SFU's answer to CreateRoom is no room: {error.msg}"
            ) from None

    # ---- to the SFU and back ----

    async def _while_connected(
        self, receive: Receive, scope: Scope, sfu: SfuAccess, headers: Headers, body: bytes
    ) -> _Answer:
        """Forward a call; when its caller goes away the SFU sees that too (a SIP call hangs up)."""
        answer: _Answer | None = None
        failure: WireError | None = None
        async with anyio.create_task_group() as tasks:

            async def watch_caller() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch_caller)
            try:
                answer = await self._forward(scope, sfu, headers, body)
            except WireError as error:
                failure = error  # out of the group as it is
            tasks.cancel_scope.cancel()
        if answer is None:
            raise failure or TwirpError(TwirpCode.CANCELED, "the caller went away")
        return answer

    async def _forward(
        self, scope: Scope, sfu: SfuAccess, headers: Headers, body: bytes
    ) -> _Answer:
        """Return the SFU's answer, whatever it is. TwirpError where there is none."""
        if self._http is None:
            limits = self._sfu_limits
            self._http = http_pool(
                limits,
                limits.passthrough_calls_max,
                limits.passthrough_timeout_seconds,
                self._transport,
            )
        seconds = self._sfu_limits.passthrough_timeout_seconds
        try:
            with anyio.fail_after(seconds):
                # Not `self._http.post`: that would add headers of its own.
                request = httpx2.Request(
                    scope["method"],
                    _url(sfu, scope),
                    headers=headers,
                    content=body,
                    extensions={"timeout": self._http.timeout.as_dict()},
                )
                response = await self._http.send(request, stream=True)
                try:
                    answer = await self._read(response)
                finally:
                    with anyio.CancelScope(shield=True):
                        await response.aclose()
        except TimeoutError:
            raise TwirpError(
                TwirpCode.DEADLINE_EXCEEDED,
                f"the SFU at {sfu.shown_url} did not answer within {seconds:g} s",
            ) from None
        except httpx2.TransportError as error:
            cause = one_line(f"{type(error).__name__}: {error}")
            if not self._is_away:
                self._is_away = True
                log.warning("sfu_call_failed", url=sfu.shown_url, reason=cause)
            raise TwirpError(
                TwirpCode.UNAVAILABLE, f"the SFU at {sfu.shown_url} does not answer: {cause}"
            ) from None
        self._is_away = False
        return answer

    async def _read(self, response: httpx2.Response) -> _Answer:
        bytes_max = self._sfu_limits.answer_bytes_max
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > bytes_max:
                raise TwirpError(
                    TwirpCode.RESOURCE_EXHAUSTED,
                    f"the SFU's answer has more than {bytes_max} bytes, which is the limit",
                )
            chunks.append(chunk)
        headers = [
            (name.lower(), value)
            for name, value in response.headers.raw
            if name.lower() not in _OF_ONE_CONNECTION
        ]
        if response.status_code != httpx2.codes.NO_CONTENT:  # RFC 9110, section 8.6
            headers.append((b"content-length", b"%d" % size))
        return _Answer(response.status_code, headers, b"".join(chunks))


def is_of_media(path: str) -> bool:
    """Is it a path of the SFU's signalling (/rtc, /rtc/v1, /rtc/validate)?"""
    return _MEDIA.match(path) is not None


def _url(sfu: SfuAccess, scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    # Its form is known (`takes`): it is the same with and without percent signs.
    return f"{sfu.api_url}{scope['path']}" + (f"?{query}" if query else "")
