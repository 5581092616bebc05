"""The agents of a room that the SFU has made: dispatched once, whatever fails on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from dispatcher.app import compose
from dispatcher.config import ApiKey, Config
from dispatcher.core.events import RoomEventReported
from dispatcher.core.room_events import RoomEvent, RoomEventKind, RoomInfo
from dispatcher.room_configurations import DEFAULT_CONFIGURATION_LIMITS, Presets
from dispatcher.runtime import Runtime
from dispatcher.server.create_room import NOBODY, mark_of
from dispatcher.server.limits import ServerLimits
from dispatcher.server.room_creation import RoomCreation
from dispatcher.sfu.client import SfuUnavailable
from protocol import wire_pb2
from protocol.errors import TwirpError

pytestmark = pytest.mark.anyio

PROJECT = "default"
LOBBY = wire_pb2.Room(name="lobby", sid="RM_1", metadata="m", creation_time_ms=5_000)


@dataclass
class Sfu:
    """Tells the dispatches of a room, or fails so often before it does."""

    dispatches: list[wire_pb2.AgentDispatch] = field(default_factory=list)
    failures: int = 0
    asked: list[str] = field(default_factory=list)

    async def __call__(self, room: str) -> Sequence[wire_pb2.AgentDispatch]:
        self.asked.append(room)
        if self.failures:
            self.failures -= 1
            raise SfuUnavailable("ws://sfu", "it is away")
        return self.dispatches


@pytest.fixture
def sfu() -> Sfu:
    return Sfu()


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    parts = compose(Config({"k": ApiKey("s")}, data_dir=tmp_path / "data"))
    async with anyio.create_task_group() as tasks:
        await tasks.start(parts.runtime.run)
        yield parts.runtime
        tasks.cancel_scope.cancel()


@pytest.fixture
def rooms(runtime: Runtime, sfu: Sfu) -> RoomCreation:
    presets = Presets({}, lambda: runtime.engine.room_configurations)
    return RoomCreation(runtime, presets, sfu, ServerLimits(), DEFAULT_CONFIGURATION_LIMITS)


def wanted(*agents: str) -> wire_pb2.CreateRoomRequest:
    request = wire_pb2.CreateRoomRequest(name="lobby")
    for name in agents:
        request.agents.add(agent_name=name)
    return request


def made_with(request: wire_pb2.CreateRoomRequest) -> list[wire_pb2.AgentDispatch]:
    """What the SFU tells of a room that was made for this request."""
    return [wire_pb2.AgentDispatch(agent_name=NOBODY, metadata=mark_of(request.agents))]


async def dispatched(runtime: Runtime) -> list[tuple[str, str]]:
    """The dispatches of the room: id and agent."""
    found = await runtime.store.list_dispatches(PROJECT, "lobby", 100)
    return [(each.dispatch.id, each.dispatch.agent_name) for each in found]


async def started(runtime: Runtime, sid: str) -> None:
    """A webhook tells that a session of the room has begun."""
    event = RoomEvent(RoomEventKind.ROOM_STARTED, PROJECT, RoomInfo("lobby", sid))
    await runtime.ask(lambda number: RoomEventReported(number, event))


async def test_a_call_that_failed_after_the_room_was_made_goes_on_when_it_is_repeated(
    rooms: RoomCreation, runtime: Runtime, sfu: Sfu
) -> None:
    request = wanted("greeter", "scribe")
    sfu.dispatches, sfu.failures = made_with(request), 1
    with pytest.raises(SfuUnavailable):
        await rooms.created(PROJECT, request, LOBBY)
    assert await dispatched(runtime) == []

    await rooms.created(PROJECT, request, LOBBY)

    assert [agent for _, agent in await dispatched(runtime)] == ["greeter", "scribe"]


async def test_one_session_has_its_dispatches_once_and_the_next_its_own(
    rooms: RoomCreation, runtime: Runtime, sfu: Sfu
) -> None:
    request = wanted("greeter", "greeter")
    sfu.dispatches = made_with(request)
    for _ in range(2):
        await rooms.created(PROJECT, request, LOBBY)
    assert len(set(await dispatched(runtime))) == 2

    await rooms.created(PROJECT, request, wire_pb2.Room(name="lobby", sid="RM_2"))
    assert len(set(await dispatched(runtime))) == 4


@pytest.mark.parametrize(
    ("sid", "is_over"), [("RM_1", True), ("RM_0", False)], ids=["has begun", "is still to come"]
)
async def test_an_announcement_ends_when_its_session_has_begun(
    rooms: RoomCreation, runtime: Runtime, sfu: Sfu, sid: str, is_over: bool
) -> None:
    request = wanted("greeter")
    sfu.dispatches = made_with(request)
    await started(runtime, sid)
    rooms.announce(PROJECT, request)
    await rooms.created(PROJECT, request, LOBBY)

    await started(runtime, "RM_2")

    assert runtime.engine.rooms[PROJECT, "lobby"].names_agents is not is_over


async def test_an_announcement_ends_when_the_room_was_there_already(
    rooms: RoomCreation, runtime: Runtime
) -> None:
    request = wanted("greeter")
    rooms.announce(PROJECT, request)
    await rooms.created(PROJECT, request, LOBBY)
    await started(runtime, "RM_2")
    assert not runtime.engine.rooms[PROJECT, "lobby"].names_agents


async def test_the_job_knows_the_room_as_the_sfu_made_it(
    rooms: RoomCreation, runtime: Runtime, sfu: Sfu
) -> None:
    request = wanted("greeter")
    sfu.dispatches = made_with(request)
    await rooms.created(PROJECT, request, LOBBY)

    (stored,) = await runtime.store.list_dispatches(PROJECT, "lobby", 100)
    (entry,) = stored.jobs
    room = wire_pb2.Job.FromString(entry.job.config).room
    assert (room.sid, room.metadata, room.creation_time_ms) == ("RM_1", "m", 5_000)


@pytest.mark.parametrize("theirs", ["nobody", "other agents", "not through us"])
async def test_a_room_that_was_made_for_something_else_is_left_alone(
    rooms: RoomCreation, runtime: Runtime, sfu: Sfu, theirs: str
) -> None:
    request = wanted("greeter")
    sfu.dispatches = {
        "nobody": made_with(wanted()),
        "other agents": made_with(wanted("scribe")),
        "not through us": [wire_pb2.AgentDispatch()],
    }[theirs]
    await rooms.created(PROJECT, request, LOBBY)
    assert await dispatched(runtime) == []


@pytest.mark.parametrize(
    "room",
    [wire_pb2.Room(name="lobby"), wire_pb2.Room(name="other", sid="RM_1")],
    ids=["no sid", "another name"],
)
async def test_an_answer_about_another_room_is_an_error(
    rooms: RoomCreation, sfu: Sfu, room: wire_pb2.Room
) -> None:
    request = wanted("greeter")
    sfu.dispatches = made_with(request)
    with pytest.raises(TwirpError, match="another room"):
        await rooms.created(PROJECT, request, room)
