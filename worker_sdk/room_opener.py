"""Who opens a job's room: LiveKit's library, unless a test gives another (`worker_sdk.testing`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker_sdk.job import JobContext

__all__ = ["RoomOpener", "room_opener"]

RoomOpener = Callable[["JobContext"], AbstractAsyncContextManager[Any]]

# What `JobContext.room` calls in the place of the library; None: the library. Tasks inherit it.
room_opener: ContextVar[RoomOpener | None] = ContextVar("room_opener", default=None)
