"""The memory of processes and of all that they started: resident bytes, summed up.

psutil is imported where it is first used: a worker that measures nothing does not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["resident_bytes"]


def resident_bytes(roots: Collection[int]) -> dict[int, int]:
    """Resident bytes of each process of `roots` and of its descendants, by the root's pid.

    Pages that several of them share count for each. Processes that end meanwhile count nothing.
    One look at the whole process table serves all roots; it blocks for some milliseconds.
    """
    import psutil

    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        children.setdefault(process.info["ppid"] or 0, []).append(process.pid)
    totals: dict[int, int] = {}
    for root in roots:
        total = 0
        found = [root]
        while found:
            pid = found.pop()
            found += children.get(pid, ())
            try:
                total += psutil.Process(pid).memory_info().rss
            except psutil.Error:
                continue
        totals[root] = total
    return totals
