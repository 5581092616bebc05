"""One websocket as the shells see it: uvicorn's sans-I/O protocol, and what a worker needs more.

`WorkerConnection` is handed to uvicorn as its `ws=`; the ASGI scope carries it as the extension
"callboard". It adds seven things and changes nothing of ASGI:

- frames go to `on_frame` as they are parsed, without a queue and a task switch for each;
- a whole message in one binary frame, as workers send them, is read here; every other frame is
  websockets' to read, and comes to it whole;
- frames are written at once, and what the peer does not read is bounded: over the bound, it is
  cut off (`outbound_bytes_max`, `outbound_frames_max`), and nobody else waits for it;
- a peer that sends without end has its turn like every other, and no more (`read_turn_bytes_max`);
- a ping that asks for an answer, outside the keepalive's rhythm;
- a connection that is being closed is cut after a while, whether its peer reads or not. (uvicorn
  waits for the write buffer to empty first, which a hung peer never does);
- why it ended, for people (`ended_because`): the first cause, for one end leads to others.

The bounds are class attributes, set by `bounded_connection`, because uvicorn makes the instances.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from dispatcher.server.framing import FrameCutter, payload_of
from dispatcher.server.limits import ServerLimits
from protocol.errors import CloseCode

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from websockets.frames import Frame
    from websockets.http11 import Request

    from dispatcher.server.framing import Piece

EXTENSION = "callboard"

# Tells our pings from the keepalive's, whose payload has four bytes.
_PING_PAYLOAD = b"callboard"

_TOO_LARGE = b"the upgrade request is too large\n"
_REQUEST_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_TOO_LARGE), _TOO_LARGE)
)


def binary_head(size_bytes: int) -> bytes:
    """Return the head of an unmasked, unfragmented binary frame (RFC 6455, section 5.2)."""
    if size_bytes < 126:
        return bytes((0x82, size_bytes))
    if size_bytes < 65536:
        return b"\x82\x7e" + size_bytes.to_bytes(2, "big")
    return b"\x82\x7f" + size_bytes.to_bytes(8, "big")


class WorkerConnection(WebSocketsSansIOProtocol):
    """A websocket with immediate frames both ways, a bounded backlog, pings and a hard close."""

    outbound_bytes_max: ClassVar[int]
    outbound_frames_max: ClassVar[int]
    read_turn_bytes_max: ClassVar[int]
    close_timeout_seconds: ClassVar[float]

    # Takes each message in its order; while None they go to ASGI's receive().
    on_frame: Callable[[bytes | str], None] | None = None
    # Called when the peer answers `ask_for_pong`.
    on_pong: Callable[[], None] | None = None
    # Called once when the peer let too much pile up, before it is cut off.
    on_overflow: Callable[[], None] | None = None

    # Why this connection ends; "" while it does not. The first cause stays.
    ended_because = ""

    _backlog_frames = 0
    _overflowed = False
    _abort_timer: asyncio.TimerHandle | None = None
    # What came in and waits for its turn; reading is paused meanwhile.
    _unread = b""
    # There once the upgrade is answered, unless something came before the answer: that, and all
    # behind it, is websockets' to cut.
    _cutter: FrameCutter | None = None
    _is_early = False

    # --- what the shells call ---

    @property
    def is_open(self) -> bool:
        """May frames be written?"""
        return self.conn.state is State.OPEN and not self.transport.is_closing()

    def write_frame(self, frame: bytes | str) -> None:
        """Write a binary (`bytes`) or text (`str`) frame now. Does nothing on a closing socket."""
        self.write_frames((frame,))

    def write_frames(self, frames: Sequence[bytes | str]) -> None:
        """Write several frames at once."""
        if not self.is_open:
            return
        output: list[bytes] = []
        for frame in frames:
            if isinstance(frame, str):
                self.conn.send_text(frame.encode())
                output += self.conn.data_to_send()
            else:
                # a whole message, never masked, in no extension: its head and itself
                output += (binary_head(len(frame)), frame)
        self.transport.write(b"".join(output))
        if not self.writable.is_set():
            self._bound_backlog(len(frames))

    def ask_for_pong(self) -> None:
        """Send a ping whose answer calls `on_pong`."""
        if self.is_open:
            self.conn.send_ping(_PING_PAYLOAD)
            self._flush()

    def start_closing(self, code: int, reason: str) -> None:
        """Send a close frame; the socket is cut if the peer does not answer it in time.

        The ASGI application sees `websocket.disconnect`. `reason` has at most 123 bytes.
        """
        if not self.is_open:
            return
        self._note_end(f"dropped: {reason}")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.on_frame = None
        self.stop_keepalive()
        self.conn.send_close(code, reason)
        self.close_sent = True
        # `handle_close` and `run_asgi` ask for this timer: while it is there they leave the socket
        # open for the peer's close frame.
        self.close_timer = self.loop.call_later(self.close_timeout_seconds, self.transport.abort)
        self._flush()

    # --- what uvicorn and the event loop call ---

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            extensions = cast("dict[str, object]", self.scope["extensions"])
            extensions[EXTENSION] = self

    async def send(self, message: ASGISendEvent) -> None:
        if self.conn.eof_sent:  # the peer is gone; a refusal of it would fail in the middle
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.accept" and not self._is_early:
            self._cutter = FrameCutter(self.config.ws_max_size)
        if message["type"] == "websocket.http.response.body":
            # Else uvicorn logs each refusal as an application that forgot to answer.
            self.handshake_complete = True

    def data_received(self, data: bytes) -> None:
        if self._cutter is None and self.handshake_initiated:
            self._is_early = True
        if self._unread:
            self._unread += data
            # An application that has not set `on_frame` yet may have resumed reading.
            self.transport.pause_reading()
            return
        if len(data) > self.read_turn_bytes_max:
            self._unread = data[self.read_turn_bytes_max :]
            data = data[: self.read_turn_bytes_max]
            self.transport.pause_reading()
            self.loop.call_soon(self._take_turn)
        self._take_in(data)

    def _take_turn(self) -> None:
        if self.conn.parser_exc is not None:
            self._unread = b""  # the connection has failed: nothing more is read
        if not self._unread:
            return
        data = self._unread[: self.read_turn_bytes_max]
        self._unread = self._unread[self.read_turn_bytes_max :]
        if self._unread:
            self.loop.call_soon(self._take_turn)
        elif not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()
        self._take_in(data)

    def _take_in(self, data: bytes) -> None:
        if self._cutter is not None:
            self._take_in_frames(self._cutter.feed(data))
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # The request was too large for websockets' parser, and uvicorn would say nothing.
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(_REQUEST_TOO_LARGE)
            self.transport.close()
            self._abort_later()

    def _take_in_frames(self, frames: Sequence[Piece]) -> None:
        for frame, payload_at in frames:
            on_frame = self.on_frame
            # Within a message of several frames it is an error, which websockets tells.
            if payload_at and on_frame is not None and self.conn.current_size is None:
                on_frame(payload_of(frame, payload_at))
                continue
            super().data_received(frame)
            if self.conn.parser_exc is not None:
                break

    def send_receive_event_to_app(self) -> None:
        on_frame = self.on_frame
        if on_frame is None:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.curr_msg_data_type == "bytes":
            on_frame(bytes(data))
            return
        try:
            text = bytes(data).decode()
        except UnicodeDecodeError:
            self.start_closing(1007, "a text frame is not UTF-8")
            return
        on_frame(text)

    def handle_ping(self) -> None:
        super().handle_ping()
        if not self.writable.is_set():
            self._bound_backlog()

    def handle_pong(self, event: Frame) -> None:
        if bytes(event.data) != _PING_PAYLOAD:
            super().handle_pong(event)
        elif self.on_pong is not None:
            self.on_pong()

    def resume_writing(self) -> None:
        self._backlog_frames = 0
        super().resume_writing()

    def keepalive_timeout(self) -> None:
        self._note_end(f"no answer to a ping within {self.config.ws_ping_timeout:g} s")
        super().keepalive_timeout()
        self._abort_later()

    def handle_parser_exception(self) -> None:
        sent = self.conn.close_sent
        code = sent.code if sent is not None else CloseCode.PROTOCOL_ERROR
        self._note_end(f"dropped: what it sent is no websocket frame of ours, code {code:d}")
        super().handle_parser_exception()
        self._abort_later()

    def handle_close(self, event: Frame) -> None:
        told = self.conn.close_rcvd
        self._note_end(f"closed by the worker, code {1005 if told is None else told.code:d}")
        super().handle_close(event)
        self._abort_later()

    def shutdown(self) -> None:
        self._note_end("dropped: the server stops")
        super().shutdown()
        self._abort_later()

    def connection_lost(self, exc: Exception | None) -> None:
        # A process that is killed says no more; a machine or a path that is gone makes an error.
        what = "without a close frame" if exc is None else type(exc).__name__
        self._note_end(f"connection lost: {what}")
        self.on_frame = None
        self._unread = b""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        super().connection_lost(exc)
        # It and its generator hold each other, and Python looks for such cycles rarely here (`app`).
        del self.conn.parser

    # --- ours ---

    def _note_end(self, cause: str) -> None:
        self.ended_because = self.ended_because or cause

    def _flush(self) -> None:
        output = self.conn.data_to_send()
        self.transport.write(output[0] if len(output) == 1 else b"".join(output))

    def _bound_backlog(self, frames: int = 1) -> None:
        self._backlog_frames += frames
        if self._overflowed or (
            self._backlog_frames <= self.outbound_frames_max
            and self.transport.get_write_buffer_size() <= self.outbound_bytes_max
        ):
            return
        self._overflowed = True
        self._note_end("cut off: it does not read what it is sent")
        if self.on_overflow is not None:
            self.on_overflow()
        # A close frame would wait behind what is not read.
        self.transport.abort()

    def _abort_later(self) -> None:
        if self._abort_timer is None:
            self._abort_timer = self.loop.call_later(
                self.close_timeout_seconds, self.transport.abort
            )


def bounded_connection(limits: ServerLimits) -> type[WorkerConnection]:
    """The connection class of a server with these limits."""
    return type(
        "BoundedWorkerConnection",
        (WorkerConnection,),
        {
            "outbound_bytes_max": limits.outbound_bytes_max,
            "outbound_frames_max": limits.outbound_frames_max,
            "read_turn_bytes_max": limits.read_turn_bytes_max,
            "close_timeout_seconds": limits.close_timeout_seconds,
        },
    )
