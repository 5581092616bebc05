"""A worker's connection without a socket: frames go from one end to the other in this process.

What the server's sessions write to is `ServerEnd` (they think it a `dispatcher.server.connection`), what
the worker reads and writes is `WorkerEnd` (a `connection.FrameSocket`). A worker is let in by its token,
as at the real door. Frames keep their order; a link that is cut loses what was not read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import anyio
import anyio.lowlevel

from dispatcher.server.admission import Refused
from dispatcher.server.worker_session import WorkerSession
from protocol.errors import CloseCode
from worker_sdk.connection import ConnectionEnded

if TYPE_CHECKING:
    from dispatcher.server.connection import WorkerConnection
    from dispatcher.server.sessions import Sessions

__all__ = ["ServerEnd", "WorkerEnd", "connected"]

ADDRESS = "in-process"


class ServerEnd:
    """The end that a WorkerSession writes to."""

    def __init__(self, frames_max: int, note_frame: Callable[[], None]) -> None:
        self._frames_max = frames_max
        self._note_frame = note_frame
        # Set right after it is made: session and connection need each other.
        self.session: WorkerSession
        # Why it is over; "" while it is not.
        self.ended_because = ""
        self._unread: deque[bytes | str] = deque()
        self._news = anyio.Event()
        # A server that was killed says nothing and hears nothing any more.
        self._is_dead = False

    # ---- the session's side ----

    def write_frame(self, frame: bytes | str) -> None:
        """Send one frame."""
        self.write_frames((frame,))

    def write_frames(self, frames: Sequence[bytes | str]) -> None:
        """Send frames. Does nothing when the link is over."""
        if self.ended_because:
            return
        self._unread.extend(frames)
        self._tell()
        if len(self._unread) > self._frames_max:
            self.session.on_overflow()
            self.lose("cut off: it does not read what it is sent")

    def ask_for_pong(self) -> None:
        """Ping: the worker's end answers in the loop's next turn, as a websocket library would."""
        asyncio.get_running_loop().call_soon(self._pong)

    def start_closing(self, code: int, reason: str) -> None:
        """Close; what was sent before can still be read."""
        self._end(f"received {int(code)} {reason}")

    # ---- the worker's side ----

    def hear(self, frame: bytes) -> None:
        """Take a frame of the worker's. Raises ConnectionEnded."""
        if self.ended_because:
            raise ConnectionEnded(self.ended_because)
        self._note_frame()
        self.session.on_frame(frame)

    async def read(self) -> bytes | str:
        """The next frame for the worker. Raises ConnectionEnded."""
        while not self._unread:
            if self.ended_because:
                raise ConnectionEnded(self.ended_because)
            await self._news.wait()
        self._note_frame()
        return self._unread.popleft()

    # ---- the link's ends ----

    def lose(self, cause: str) -> None:
        """End the link at once, for both; what was not read is lost."""
        self._unread.clear()
        self._end(cause)

    def die(self, cause: str) -> None:
        """The server is killed: its sessions hear nothing of it."""
        self._is_dead = True
        self.lose(cause)

    # ---- inside ----

    def _end(self, cause: str) -> None:
        if not self.ended_because:
            self.ended_because = cause
            # As from a socket: in a turn of its own, not in the middle of what the server does.
            asyncio.get_running_loop().call_soon(self._say_disconnected)
        self._tell()

    def _say_disconnected(self) -> None:
        if not self._is_dead:
            self.session.on_disconnected()

    def _pong(self) -> None:
        if not self.ended_because:
            self.session.on_pong()

    def _tell(self) -> None:
        self._note_frame()
        self._news.set()
        self._news = anyio.Event()


class WorkerEnd:
    """The end that a worker's `ServerConnection` reads and writes."""

    def __init__(self, link: ServerEnd) -> None:
        self._link = link

    async def send(self, frame: bytes) -> None:
        """Hand a frame to the server's session."""
        await anyio.lowlevel.checkpoint()
        self._link.hear(frame)

    async def receive(self) -> bytes | str:
        """The server's next frame."""
        return await self._link.read()

    async def close(self, code: CloseCode = CloseCode.NORMAL) -> None:
        """End the link."""
        if not self._link.ended_because:
            self._link.lose(f"closed by the worker ({int(code)})")


def connected(sessions: Sessions, token: str, note_frame: Callable[[], None]) -> ServerEnd:
    """A new link to these sessions. Raises ConnectionEnded, with the status, where it is refused."""
    headers = [(b"authorization", f"Bearer {token}".encode())]
    answer = sessions.admission.ask(ADDRESS, headers, b"", sessions.now(), draining=False)
    if isinstance(answer, Refused):
        raise ConnectionEnded(f"refused: {answer.reason}", answer.status)
    link = ServerEnd(sessions.limits.outbound_frames_max, note_frame)
    link.session = WorkerSession(sessions, cast("WorkerConnection", link), answer)
    return link
