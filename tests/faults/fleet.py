"""The processes of a run: a server with release settings, and workers, each on its line.

Everything is struck by pid, and nothing outlives the run. A process that ends by itself is started
again, and remembered: a server must not.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import anyio

from tests.conformance.processes import free_port
from tests.faults.late_worker import HABIT_VARIABLE, OFFERED_PATH_VARIABLE
from worker_sdk.records import RECORD_PATH_VARIABLE

__all__ = [
    "AGENT",
    "AWAY_AGENT",
    "KEY",
    "LATE_AGENT",
    "SECRET",
    "STOCK_AGENT",
    "Fleet",
    "fleet_of",
    "offered_files",
    "record_files",
]

ROOT = Path(__file__).parents[2]
KEY, SECRET = "devkey", "secret-of-at-least-thirty-two-bytes"
AGENT, STOCK_AGENT = "faults", "faults-stock"
LATE_AGENT, AWAY_AGENT = "faults-late", "faults-away"
# Module and agent name of a worker slot, by how the slot's name begins.
_PROGRAMS = {
    "worker": ("tests.faults.worker", AGENT),
    "stock": ("tests.faults.stock_worker", STOCK_AGENT),
    "late": ("tests.faults.late_worker", LATE_AGENT),
    "away": ("tests.faults.late_worker", AWAY_AGENT),
}
# A server that drains is given so long; one that takes longer is a finding.
DRAIN_SECONDS_MAX = 60.0
# A reservation's 20 s, a delivery's 30 s, and a server that is away meanwhile.
WORKER_DRAIN_SECONDS_MAX = 75.0
_POLL_SECONDS = 0.02
_LOG_TAIL_LINES = 60


@dataclass
class Fleet:
    """A server and its workers in one folder. Times are of `time.time_ns`."""

    folder: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    capacity: int = 50
    # Where a worker connects, by its name; the server itself where there is no line.
    urls: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    server: subprocess.Popen[bytes] | None = None
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    # What ended by itself or would not end, in words.
    complaints: list[str] = field(default_factory=list)
    # Workers that ended by a SIGKILL which no fault sent: a job of theirs did.
    brought_down: int = 0
    # The record file of each worker that was ever started, by what started it.
    records: dict[Path, subprocess.Popen[bytes]] = field(default_factory=dict)
    # Victims that a fault has down: nobody starts them again but the fault.
    down: set[str] = field(default_factory=set)
    # Everything that was started and that the end has to see gone.
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    # Those that have helpers of their own, which are struck with them.
    _leaders: set[int] = field(default_factory=set)
    _log_copies: list[threading.Thread] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """The server's data folder."""
        return self.folder / "data"

    # ---- starting ----

    def start_server(self) -> None:
        """Start the server on the folder and port that it had before."""
        config = self.folder / "callboard.json"
        config.write_text(json.dumps(self.settings))
        self.server = subprocess.Popen(
            [
                *(sys.executable, "-m", "dispatcher.cli", "serve", "--log-format", "json"),
                *("--keys", f"{KEY}: {SECRET}", "--config", str(config)),
                *("--port", str(self.port), "--data-dir", str(self.data)),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._children.append(self.server)
        assert self.server.stdout is not None
        # Through a pipe: a full disk is full for the server's files, not for what it says.
        copy = threading.Thread(
            target=_append, args=(self.server.stdout, self.folder / "server.log"), daemon=True
        )
        copy.start()
        self._log_copies = [one for one in self._log_copies if one.is_alive()] + [copy]

    def start_worker(self, name: str) -> subprocess.Popen[bytes]:
        """Start a worker in the slot of this name, with a record file of its own."""
        number = len(self.records) + 1
        record = self.folder / f"records-{number}-{name}.jsonl"
        is_stock = name.startswith("stock")
        kind = name.partition("-")[0]
        module, agent = _PROGRAMS[kind]
        with (self.folder / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", module, *(["start"] if is_stock else [])],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=is_stock,
                env={
                    **os.environ,
                    "LIVEKIT_URL": self.urls.get(name, self.url),
                    "LIVEKIT_API_KEY": KEY,
                    "LIVEKIT_API_SECRET": SECRET,
                    "FAULTS_AGENT": agent,
                    "FAULTS_CAPACITY": str(self.capacity),
                    "PYTHONUNBUFFERED": "1",
                    RECORD_PATH_VARIABLE: str(record),
                    HABIT_VARIABLE: kind,
                    OFFERED_PATH_VARIABLE: str(self.folder / f"offered-{number}.jsonl"),
                },
            )
        self.workers[name] = self.records[record] = worker
        self._children.append(worker)
        if is_stock:
            self._leaders.add(worker.pid)
        return worker

    # ---- striking ----

    def signal_worker(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a worker, and to what a stock worker started."""
        self._signal(self.workers[name], number)

    def signal_server(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        assert self.server is not None
        self._signal(self.server, number)

    async def kill_worker(self, name: str) -> None:
        """SIGKILL a worker and see it gone."""
        self.signal_worker(name, signal.SIGKILL)
        await _ended(self.workers[name], 10.0)

    async def kill_server(self) -> None:
        """SIGKILL the server and see it gone."""
        assert self.server is not None
        self._signal(self.server, signal.SIGKILL)
        await _ended(self.server, 10.0)

    async def drain_server(self) -> None:
        """SIGTERM the server and wait for its end; kill it, and complain, if it takes too long."""
        assert self.server is not None
        self._signal(self.server, signal.SIGTERM)
        if not await _ended(self.server, DRAIN_SECONDS_MAX):
            self.complaints.append(f"the server had not drained in {DRAIN_SECONDS_MAX:g} s")
            await self.kill_server()
        elif self.server.returncode not in (0, -signal.SIGTERM):  # the latter: it was starting
            self.complaints.append(f"the server drained with exit code {self.server.returncode}")

    async def drain_worker(self, name: str, worker: subprocess.Popen[bytes]) -> None:
        """SIGTERM a worker whose slot another has, and wait for its end, within a bound."""
        worker.send_signal(signal.SIGTERM)  # to itself alone: it ends its helpers
        if await _ended(worker, WORKER_DRAIN_SECONDS_MAX):
            return
        if not name.startswith("stock"):  # a stock worker's drain can hang, which is known
            self.complaints.append(f"{name} had not drained in {WORKER_DRAIN_SECONDS_MAX:g} s")
        self._signal(worker, signal.SIGKILL)
        await _ended(worker, 10.0)

    def fill_disk(self, *, entirely: bool = False) -> int:
        """Let the server's files grow no more; return the pid of the server that is so bound.

        `entirely`: what they have cannot be written anew, either.
        """
        assert self.server is not None
        wal = self.data / "callboard.db-wal"
        size = wal.stat().st_size if wal.exists() and not entirely else 0
        _limit_files(self.server.pid, size)
        return self.server.pid

    def free_disk(self, pid: int) -> None:
        """Let the server's files grow again, if it is still the same server."""
        if self.server is not None and self.server.pid == pid:
            _limit_files(pid, None)

    def _signal(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Signal a process by its id, and its helpers; nothing happens if it has ended."""
        if process.poll() is not None:
            return
        try:
            if process.pid in self._leaders:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        except ProcessLookupError:
            pass

    # ---- keeping ----

    async def keep_running(self) -> None:
        """Start again what ends by itself; until cancelled."""
        while True:
            await anyio.sleep(0.25)
            self.look_after()

    def look_after(self) -> None:
        """Start again what has ended and is no fault's victim at the moment."""
        if "server" not in self.down and self.server is not None:
            code = self.server.poll()
            if code is not None:
                self.complaints.append(f"the server ended by itself, exit code {code}")
                self.start_server()
        for name, worker in list(self.workers.items()):
            if name not in self.down and worker.poll() is not None:
                if worker.returncode == -signal.SIGKILL:
                    self.brought_down += 1
                # A stock worker gives up after 16 tries; one of ours never.
                elif not name.startswith("stock"):
                    self.complaints.append(f"{name} ended by itself, exit {worker.returncode}")
                self.start_worker(name)

    def live_records(self) -> list[Path]:
        """The record files of workers that live."""
        return [path for path, worker in self.records.items() if worker.poll() is None]

    def server_log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """The last lines of the server's log."""
        path = self.folder / "server.log"
        if not path.exists():
            return ""
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def end(self) -> None:
        """End everything: the server last, by SIGTERM, so that its log is whole. Idempotent."""
        for child in self._children:
            if child is not self.server:
                self._signal(child, signal.SIGKILL)
                child.wait()
        if self.server is not None and self.server.poll() is None:
            self._signal(self.server, signal.SIGCONT)
            self._signal(self.server, signal.SIGTERM)
            try:
                self.server.wait(30)
            except subprocess.TimeoutExpired:
                self.complaints.append("the server had not drained in 30 s at the end")
                self.server.kill()
                self.server.wait()
        for copy in self._log_copies:
            copy.join(5)


@contextmanager
def fleet_of(
    folder: Path, *, settings: Mapping[str, object] | None = None, capacity: int = 50
) -> Iterator[Fleet]:
    """Start a server on a folder; end it and all workers in any case. Workers are the caller's."""
    with ExitStack() as stack:
        fleet = Fleet(folder, settings or {}, capacity)
        stack.callback(fleet.end)
        fleet.start_server()
        try:
            yield fleet
        except BaseException:
            # The folder may be gone when this is read.
            fleet.end()
            sys.stderr.write(f"The end of the server's log:\n{fleet.server_log_tail(20)}\n")
            raise


def record_files(folder: Path) -> list[Path]:
    """The record files of all workers of a run, in the order in which they were started."""
    return sorted(folder.glob("records-*.jsonl"), key=lambda path: int(path.name.split("-")[1]))


def offered_files(folder: Path) -> list[Path]:
    """What late workers wrote down of the old results that they told."""
    return sorted(folder.glob("offered-*.jsonl"))


def can_fill_disk() -> bool:
    """Can another process's files be bounded here (Linux)?"""
    return hasattr(resource, "prlimit")


def remove(folder: Path) -> None:
    """Remove a run's folder."""
    shutil.rmtree(folder, ignore_errors=True)


def _limit_files(pid: int, bytes_max: int | None) -> None:
    try:
        _soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(
            pid, resource.RLIMIT_FSIZE, (hard if bytes_max is None else bytes_max, hard)
        )
    except ProcessLookupError:
        pass  # it was killed meanwhile


async def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end of a process; False if it has not ended by then."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        await anyio.sleep(_POLL_SECONDS)
    return True


def _append(source: IO[bytes], path: Path) -> None:
    with source, path.open("ab", buffering=0) as log:
        while chunk := source.read1(65536):  # type: ignore[attr-defined]
            log.write(chunk)
