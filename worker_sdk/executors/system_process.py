"""A job process as the operating system has it, and the socket to it: started, heard, killed, reaped.

Invariants: it leads a session of its own, so that Ctrl-C is for the worker and a kill reaches all that
it has started there; its pid is nobody else's before it is reaped, which is the last thing done here.
How one is started is in `launching`; what is said over the socket, and when a process is killed, is decided in `job_process`.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from google.protobuf.message import DecodeError

from protocol import executor_pb2
from worker_sdk.executors.framing import ChannelBroken, FrameReader, frame
from worker_sdk.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_sdk.executors.launching import Launched, Launcher

__all__ = ["SystemProcess"]

# How often it is looked whether a process has ended, where the system does not tell.
_EXIT_POLL_SECONDS = 0.05
_BURIAL_POLL_SECONDS = 0.005
_READ_BYTES = 64 * 1024


class SystemProcess:
    """One process: `start`, then `write`, `read` and `wait_exit` beside each other, then `bury`."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self.pid = 0
        self._socket: socket.socket
        self._launched: Launched
        # Once it is reaped, as subprocess has it.
        self._return_code: int | None = None
        self._reader = FrameReader()
        # Bounded by what is said: one setup, one job at a time, one ping at a time.
        self._unwritten = bytearray()
        self._is_to_write = Wakeup()

    async def start(self, setup: executor_pb2.Setup) -> None:
        """Start it, and post this setup with what may change while the worker runs. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            try:
                self._launched = await self._launcher.launch(theirs)
            except BaseException:
                ours.close()
                raise
        self._socket = ours
        self.pid = self._launched.pid
        self.post(executor_pb2.ParentMessage(setup=_up_to_date(setup)))

    def post(self, message: executor_pb2.ParentMessage) -> None:
        """Have a message written."""
        self._unwritten += frame(message)
        self._is_to_write.fire()

    async def write(self) -> None:
        """Write what is posted, until the process takes no more or this is cancelled."""
        while True:
            while not self._unwritten:
                await self._is_to_write.wait()
            await anyio.wait_writable(self._socket)
            try:
                written = self._socket.send(self._unwritten)
            except BlockingIOError:
                continue
            except OSError:
                return  # it is ending: `wait_exit` sees that
            del self._unwritten[:written]

    async def read(self, received: Callable[[executor_pb2.ChildMessage], None]) -> None:
        """Hand on what it says, until it says no more. Raises ChannelBroken for what is no message."""
        while True:
            await anyio.wait_readable(self._socket)
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not data:
                return
            for body in self._reader.feed(data):
                try:
                    message = executor_pb2.ChildMessage.FromString(body)
                except DecodeError as error:
                    raise ChannelBroken(str(error)) from None
                received(message)

    async def wait_exit(self) -> None:
        """Wait for the end of the process, without taking its pid from it."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, or an old one
            while await self._has_not_ended():  # noqa: ASYNC110 - nothing tells of it here
                await anyio.sleep(_EXIT_POLL_SECONDS)
            return
        try:
            await anyio.wait_readable(descriptor)
        finally:
            os.close(descriptor)

    async def _has_not_ended(self) -> bool:
        """Look, until it has: the answer is given once."""
        if self._return_code is None:
            self._return_code = await self._launched.exit_code()
        return self._return_code is None

    def kill_group(self) -> None:
        """Kill it, and what it has started in its session. Nothing where it was not started."""
        if self.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def bury(self, seconds_max: float) -> int | None:
        """Kill and reap it. Returns subprocess's return code; None: the kernel does not let it go."""
        self.kill_group()
        with anyio.move_on_after(seconds_max):
            while await self._has_not_ended():  # noqa: ASYNC110 - it is dead already, or almost
                await anyio.sleep(_BURIAL_POLL_SECONDS)
        self._socket.close()
        return self._return_code


def _up_to_date(setup: executor_pb2.Setup) -> executor_pb2.Setup:
    try:
        folder = os.fsencode(Path.cwd())
    except OSError:
        folder = b""
    current = executor_pb2.Setup(
        environment=[
            executor_pb2.Variable(name=name, value=value) for name, value in os.environb.items()
        ],
        working_folder=folder,
    )
    current.MergeFrom(setup)
    return current
