"""Lists of the SFU's rooms: what is submitted, when, and what an outage does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest
from structlog.testing import capture_logs

from dispatcher.core.events import RoomsListed
from dispatcher.core.room_events import ParticipantKind
from dispatcher.sfu.client import SfuError, SfuUnavailable
from dispatcher.sfu.limits import SfuLimits
from dispatcher.sfu.reconciling import Reconciler
from protocol import wire_pb2
from tests.conformance.waiting import eventually

pytestmark = pytest.mark.anyio

AWAY = SfuUnavailable("ws://sfu", "ConnectError")
Info = wire_pb2.ParticipantInfo


@dataclass
class FakeSfu:
    """Rooms that a test fills, empties, and takes away."""

    rooms: dict[str, Sequence[Info]] = field(default_factory=dict)
    failure: SfuError | None = None
    # rooms whose participants cannot be listed
    broken: set[str] = field(default_factory=set)
    # participants are told when this is set
    is_open: anyio.Event = field(default_factory=anyio.Event)
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    at_once_max: int = 0
    is_closed: bool = False

    async def list_rooms(self) -> list[wire_pb2.Room]:
        if self.failure is not None:
            raise self.failure
        return [wire_pb2.Room(name=name, sid=f"RM_{name}") for name in self.rooms]

    async def list_participants(self, room: str) -> list[Info]:
        self.asked.append(room)
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        await self.is_open.wait()
        self.at_once -= 1
        if room in self.broken:
            raise AWAY
        return list(self.rooms[room])

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def sfu() -> FakeSfu:
    fake = FakeSfu()
    fake.is_open.set()
    return fake


@pytest.fixture
def submitted() -> list[RoomsListed]:
    return []


@pytest.fixture
def reconciler(sfu: FakeSfu, submitted: list[RoomsListed]) -> Reconciler:
    limits = SfuLimits(reconcile_seconds=600, reconcile_calls_max=2)
    return Reconciler(sfu, "project", submitted.append, lambda: 7, limits)


def person(identity: str, state: Info.State = Info.ACTIVE, tracks: int = 0) -> Info:
    return Info(
        identity=identity,
        sid=f"PA_{identity}",
        state=state,
        kind=Info.SIP,
        tracks=[wire_pb2.TrackInfo() for _ in range(tracks)],
    )


async def test_rooms_are_listed_with_who_is_in_them_and_who_publishes(
    sfu: FakeSfu, reconciler: Reconciler, submitted: list[RoomsListed]
) -> None:
    sfu.rooms = {"a": [person("ann", tracks=2), person("bob")], "b": []}

    assert await reconciler.reconcile()

    (listed,) = submitted
    assert (listed.project, listed.asked_at, listed.others_gone) == ("project", 7, True)
    seen = {each.room.name: each for each in listed.rooms}
    assert [each.identity for each in seen["a"].participants] == ["ann", "bob"]
    assert seen["a"].participants[0].kind is ParticipantKind.SIP
    assert seen["a"].publishers == {"PA_ann"}
    assert seen["b"].participants == ()


@pytest.mark.parametrize("state", [Info.JOINING, Info.JOINED, Info.DISCONNECTED])
async def test_who_is_not_connected_yet_or_any_more_is_not_there(
    sfu: FakeSfu, reconciler: Reconciler, submitted: list[RoomsListed], state: Info.State
) -> None:
    sfu.rooms = {"a": [person("ann", state, tracks=1)]}

    await reconciler.reconcile()

    assert submitted[0].rooms[0].participants == ()
    assert submitted[0].rooms[0].publishers == frozenset()


async def test_an_empty_list_is_a_list(
    reconciler: Reconciler, submitted: list[RoomsListed]
) -> None:
    assert await reconciler.reconcile()
    assert submitted[0].rooms == ()


async def test_an_sfu_that_is_away_changes_nothing(
    sfu: FakeSfu, reconciler: Reconciler, submitted: list[RoomsListed]
) -> None:
    sfu.failure = AWAY
    assert not await reconciler.reconcile()
    assert submitted == []


async def test_a_list_that_is_not_whole_changes_nothing(
    sfu: FakeSfu, reconciler: Reconciler, submitted: list[RoomsListed]
) -> None:
    sfu.rooms = {name: [person("ann")] for name in "abcde"}
    sfu.broken = {"c"}

    assert not await reconciler.reconcile()
    assert submitted == []


async def test_an_outage_is_logged_at_its_start_and_at_its_end_alone(
    sfu: FakeSfu, reconciler: Reconciler
) -> None:
    with capture_logs() as logs:
        await reconciler.reconcile()
        sfu.failure = AWAY
        await reconciler.reconcile()
        await reconciler.reconcile()
        sfu.failure = None
        await reconciler.reconcile()
        await reconciler.reconcile()
        sfu.failure = AWAY
        await reconciler.reconcile()

    assert [entry["event"] for entry in logs] == [
        "sfu_unreachable",
        "sfu_reachable_again",
        "sfu_unreachable",
    ]


async def test_only_so_many_rooms_are_asked_at_once(
    sfu: FakeSfu, reconciler: Reconciler, submitted: list[RoomsListed]
) -> None:
    sfu.rooms = {str(number): [] for number in range(20)}
    sfu.is_open = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reconciler.reconcile)
        await eventually("two rooms are asked", lambda: len(sfu.asked) == 2)
        await anyio.wait_all_tasks_blocked()
        sfu.is_open.set()

    assert sfu.at_once_max == 2
    assert len(submitted[0].rooms) == 20


async def test_the_first_list_comes_at_once_and_the_next_when_it_is_asked_for(
    reconciler: Reconciler, submitted: list[RoomsListed]
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reconciler.run)
        await eventually("the first list", lambda: len(submitted) == 1)
        await anyio.wait_all_tasks_blocked()
        assert len(submitted) == 1
        reconciler.request()
        await eventually("the second list", lambda: len(submitted) == 2)
        tasks.cancel_scope.cancel()


async def test_what_is_asked_for_while_a_list_is_made_is_another_list(
    sfu: FakeSfu, reconciler: Reconciler, submitted: list[RoomsListed]
) -> None:
    """The one that is being made may have looked already."""
    sfu.rooms = {"a": []}
    sfu.is_open = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reconciler.run)
        await eventually("a list is being made", lambda: sfu.asked)
        reconciler.request()
        reconciler.request()
        sfu.is_open.set()
        await eventually("the second list", lambda: len(submitted) == 2)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert len(submitted) == 2


async def test_lists_come_again_and_again(sfu: FakeSfu, submitted: list[RoomsListed]) -> None:
    reconciler = Reconciler(
        sfu, "project", submitted.append, lambda: 7, SfuLimits(reconcile_seconds=0.01)
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reconciler.run)
        await eventually("three lists", lambda: len(submitted) >= 3)
        tasks.cancel_scope.cancel()


async def test_the_connections_are_closed_when_it_is_stopped(
    sfu: FakeSfu, reconciler: Reconciler, submitted: list[RoomsListed]
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reconciler.run)
        await eventually("the first list", lambda: submitted)
        assert not sfu.is_closed
        tasks.cancel_scope.cancel()

    assert sfu.is_closed
