"""A link in memory, between the server's own sessions and what a worker's connection needs."""

from __future__ import annotations

import time

import anyio
import pytest
import structlog

from dispatcher.config import ApiKey
from dispatcher.core.events import Event, WorkerDisconnected, WorkerPonged, WorkerRegistered
from dispatcher.server.access import Access
from dispatcher.server.limits import ServerLimits
from dispatcher.server.sessions import Sessions
from dispatcher.server.worker_messages import RoomAccess
from protocol import wire_pb2
from protocol.errors import CloseCode
from protocol.tokens import mint_api_token
from worker_sdk.connection import ConnectionEnded
from worker_sdk.testing.memory_link import ServerEnd, WorkerEnd, connected

pytestmark = pytest.mark.anyio

SECRET = "a-secret-of-the-tests-that-is-long-enough"
REGISTER = wire_pb2.WorkerMessage(
    register=wire_pb2.RegisterWorkerRequest(agent_name="a")
).SerializeToString()


class Door:
    """Sessions, and what they tell."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.frames = 0
        limits = ServerLimits(outbound_frames_max=3)
        self.sessions = Sessions(
            Access({"key": ApiKey(SECRET)}, limits.wire),
            limits,
            wire_pb2.ServerInfo(),
            RoomAccess(),
            queue_time=1,
            clock=time.time_ns,
        )
        self.sessions.connect(self)

    def submit(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def note(self) -> None:
        """Count a frame."""
        self.frames += 1

    def open(self, secret: str = SECRET, *, agent: bool = True) -> ServerEnd:
        """A new link."""
        token = mint_api_token("key", secret, now_ns=time.time_ns(), agent=agent)
        return connected(self.sessions, token, self.note)

    async def registered(self) -> tuple[ServerEnd, WorkerEnd]:
        """A link over which a worker has registered."""
        link = self.open()
        end = WorkerEnd(link)
        await end.send(REGISTER)
        return link, end


@pytest.fixture(autouse=True)
def quiet() -> object:
    with structlog.testing.capture_logs() as logs:
        yield logs


async def turns() -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(("secret", "agent"), [("another", True), (SECRET, False)])
async def test_who_may_not_come_in_is_refused_with_the_status(secret: str, agent: bool) -> None:
    with pytest.raises(ConnectionEnded, match="refused") as raised:
        Door().open(secret, agent=agent)
    assert raised.value.status == 401


async def test_frames_go_both_ways_in_their_order_and_are_counted() -> None:
    door = Door()
    link, end = await door.registered()
    assert isinstance(door.events[0], WorkerRegistered)
    link.write_frames([b"1", b"2"])
    link.write_frame(b"3")
    assert [await end.receive() for _ in range(3)] == [b"1", b"2", b"3"]
    assert door.frames >= 4


async def test_who_reads_waits_for_what_comes() -> None:
    link, end = await Door().registered()
    got: list[bytes | str] = []

    async def read() -> None:
        got.append(await end.receive())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await turns()
        assert got == []
        link.write_frame(b"1")
    assert got == [b"1"]


async def test_a_link_that_the_server_closes_is_read_to_its_end() -> None:
    door = Door()
    link, end = await door.registered()
    link.write_frame(b"1")
    link.start_closing(CloseCode.GOING_AWAY, "bye")
    link.write_frame(b"too late")
    assert await end.receive() == b"1"
    with pytest.raises(ConnectionEnded, match="received 1001 bye"):
        await end.receive()
    with pytest.raises(ConnectionEnded, match="received 1001 bye"):
        await end.send(b"")
    await turns()
    assert isinstance(door.events[-1], WorkerDisconnected)


async def test_a_link_that_is_cut_loses_what_was_not_read_and_both_are_told_once() -> None:
    door = Door()
    link, end = await door.registered()
    link.write_frame(b"1")
    link.lose("cut")
    link.lose("again")
    await end.close()
    with pytest.raises(ConnectionEnded, match=r"^cut$"):
        await end.receive()
    await turns()
    assert [type(event) for event in door.events] == [WorkerRegistered, WorkerDisconnected]


async def test_a_worker_that_closes_is_gone() -> None:
    door = Door()
    _, end = await door.registered()
    await end.close()
    await turns()
    gone = door.events[-1]
    assert isinstance(gone, WorkerDisconnected)
    assert gone.reason == "closed by the worker (1000)"


async def test_a_server_that_is_killed_hears_nothing_of_it() -> None:
    door = Door()
    link, end = await door.registered()
    link.die("killed")
    with pytest.raises(ConnectionEnded, match="killed"):
        await end.receive()
    await turns()
    assert [type(event) for event in door.events] == [WorkerRegistered]


async def test_a_worker_that_does_not_read_is_cut_off() -> None:
    door = Door()
    link, end = await door.registered()
    link.write_frames([b"1", b"2", b"3"])
    link.write_frame(b"4")
    with pytest.raises(ConnectionEnded, match="does not read"):
        await end.receive()
    await turns()
    assert isinstance(door.events[-1], WorkerDisconnected)


async def test_a_ping_is_answered_while_the_link_is_there() -> None:
    door = Door()
    link, _ = await door.registered()
    link.ask_for_pong()
    await turns()
    assert isinstance(door.events[-1], WorkerPonged)
    link.ask_for_pong()
    link.lose("cut")
    await turns()
    assert not isinstance(door.events[-1], WorkerPonged)
