"""An event stream whose log cannot be read on."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import anyio
import pytest

from dispatcher.event_feed import EventFeed
from dispatcher.server.access import Access
from dispatcher.server.event_stream import EventStreams
from dispatcher.server.limits import ServerLimits
from dispatcher.store.contract import EventRow
from protocol.errors import StoreUnavailable
from tests.support.server import KEY, KEYS, admin_token

pytestmark = pytest.mark.anyio


class BrokenLog:
    """Says that there are events, and cannot read them."""

    async def last_sequence(self) -> int:
        """Return how many there should be."""
        return 9

    async def events_after(self, sequence: int, limit: int) -> list[EventRow]:
        """Fail."""
        raise StoreUnavailable("the disk is slow", "data", "wait")


async def test_a_stream_whose_log_cannot_be_read_on_is_left_without_its_end() -> None:
    limits = ServerLimits()
    streams = EventStreams(EventFeed(BrokenLog(), 10, 0.01), Access(KEYS, limits.wire), limits)
    token = f"Bearer {admin_token(KEY)}".encode()
    scope = {"method": "GET", "headers": [(b"authorization", token)], "query_string": b"after=0"}
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.fail_after(60):
        await streams(scope, receive, send)
    assert sent[0]["status"] == 200
    assert all(message["more_body"] for message in sent[1:])
