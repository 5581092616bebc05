"""A LiveKit server that does what a test wants, in its order: sockets, offers, rooms, dispatches.

No network: the bridge is given its `open` and its lists. What it keeps is what LiveKit keeps; whom an
offer goes to is LiveKit's choice too: any socket that is registered for exactly its name, type and
deployment, and when one is cut before its answer, the next.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import cast

import anyio.lowlevel

from dispatcher.bridge.limits import BridgeLimits
from dispatcher.bridge.socket import Connection, SocketEnded
from dispatcher.core.bridged import Served
from dispatcher.core.jobs import JobType
from dispatcher.sfu.client import SfuUnavailable
from protocol import wire_pb2
from protocol.codec import decode_worker_message
from protocol.errors import TwirpCode
from tests.conformance.waiting import eventually

_CUT = b""


class FakeConnection:
    """One socket, as the SFU sees it."""

    def __init__(self, sfu: FakeSfu, url: str) -> None:
        self.url = url
        self._sfu = sfu
        self._frames: asyncio.Queue[bytes] = asyncio.Queue(1_000)
        self.registration = wire_pb2.RegisterWorkerRequest()
        # all that came over it after the registration
        self.heard: list[wire_pb2.WorkerMessage] = []
        self.is_open = True

    @property
    def served(self) -> Served:
        """What it is registered for."""
        said = self.registration
        return Served(said.agent_name, JobType(said.type), said.deployment)

    @property
    def statuses(self) -> list[wire_pb2.UpdateWorkerStatus]:
        return [m.update_worker for m in self.heard if m.HasField("update_worker")]

    @property
    def answers(self) -> list[wire_pb2.AvailabilityResponse]:
        return [m.availability for m in self.heard if m.HasField("availability")]

    @property
    def ends(self) -> list[wire_pb2.UpdateJobStatus]:
        return [m.update_job for m in self.heard if m.HasField("update_job")]

    def say(self, message: wire_pb2.ServerMessage) -> None:
        """Send one message to the bridge."""
        self._frames.put_nowait(message.SerializeToString())

    def cut(self) -> None:
        """End the connection at once."""
        if self.is_open:
            self.is_open = False
            self._sfu.connections.remove(self)
            self._frames.put_nowait(_CUT)

    # --- the bridge's side ---

    async def send(self, frame: bytes) -> None:
        if not self.is_open:
            raise SocketEnded("cut")
        message = decode_worker_message(frame)
        if message.HasField("register"):
            self.registration = message.register
            self.say(wire_pb2.ServerMessage(register={"worker_id": f"AW_{id(self)}"}))
            self._sfu.connections.append(self)
        else:
            self.heard.append(message)

    async def receive(self) -> bytes:
        frame = await self._frames.get()
        if frame == _CUT:
            raise SocketEnded("cut")
        return frame

    async def close(self) -> None:
        if self.is_open:
            self.is_open = False
            if self in self._sfu.connections:
                self._sfu.connections.remove(self)


class FakeSfu:
    """Rooms, dispatches and sockets. `is_away`: it can be reached no longer."""

    def __init__(self) -> None:
        self.connections: list[FakeConnection] = []
        self.rooms: dict[str, wire_pb2.Room] = {}
        self.people: dict[str, list[wire_pb2.ParticipantInfo]] = {}
        self.dispatches: dict[str, list[wire_pb2.AgentDispatch]] = {}
        self.is_away = False
        # happens once, when dispatches are asked for the next time
        self.before_dispatches: Callable[[], object] | None = None
        # nodes that cannot be reached
        self.away_urls: set[str] = set()
        # rooms that are listed, and of which no more is told; how often each was asked for
        self.silent_rooms: set[str] = set()
        self.asked_for: Counter[str] = Counter()
        # how often all rooms were listed, and one dispatch
        self.sweeps = self.asked_for_one = 0
        self._numbers = itertools.count(1)

    # --- what a test does ---

    def room(self, name: str = "room", *people: wire_pb2.ParticipantInfo) -> wire_pb2.Room:
        """A new session of a room."""
        room = wire_pb2.Room(sid=f"RM_{next(self._numbers)}", name=name, turn_password="hush")
        self.rooms[name] = room
        self.people[name] = list(people)
        self.dispatches[name] = []
        return room

    def dispatch(
        self, room: str = "room", agent: str = "greeter", **fields: object
    ) -> wire_pb2.AgentDispatch:
        """A new dispatch; nobody is offered anything by it."""
        made = wire_pb2.AgentDispatch(
            id=f"AD_{next(self._numbers)}", room=room, agent_name=agent, metadata="of the dispatch"
        )
        for name, value in fields.items():
            setattr(made, name, value)
        self.dispatches[room].append(made)
        return made

    def job(
        self,
        dispatch: wire_pb2.AgentDispatch,
        who: wire_pb2.ParticipantInfo | None = None,
        job_type: JobType = JobType.ROOM,
    ) -> wire_pb2.Job:
        """LiveKit's own job of a dispatch."""
        return wire_pb2.Job(
            id=f"AJ_sfu_{next(self._numbers)}",
            dispatch_id=dispatch.id,
            type=cast("wire_pb2.JobType", int(job_type)),
            room=self.rooms[dispatch.room],
            participant=who,
            agent_name=dispatch.agent_name,
            metadata=dispatch.metadata,
            enable_recording=True,
        )

    async def sockets(
        self, agent: str = "greeter", count: int = 2, job_type: JobType = JobType.ROOM
    ) -> list[FakeConnection]:
        """Wait until so many sockets are registered for this."""
        served = Served(agent, job_type)

        def found() -> list[FakeConnection] | None:
            all_of_it = [c for c in self.connections if c.served == served]
            return all_of_it if len(all_of_it) == count else None

        return await eventually(f"{count} sockets of {agent!r}", found)

    def offer(self, socket: FakeConnection, job: wire_pb2.Job) -> None:
        """Offer a job on this socket."""
        socket.say(wire_pb2.ServerMessage(availability={"job": job}))

    async def answer(
        self, socket: FakeConnection, job: wire_pb2.Job
    ) -> wire_pb2.AvailabilityResponse:
        """Wait for the answer to an offer."""

        def found() -> wire_pb2.AvailabilityResponse | None:
            return next((each for each in socket.answers if each.job_id == job.id), None)

        return await eventually("an answer", found)

    async def assign(self, socket: FakeConnection, job: wire_pb2.Job) -> None:
        """Offer a job, which must be taken, and assign it."""
        self.offer(socket, job)
        assert (await self.answer(socket, job)).available
        socket.say(wire_pb2.ServerMessage(assignment={"job": job, "token": "of LiveKit's own"}))

    # --- the bridge's side ---

    async def open(self, url: str, token: str, _limits: BridgeLimits) -> Connection:
        await anyio.lowlevel.checkpoint()
        assert url.endswith("/agent")
        assert token
        if self.is_away or url in self.away_urls:
            raise SocketEnded("away")
        return FakeConnection(self, url)

    async def list_rooms(self, names: Collection[str] = ()) -> list[wire_pb2.Room]:
        await self._be_there()
        if not names:
            self.sweeps += 1
        return [room for name, room in self.rooms.items() if not names or name in names]

    async def list_participants(self, room: str) -> list[wire_pb2.ParticipantInfo]:
        await self._be_there()
        return self.people.get(room, [])

    async def list_dispatches(
        self, room: str, dispatch_id: str = ""
    ) -> Sequence[wire_pb2.AgentDispatch]:
        await self._be_there()
        self.asked_for_one += bool(dispatch_id)
        self.asked_for[room] += 1
        if room in self.silent_rooms:
            raise SfuUnavailable("ws://sfu", "its node is away", TwirpCode.UNAVAILABLE)
        if self.before_dispatches is not None:
            happen, self.before_dispatches = self.before_dispatches, None
            happen()
        found = self.dispatches.get(room, [])
        return [each for each in found if dispatch_id in ("", each.id)]

    async def _be_there(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.is_away:
            raise SfuUnavailable("ws://sfu", "away")
