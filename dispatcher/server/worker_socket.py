"""GET /agent: the websocket of workers, as an ASGI application.

Whoever is refused is refused with an HTTP status at the upgrade, before it. Then one coroutine for
each connection waits for its end; the frames in between go straight from the socket to its
`WorkerSession`, which makes this the place that ends every session, also on cancellation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import structlog

from dispatcher.server.admission import Admitted, Refused
from dispatcher.server.connection import EXTENSION, WorkerConnection
from dispatcher.server.sessions import Sessions
from dispatcher.server.worker_session import WorkerSession

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = structlog.get_logger()

# `//agent` and any prefix are accepted: stock workers join their URL's path and this one.
_PATH_END = "/agent"


class WorkerSocket:
    """The ASGI application for scopes of type "websocket"."""

    def __init__(self, sessions: Sessions, is_draining: Callable[[], bool]) -> None:
        self._sessions = sessions
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until it ends."""
        await receive()  # websocket.connect
        client = scope["client"]
        address = client[0] if client else ""
        answer = self._ask(scope, address)
        if isinstance(answer, Refused):
            if answer.is_noteworthy:
                log.warning(
                    "worker_refused",
                    address=address,
                    status=answer.status,
                    reason=answer.reason,
                    count=answer.count,
                )
            await _refuse(send, answer)
            return
        connection = cast("WorkerConnection", scope["extensions"][EXTENSION])
        session = WorkerSession(self._sessions, connection, answer)
        timer: asyncio.TimerHandle | None = None
        try:
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            connection.on_pong = session.on_pong
            connection.on_overflow = session.on_overflow
            connection.on_frame = session.on_frame
            timer = asyncio.get_running_loop().call_later(
                self._sessions.limits.wire.register_timeout_seconds, session.on_register_timeout
            )
            while (message := await receive())["type"] != "websocket.disconnect":
                # Came in the same packet as the upgrade, before `on_frame` was there.
                frame = message.get("bytes")
                session.on_frame(message["text"] if frame is None else frame)
        finally:
            connection.on_frame = None
            if timer is not None:
                timer.cancel()
            session.on_disconnected()
            # Connection, session and scope hold each other by these. Python looks for such cycles
            # rarely here (`app`), and 12 KiB of each connection that ever was would wait for it.
            connection.on_pong = connection.on_overflow = None
            del scope["extensions"][EXTENSION]

    def _ask(self, scope: Scope, address: str) -> Admitted | Refused:
        if not scope["path"].endswith(_PATH_END):
            return Refused(404, "not found", count=None)
        return self._sessions.admission.ask(
            address,
            scope["headers"],
            scope["query_string"],
            self._sessions.now(),
            draining=self._is_draining(),
        )


async def _refuse(send: Send, refused: Refused) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if refused.retry_after_seconds:
        headers.append((b"retry-after", str(refused.retry_after_seconds).encode()))
    await send(
        {"type": "websocket.http.response.start", "status": refused.status, "headers": headers}
    )
    await send({"type": "websocket.http.response.body", "body": f"{refused.reason}\n".encode()})
