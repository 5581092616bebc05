"""The SFU's rooms, listed again and again, so that a webhook that was lost does no lasting harm.

At start, every so often and on demand: list the rooms, then who is in each, and hand the whole to
the engine as one RoomsListed. A list that is not whole is none: an SFU that is away, or that fails
in the middle, changes nothing. An outage is logged at its start and at its end.

Only who is connected counts (ACTIVE), as for LiveKit's webhooks: joining may still come to nothing.
What follows from a list is left to the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import anyio
import structlog

from dispatcher.core.events import RoomsListed
from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.room_events import RoomSeen
from dispatcher.server.wire_rooms import participant, room_info
from dispatcher.sfu.client import SfuError
from dispatcher.sfu.limits import SfuLimits
from protocol import wire_pb2

log = structlog.get_logger()


class RoomSource(Protocol):
    """Who can tell of rooms (`dispatcher.sfu.client.SfuClient`). Both raise SfuError."""

    async def list_rooms(self) -> list[wire_pb2.Room]:
        """The rooms that are there."""
        ...

    async def list_participants(self, room: str) -> list[wire_pb2.ParticipantInfo]:
        """Who is in a room."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class Reconciler:
    """Lists the SFU's rooms for one project, and submits them."""

    def __init__(
        self,
        source: RoomSource,
        project: str,
        submit: Callable[[RoomsListed], None],
        clock: Callable[[], Nanoseconds],
        limits: SfuLimits | None = None,
    ) -> None:
        self._source = source
        self._project = project
        self._submit = submit
        self._clock = clock
        self._limits = limits or SfuLimits()
        # set when a list is wanted before its time
        self._wanted = anyio.Event()
        # when the last list failed, why; None: it did not
        self._failing: SfuError | None = None

    @property
    def is_failing(self) -> bool:
        """Did the SFU give no whole list when it was asked last?"""
        return self._failing is not None

    def request(self) -> None:
        """Ask for a list now. Requests that come while one is made share the next one."""
        self._wanted.set()

    async def run(self) -> None:
        """List, for ever, the first time at once; close the source's connections at the end."""
        try:
            while True:
                self._wanted = anyio.Event()
                await self.reconcile()
                with anyio.move_on_after(self._limits.reconcile_seconds):
                    # Losses come in crowds, and a list is dear.
                    await anyio.sleep(self._limits.reconcile_pause_seconds)
                    await self._wanted.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._source.close()

    async def reconcile(self) -> bool:
        """Make one list and submit it; False where the SFU gave none."""
        asked_at = self._clock()
        try:
            rooms = await self._look()
        except SfuError as error:
            if self._failing is None:
                log.warning("sfu_unreachable", url=error.url, reason=error.cause)
            self._failing = error
            return False
        if self._failing is not None:
            log.info("sfu_reachable_again", url=self._failing.url)
            self._failing = None
        self._submit(RoomsListed(self._project, asked_at, rooms, others_gone=True))
        return True

    async def _look(self) -> tuple[RoomSeen, ...]:
        """Return every room with who is in it. Raises SfuError: the first one, if there are more."""
        rooms = await self._source.list_rooms()
        seen: list[RoomSeen | None] = [None] * len(rooms)
        waiting = iter(enumerate(rooms))
        failed: SfuError | None = None

        async def look_into_rooms() -> None:
            nonlocal failed
            for index, room in waiting:
                try:
                    seen[index] = _seen(room, await self._source.list_participants(room.name))
                except SfuError as error:
                    failed = failed or error
                    tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for _ in range(min(self._limits.reconcile_calls_max, len(rooms))):
                tasks.start_soon(look_into_rooms)
        if failed is not None:
            raise failed
        return tuple(each for each in seen if each is not None)


def _seen(room: wire_pb2.Room, listed: list[wire_pb2.ParticipantInfo]) -> RoomSeen:
    present = [info for info in listed if info.state == wire_pb2.ParticipantInfo.ACTIVE]
    return RoomSeen(
        room_info(room),
        tuple(participant(info) for info in present),
        frozenset(info.sid for info in present if info.tracks),
    )
