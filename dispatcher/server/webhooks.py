"""LiveKit's webhooks, in: POST /webhooks/livekit (A19).

`Authorization` is a JWT, with or without "Bearer", signed with one of our keys or with the SFU's;
its claim `sha256` is the hash of the body. The key says which project's rooms are meant.

What is answered says to LiveKit whether to send the event again: 200 when what follows from it is
durable, when it was taken before, and when it is about something else than who is in a room; 503
when it could not be taken now, which is tried again a few times. Everything else would be the same
at every try, and is final: a wrong signature, another body, or a token that is over 401; too large 413;
another content type 415; not readable, or over the limits of a field, 400. An event that the core
refuses for a bound of its own (too many rooms, or participants in one) is answered with 200 as
well, and logged: the SFU's own list, once it is reconciled with, is what mends it.

Left to others: what an event says (`wire_rooms`), that it counts once (`room_reports`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.recent import Recent
from dispatcher.core.room_events import RoomEvent
from dispatcher.server.access import Access, Bearer
from dispatcher.server.bodies import read_body
from dispatcher.server.limits import ServerLimits
from dispatcher.server.room_reports import RoomReports, Taken
from dispatcher.server.wire_rooms import read_webhook
from protocol.errors import CallboardError, TokenError, TwirpCode, TwirpError, WireError
from protocol.tokens import check_body

if TYPE_CHECKING:
    from starlette.requests import Request

log = structlog.get_logger()

PATH = "/webhooks/livekit"

# LiveKit's own, and that of a hand-written caller.
CONTENT_TYPES = frozenset({"application/webhook+json", "application/json"})

RETRY_AFTER_SECONDS = 1

# Rooms with refused events whose number is known; of the others counting begins anew.
_REFUSED_ROOMS_MAX = 1000

# What `read_body` says, as HTTP without Twirp says it.
_BODY_STATUSES = {
    TwirpCode.INVALID_ARGUMENT: 413,
    TwirpCode.DEADLINE_EXCEEDED: 408,
    TwirpCode.CANCELED: 400,
}


class _Refusal(Exception):
    """Answer with this HTTP status, and this one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(status, line)
        self.status = status
        self.line = line


class Webhooks:
    """Takes LiveKit's webhooks. `signers` verify their tokens, the first one that can."""

    def __init__(
        self,
        signers: Sequence[Access],
        reports: RoomReports,
        limits: ServerLimits,
        clock: Callable[[], Nanoseconds],
    ) -> None:
        self._signers = signers
        self._reports = reports
        self._limits = limits
        self._clock = clock
        # how often each status was answered
        self._refused: Counter[int] = Counter()
        # how often the core refused an event of a room, by project and room
        self._refused_of_room = Recent[tuple[str, str], int](_REFUSED_ROOMS_MAX)

    def routes(self) -> list[Route]:
        """Return the routes of this door."""
        return [Route(PATH, self._answer, methods=["POST"])]

    async def _answer(self, request: Request) -> Response:
        try:
            await self._take(request)
        except _Refusal as refusal:
            return self._refuse(request, refusal.status, refusal.line)
        except TokenError as error:
            return self._refuse(request, 401, str(error))
        except TwirpError as error:
            return self._refuse(request, error.http_status, error.msg)
        except WireError as error:
            return self._refuse(request, 400, str(error))
        except CallboardError as error:
            if error.retryable:
                return self._refuse(request, 503, error.for_caller)
            log.exception("webhook_failed")
            return _line(500, "internal error")
        except Exception:  # the edge: a bug of ours must not reach the sender
            log.exception("webhook_failed")
            return _line(500, "internal error")
        return _line(200, "OK")

    async def _take(self, request: Request) -> None:
        bearer = self._bearer(request)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in CONTENT_TYPES:
            raise _Refusal(415, "the content type must be application/webhook+json")
        body = await self._read_body(request)
        check_body(bearer.grants, body)
        webhook = read_webhook(body, bearer.project, self._limits.wire)
        event = webhook.event
        if event is None:
            log.debug("webhook_ignored", name=webhook.name[:100], project=bearer.project)
            return
        # The hash stands for an id where there is none: the same body is the same event.
        answer = await self._reports.report(event, webhook.id or bearer.grants.sha256)
        if answer.taken is Taken.REFUSED:
            self._note_refused(event, answer.detail)
        else:
            log.debug(
                "room_event_taken",
                kind=event.kind.value,
                project=event.project,
                room=event.room.name,
                again=answer.taken is Taken.BEFORE,
            )

    def _note_refused(self, event: RoomEvent, reason: str) -> None:
        """Log the 1st, 2nd, 4th ... event of a room that is over a bound: a full one has any number."""
        key = event.project, event.room.name
        times = (self._refused_of_room.get(key) or 0) + 1
        self._refused_of_room.note(key, times)
        if times & (times - 1) == 0:
            log.warning(
                "room_event_refused",
                kind=event.kind.value,
                project=event.project,
                room=event.room.name,
                reason=reason,
                times=times,
            )

    def _bearer(self, request: Request) -> Bearer:
        """Return whose token this is. Raises TokenError: that of the first signer."""
        token = request.headers.get("authorization", "").strip()
        scheme, space, rest = token.partition(" ")
        if space and scheme.lower() == "bearer":
            token = rest.strip()
        failure: TokenError | None = None
        now = self._clock()
        for signer in self._signers:
            try:
                return signer.verified(token, now)
            except TokenError as error:
                failure = failure or error
        raise failure or TokenError("there is no key")

    async def _read_body(self, request: Request) -> bytes:
        limits = self._limits
        try:
            return await read_body(
                request.receive, limits.wire.body_bytes_max, limits.body_timeout_seconds
            )
        except TwirpError as error:
            raise _Refusal(_BODY_STATUSES[error.code], error.msg) from None

    def _refuse(self, request: Request, status: int, reason: str) -> Response:
        self._refused[status] += 1
        times = self._refused[status]
        if times & (times - 1) == 0:  # the 1st, 2nd, 4th ... time: anybody may send any number
            log.warning(
                "webhook_refused",
                status=status,
                reason=reason,
                address=request.client.host if request.client else "",
                times=times,
            )
        return _line(status, reason)


def _line(status: int, text: str) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else None
    return PlainTextResponse(f"{text}\n", status, headers)
