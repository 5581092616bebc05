"""The processes of the demo: one server and several workers, on this machine, with files.

Everything is a real process that is started as a person would start it, and killed with a real
SIGKILL. All of them end with the `with` block, whatever happens in it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
STOP_SECONDS_MAX = 3.0

# What of our environment the processes must not see: it would change what they do.
_OWN_PREFIXES = ("CALLBOARD_", "LIVEKIT_")


@dataclass(slots=True)
class Player:
    """One process."""

    name: str
    process: subprocess.Popen[bytes]
    was_killed: bool = False

    @property
    def is_alive(self) -> bool:
        """Does the process run?"""
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL it, and wait until the system has buried it."""
        self.was_killed = True
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class Cast:
    """The server and the workers of one run, and the folder in which they write."""

    folder: Path = field(init=False)
    port: int = field(init=False)
    api_key: str = "demokey"
    api_secret: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    server: Player | None = None
    workers: dict[str, Player] = field(default_factory=dict)
    # what closes with it
    _files: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="callboard-demo-"))
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for player in self._players():
            if player.is_alive:
                player.process.kill()
                player.process.wait()
        self._files.close()

    @property
    def url(self) -> str:
        """The server's address."""
        return f"ws://{HOST}:{self.port}"

    @property
    def data(self) -> Path:
        """The server's folder."""
        return self.folder / "data"

    @property
    def record_paths(self) -> list[Path]:
        """The workers' own records."""
        return [self.folder / f"{name}.jsonl" for name in self.workers]

    def start_server(self) -> Player:
        """Start the server, on the port and the folder that it had before."""
        command = ["serve", "--port", str(self.port), "--data-dir", str(self.data)]
        self.server = self._start(
            "server",
            ["dispatcher.cli", *command, "--log-format", "json"],
            {"CALLBOARD_KEYS": f"{self.api_key}: {self.api_secret}"},
        )
        return self.server

    def copy_data(self) -> None:
        """Copy what the server's folder holds now."""
        shutil.copytree(self.data, self.folder / "copy")

    def put_data_back(self) -> None:
        """Put the copy in the place of the server's folder, as nobody should."""
        shutil.rmtree(self.data)
        (self.folder / "copy").rename(self.data)

    def start_worker(self, name: str, grace_seconds: float) -> Player:
        """Start one more worker, whose jobs wait so long for it when it is gone."""
        player = self._start(
            name,
            ["dispatcher.cli.demo.worker", name, f"{grace_seconds}"],
            {
                "LIVEKIT_URL": self.url,
                "LIVEKIT_API_KEY": self.api_key,
                "LIVEKIT_API_SECRET": self.api_secret,
                "CALLBOARD_RECORD_PATH": str(self.folder / f"{name}.jsonl"),
            },
        )
        self.workers[name] = player
        return player

    def stop_workers(self) -> None:
        """SIGTERM all workers and wait until they have ended, within a bound."""
        _stop([player for player in self.workers.values() if player.is_alive])

    def remove_folder(self) -> None:
        """Delete what the run wrote."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _players(self) -> list[Player]:
        return [*self.workers.values(), *([self.server] if self.server else [])]

    def _start(self, name: str, module: list[str], environment: dict[str, str]) -> Player:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(_OWN_PREFIXES)
        }
        output = self._files.enter_context((self.folder / f"{name}.log").open("ab"))
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", *module],
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C is for the demo, which then ends its processes itself.
            start_new_session=True,
        )
        return Player(name, process)


def _stop(players: list[Player]) -> None:
    for player in players:
        player.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    for player in players:
        try:
            player.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            player.process.kill()
            player.process.wait()
