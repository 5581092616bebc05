"""Commands without the second that an interpreter and its imports take: forked from one that waits.

`WarmCommands.run` gives a command arguments, an environment, a folder and three files, as a shell
would; it is a process of its own, with its own exit code, and ends as any does. What it shares with
those before it is what has been imported. Whatever an interpreter reads when it starts (PYTHON* in
the environment) is that of the first command; who wants another starts a process.

The other side, `python -m tests.integration.cli.warm_commands FD`, reads one request after the other
from a socket, and ends with it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path

REQUEST_BYTES_MAX = 256 * 1024
# What client commands import, most of it where they need it.
IMPORTED = (
    "anyio._backends._asyncio",
    "dispatcher.cli.commands",
    "httpcore2",
    "httpx2",
    "rich.live",
    "rich.table",
    "truststore",
    "typer._adapters",
    "worker_sdk",
    "worker_sdk.client",
)


class WarmCommands:
    """The process that commands are forked from; it ends with this one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REQUEST_BYTES_MAX)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], files: Sequence[int]
    ) -> None:
        """Start a command on these files, which become its stdin, stdout and stderr."""
        asked = json.dumps([list(arguments), dict(environment), str(Path.cwd())]).encode()
        assert len(asked) <= REQUEST_BYTES_MAX
        socket.send_fds(self._socket, [asked], list(files))

    def exit_code(self, seconds_max: float) -> int:
        """Return the exit code of the command that was started; minus the signal that ended it."""
        self._socket.settimeout(seconds_max)
        said = self._socket.recv(16)
        assert said, "the process that commands are forked from has ended"
        return int(said)

    def close(self) -> None:
        """End it, with whatever it has started."""
        self._socket.close()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()


def _next_command(requests: socket.socket) -> list[str] | None:
    """Wait for commands and fork; return what to run, in the process that is to run it."""
    while True:
        asked, files, _, _ = socket.recv_fds(requests, REQUEST_BYTES_MAX, 3)
        if not asked:
            return None
        child = os.fork()
        if child == 0:
            requests.close()
            arguments, environment, folder = json.loads(asked)
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(folder)
            _use(files)
            return list(arguments)
        for file in files:
            os.close(file)
        _, status = os.waitpid(child, 0)
        requests.send(str(os.waitstatus_to_exitcode(status)).encode())


def _use(files: Sequence[int]) -> None:
    """Make these files the standard ones, as an interpreter does when it starts."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = _text(0, "rb", sys.stdin.encoding, "strict")
    sys.stdout = _text(1, "wb", sys.stdout.encoding, "strict")
    sys.stderr = _text(2, "wb", sys.stderr.encoding, "backslashreplace")


def _text(file: int, mode: str, encoding: str, errors: str) -> TextIOWrapper:
    stream = os.fdopen(file, mode, closefd=False)
    return TextIOWrapper(stream, encoding, errors, line_buffering=file == 2 or os.isatty(file))


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as asked_of_us:
        given = _next_command(asked_of_us)
    if given is not None:
        from dispatcher.cli import main

        main(given)
