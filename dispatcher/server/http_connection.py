"""One HTTP connection: uvicorn's protocol, with bounds on the head of a request.

uvicorn bounds neither how large a head is nor how long it takes; a few sockets that dribble bytes
would be held for ever. Nor does it bound how long a client may leave its answer unread: one whose
answer does not flow is cut off, and so holds no more than its buffers. Upgrades have a budget in each
turn of the loop (`pacing`), so that hundreds of workers that come at once leave turns for callers, and
for each other's claims. `http_bounds` makes the attributes of a class, because uvicorn makes the instances. The
bounds of bodies are with those who read them (`twirp`).
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dispatcher.server.limits import ServerLimits
from dispatcher.server.pacing import Line

log = structlog.get_logger()

_HEAD_TOO_LARGE = b"the head of the request is too large\n"

# A request line has two blanks, "HTTP/1.1" and its line end; a header a colon, a blank and its line
# end.
_REQUEST_LINE_BYTES = 12
_HEADER_BYTES = 4


class HeadTooLarge(Exception):
    """Ends the parsing of a request; never leaves the connection."""


class BoundedHttpConnection(HttpToolsProtocol):
    """An HTTP connection: its heads are bounded in size and time, its answers must be read."""

    head_bytes_max: ClassVar[int]
    head_timeout_seconds: ClassVar[float]
    unread_timeout_seconds: ClassVar[float]
    upgrades: ClassVar[Line]

    # Is a head awaited, or coming in? How much of it came, and when must it be here?
    _in_head = True
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    # Came so much at once that a whole head over the limit may be in it?
    _is_much = False
    # Cuts the connection off, unless what was written flows again before.
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)
        self._let_go_of_parser()

    def data_received(self, data: bytes) -> None:
        self._is_much = self._head_bytes + len(data) > self.head_bytes_max
        super().data_received(data)
        if self._in_head:
            if self._head_timer is None:
                self._start_head_timer()
            self._head_bytes += len(data)
            if self._head_bytes > self.head_bytes_max:
                self._refuse_head()

    def send_400_response(self, msg: str) -> None:
        # uvicorn's word for all that the parser raised
        if self._is_much and self._head_size() > self.head_bytes_max:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def _head_size(self) -> int:
        headers = sum(len(name) + len(value) + _HEADER_BYTES for name, value in self.headers)
        return len(self.url) + _REQUEST_LINE_BYTES + headers

    def _refuse_head(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
                b"content-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%b"
                % (len(_HEAD_TOO_LARGE), _HEAD_TOO_LARGE)
            )
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self.end_head()
        super().on_headers_complete()

    def end_head(self) -> None:
        """The head is here. Raises HeadTooLarge, which the parser reports."""
        if self._is_much and self._head_size() > self.head_bytes_max:
            raise HeadTooLarge
        self._in_head = False
        self._head_bytes = 0
        self._stop_head_timer()

    def handle_websocket_upgrade(self) -> None:
        # Nothing is to come before it is answered.
        self.transport.pause_reading()
        self.upgrades.submit(self._upgrade)

    def _upgrade(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
            super().handle_websocket_upgrade()
            self._let_go_of_parser()

    def _let_go_of_parser(self) -> None:
        """Nothing more is parsed here: connection and parser hold each other, with all that they have.

        Python looks for such cycles rarely here (`app`).
        """
        self.parser = None  # type: ignore[assignment]

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_unread_timer()
        self._unread_timer = self.loop.call_later(self.unread_timeout_seconds, self._cut_off)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_unread_timer()

    def _cut_off(self) -> None:
        log.info("caller_cut_off", address=self.client[0] if self.client else "")
        self.transport.abort()

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_seconds, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def http_bounds(limits: ServerLimits) -> dict[str, object]:
    """The class attributes of a connection with these limits."""
    return {
        "head_bytes_max": limits.head_bytes_max,
        "head_timeout_seconds": limits.head_timeout_seconds,
        "unread_timeout_seconds": limits.unread_timeout_seconds,
        "upgrades": Line(limits.heavy_turn_seconds),
    }
