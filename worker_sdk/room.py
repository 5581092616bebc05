"""`ctx.room()`: the job's room, joined with LiveKit's own library for as long as a block lasts.

Invariants: who has joined leaves, also when the job is cancelled in the middle of joining or
leaving; a block whose room has ended does not go on; no error holds the token.

The library is PyPI's `livekit` (the extra `room`), imported when the first room is joined. It is
asyncio's alone.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import importlib
import json
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread

from protocol.errors import CallboardError, ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import ModuleType

    from livekit import rtc

__all__ = ["RoomLost", "RoomUnreachable", "joined_room", "load_library"]

# The library gives up by itself, at the latest after some 30 s; this is for one that does not.
JOIN_SECONDS_MAX = 60.0
LEAVE_SECONDS_MAX = 5.0
ERROR_CHARACTERS_MAX = 300
_LIBRARY = "livekit.rtc"


class RoomUnreachable(CallboardError):
    """The room cannot be joined."""

    retryable = True

    def __init__(self, url: str, room: str, cause: str) -> None:
        super().__init__(url, room, cause)
        self.url = url
        self.room = room
        self.cause = cause

    def __str__(self) -> str:
        return f"room {self.room!r} at {self.url} cannot be joined: {self.cause}"


class RoomLost(CallboardError):
    """The connection to the room is lost for good; `reason` is LiveKit's DisconnectReason."""

    retryable = True

    def __init__(self, room: str, reason: str) -> None:
        super().__init__(room, reason)
        self.room = room
        self.reason = reason

    def __str__(self) -> str:
        return f"the connection to room {self.room!r} is lost: {self.reason}"


@asynccontextmanager
async def joined_room(
    url: str, token: str, name: str, options: rtc.RoomOptions | None
) -> AsyncIterator[rtc.Room]:
    """Join the room, and leave it at the end. See `JobContext.room`."""
    _check_loop()
    if not url:
        raise ConfigError(
            "the job has no room to join: the server did not say where rooms are"
            " (`callboard serve --room-url`)"
        )
    livekit = await load_library()
    room = livekit.Room()
    ended: list[int] = []

    with anyio.CancelScope() as block:

        def on_disconnected(reason: int) -> None:
            # A program that disconnects by itself goes on with what it does.
            if reason != livekit.DisconnectReason.CLIENT_INITIATED:
                ended.append(reason)
                block.cancel()

        try:
            await _join(room, url, token, name, options or livekit.RoomOptions())
            room.on("disconnected", on_disconnected)
            yield room
        finally:
            room.off("disconnected", on_disconnected)
            with anyio.move_on_after(LEAVE_SECONDS_MAX, shield=True):
                await room.disconnect()
    if ended and block.cancelled_caught and not _is_end(livekit, ended[0]):
        raise RoomLost(name, livekit.DisconnectReason.Name(ended[0]))


async def _join(room: rtc.Room, url: str, token: str, name: str, options: rtc.RoomOptions) -> None:
    """Join, whole, also when the job is told to stop.

    A join that is broken off leaves a participant in the room whom nobody ends, and then ends this
    process: the library (1.1) panics when nobody takes over what it has connected.
    """
    try:
        with anyio.fail_after(JOIN_SECONDS_MAX, shield=True):
            await room.connect(url, token, options)
    except TimeoutError:
        raise RoomUnreachable(url, name, f"no answer within {JOIN_SECONDS_MAX:g} s") from None
    except Exception as error:  # noqa: BLE001 - whatever the library raises, told in one line
        raise RoomUnreachable(url, name, _cause(error, token)) from None
    # Who was told to stop meanwhile leaves at once.
    await anyio.lowlevel.checkpoint_if_cancelled()


def _is_end(livekit: ModuleType, reason: int) -> bool:
    """Is there nothing more to do in the room? Else the agent was torn from it."""
    reasons = livekit.DisconnectReason
    return reason in (
        reasons.ROOM_DELETED,
        reasons.ROOM_CLOSED,
        reasons.PARTICIPANT_REMOVED,
    )


def _cause(error: Exception, token: str) -> str:
    expired_seconds = _expired_seconds(token)
    if expired_seconds > 0:
        return (
            f"its token expired {expired_seconds:.0f} s ago: a job joins within an hour of its"
            " assignment"
        )
    # The library's text may hold the address that it called, with the token in it.
    text = " ".join(str(error).replace(token, "(token)").split()) or type(error).__name__
    return text[:ERROR_CHARACTERS_MAX]


def _expired_seconds(token: str) -> float:
    """How long ago the token expired, by this machine's clock; 0: it has not, or says nothing."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return max(0.0, time.time() - float(claims["exp"]))
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0.0


async def load_library() -> ModuleType:
    """LiveKit's `rtc`. The first import takes a while, and is done beside the loop.

    Who comes meanwhile waits for it: sys.modules has the module while it is still half made.
    """
    loaded = sys.modules.get(_LIBRARY)
    # Python's own mark of a module that is being imported (importlib._bootstrap).
    if loaded is not None and not getattr(loaded.__spec__, "_initializing", False):
        return loaded
    try:
        return await anyio.to_thread.run_sync(importlib.import_module, _LIBRARY)
    except ImportError as error:
        raise ConfigError(
            "ctx.room() needs LiveKit's own library, which is not installed"
            f" ({error}): pip install 'callboard[room]'"
        ) from None


def _check_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigError("ctx.room() needs asyncio: LiveKit's library runs on no other") from None
