"""What `ctx.room()` says before it reaches for a server."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from protocol.errors import ConfigError
from tests.support.served_worker import wait_until
from tests.unit.worker_sdk.test_job import context
from worker_sdk import JobContext
from worker_sdk.room import load_library


async def join(ctx: JobContext) -> None:
    """Join the job's room."""
    async with ctx.room():
        pass


def test_without_the_library_it_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit.rtc", None)
    monkeypatch.setitem(sys.modules, "livekit", None)
    with pytest.raises(ConfigError, match=r"pip install 'callboard\[room\]'"):
        anyio.run(join, context())


def test_jobs_that_join_while_the_library_is_loaded_wait_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "livekit").mkdir()
    (tmp_path / "livekit" / "__init__.py").touch()
    (tmp_path / "livekit" / "rtc.py").write_text("import time\ntime.sleep(0.5)\nROOM = 1\n")
    for name in [name for name in sys.modules if name.split(".")[0] == "livekit"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    found = []

    async def job() -> None:
        found.append((await load_library()).ROOM)

    async def jobs() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job)
            await wait_until(lambda: "livekit.rtc" in sys.modules)
            tasks.start_soon(job)

    try:
        anyio.run(jobs)
    finally:
        for name in ("livekit.rtc", "livekit"):
            sys.modules.pop(name, None)  # so that the real one is put back
    assert found == [1, 1]


def test_without_an_address_it_names_the_option_of_the_server() -> None:
    with pytest.raises(ConfigError, match="--room-url"):
        anyio.run(join, context(url=""))


def test_on_another_loop_than_asyncio_it_says_so() -> None:
    pytest.importorskip("trio")
    with pytest.raises(ConfigError, match="needs asyncio"):
        anyio.run(join, context(), backend="trio")
