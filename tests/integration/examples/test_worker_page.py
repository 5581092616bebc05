"""The examples of docs/worker.md that join rooms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.waiting import eventually
from tests.integration.examples.programs import Programs, ended
from tests.support.livekit_server import LiveKitServer, needs_livekit_server
from worker_sdk import DispatchClient
from worker_sdk.client.messages import JobPhase

pytestmark = [pytest.mark.anyio, needs_livekit_server]
PAGE = (Path(__file__).parents[3] / "docs" / "worker.md").read_text()
(PROGRAM,) = [
    each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "ctx.room()" in each
]


async def test_the_host_welcomes_and_ends_with_its_room(
    sfu: LiveKitServer, client: DispatchClient, programs: Programs, room: str, tmp_path: Path
) -> None:
    path = tmp_path / "host.py"
    path.write_text(PROGRAM)
    programs.start_file(path)
    async with sfu.joined(room, "ann") as ann:
        await client.create_dispatch(room, "host")
        await eventually("ann is welcome", lambda: bool(ann.messages))
        assert ann.messages[0].data.decode() == f"Welcome to {room}"
    assert (await ended(client, room)).phase in (JobPhase.SUCCEEDED, JobPhase.CANCELLED)
