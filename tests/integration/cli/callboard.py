"""The command line as a person runs it: a process with arguments, an environment and a terminal."""

from __future__ import annotations

import atexit
import json
import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.conformance.processes import free_port
from tests.integration.cli.warm_commands import WarmCommands

KEY = "clikey"
SECRET = "a-secret-of-the-cli-tests-that-is-long-enough"
START_SECONDS_MAX = 60.0
COMMAND_SECONDS_MAX = 60.0
# What starts processes of its own takes seconds anyway.
STARTERS = {"demo", "loadtest", "serve"}
COMMAND = [sys.executable, "-m", "dispatcher.cli"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON document on stdout."""
        assert self.out, self
        return json.loads(self.out)

    def failed_with(self, code: int) -> str:
        """Return the one line that a failed command has on stderr; anything else fails the test."""
        assert self.code == code, self
        assert self.out == "", self
        assert self.err.startswith("callboard: "), self
        assert self.err.count("\n") == 1, self
        return self.err.removeprefix("callboard: ").rstrip("\n")


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our environment without what the command line reads, and with `changes`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CALLBOARD_", "LIVEKIT_"))
    }
    return {**kept, "PYTHONWARNINGS": "error", **(changes or {})}


def callboard(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    seconds_max: float = COMMAND_SECONDS_MAX,
) -> Result:
    """Run a command to its end, with its output where no terminal is."""
    if _is_for_warm_commands(arguments, env):
        return _run_warm(arguments, environment(env), seconds_max)
    try:
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"{late}\n{late.stdout!r}\n{late.stderr!r}") from late
    return Result(done.returncode, done.stdout, done.stderr)


def _is_for_warm_commands(arguments: Sequence[str], env: Mapping[str, str] | None) -> bool:
    """May it be forked? Not what starts processes, and no interpreter that is told otherwise."""
    return not {*arguments[:1]} & STARTERS and all(
        name.startswith(("CALLBOARD_", "LIVEKIT_")) for name in env or ()
    )


@cache
def _warm_commands() -> WarmCommands:
    commands = WarmCommands(environment())
    atexit.register(commands.close)
    return commands


def _run_warm(arguments: Sequence[str], env: Mapping[str, str], seconds_max: float) -> Result:
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        Path(os.devnull).open("rb") as nothing,
    ):
        _warm_commands().start(arguments, env, [each.fileno() for each in (nothing, out, err)])
        code = _warm_commands().exit_code(seconds_max)
        for written in (out, err):
            written.seek(0)
        return Result(code, out.read().decode(), err.read().decode())


def callboard_on_terminal(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """Run a command to its end on a terminal of 200 columns; both outputs come as `out`."""
    leader, follower = pty.openpty()
    terminal = {"TERM": "xterm-256color", "COLUMNS": "200", "LINES": "50"}
    exit_code: Callable[[float], int]
    if _is_for_warm_commands(arguments, env):
        _warm_commands().start(arguments, {**environment(env), **terminal}, [follower] * 3)
        exit_code = _warm_commands().exit_code
    else:
        exit_code = subprocess.Popen(
            [*COMMAND, *arguments],
            env={**environment(env), **terminal},
            stdin=follower,
            stdout=follower,
            stderr=follower,
        ).wait
    os.close(follower)
    written = bytearray()
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux says so when the last writer has gone
            break
        if not piece:
            break
        written += piece
    os.close(leader)
    return Result(exit_code(COMMAND_SECONDS_MAX), written.decode(), "")


@dataclass(frozen=True, slots=True)
class Server:
    """A server process that takes connections."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment with which a client command finds it."""
        return {
            "LIVEKIT_URL": f"ws://127.0.0.1:{self.port}",
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
        }

    def lines(self) -> list[dict[str, Any]]:
        """Return the events that it has logged; what follows the last line break is being written."""
        return [json.loads(line) for line in self.log.read_text().split("\n")[:-1]]


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[Server]:
    """Run `callboard serve` on a free port, and end it with SIGTERM.

    The port is none that the system gives to outgoing connections: a server that is started again
    finds it free.
    """
    port = str(free_port())
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", port, "--data-dir", str(folder / "data"), *arguments],
            env=environment({"CALLBOARD_KEYS": f"{KEY}: {SECRET}"}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Server(process, _port_of(process, log), log)
    finally:
        process.terminate()
        try:
            process.wait(START_SECONDS_MAX)
        finally:
            process.kill()
            process.wait()


def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        # What follows the last line break is still being written.
        for line in log.read_text().split("\n")[:-1]:
            event = json.loads(line)
            if event["event"] == "server_started":
                port: int = event["port"]
                return port
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    raise AssertionError(f"the server did not start: {log.read_text()}")


def eventually(command: list[str], env: Mapping[str, str], is_so: Any) -> Result:
    """Repeat a command until its result is as it should be, within a bound."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        result = callboard(*command, env=env)
        if is_so(result):
            return result
        assert time.monotonic() < deadline, result
        time.sleep(0.1)
