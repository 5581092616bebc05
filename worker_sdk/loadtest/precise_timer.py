"""A timer of the event loop that is on time to some ten microseconds.

The loop's own timers count whole milliseconds, which is more than a fast server takes for a job: a call
that is due would leave up to one late, and its latency, counted from when it was due, would be the
harness's. Linux has timers as file descriptors (timerfd_create(2)); Python before 3.13 has no name for
them, so they are called by ctypes. Elsewhere the loop's own timer does, and lateness is reported.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable

__all__ = ["PreciseTimer"]

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_NS = 1_000_000_000


class PreciseTimer:
    """Calls `on_time` once when CLOCK_MONOTONIC has come to what it was armed for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_time: Callable[[], None]) -> None:
        self._loop = loop
        self._on_time = on_time
        self._handle: asyncio.TimerHandle | None = None
        self._descriptor = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor = self._libc.timerfd_create(
                _CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC
            )
        if self._descriptor >= 0:
            loop.add_reader(self._descriptor, self._fired)

    @property
    def is_precise(self) -> bool:
        """Is it finer than the loop's own?"""
        return self._descriptor >= 0

    def arm(self, at_ns: int) -> None:
        """Call at this time of `time.monotonic_ns`, at once where it has passed; instead of before."""
        if self._descriptor >= 0:
            # struct itimerspec: interval and value, each in seconds and nanoseconds; 0 disarms
            at_ns = max(at_ns, 1)
            spec = struct.pack("llll", 0, 0, at_ns // _NS, at_ns % _NS)
            self._libc.timerfd_settime(self._descriptor, _ABSOLUTE, spec, None)
            return
        if self._handle is not None:
            self._handle.cancel()
        delay_seconds = max(0.0, (at_ns - time.monotonic_ns()) / _NS)
        self._handle = self._loop.call_later(delay_seconds, self._on_time)

    def close(self) -> None:
        """Never call again."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        if self._handle is not None:
            self._handle.cancel()

    def _fired(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return  # armed anew meanwhile
        self._on_time()
