"""How a worker gets a new job process: forked by the nursery on Linux, else as a fresh interpreter.

Invariants: a process that was launched has a group of its own with its own pid; the pid is nobody
else's before `exit_code` has told how it ended; each wait for the nursery has a bound. A nursery that
died takes its job processes with it, and the next launch starts another one.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from protocol import executor_pb2

__all__ = ["Forks", "Launched", "Launcher", "Starts", "launching"]

# For an answer of the nursery; of the first it is the time in which it starts, too.
ANSWER_SECONDS_MAX = 30.0
# From the end of its socket to its own end.
END_SECONDS_MAX = 2.0
_POLL_SECONDS = 0.005
_ANSWER_BYTES_MAX = 64
_PACKAGE_ROOT = str(Path(__file__).parents[2])


class Launched(ABC):
    """A job process that was started."""

    pid: int

    @abstractmethod
    async def exit_code(self) -> int | None:
        """How it ended, as subprocess has it, which reaps it; None: it has not ended."""


class Launcher(ABC):
    """Starts job processes."""

    @abstractmethod
    async def launch(self, theirs: socket.socket) -> Launched:
        """Start one that has this end of its socket. Raises OSError. Cancelled, it starts none."""

    def close(self) -> None:  # noqa: B027 - one may have nothing to close
        """End what was started beside the job processes. They have ended."""

    async def wait_closed(self) -> None:  # noqa: B027
        """See it gone, within a bound."""


@asynccontextmanager
async def launching(setup: executor_pb2.Setup) -> AsyncIterator[Launcher]:
    """The launcher for this system. When it is left, all but job processes is gone."""
    launcher = Forks(setup) if _can_fork() else Starts(setup)
    try:
        yield launcher
    finally:
        launcher.close()
        with anyio.CancelScope(shield=True):
            await launcher.wait_closed()


def _can_fork() -> bool:
    # Elsewhere the system's own libraries may not bear a fork (macOS), and the end of a process that
    # is not our child cannot be waited for.
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def _environment(setup: executor_pb2.Setup) -> dict[str, str]:
    """Ours, and what a process needs to find this package; it then takes over the worker's path."""
    import_path = os.pathsep.join([*setup.import_path, _PACKAGE_ROOT])
    return {**os.environ, "PYTHONPATH": import_path}


def _start(
    module: str, theirs: socket.socket, arguments: Sequence[str], setup: executor_pb2.Setup
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this very interpreter and package
        # -P: nothing is imported from the folder that the worker happens to be in.
        [sys.executable, "-P", "-m", module, str(theirs.fileno()), *arguments],
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        # A group of its own: Ctrl-C is for the worker, and a kill reaches all of it.
        start_new_session=True,
        env=_environment(setup),
    )


class Starts(Launcher):
    """Each is a new interpreter."""

    def __init__(self, setup: executor_pb2.Setup) -> None:
        self._setup = setup

    async def launch(self, theirs: socket.socket) -> Launched:
        return _Started(_start("worker_sdk.executors.child", theirs, (), self._setup))


class _Started(Launched):
    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid

    async def exit_code(self) -> int | None:
        return self._popen.poll()


class Forks(Launcher):
    """Each is forked by one nursery, which is started with the first."""

    def __init__(self, setup: executor_pb2.Setup) -> None:
        self._setup = setup
        self._nursery: _Nursery | None = None
        # Those that do not answer, and that job processes may have as their parent.
        self._retired: list[_Nursery] = []

    async def launch(self, theirs: socket.socket) -> Launched:
        if self._nursery is None:
            self._nursery = _Nursery(self._setup)
        nursery = self._nursery
        try:
            answer = await nursery.ask(b"f", theirs)
        except OSError:
            if self._nursery is nursery:
                self._retired.append(nursery)
                self._nursery = None
            raise
        if answer.startswith(b"E"):
            number = int(answer[1:])
            raise OSError(number, os.strerror(number))
        return _Forked(nursery, int(answer))

    def close(self) -> None:
        if self._nursery is not None:
            self._retired.append(self._nursery)
            self._nursery = None
        for nursery in self._retired:
            nursery.close()

    async def wait_closed(self) -> None:
        for nursery in self._retired:
            await nursery.wait_closed()


class _Forked(Launched):
    def __init__(self, nursery: _Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid

    async def exit_code(self) -> int | None:
        try:
            answer = await self._nursery.ask(b"%d" % self.pid)
        except OSError:
            return self._code_without_nursery()
        return None if answer == b"-" else int(answer)

    def _code_without_nursery(self) -> int | None:
        """Its end follows the nursery's, and is told by whoever is its parent then: init, or we."""
        try:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            return os.waitstatus_to_exitcode(status) if ended else None
        except ChildProcessError:
            pass
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return -signal.SIGKILL
        return None


class _Nursery:
    """The process, and its socket."""

    def __init__(self, setup: executor_pb2.Setup) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)
            try:
                self._popen = _start(
                    "worker_sdk.executors.nursery", theirs, [setup.event_loop], setup
                )
            except BaseException:
                ours.close()
                raise
        self._socket = ours
        # One question at a time; after one that was not answered no other is understood.
        self._lock = anyio.Lock()
        self._is_silent = False

    async def ask(self, question: bytes, descriptor: socket.socket | None = None) -> bytes:
        """Ask, and return the answer. Raises OSError where there is none. Never cut off half-way."""
        async with self._lock:
            if self._is_silent:
                raise OSError(errno.ESRCH, "the process that forks job processes is gone")
            with anyio.CancelScope(shield=True):
                try:
                    with anyio.fail_after(ANSWER_SECONDS_MAX):
                        descriptors = [] if descriptor is None else [descriptor.fileno()]
                        socket.send_fds(self._socket, [question], descriptors)
                        await anyio.wait_readable(self._socket)
                        answer = self._socket.recv(_ANSWER_BYTES_MAX)
                except TimeoutError:
                    self._is_silent = True
                    raise OSError(
                        errno.ETIMEDOUT, "the process that forks job processes does not answer"
                    ) from None
                except OSError:
                    self._is_silent = True
                    raise
            if not answer:
                self._is_silent = True
                raise OSError(errno.ESRCH, "the process that forks job processes has ended")
            return answer

    def close(self) -> None:
        self._is_silent = True
        self._socket.close()

    async def wait_closed(self) -> None:
        with anyio.move_on_after(END_SECONDS_MAX):
            while self._popen.poll() is None:  # noqa: ASYNC110 - it ends by itself, at once
                await anyio.sleep(_POLL_SECONDS)
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()
