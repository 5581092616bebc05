"""The SFU's dispatches: it is asked for none of a room that is not there, which costs it seconds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from dispatcher.core.bridging import Called
from dispatcher.core.events import Event
from dispatcher.server.sfu_dispatches import SfuDispatches
from dispatcher.store.contract import StoredJob
from protocol import wire_pb2

pytestmark = pytest.mark.anyio

PROJECT = "project"


class Sfu:
    """Has these rooms, each with one dispatch, and writes down of which it was asked for those."""

    def __init__(self, *rooms: str) -> None:
        self.rooms = rooms
        self.asked_of: list[str] = []

    async def list_rooms(self, names: Collection[str] = ()) -> list[wire_pb2.Room]:
        """The rooms of these names."""
        return [wire_pb2.Room(name=name) for name in names if name in self.rooms]

    async def list_dispatches(
        self, room: str, dispatch_id: str = ""
    ) -> Sequence[wire_pb2.AgentDispatch]:
        """The one dispatch."""
        self.asked_of.append(room)
        return [wire_pb2.AgentDispatch(id=f"AD_{room}", room=room)]

    async def delete_dispatch(self, room: str, dispatch_id: str) -> wire_pb2.AgentDispatch:
        """Delete it."""
        self.asked_of.append(room)
        return wire_pb2.AgentDispatch(id=dispatch_id, room=room)


class Nothing:
    """An engine without calls, and a store without jobs."""

    def calls_of_room(self, project: str, room: str) -> Collection[Called]:
        """None."""
        return []

    async def get_job(self, project: str, job_id: str) -> StoredJob | None:
        """None."""
        return None


def dispatches_of(sfu: Sfu) -> SfuDispatches:
    submitted: list[Event] = []
    return SfuDispatches(sfu, PROJECT, Nothing(), Nothing(), submitted.append)


async def test_those_of_a_room_that_is_there_are_asked_for() -> None:
    sfu = Sfu("lobby")
    (listed,) = await dispatches_of(sfu).of_room(PROJECT, "lobby")
    assert (listed.id, sfu.asked_of) == ("AD_lobby", ["lobby"])


async def test_nobody_asks_for_those_of_a_room_that_is_not_there() -> None:
    sfu = Sfu("lobby")
    dispatches = dispatches_of(sfu)
    assert await dispatches.of_room(PROJECT, "elsewhere") == []
    assert await dispatches.one(PROJECT, "elsewhere", "AD_1") == []
    assert await dispatches.delete(PROJECT, "elsewhere", "AD_1") is None
    assert sfu.asked_of == []
