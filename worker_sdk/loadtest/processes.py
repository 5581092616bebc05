"""The processes of a load test, seen from the command: started, spoken to, read, and in the end gone.

Each leads a group of its own, so a terminal's Ctrl-C reaches the command alone; each ends when the
command does, however that ends (`crowd`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from protocol.errors import CallboardError
from worker_sdk.loadtest.channel import FrameReader, encode_message, read_message

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CrowdProcess", "HarnessFailed"]

# A process takes a message at once, or does not work.
TELL_SECONDS_MAX = 5.0
# From the word to end, or to die, to the end.
END_SECONDS_MAX = 5.0
_READ_BYTES = 1024 * 1024
_ERROR_SHOWN_BYTES = 2000
_PACKAGE_ROOT = str(Path(__file__).parents[2])


class HarnessFailed(CallboardError):
    """A process of the load test ended by itself, or did not begin."""


class CrowdProcess:
    """One process. `state` is what its last report said of now."""

    def __init__(self, role: str, setup: dict[str, Any], log: Path) -> None:
        self.role = role
        self.setup = setup
        self.state: dict[str, Any] = {}
        self.is_ready = False
        # It was told to end, or killed.
        self.is_leaving = False
        self.gone = anyio.Event()
        self._log = log
        self._reader = FrameReader()
        ours, theirs = socket.socketpair()
        ours.settimeout(TELL_SECONDS_MAX)
        self._socket = ours
        path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
        with theirs, log.open("wb") as output:
            self._popen = subprocess.Popen(  # noqa: S603 - this very interpreter and package
                [
                    *(sys.executable, "-P", "-m", "worker_sdk.loadtest.crowd"),
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path},
            )
        self.pid = self._popen.pid
        self.tell({**setup, "role": role})

    def tell(self, message: dict[str, Any]) -> None:
        """Write a message; to one that has gone, nothing."""
        with suppress(OSError):
            self._socket.sendall(encode_message(message))

    async def read(self, on_report: Callable[[CrowdProcess, dict[str, Any]], None]) -> None:
        """Take in what it says until it has ended. Raises HarnessFailed where nobody told it to."""
        try:
            while True:
                await anyio.wait_readable(self._socket)
                try:
                    data = self._socket.recv(_READ_BYTES)
                except OSError:
                    data = b""
                if not data:
                    break
                for body in self._reader.feed(data):
                    message = read_message(body)
                    if message["do"] == "ready":
                        self.is_ready = True
                        continue
                    self.state = message
                    on_report(self, message)
        finally:
            self.close()
            self.gone.set()
        if not self.is_leaving:
            told = self._log.read_bytes()[-_ERROR_SHOWN_BYTES:].decode("utf-8", "replace")
            last = told.strip().rsplit("\n", 1)[-1] or "without a word"
            raise HarnessFailed(f"a process of {self.role} of the load test ended: {last}")

    async def end(self, word: str = "end") -> None:
        """Tell it to end ("die": by SIGKILL), and see to it."""
        self.is_leaving = True
        self.tell({"do": word})
        with anyio.move_on_after(END_SECONDS_MAX):
            await self.gone.wait()
        self.kill()

    def kill(self) -> None:
        """End it, if it has not ended, and reap it."""
        with suppress(ProcessLookupError, PermissionError):
            if self._popen.poll() is None:
                os.kill(self.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(END_SECONDS_MAX)

    def close(self) -> None:
        """Leave nothing of it."""
        self.kill()
        self._socket.close()
