"""What `ctx.room()` says before it reaches for a server."""

from __future__ import annotations

import sys

import anyio
import pytest

from protocol.errors import ConfigError
from tests.unit.worker_sdk.test_job import context
from worker_sdk import JobContext


async def join(ctx: JobContext) -> None:
    """Join the job's room."""
    async with ctx.room():
        pass


def test_without_the_library_it_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit.rtc", None)
    monkeypatch.setitem(sys.modules, "livekit", None)
    with pytest.raises(ConfigError, match=r"pip install 'callboard\[room\]'"):
        anyio.run(join, context())


def test_without_an_address_it_names_the_option_of_the_server() -> None:
    with pytest.raises(ConfigError, match="--room-url"):
        anyio.run(join, context(url=""))


def test_on_another_loop_than_asyncio_it_says_so() -> None:
    pytest.importorskip("trio")
    with pytest.raises(ConfigError, match="needs asyncio"):
        anyio.run(join, context(), backend="trio")
