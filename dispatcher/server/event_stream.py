"""GET /events: the moves of a project's jobs as Server-Sent Events, as they become durable.

One event for each row of the event log: `id:` its sequence number, `event:` its kind, `data:` one
JSON object in the API's form (JobEvent's names, with job_id, dispatch_id, and the rule that made the
job). A stream goes on
after `Last-Event-ID`, else after `?after=SEQ`, else it starts now; with `?follow=false` it ends
where the log does. While nothing happens it sends comments with the newest id, so that a project
where little happens is not sent far back when it resumes. Where rows are gone (pruned before they
were sent, or of another log than this one), an event `gone` says so, `next` is the first number
that may still come, and the stream goes on from there.

A stream that is not read is cut off (`http_connection`), holds no memory of its own meanwhile, and
costs commits nothing (`event_feed`); a drain ends all. Grant: agent.dispatchAdmin.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import anyio
import structlog
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.origins import origin_of
from dispatcher.event_feed import EventFeed
from dispatcher.server.access import Access, Bearer, header
from dispatcher.server.job_service import may_read
from dispatcher.server.limits import ServerLimits
from dispatcher.store.contract import EventRow
from protocol.errors import (
    InvalidField,
    StoreError,
    TokenError,
    TwirpCode,
    TwirpError,
    WireError,
)

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = structlog.get_logger()

PATH = "/events"
LAST_EVENT_ID = b"last-event-id"
GONE = "gone"
# What is handed to the socket at once: all that a stream whose client does not read holds.
PIECE_BYTES = 64 * 1024
# How soon an EventSource comes back.
RETRY_MILLISECONDS = 1000

_SEQUENCE_DIGITS_MAX = 18
_SWITCH = {"": True, "true": True, "1": True, "false": False, "0": False}
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would gather events before it passes them on
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a request asks for. `after` None: what comes from now on."""

    project: str
    after: int | None
    follows: bool


class EventStreams:
    """The ASGI application of the path."""

    def __init__(
        self,
        feed: EventFeed,
        access: Access,
        limits: ServerLimits,
        clock: Callable[[], Nanoseconds] = time.time_ns,
    ) -> None:
        self._feed = feed
        self._access = access
        self._limits = limits
        self._clock = clock
        # open streams by project
        self._open: Counter[str] = Counter()
        # What the last of them was told, and of which rows: those at the log's end are all told the
        # same, and it is written once.
        self._written: dict[str, tuple[tuple[int, int, int], bytes]] = {}

    @property
    def open_streams(self) -> int:
        """How many streams are open, of all projects."""
        return self._open.total()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one stream to its end."""
        try:
            wish = self._wish(scope)
        except TokenError as error:
            refusal: Response = PlainTextResponse(f"{error}\n", status_code=401)
            await refusal(scope, receive, send)
            return
        except WireError as error:
            answer = error.as_twirp()
            refusal = JSONResponse(answer.to_json(), status_code=answer.http_status)
            await refusal(scope, receive, send)
            return
        self._open[wish.project] += 1
        try:
            async with anyio.create_task_group() as tasks:

                async def end_with_connection() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    tasks.cancel_scope.cancel()

                tasks.start_soon(end_with_connection)
                await self._serve(scope["method"], wish, send)
                tasks.cancel_scope.cancel()
        finally:
            self._open[wish.project] -= 1

    # --- what is asked for ---

    def _wish(self, scope: Scope) -> _Wish:
        headers, query = scope["headers"], scope["query_string"]
        bearer = self._access.bearer(headers, query, self._clock())
        if bearer is None or not may_read(bearer, None):
            raise TwirpError(TwirpCode.UNAUTHENTICATED, "permissions denied")
        asked = parse_qs(query.decode("latin-1"), keep_blank_values=True)
        after = _sequence("after", asked.get("after", [""])[-1])
        last_event_id = _sequence("Last-Event-ID", header(headers, LAST_EVENT_ID))
        follows = _SWITCH.get(asked.get("follow", [""])[-1])
        if follows is None:
            raise InvalidField("follow", "is neither true nor false")
        self._check_free(bearer)
        return _Wish(bearer.project, after if last_event_id is None else last_event_id, follows)

    def _check_free(self, bearer: Bearer) -> None:
        if self._feed.is_closed:
            raise TwirpError(TwirpCode.UNAVAILABLE, "the server is draining")
        if self._open[bearer.project] >= self._limits.event_streams_max:
            raise TwirpError(
                TwirpCode.RESOURCE_EXHAUSTED,
                f"{self._limits.event_streams_max} event streams are open, which is the limit",
            )

    # --- what is sent ---

    async def _serve(self, method: str, wish: _Wish, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if method != "HEAD":
            try:
                with self._feed.following():
                    async for block in self._blocks(wish):
                        for begin in range(0, len(block), PIECE_BYTES):
                            piece = block[begin : begin + PIECE_BYTES]
                            # Waits where the client does not read.
                            await send(
                                {"type": "http.response.body", "body": piece, "more_body": True}
                            )
            except StoreError as error:
                # Left without its end, so that nobody takes it for whole: the client comes back and
                # resumes, and what it asks then may have an answer.
                log.warning("event_stream_failed", project=wish.project, error=str(error))
                return
        await send({"type": "http.response.body", "body": b""})

    async def _blocks(self, wish: _Wish) -> AsyncIterator[bytes]:
        feed, keepalive_seconds = self._feed, self._limits.event_keepalive_seconds
        last = await feed.last_sequence()
        place = last if wish.after is None else wish.after
        yield b"retry: %d\nid: %d\n\n" % (RETRY_MILLISECONDS, place)
        if place > last:
            # A number of another log: the store was replaced, or went back to a backup.
            yield _gone(place, last)
            place = last
        while place < last:
            rows = await feed.at_once_after(place)
            if rows:
                yield self._told(rows, wish.project, place)
                place = rows[-1].sequence
            else:  # all that there was is pruned
                yield _gone(place, last)
                place = last
        quiet_until = anyio.current_time() + keepalive_seconds
        while wish.follows:
            rows = ()
            with anyio.move_on_after(quiet_until - anyio.current_time()):
                rows = await feed.after(place)
                if not rows:
                    return
            block = self._told(rows, wish.project, place) if rows else b""
            place = rows[-1].sequence if rows else place
            if not block and anyio.current_time() >= quiet_until:
                block = b": nothing new\nid: %d\n\n" % place
            if block:
                yield block
                quiet_until = anyio.current_time() + keepalive_seconds

    def _told(self, rows: Sequence[EventRow], project: str, place: int) -> bytes:
        """Return what a stream of this project that is at `place` is sent of these rows."""
        rows_told = (place, rows[0].sequence, rows[-1].sequence)
        written = self._written.get(project)
        if written is None or written[0] != rows_told:
            written = self._written[project] = rows_told, write_events(rows, project, place)
        return written[1]


def events_route(streams: EventStreams) -> Route:
    """Return the route of the path; other methods are 405."""
    return Route(PATH, streams, methods=["GET"])


def event_data(row: EventRow) -> dict[str, str | int]:
    """Return the data of an event: JobEvent and its ids, in the form of the API's JSON."""
    return {
        "seq": str(row.sequence),
        "at": str(row.at),
        "kind": row.trigger.value,
        "phase": row.phase.name,
        "epoch": str(row.epoch),
        "attempt": row.attempt,
        "worker_id": row.worker_id,
        "reason": row.reason,
        "error": row.error,
        "detail": row.detail,
        "job_id": row.job_id,
        "dispatch_id": row.dispatch_id,
        "rule": origin_of(row.order, row.dispatch_id).rule,
    }


def write_events(rows: Sequence[EventRow], project: str, place: int) -> bytes:
    """Return the events of these rows, and of what is missing between them and `place`."""
    blocks = []
    if (before := rows[0].sequence - 1) > place:
        blocks.append(_gone(place, before))
    blocks += [
        _event(row.sequence, row.trigger.value, event_data(row))
        for row in rows
        if row.project == project
    ]
    return b"".join(blocks)


def _gone(after: int, place: int) -> bytes:
    """Return the event which says that of the rows after `after` those up to `place` are gone."""
    return _event(place, GONE, {"after": str(after), "next": str(place + 1)})


def _event(sequence: int, name: str, data: Mapping[str, str | int]) -> bytes:
    body = json.dumps(data, separators=(",", ":"))
    return f"id: {sequence}\nevent: {name}\ndata: {body}\n\n".encode()


def _sequence(field: str, text: str) -> int | None:
    """Return a sequence number that a client names; None where it names none."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > _SEQUENCE_DIGITS_MAX:
        raise InvalidField(field, "is not a sequence number")
    return int(text)
