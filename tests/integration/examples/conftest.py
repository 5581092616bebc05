"""LiveKit's own server and ours beside it, for the examples; each is run as a person runs it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.processes import API_KEY, API_SECRET, Process, Server
from tests.integration.examples.programs import Programs
from tests.support.livekit_server import PROGRAM, LiveKitServer
from worker_sdk import DispatchClient


@contextmanager
def cleaned_up(server: Server | LiveKitServer) -> Iterator[None]:
    """Whatever comes, the server's process is gone."""
    try:
        yield
    finally:
        process: Process | None = server.process
        if process is not None:
            process.clean_up()


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both servers write."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="package")
def unstarted(folder: Path) -> Server:
    """Our server, which has an address before it is started."""
    (folder / "callboard").mkdir()
    return Server(folder / "callboard")


@pytest.fixture(scope="package")
async def sfu(anyio_backend: str, folder: Path, unstarted: Server) -> AsyncIterator[LiveKitServer]:
    """LiveKit's own server, which tells ours of its rooms; not started where there is none."""
    sfu = LiveKitServer(
        folder / "livekit",
        webhook_urls=[f"{unstarted.http_url}/webhooks/livekit"],
        departure_seconds=1,
    )
    with cleaned_up(sfu):
        if PROGRAM.exists():
            await sfu.start()
        yield sfu


@pytest.fixture(scope="package")
async def server(sfu: LiveKitServer, unstarted: Server) -> AsyncIterator[Server]:
    """Our server."""
    unstarted.settings = {"room_url": sfu.url} if PROGRAM.exists() else {}
    with cleaned_up(unstarted):
        await unstarted.start()
        yield unstarted


@pytest.fixture
async def client(server: Server) -> AsyncIterator[DispatchClient]:
    """Who calls the agents, and looks what became of the jobs."""
    async with DispatchClient(server.url, API_KEY, API_SECRET) as client:
        yield client


@pytest.fixture
def programs(server: Server, tmp_path: Path) -> Iterator[Programs]:
    """The workers of a test."""
    programs = Programs(server.url, tmp_path)
    try:
        yield programs
    finally:
        programs.clean_up()


@pytest.fixture
def room() -> str:
    """The name of a room that no other test uses."""
    return f"room-{uuid.uuid4().hex[:12]}"
