"""The composition of a server: what an operator sets reaches who keeps it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import pytest

from dispatcher.app import compose
from dispatcher.config import ApiKey, Config
from dispatcher.core.effects import Outcome
from dispatcher.core.events import RoomEventReported
from dispatcher.core.room_events import RoomEvent, RoomEventKind, RoomInfo
from dispatcher.core.room_states import RoomLimits

pytestmark = pytest.mark.anyio


async def test_the_bounds_of_rooms_are_those_of_the_configuration(tmp_path: Path) -> None:
    limits = RoomLimits(rooms_max=1)
    runtime = compose(Config({"k": ApiKey("s")}, data_dir=tmp_path / "data", rooms=limits)).runtime
    outcomes: list[Outcome] = []
    async with anyio.create_task_group() as tasks:
        await tasks.start(runtime.run)
        for name in ("one", "two"):
            event = RoomEvent(RoomEventKind.ROOM_STARTED, "default", RoomInfo(name))
            reply = await runtime.ask(partial(_reported, event))
            outcomes.append(reply.outcome)
        tasks.cancel_scope.cancel()
    assert outcomes == [Outcome.DONE, Outcome.REFUSED]


def _reported(event: RoomEvent, request: int) -> RoomEventReported:
    return RoomEventReported(request, event)
