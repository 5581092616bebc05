"""The command line as a person runs it: a process with arguments, an environment and a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = "clikey"
SECRET = "a-secret-of-the-cli-tests-that-is-long-enough"
START_SECONDS_MAX = 30.0
COMMAND_SECONDS_MAX = 60.0
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


def callboard(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """Run a command to its end, with its output in a pipe."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def callboard_on_terminal(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """Run a command to its end on a terminal of 200 columns; both outputs come as `out`."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env={**environment(env), "TERM": "xterm-256color", "COLUMNS": "200", "LINES": "50"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
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
    return Result(process.wait(COMMAND_SECONDS_MAX), written.decode(), "")


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
        """Return the events that it has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[Server]:
    """Run `callboard serve` on a free port, and end it with SIGTERM."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--data-dir", str(folder / "data"), *arguments],
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
        for line in log.read_text().splitlines():
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
