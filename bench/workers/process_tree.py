"""A process and all that it started: their memory, and the CPU time that they have used."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import psutil

__all__ = ["Memory", "ProcessTree"]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a tree. A page that several processes share counts once in `pss_bytes` altogether.

    In `rss_bytes` it counts for each of them, in `uss_bytes` for none.
    """

    pss_bytes: int
    uss_bytes: int
    rss_bytes: int
    processes: int


class ProcessTree:
    """The tree below one process."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def processes(self) -> list[psutil.Process]:
        """Those that live now, the root first."""
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def memory(self) -> Memory:
        """What it has now."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                found.append(process.memory_full_info())
        return Memory(
            pss_bytes=sum(each.pss for each in found),
            uss_bytes=sum(each.uss for each in found),
            rss_bytes=sum(each.rss for each in found),
            processes=len(found),
        )

    def cpu_seconds(self) -> float:
        """What it has used since it began, with what its processes used that ended meanwhile.

        A process that ended counts from the moment on when its parent was told of it.
        """
        total = 0.0
        for process in self.processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def kill(self) -> None:
        """Kill all of it."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
