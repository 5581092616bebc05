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
    """Looks at the process that listens on a port, with all that it has started."""

    def __init__(self, host: str, port: int, pid: int | None = None) -> None:
        self._process: psutil.Process | None = None
        # What it is, for people; empty where there is nothing to look at.
        self.name = ""
        found = pid if pid is not None else _listener(host, port)
        if found is None:
            return
        try:
            self._process = psutil.Process(found)
            self.name = f"{self._process.name()} (pid {found})"
        except psutil.Error:
            return
        self._looked_at = time.monotonic()
        self.began_cpu_seconds = self._cpu_seconds()
        self._cpu_before = self.began_cpu_seconds

    def look(self) -> ServerSample | None:
        """How it is; None: it is not here, or has gone."""
        if self._process is None:
            return None
        try:
            now, cpu_seconds = time.monotonic(), self._cpu_seconds()
            rss_bytes = sum(one.memory_info().rss for one in self._family())
        except psutil.Error:
            self._process = None
            return None
        passed = max(now - self._looked_at, 1e-6)
        cores = max(0.0, cpu_seconds - self._cpu_before) / passed
        self._looked_at, self._cpu_before = now, cpu_seconds
        return ServerSample(cores, rss_bytes / _MIB)

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        return [self._process, *self._process.children(recursive=True)]

    def _cpu_seconds(self) -> float:
        total = 0.0
        for one in self._family():
            times = one.cpu_times()
            total += times.user + times.system
        return total


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
