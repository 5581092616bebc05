"""CPU and memory of the server, where it is a process of this machine that we may look at."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

__all__ = ["ServerSample", "ServerWatch", "machine_cpu_cores"]

# Systems count CPU in ticks of 10 ms and more: between two looks that are closer than this, a tick would
# be a large part of a core. That CPU is told with the next look.
MEASURED_SECONDS_MIN = 0.25
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerSample:
    """The server's memory now, and its CPU since the last look that told of it.

    `cpu_cores` is None where that is too short a time ago: what it used comes with the next look.
    """

    rss_mib: float
    cpu_cores: float | None
    # how long ago that look was; 0 where there are no cores
    over_seconds: float


class ServerWatch:
    """Looks at the process that listens on a port, with all that it has started.

    One that has ended is looked for again, until another listens there.
    """

    def __init__(
        self,
        host: str,
        port: int,
        pid: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._port, self._pid = host, port, pid
        self._clock = clock
        self._process: psutil.Process | None = None
        # What it is, for people; empty where there never was anything to look at.
        self.name = ""
        self._looked_at = 0.0
        # What each process of it had used by then.
        self._cpu_before: dict[psutil.Process, float] = {}
        self._find()

    def look(self) -> ServerSample | None:
        """How it is; None: it is not here, or has gone."""
        if self._process is None:
            if self.name:
                self._find()
            return None
        now = self._clock()
        try:
            rss_bytes, cpu_now = _usage(self._process)
        except psutil.Error:
            self._process = None
            return None
        rss_mib, passed_seconds = rss_bytes / _MIB, now - self._looked_at
        if passed_seconds < MEASURED_SECONDS_MIN:
            return ServerSample(rss_mib, cpu_cores=None, over_seconds=0.0)
        before, self._cpu_before, self._looked_at = self._cpu_before, cpu_now, now
        used = sum(seconds - before.get(process, 0.0) for process, seconds in cpu_now.items())
        return ServerSample(rss_mib, used / passed_seconds, passed_seconds)

    def _find(self) -> None:
        found = self._pid if self._pid is not None else _listener(self._host, self._port)
        if found is None:
            return
        try:
            process = psutil.Process(found)
            self.name = f"{process.name()} (pid {found})"
            _, self._cpu_before = _usage(process)
        except psutil.Error:
            return
        self._process, self._looked_at = process, self._clock()


def _usage(process: psutil.Process) -> tuple[int, dict[psutil.Process, float]]:
    """Memory in bytes of it and all that it has started, and each one's CPU in seconds.

    Raises psutil.Error where it has ended itself; what ends while it is read is left out.
    """
    rss_bytes, cpu_seconds = _usage_of_one(process)
    by_process = {process: cpu_seconds}
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            child_bytes, by_process[child] = _usage_of_one(child)
            rss_bytes += child_bytes
    return rss_bytes, by_process


def _usage_of_one(process: psutil.Process) -> tuple[int, float]:
    times = process.cpu_times()
    return process.memory_info().rss, times.user + times.system


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
