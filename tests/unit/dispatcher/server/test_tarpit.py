"""Connections that are held before they are closed: for how long, and how many."""

from __future__ import annotations

import anyio
import pytest

from dispatcher.server.tarpit import Tarpit
from protocol.errors import CloseCode

pytestmark = pytest.mark.anyio


class PaperConnection:
    """Keeps why it was closed, and says when it is."""

    def __init__(self) -> None:
        self.closed_for: list[str] = []
        self.closed = anyio.Event()

    def start_closing(self, _code: int, reason: str) -> None:
        """Keep the reason."""
        self.closed_for.append(reason)
        self.closed.set()


def _hold(tarpit: Tarpit, connection: PaperConnection, seconds: float, reason: str = "bad") -> None:
    tarpit.hold(connection, seconds, CloseCode.POLICY_VIOLATION, reason)


async def test_a_connection_is_closed_once_when_its_time_is_over() -> None:
    tarpit, connection = Tarpit(2), PaperConnection()
    _hold(tarpit, connection, 0.01)
    assert connection.closed_for == []
    with anyio.fail_after(60):
        await connection.closed.wait()
    assert connection.closed_for == ["bad"]
    assert len(tarpit) == 0


async def test_one_too_many_closes_the_one_that_was_held_longest() -> None:
    tarpit, connections = Tarpit(2), [PaperConnection() for _ in range(3)]
    for connection in connections:
        _hold(tarpit, connection, 60)
    assert [len(connection.closed_for) for connection in connections] == [1, 0, 0]
    assert len(tarpit) == 2


async def test_one_that_is_gone_is_neither_held_nor_closed() -> None:
    tarpit, gone, other = Tarpit(2), PaperConnection(), PaperConnection()
    _hold(tarpit, gone, 0.0)
    tarpit.forget(gone)
    tarpit.forget(gone)
    assert len(tarpit) == 0
    _hold(tarpit, other, 0.0)
    with anyio.fail_after(60):
        await other.closed.wait()
    assert gone.closed_for == []
