"""Servers, workers and callers for the conformance tests; all gone when the test is over.

`server` is shared by the tests of a module, which leave it as they found it and use rooms and
agent names of their own. A test that kills its server takes `own_server`.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest
from livekit import api

from tests.conformance.dispatches import Caller
from tests.conformance.processes import API_KEY, API_SECRET, NodeWorker, Server, Worker


@asynccontextmanager
async def running_server(folder: Path, settings: Mapping[str, object]) -> AsyncIterator[Server]:
    """Run a server for as long as the context is open."""
    server = Server(folder, settings)
    try:
        await server.start()
        yield server
    finally:
        server.clean_up()


@asynccontextmanager
async def calling(server: Server) -> AsyncIterator[Caller]:
    """A stock Python client of the server."""
    client = api.LiveKitAPI(server.http_url, API_KEY, API_SECRET)
    try:
        yield Caller(client)
    finally:
        await client.aclose()


@asynccontextmanager
async def repeating(server: Server, request_id: str) -> AsyncIterator[Caller]:
    """A caller whose calls reach the server as retries of one: all have the same request id."""

    async def repeat(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers["X-Livekit-Request-Id"] = request_id
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[repeat]) as session:
        yield Caller(api.LiveKitAPI(server.http_url, API_KEY, API_SECRET, session=session))


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for the tests of a module."""
    async with running_server(tmp_path_factory.mktemp("server"), {}) as server:
        yield server


@pytest.fixture(scope="module")
async def caller(server: Server) -> AsyncIterator[Caller]:
    """A backend that calls `server` with the stock Python client."""
    async with calling(server) as caller:
        yield caller


@pytest.fixture
def server_settings() -> Mapping[str, object]:
    """What `own_server` is configured with; a module overrides it to keep its tests quick."""
    return {}


@pytest.fixture
async def own_server(
    tmp_path: Path, server_settings: Mapping[str, object]
) -> AsyncIterator[Server]:
    """A server for one test alone, to kill and to start again."""
    async with running_server(tmp_path, server_settings) as server:
        yield server


@pytest.fixture
async def own_caller(own_server: Server) -> AsyncIterator[Caller]:
    """A backend that calls `own_server` with the stock Python client."""
    async with calling(own_server) as caller:
        yield caller


class StartWorker(Protocol):
    """Start a worker of a stock SDK; whether to wait for its registration is left to the test."""

    def __call__(
        self,
        server: Server,
        agent_name: str,
        *,
        script: str = "obedient.py",
        mode: str = "dev",
        url: str = "",
        **settings: str,
    ) -> Worker: ...


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers; each gets a folder of its own. `settings` go into its environment."""
    with ExitStack() as stack:
        started: list[Worker] = []

        def start(
            server: Server,
            agent_name: str,
            *,
            script: str = "obedient.py",
            mode: str = "dev",
            url: str = "",
            **settings: str,
        ) -> Worker:
            kind = NodeWorker if script.endswith(".mjs") else Worker
            worker = kind(
                tmp_path / f"worker-{len(started) + 1}",
                url or server.url,
                script=script,
                mode=mode,
                settings={"CONFORMANCE_AGENT": agent_name, **settings},
            )
            started.append(worker)
            stack.callback(worker.clean_up)
            return worker

        yield start
