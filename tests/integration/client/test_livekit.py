"""The client against LiveKit's own server: its dispatches, and what it does not know."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from anyio import to_thread

from tests.integration.client.relay import Fault, relay_to
from tests.support.livekit_server import (
    LiveKitServer,
    needs_livekit_server,
    running_livekit_server,
)
from worker_sdk import (
    CredentialsRefused,
    DispatchClient,
    ServerUnreachable,
    SyncDispatchClient,
    UnexpectedAnswer,
)

pytestmark = [pytest.mark.anyio, needs_livekit_server]


@pytest.fixture(scope="module")
async def livekit(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LiveKitServer]:
    """LiveKit's own server."""
    async with running_livekit_server(tmp_path_factory.mktemp("livekit")) as running:
        yield running


async def test_dispatches_are_made_listed_and_deleted(livekit: LiveKitServer) -> None:
    async with DispatchClient(livekit.url, livekit.key, livekit.secret) as client:
        made = await client.create_dispatch("lobby", "nobody", metadata="m")
        assert made.id
        (found,) = [each for each in await client.list_dispatches("lobby") if each.id == made.id]
        assert (found.agent_name, found.metadata) == ("nobody", "m")
        one = await client.get_dispatch(made.id, "lobby")
        assert one is not None
        assert one.id == made.id
        assert (await client.delete_dispatch(made.id, "lobby")).id == made.id
        assert made.id not in {each.id for each in await client.list_dispatches("lobby")}


async def test_a_blocking_client_makes_one_too(livekit: LiveKitServer) -> None:
    def call() -> str:
        with SyncDispatchClient(livekit.url, livekit.key, livekit.secret) as client:
            return client.create_dispatch("lounge", "nobody").room

    assert await to_thread.run_sync(call) == "lounge"


async def test_a_dispatch_whose_answer_was_lost_is_not_made_twice(livekit: LiveKitServer) -> None:
    with relay_to(livekit.port, Fault.LOST) as relay:
        async with DispatchClient(relay.url, livekit.key, livekit.secret) as client:
            with pytest.raises(ServerUnreachable) as raised:
                await client.create_dispatch("once", "nobody")
            assert raised.value.may_have_happened
            made = [each.agent_name for each in await client.list_dispatches("once")]
            assert made.count("nobody") == 1  # the other is the room's own, for agents without name


async def test_a_key_that_it_does_not_know_is_one_clear_error(livekit: LiveKitServer) -> None:
    async with DispatchClient(livekit.url, "unknown", livekit.secret) as client:
        with pytest.raises(CredentialsRefused, match="LIVEKIT_API_KEY"):
            await client.list_dispatches("lobby")


async def test_calls_of_callboards_own_say_that_it_has_none(livekit: LiveKitServer) -> None:
    async with DispatchClient(livekit.url, livekit.key, livekit.secret) as client:
        with pytest.raises(UnexpectedAnswer, match="HTTP 404"):
            await client.list_jobs()
        with pytest.raises(UnexpectedAnswer, match="HTTP 404"):
            await anext(client.events())
