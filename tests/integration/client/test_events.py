"""The stream of events of a real server, over a SIGKILL of it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from tests.integration.cli.callboard import KEY, SECRET, Server, served
from worker_sdk import DispatchClient, EventsGone, SyncDispatchClient

WAIT_SECONDS = 60.0


def test_events_go_on_after_a_server_was_killed(tmp_path: Path) -> None:
    async def follow() -> list[int]:
        with ExitStack() as stack:
            first = stack.enter_context(served(tmp_path))
            url = first.env["LIVEKIT_URL"]
            async with (
                DispatchClient(url, KEY, SECRET) as client,
                client.events(after=0) as events,
            ):
                found: list[int] = []
                for restarts in (True, True, False):
                    await client.create_dispatch("lobby", "nobody")
                    found.append((await anext(events)).sequence)
                    if restarts:
                        first.process.kill()
                        first.process.wait()
                        first = stack.enter_context(served(tmp_path, "--port", str(first.port)))
                return found

    async def within() -> list[int]:
        with anyio.fail_after(WAIT_SECONDS):
            return await follow()

    assert anyio.run(within) == [1, 2, 3]


def test_a_blocking_stream_goes_on_as_well(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(served(tmp_path))
        client = stack.enter_context(SyncDispatchClient(first.env["LIVEKIT_URL"], KEY, SECRET))
        events = stack.enter_context(client.events(after=0))
        client.create_dispatch("lobby", "nobody")
        assert next(events).sequence == 1
        first.process.kill()
        first.process.wait()
        stack.enter_context(served(tmp_path, "--port", str(first.port)))
        client.create_dispatch("lobby", "nobody")
        assert next(events).sequence == 2


def test_a_log_is_read_to_its_end(server: Server) -> None:
    with SyncDispatchClient(server.env["LIVEKIT_URL"], KEY, SECRET) as client:
        made = client.create_dispatch("to-the-end", "nobody")
        events = list(client.events(after=0, follow=False))
        assert events[-1].dispatch_id == made.id
        assert events[-1].kind == "created"


def test_a_place_of_another_log_is_told(server: Server) -> None:
    with SyncDispatchClient(server.env["LIVEKIT_URL"], KEY, SECRET) as client:
        with client.events(after=10**6) as events, pytest.raises(EventsGone) as raised:
            next(events)
        assert raised.value.is_of_another_log
        assert list(client.events(raised.value.resume_after, follow=False)) == []
