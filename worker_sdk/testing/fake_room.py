"""A room without an SFU: what `ctx.room()` gives a job in a test.

It has the names of LiveKit's `rtc.Room` for who is there and what is said, and no media: who else is in
the room, and what they send, comes from the test (`join`, `leave`, `say`), and what the agent sent is
there to look at (`sent`). Whatever else a job needs of a room, a fake of your own can have:
`run_job(room=...)` and `InProcessDispatcher(room=...)` take any object.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from protocol.errors import CallboardError

if TYPE_CHECKING:
    from worker_sdk.job import JobContext

__all__ = [
    "FakeDataPacket",
    "FakeLocalParticipant",
    "FakeParticipant",
    "FakeRoom",
    "SentData",
    "opened",
]

Handler = Callable[..., object]


class RoomOver(CallboardError):
    """Something was done in a fake room that the agent is not in."""

    def __str__(self) -> str:
        return "the agent is not in the room: it has not joined, or the room has ended"


@dataclass(slots=True)
class FakeParticipant:
    """Somebody else in the room (LiveKit's RemoteParticipant, as far as it has no media)."""

    identity: str
    sid: str = ""
    name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FakeDataPacket:
    """Data that came in: the argument of a `data_received` handler (LiveKit's DataPacket)."""

    data: bytes
    topic: str | None = None
    participant: FakeParticipant | None = None


@dataclass(frozen=True, slots=True)
class SentData:
    """Data that the agent sent."""

    data: bytes
    topic: str = ""
    destination_identities: tuple[str, ...] = ()
    reliable: bool = True


@dataclass(slots=True)
class FakeLocalParticipant:
    """The agent itself (LiveKit's LocalParticipant, as far as it has no media)."""

    identity: str = ""
    name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    # All that it sent, in order.
    sent: list[SentData] = field(default_factory=list)

    async def publish_data(
        self,
        payload: bytes | str,
        *,
        reliable: bool = True,
        destination_identities: list[str] | None = None,
        topic: str = "",
    ) -> None:
        """Keep it, for the test to look at."""
        data = payload.encode() if isinstance(payload, str) else payload
        self.sent.append(SentData(data, topic, tuple(destination_identities or ()), reliable))

    async def set_name(self, name: str) -> None:
        """Be called otherwise."""
        self.name = name

    async def set_metadata(self, metadata: str) -> None:
        """Have other metadata."""
        self.metadata = metadata

    async def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Add attributes; an empty value takes one away, as LiveKit has it."""
        self.attributes |= attributes
        self.attributes = {key: value for key, value in self.attributes.items() if value}


class FakeRoom:
    """A room as one agent sees it.

    The job has `name`, `sid`, `metadata`, `local_participant`, `remote_participants`, `isconnected`,
    `on`, `once`, `off` and `disconnect`. All else is the test's.
    """

    def __init__(self, name: str = "", *, sid: str = "", metadata: str = "") -> None:
        self.name = name
        self.sid = sid
        self.metadata = metadata
        self.local_participant = FakeLocalParticipant()
        self.remote_participants: dict[str, FakeParticipant] = {}
        # The agent has been in it, once at least.
        self.joined = anyio.Event()
        self._handlers: dict[str, list[Handler]] = {}
        # Of the block of `ctx.room()`, while the agent is there.
        self._block: anyio.CancelScope | None = None

    def __repr__(self) -> str:
        there = "joined" if self.isconnected() else "not joined"
        return f"<FakeRoom {self.name!r} {there}, {len(self.remote_participants)} others>"

    # ---- what the job does ----

    def isconnected(self) -> bool:
        """Is the agent in it?"""
        return self._block is not None

    def on(self, event: str, callback: Handler | None = None) -> Any:  # noqa: ANN401 - as LiveKit's
        """Call a function at each event of this name; a decorator where none is given."""
        if callback is None:
            return lambda function: self.on(event, function)
        self._handlers.setdefault(event, []).append(callback)
        return callback

    def once(self, event: str, callback: Handler | None = None) -> Any:  # noqa: ANN401
        """The same for the next event alone."""
        if callback is None:
            return lambda function: self.once(event, function)

        def call_once(*args: object) -> None:
            self.off(event, call_once)
            callback(*args)

        self.on(event, call_once)
        return callback

    def off(self, event: str, callback: Handler) -> None:
        """Call it no more."""
        handlers = self._handlers.get(event, [])
        if callback in handlers:
            handlers.remove(callback)

    async def disconnect(self) -> None:
        """Leave. The block of `ctx.room()` goes on."""
        self._block = None

    # ---- what the test does ----

    @property
    def sent(self) -> list[SentData]:
        """What the agent sent."""
        return self.local_participant.sent

    def join(
        self,
        identity: str,
        *,
        sid: str = "",
        name: str = "",
        metadata: str = "",
        attributes: Mapping[str, str] | None = None,
    ) -> FakeParticipant:
        """Let somebody join: `participant_connected`, where the agent is there already."""
        one = FakeParticipant(identity, sid, name, metadata, dict(attributes or {}))
        self.remote_participants[identity] = one
        self._emit("participant_connected", one)
        return one

    def leave(self, identity: str) -> None:
        """Let somebody leave: `participant_disconnected`."""
        self._emit("participant_disconnected", self.remote_participants.pop(identity))

    def say(self, identity: str, data: bytes | str, *, topic: str | None = None) -> None:
        """Let somebody who is there send data: `data_received`. Raises RoomOver without an agent."""
        if not self.isconnected():
            raise RoomOver
        payload = data.encode() if isinstance(data, str) else data
        who = self.remote_participants[identity]
        self._emit("data_received", FakeDataPacket(payload, topic, who))

    def end(self, reason: str = "ROOM_DELETED") -> None:
        """End the room: `disconnected`, and the block of `ctx.room()` is left."""
        if self._block is None:
            raise RoomOver
        block, self._block = self._block, None
        self._call("disconnected", reason)
        block.cancel()

    # ---- inside ----

    def _emit(self, event: str, *args: object) -> None:
        if self.isconnected():
            self._call(event, *args)

    def _call(self, event: str, *args: object) -> None:
        for handler in list(self._handlers.get(event, [])):
            handler(*args)

    @asynccontextmanager
    async def _joined(self, identity: str) -> AsyncIterator[FakeRoom]:
        self.local_participant.identity = identity
        with anyio.CancelScope() as block:
            self._block = block
            self.joined.set()
            try:
                yield self
            finally:
                self._block = None


@asynccontextmanager
async def _given(room: object) -> AsyncIterator[object]:
    yield room


def opened(room: object, ctx: JobContext) -> AbstractAsyncContextManager[Any]:
    """What `ctx.room()` returns for a room of a test: FakeRoom or any other object.

    An object that is an asynchronous context manager itself is entered and left.
    """
    if isinstance(room, FakeRoom):
        return room._joined(_identity_of(ctx.token) or f"agent-{ctx.job.id}")
    if isinstance(room, AbstractAsyncContextManager):
        return room
    return _given(room)


def _identity_of(token: str) -> str:
    """Whom a token names, where it can be read."""
    try:
        body = token.split(".")[1]
        identity = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"]
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return ""
    return identity if isinstance(identity, str) else ""
