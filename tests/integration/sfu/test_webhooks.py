"""LiveKit's own server tells us of its rooms, by webhooks alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conformance.waiting import eventually
from tests.integration.server.peers import Caller
from tests.integration.server.rooms import room_of
from tests.support.livekit_server import (
    LiveKitServer,
    needs_livekit_server,
    running_livekit_server,
)
from tests.support.server import KEY, SECRET, running_server

pytestmark = [pytest.mark.anyio, needs_livekit_server]


@asynccontextmanager
async def told_by_livekit(folder: Path) -> AsyncIterator[tuple[LiveKitServer, Caller]]:
    """Run a livekit-server that tells our server, which does not ask it."""
    async with (
        running_server(folder / "data") as server,
        running_livekit_server(
            folder / "livekit",
            keys={KEY: SECRET},
            webhook_urls=[f"{server.http_url}/webhooks/livekit"],
            departure_seconds=1,
        ) as sfu,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        yield sfu, Caller(server, client)


async def test_a_real_rooms_life_is_followed(tmp_path: Path, room: str) -> None:
    async with told_by_livekit(tmp_path) as (sfu, api):

        async def publishing() -> dict[str, Any] | None:
            found = await room_of(api, room)
            people = found["participants"] if found else []
            return next((who for who in people if who["is_publisher"]), None)

        async def is_empty() -> bool:
            found = await room_of(api, room)
            return found is not None and not found["participants"]

        async def is_over() -> bool:
            return await room_of(api, room) is None

        async with sfu.joined(room, "ann", tier="gold", metadata='{"lang":"de"}') as ann:
            await ann.publish_audio()
            who = await eventually("ann is known to publish", publishing)
            assert (who["identity"], who["sid"]) == ("ann", ann.sid)
            assert (who["attributes"], who["metadata"]) == ({"tier": "gold"}, '{"lang":"de"}')
            known = await room_of(api, room)
            assert known is not None
            assert known["sid"] == await ann.room.sid
        await eventually("the room is empty", is_empty)
        await eventually("the room is over", is_over)
