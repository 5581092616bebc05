"""The network between one worker and the server, which fails in the moment of a job's final status.

A line passes bytes on, and reads what the worker says on the way. Armed for a job, it fails when the
worker says that this job is over, in the manner of the cut; everything else passes.
"""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute, SocketStream

from dispatcher.server.framing import FrameCutter, payload_of
from protocol import wire_pb2
from protocol.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from dispatcher.server.framing import Piece

__all__ = ["Cut", "Line", "line_to"]

HOST = "127.0.0.1"
# A close with unsent data thrown away: the peer sees a reset, not an end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# What the server has been sent is read by it within this.
_READ_SECONDS = 0.1
_FINAL = (wire_pb2.JS_SUCCESS, wire_pb2.JS_FAILED)


class Cut(Enum):
    """Where the connection ends. The values are for reports."""

    BEFORE = "before the status arrives"
    WITHIN = "within the status"
    AFTER = "after the status, before its receipt"
    AWAY = "a second before the job ends, back a second later"


class _Frames:
    """Takes a worker's bytes apart: the HTTP head, then websocket frames, each as it came."""

    def __init__(self) -> None:
        self._head = b""
        # There once the head is whole.
        self._cutter: FrameCutter | None = None

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield each whole piece."""
        if self._cutter is None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            self._cutter = FrameCutter(DEFAULT_LIMITS.frame_bytes_max)
            yield head + end, 0
        yield from self._cutter.feed(data)


class _Connection:
    def __init__(self, worker: SocketStream, server: SocketStream) -> None:
        self.worker = worker
        self.server = server
        self.scope = anyio.CancelScope()
        # Nothing of what the server says passes any more.
        self.is_deaf = False

    def reset(self) -> None:
        """End it: the worker sees a reset, the server an end."""
        try:
            raw = self.worker.extra(SocketAttribute.raw_socket)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        except (OSError, AttributeError):
            pass  # it is closed already
        self.scope.cancel()


class Line:
    """The network of one worker."""

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self._target_port = target_port
        # False: what connects is reset at once.
        self.is_open = True
        # How often a worker has registered through it, and how often it has failed as armed.
        self.registrations = 0
        self.cuts = 0
        self._armed: tuple[str, Cut] | None = None
        self._connections: set[_Connection] = set()

    @property
    def url(self) -> str:
        """What the worker connects to."""
        return f"ws://{HOST}:{self.port}"

    def arm(self, job_id: str, cut: Cut) -> None:
        """Fail in this manner when the worker says that this job is over."""
        self._armed = (job_id, cut)

    def reset_all(self) -> None:
        """End all connections."""
        for connection in list(self._connections):
            connection.reset()

    async def serve(self, worker: SocketStream) -> None:
        """Pass on one connection that the worker opened."""
        async with worker:
            if not self.is_open:
                return
            try:
                server = await anyio.connect_tcp(HOST, self._target_port)
            except OSError:
                return
            async with server:
                connection = _Connection(worker, server)
                self._connections.add(connection)
                try:
                    with connection.scope:
                        async with anyio.create_task_group() as tasks:
                            tasks.start_soon(self._pass_up, connection)
                            tasks.start_soon(self._pass_down, connection)
                finally:
                    self._connections.discard(connection)

    async def _pass_up(self, connection: _Connection) -> None:
        frames = _Frames()
        try:
            async for data in connection.worker:
                for frame, payload_at in frames.feed(data):
                    cut = self._cut_at(frame, payload_at)
                    if cut is None:
                        await connection.server.send(frame)
                        continue
                    await self._fail(connection, frame, cut)
                    return
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        connection.scope.cancel()

    async def _pass_down(self, connection: _Connection) -> None:
        try:
            async for data in connection.server:
                if not connection.is_deaf:
                    await connection.worker.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        connection.scope.cancel()

    def _cut_at(self, frame: bytes, payload_at: int) -> Cut | None:
        if not payload_at:  # no message
            return None
        message = wire_pb2.WorkerMessage.FromString(payload_of(frame, payload_at))
        self.registrations += message.HasField("register")
        if self._armed is None or not message.HasField("update_job"):
            return None
        job_id, cut = self._armed
        said = message.update_job
        if said.job_id != job_id or said.status not in _FINAL:
            return None
        self._armed = None
        return cut

    async def _fail(self, connection: _Connection, frame: bytes, cut: Cut) -> None:
        self.cuts += 1
        connection.is_deaf = True
        if cut is Cut.WITHIN:
            await connection.server.send(frame[: len(frame) // 2])
        elif cut is not Cut.BEFORE:
            await connection.server.send(frame)
        await anyio.sleep(_READ_SECONDS)
        connection.reset()


@asynccontextmanager
async def line_to(target_port: int) -> AsyncIterator[Line]:
    """Open a line to this port of this machine, for as long as the context is open."""
    listener = await anyio.create_tcp_listener(local_host=HOST)
    line = Line(listener.extra(SocketAttribute.local_port), target_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, line.serve)
        try:
            yield line
        finally:
            tasks.cancel_scope.cancel()
