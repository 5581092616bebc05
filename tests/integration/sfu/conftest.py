"""One livekit-server for the tests of a process, and our server in front of it.

Both know the same key. Rooms have names of their own for each test.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from livekit import api

from tests.support.livekit_server import LiveKitServer, running_livekit_server
from tests.support.server import KEY, SECRET, RunningServer, running_server


@pytest.fixture(scope="package")
async def sfu(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LiveKitServer]:
    """LiveKit's own server."""
    folder = tmp_path_factory.mktemp("livekit")
    async with running_livekit_server(folder, keys={KEY: SECRET}) as running:
        yield running


@pytest.fixture(scope="package")
async def server(
    sfu: LiveKitServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningServer]:
    """Our server, which names that one as its SFU."""
    folder = tmp_path_factory.mktemp("server") / "data"
    async with running_server(folder, room_url=sfu.url) as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[api.LiveKitAPI]:
    """The stock Python client, given our address alone."""
    async with api.LiveKitAPI(server.http_url, KEY, SECRET) as client:
        yield client


@pytest.fixture
def room() -> str:
    """The name of a room that no other test uses."""
    return f"room-{uuid.uuid4().hex[:12]}"
