"""SIGTERM and SIGINT, counted: each says more than the one before.

The handlers are Python's own, so they run also while a job blocks the event loop, as long as it runs
Python. Whatever hangs, a worker ends: after the second signal a watchdog ends the process when it
has not ended by itself, and says where it hangs; the third ends it at once. Both with exit code 1.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import anyio

__all__ = ["ENDING_SIGNALS", "KILLED_EXIT_CODE", "SignalCount"]

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
KILLED_EXIT_CODE = 1
# A worker that was told twice to end: time to cancel, hand over, deliver and close, and some more.
HANG_SECONDS_MAX = 15.0


class SignalCount:
    """How often this process was told to end."""

    def __init__(self, hang_seconds_max: float = HANG_SECONDS_MAX) -> None:
        self._hang_seconds_max = hang_seconds_max
        self.count = 0
        self._is_armed = False
        # Wakes the event loop, whichever it is: a handler may only do what is safe anywhere.
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count signals while this lasts; in the main thread."""
        before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
        for number in ENDING_SIGNALS:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if self._is_armed:
                faulthandler.cancel_dump_traceback_later()
            self._reader.close()
            self._writer.close()

    def arm_watchdog(self, seconds: float | None = None) -> None:
        """This process has to end within so many seconds: else it is ended, with exit code 1.

        None: time to leave in good order. The last word counts.
        """
        self._is_armed = True
        faulthandler.dump_traceback_later(seconds or self._hang_seconds_max, exit=True)

    async def next(self, known: int) -> int:
        """Wait until the count is above `known`, and return it."""
        while self.count <= known:
            await anyio.wait_readable(self._reader)
            try:
                self._reader.recv(16)
            except BlockingIOError:
                continue
        return self.count

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 2:
            self.arm_watchdog()
        elif self.count >= 3:
            os.write(2, b"worker: killed by a third signal\n")
            os._exit(KILLED_EXIT_CODE)
        try:
            self._writer.send(b"!")
        except OSError:
            return  # so many wake-ups are under way that none is missing
