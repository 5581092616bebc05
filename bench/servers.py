"""The two servers as processes: started, waited for, their CPU time read, stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

API_KEY = "bench"
API_SECRET = "a-secret-of-the-benchmark-alone-0001"

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0


class Kind(Enum):
    """Which server. The value names it in reports."""

    BARE = "bare transport"
    REAL = "callboard serve"


@dataclass(frozen=True, slots=True)
class CpuParts:
    """CPU seconds by thread, in the program and in the system (sockets, disk)."""

    loop_user: float
    loop_system: float
    store_user: float
    store_system: float

    def since(self, before: CpuParts) -> CpuParts:
        """What was spent since."""
        return CpuParts(
            self.loop_user - before.loop_user,
            self.loop_system - before.loop_system,
            self.store_user - before.store_user,
            self.store_system - before.store_system,
        )


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server."""

    kind: Kind
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """CPU time of all threads of the process since it began, to the nanosecond."""
        return cpu_seconds(self.pid)

    def rss_bytes(self) -> int:
        """Memory that it has in use now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_parts(self) -> CpuParts:
        """Where that time went: the event loop's thread, and all others (the store's), to the tick."""
        ticks = os.sysconf("SC_CLK_TCK")
        loop_user = loop_system = store_user = store_system = 0.0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            user, system = int(fields[11]) / ticks, int(fields[12]) / ticks
            if int(task.name) == self.pid:
                loop_user, loop_system = user, system
            else:
                store_user, store_system = store_user + user, store_system + system
        return CpuParts(loop_user, loop_system, store_user, store_system)


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process since it began, to the nanosecond."""
    # The clock id of another process's CPU time: clock_getcpuclockid(3), on Linux.
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


@contextmanager
def serving(
    kind: Kind,
    folder: Path,
    *,
    settings: Mapping[str, str] | None = None,
    start_seconds_max: float = START_SECONDS_MAX,
) -> Iterator[ServerProcess]:
    """Run one server on a free loopback port; the data of the real one goes to `folder`/data.

    `settings` are environment variables for it.
    """
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "CALLBOARD_KEYS": f"{API_KEY}: {API_SECRET}",
        **(settings or {}),
    }
    command = {
        Kind.BARE: ["-m", "bench.transport", str(port)],
        Kind.REAL: ["-m", "dispatcher.cli", "serve", "--port", str(port)],
    }[kind]
    if kind is Kind.REAL:
        command += ["--data-dir", str(folder / "data")]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], env=environment, stdout=log, stderr=log
        )
        try:
            wait_until_ready(process, port, log, start_seconds_max)
            yield ServerProcess(kind, port, process.pid)
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Have it end; kill it where it takes long."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(
    process: subprocess.Popen[bytes],
    port: int,
    log: IO[bytes],
    start_seconds_max: float = START_SECONDS_MAX,
) -> None:
    """Wait until it listens. Raises SystemExit where it does not."""
    deadline = time.monotonic() + start_seconds_max
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server did not start; see {log.name}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"the server did not listen within {start_seconds_max:g} s; see {log.name}")
