"""The job process's end of the socket to its worker.

Read by the event loop alone; written by any thread, a whole message at a time. A worker that reads
nothing for a long time makes a writer wait, within a bound: then the process ends.
"""

from __future__ import annotations

import os
import socket
import threading

import anyio

from protocol import executor_pb2
from worker_sdk.executors.framing import FrameReader, frame
from worker_sdk.executors.parent_watch import kill_own_group

__all__ = ["ChildChannel"]

# A worker whose loop stands for longer than this is as good as gone.
SEND_SECONDS_MAX = 120.0
_READ_BYTES = 64 * 1024


class ChildChannel:
    """Messages from and to the worker over the socket with this descriptor."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._socket.settimeout(SEND_SECONDS_MAX)
        self._reader = FrameReader()
        self._lock = threading.Lock()
        # What is forked by a job must not write between our messages.
        self._pid = os.getpid()

    def send(self, message: executor_pb2.ChildMessage) -> None:
        """Write one message; waits while the socket is full."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            try:
                self._socket.sendall(frame(message))
            except TimeoutError:
                # Half a message may be written: nothing that follows could be read.
                kill_own_group()
            except OSError:
                pass  # the worker is gone: `parent_watch` ends this process

    def receive_first(self) -> executor_pb2.ParentMessage | None:
        """Wait for the first message, before there is a loop. None: the worker is gone."""
        while data := self._socket.recv(_READ_BYTES):
            # The worker sends nothing more until it is answered.
            for body in self._reader.feed(data):
                return executor_pb2.ParentMessage.FromString(body)
        return None

    async def receive(self) -> list[executor_pb2.ParentMessage] | None:
        """Wait for messages. None: the worker is gone."""
        await anyio.wait_readable(self._socket)
        try:
            data = self._socket.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            return None
        return [executor_pb2.ParentMessage.FromString(body) for body in self._reader.feed(data)]
