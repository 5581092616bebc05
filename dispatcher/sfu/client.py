"""The SFU's API: its rooms, who is in them, and its dispatches.

Twirp over protobuf, on pooled connections. Each call has a token of its own with the least grant
that opens it, and a deadline; no call is tried again here. Whatever goes wrong is an SfuError, made
in one place, `_post`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Self, TypeVar

import anyio
import httpx2
from google.protobuf.message import DecodeError, Message

from dispatcher.sfu.access import SfuAccess
from dispatcher.sfu.limits import SfuLimits
from protocol import wire_pb2
from protocol.errors import CallboardError, TwirpCode
from protocol.tokens import mint_api_token

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["SfuClient", "SfuError", "SfuUnavailable", "http_pool", "one_line"]

M = TypeVar("M", bound=Message)

_ROOM_SERVICE = "livekit.RoomService"
_DISPATCH_SERVICE = "livekit.AgentDispatchService"
_PROTOBUF = "application/protobuf"
_TEXT_CHARACTERS_MAX = 200


class SfuError(CallboardError):
    """The SFU answered with an error, or with what is no answer; `code` is Twirp's, if it has one."""

    def __init__(self, url: str, cause: str, code: TwirpCode | None = None) -> None:
        super().__init__(url, cause, code)
        self.url = url
        self.cause = cause
        self.code = code

    def __str__(self) -> str:
        return f"the SFU at {self.url}: {self.cause}"


class SfuUnavailable(SfuError):
    """The SFU did not answer, or said that it cannot for now."""

    retryable = True


class SfuClient:
    """Calls one SFU. Raises SfuError. One client serves any number of tasks; close it.

    `transport` replaces the network, for tests.
    """

    def __init__(
        self,
        access: SfuAccess,
        limits: SfuLimits | None = None,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.access = access
        self._limits = limits or SfuLimits()
        self._http = http_pool(
            self._limits,
            self._limits.connections_max,
            self._limits.call_timeout_seconds,
            transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()

    async def list_rooms(self, names: Collection[str] = ()) -> list[wire_pb2.Room]:
        """The rooms that are there; those of these names alone, where there are any."""
        answer = await self._post(
            _ROOM_SERVICE,
            "ListRooms",
            wire_pb2.ListRoomsRequest(names=names),
            wire_pb2.ListRoomsResponse,
            self._token(room_list=True),
        )
        return list(answer.rooms)

    async def list_participants(self, room: str) -> list[wire_pb2.ParticipantInfo]:
        """Who is in a room; nobody, where there is no such room."""
        answer = await self._post(
            _ROOM_SERVICE,
            "ListParticipants",
            wire_pb2.ListParticipantsRequest(room=room),
            wire_pb2.ListParticipantsResponse,
            self._token(room=room, room_admin=True),
        )
        return list(answer.participants)

    async def list_dispatches(
        self, room: str, dispatch_id: str = ""
    ) -> Sequence[wire_pb2.AgentDispatch]:
        """The SFU's own dispatches of a room, or the one of this id; none, where there is no such."""
        request = wire_pb2.ListAgentDispatchRequest(room=room, dispatch_id=dispatch_id)
        try:
            answer = await self._post_to_room(
                room, "ListDispatch", request, wire_pb2.ListAgentDispatchResponse
            )
        except SfuError as error:
            if error.code is TwirpCode.NOT_FOUND:
                return []
            raise
        return list(answer.agent_dispatches)

    async def delete_dispatch(self, room: str, dispatch_id: str) -> wire_pb2.AgentDispatch:
        """Delete one of the SFU's own dispatches. SfuError `not_found` where there is none."""
        request = wire_pb2.DeleteAgentDispatchRequest(dispatch_id=dispatch_id, room=room)
        return await self._post_to_room(room, "DeleteDispatch", request, wire_pb2.AgentDispatch)

    async def _post_to_room(
        self, room: str, method: str, request: Message, answer_type: type[M]
    ) -> M:
        """Call the dispatch service of one room. SfuError `not_found` where the room is not there.

        LiveKit asks the room itself, so of a room that is not there it says `unavailable`, after 3 s.
        """
        token = self._token(room=room, room_admin=True)
        try:
            return await self._post(_DISPATCH_SERVICE, method, request, answer_type, token)
        except SfuUnavailable as error:
            if error.code is None or await self.list_rooms([room]):
                raise
            cause = f"{method}: the room is not there"
            raise self._error(cause, TwirpCode.NOT_FOUND) from None

    def _token(self, *, room: str = "", room_admin: bool = False, room_list: bool = False) -> str:
        return mint_api_token(
            self.access.api_key,
            self.access.api_secret,
            now_ns=time.time_ns(),
            room=room,
            room_admin=room_admin,
            room_list=room_list,
            life_seconds=self._limits.token_life_seconds,
        )

    async def _post(
        self, service: str, method: str, request: Message, answer_type: type[M], token: str
    ) -> M:
        url = f"{self.access.api_url}/twirp/{service}/{method}"
        headers = {"Content-Type": _PROTOBUF, "Authorization": f"Bearer {token}"}
        try:
            with anyio.fail_after(self._limits.call_timeout_seconds):
                async with self._http.stream(
                    "POST", url, content=request.SerializeToString(), headers=headers
                ) as response:
                    body = await self._read(response)
        except TimeoutError:
            seconds = self._limits.call_timeout_seconds
            raise self._unavailable(f"no answer to {method} within {seconds:g} s") from None
        except httpx2.TransportError as error:
            raise self._unavailable(one_line(f"{type(error).__name__}: {error}")) from None
        except httpx2.DecodingError:
            raise self._error(f"the answer to {method} cannot be read") from None
        if response.status_code != httpx2.codes.OK:
            raise self._refused(response, body, method)
        try:
            return answer_type.FromString(body)
        except DecodeError:
            raise self._error(f"the answer to {method} is not the expected message") from None

    async def _read(self, response: httpx2.Response) -> bytes:
        bytes_max = self._limits.answer_bytes_max
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > bytes_max:
                raise self._error(f"an answer has more than {bytes_max} bytes, which is the limit")
            chunks.append(chunk)
        return b"".join(chunks)

    def _refused(self, response: httpx2.Response, body: bytes, method: str) -> SfuError:
        """Return the error of an answer that is one: Twirp's, or text (LiveKit's for tokens)."""
        status = response.status_code
        text = one_line(body[: 4 * _TEXT_CHARACTERS_MAX].decode("utf-8", "replace"))
        code: TwirpCode | None = None
        try:
            answer = httpx2.Response(status, content=body).json()
            code, text = TwirpCode(answer["code"]), one_line(str(answer["msg"]))
        except (ValueError, TypeError, KeyError):
            if status == httpx2.codes.UNAUTHORIZED:
                code = TwirpCode.UNAUTHENTICATED
        cause = f"{method} was refused ({code or status}): {text}"
        if status >= httpx2.codes.INTERNAL_SERVER_ERROR and code is not TwirpCode.UNIMPLEMENTED:
            return self._unavailable(cause, code)
        return self._error(cause, code)

    def _error(self, cause: str, code: TwirpCode | None = None) -> SfuError:
        return SfuError(self.access.shown_url, cause, code)

    def _unavailable(self, cause: str, code: TwirpCode | None = None) -> SfuUnavailable:
        return SfuUnavailable(self.access.shown_url, cause, code)


def http_pool(
    limits: SfuLimits,
    connections_max: int,
    timeout_seconds: float,
    transport: httpx2.AsyncBaseTransport | None,
) -> httpx2.AsyncClient:
    """Make a pool of connections to the SFU, bounded in number and time; redirects are answers."""
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(timeout_seconds, connect=limits.connect_timeout_seconds),
        transport=transport,
        follow_redirects=False,
        limits=httpx2.Limits(
            max_connections=connections_max,
            max_keepalive_connections=connections_max,
            keepalive_expiry=limits.keep_alive_seconds,
        ),
    )


def one_line(text: str) -> str:
    """Return what a peer said, in one line and bounded."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown[:_TEXT_CHARACTERS_MAX].strip() or "no reason given"
