"""CPU and memory of the server, where it is a process of this machine that we may look at."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

import psutil

__all__ = ["ServerSample", "ServerWatch", "machine_cpu_cores"]

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerSample:
    """The server between two looks: CPU in cores, memory now."""

    cpu_cores: float
    rss_mib: float


class ServerWatch:
    """Looks at the process that listens on a port, with all that it has started.

    One that has ended is looked for again, until another listens there.
    """

    def __init__(self, host: str, port: int, pid: int | None = None) -> None:
        self._host, self._port, self._pid = host, port, pid
        self._process: psutil.Process | None = None
        # What it is, for people; empty where there never was anything to look at.
        self.name = ""
        self._looked_at = 0.0
        self._cpu_before = 0.0
        self._find()

    def look(self) -> ServerSample | None:
        """How it is; None: it is not here, or has gone."""
        if self._process is None:
            if self.name:
                self._find()
            return None
        try:
            now, cpu_seconds = time.monotonic(), self._cpu_seconds(self._process)
            rss_bytes = sum(one.memory_info().rss for one in _family(self._process))
        except psutil.Error:
            self._process = None
            return None
        passed = max(now - self._looked_at, 1e-6)
        cores = max(0.0, cpu_seconds - self._cpu_before) / passed
        self._looked_at, self._cpu_before = now, cpu_seconds
        return ServerSample(cores, rss_bytes / _MIB)

    def _find(self) -> None:
        found = self._pid if self._pid is not None else _listener(self._host, self._port)
        if found is None:
            return
        try:
            process = psutil.Process(found)
            self.name = f"{process.name()} (pid {found})"
            self._cpu_before = self._cpu_seconds(process)
        except psutil.Error:
            return
        self._process, self._looked_at = process, time.monotonic()

    def _cpu_seconds(self, process: psutil.Process) -> float:
        total = 0.0
        for one in _family(process):
            times = one.cpu_times()
            total += times.user + times.system
        return total


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def machine_cpu_cores() -> float:
    """What all that runs on this machine has used since the last time, in cores."""
    return psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)


def _listener(host: str, port: int) -> int | None:
    """The process of this machine that listens there; None: there is none that we can see."""
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, port)}
    except OSError:
        return None
    own = {address.address for each in psutil.net_if_addrs().values() for address in each}
    if not addresses & own:
        return None
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None  # not everywhere may one ask
    for connection in connections:
        # An address is host and port; empty where there is none.
        if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (port,):
            return connection.pid
    return None
