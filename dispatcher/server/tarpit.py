"""Connections that are to be closed, and are held for a while before.

A stock Python worker that is closed after its upgrade comes back within milliseconds, for ever,
whatever the close code says; while it is held it waits for the answer to its registration, and does
nothing. Nobody else waits for it. Held connections are bounded: over the bound, the one that was
held longest is closed at once.

Left to others: who is held and for how long (`admission`), and that what a held peer still says is
not heard (`worker_session`).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from protocol.errors import CloseCode


class Closable(Protocol):
    """A connection that can be told to close (`connection.WorkerConnection`)."""

    def start_closing(self, code: int, reason: str) -> None:
        """Begin the closing handshake; the rest is its own affair."""
        ...


class Tarpit:
    """The connections that are held."""

    def __init__(self, sockets_max: int) -> None:
        self._sockets_max = sockets_max
        # in the order in which they came
        self._held: dict[Closable, tuple[asyncio.TimerHandle, CloseCode, str]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, connection: Closable, seconds: float, code: CloseCode, reason: str) -> None:
        """Close a connection after so many seconds, or earlier if too many come after it."""
        while len(self._held) >= max(self._sockets_max, 1):
            self._close(next(iter(self._held)))
        timer = asyncio.get_running_loop().call_later(seconds, self._close, connection)
        self._held[connection] = timer, code, reason

    def forget(self, connection: Closable) -> None:
        """Let go of a connection that is gone. Does nothing for one that is not held."""
        held = self._held.pop(connection, None)
        if held is not None:
            held[0].cancel()

    def _close(self, connection: Closable) -> None:
        timer, code, reason = self._held.pop(connection)
        timer.cancel()
        connection.start_closing(code, reason)
