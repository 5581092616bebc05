"""What the kernel's control groups allow this process, and what is used of it (cgroups(7)).

Version 2 has one tree, version 1 one for each controller. A limit may sit on this process's own
group or on any above it (a Kubernetes pod, a systemd slice), and holds for all below it together:
so each level that has one is a reading of its own.

In a container the path that /proc/self/cgroup names may be the host's, which is not there: the
container's own group is then the root of what is mounted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["ControlGroups", "CpuReading", "MemoryReading"]

_NS_PER_SECOND = 1_000_000_000
_US_PER_SECOND = 1_000_000
# Version 1 writes "no limit" as the greatest number of pages; so much memory no machine has.
_BYTES_UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class CpuReading:
    """The processor time that one level has used, and how many processors it may use."""

    name: str
    used_seconds: float
    cpus: float


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """The memory that one level uses, without file pages that can be dropped, and may use."""

    name: str
    used_bytes: int
    bytes_max: int


class ControlGroups:
    """The groups of this process. Where nothing can be read there are no readings."""

    def __init__(self, root: Path, proc_root: Path) -> None:
        self._root = root
        # The group of this process, by controller; "" is that of version 2.
        self._paths = _own_groups(proc_root / "self" / "cgroup")
        # Where each tree begins, which does not change.
        self._cpu_levels = tuple(self._levels("cpu", "cpu.max", "cpu.cfs_quota_us"))
        self._memory_levels = tuple(self._levels("memory", "memory.max", "memory.limit_in_bytes"))

    def cpu(self, machine_cpus: float) -> tuple[CpuReading, ...]:
        """One reading for each level that has a quota."""
        found = (_cpu_reading(level, self._usage_folder(level)) for level in self._cpu_levels)
        return tuple(
            CpuReading(reading.name, reading.used_seconds, min(reading.cpus, machine_cpus))
            for reading in found
            if reading is not None
        )

    def memory(self) -> tuple[MemoryReading, ...]:
        """One reading for each level that has a limit."""
        found = (_memory_reading(level) for level in self._memory_levels)
        return tuple(reading for reading in found if reading is not None)

    def _levels(self, controller: str, *files: str) -> Iterator[Path]:
        """Folders from this process's group up to the root that have one of the limits' files."""
        for tree, own in self._trees(controller):
            folder = tree / own.lstrip("/")
            if not folder.is_dir():
                folder = tree
            while True:
                if any((folder / name).is_file() for name in files):
                    yield folder
                if folder == tree or tree not in folder.parents:
                    break
                folder = folder.parent

    def _trees(self, controller: str) -> Iterator[tuple[Path, str]]:
        if controller in self._paths:
            for name in (controller, "cpu,cpuacct", "cpuacct,cpu"):
                tree = self._root / name
                if tree.is_dir() and controller in name.split(","):
                    yield tree, self._paths[controller]
                    return
        if "" in self._paths:
            unified = self._root / "unified"
            yield unified if unified.is_dir() else self._root, self._paths[""]

    def _usage_folder(self, level: Path) -> Path:
        """Where version 1 counts the time of a group: in cpuacct, which may be another tree."""
        beside = self._root / "cpuacct"
        tree = self._root / "cpu"
        if beside.is_dir() and level.is_relative_to(tree):
            return beside / level.relative_to(tree)
        return level


def _own_groups(path: Path) -> dict[str, str]:
    """The lines `id:controllers:path` of /proc/self/cgroup; one without controllers is of v2."""
    found: dict[str, str] = {}
    for line in _text(path).splitlines():
        controllers, _, group = line.partition(":")[2].partition(":")
        # ".." is a group outside of what this namespace sees.
        is_seen = ".." not in PurePosixPath(group).parts
        found |= dict.fromkeys(controllers.split(","), group if is_seen else "/")
    return found


def _cpu_reading(level: Path, usage: Path) -> CpuReading | None:
    quota, period, used_seconds = "max", "", None
    if (level / "cpu.max").is_file():
        quota, _, period = _text(level / "cpu.max").strip().partition(" ")
        used = _fields(level / "cpu.stat").get("usage_usec")
        used_seconds = None if used is None else used / _US_PER_SECOND
    elif (level / "cpu.cfs_quota_us").is_file():
        quota = _text(level / "cpu.cfs_quota_us").strip()
        period = _text(level / "cpu.cfs_period_us").strip()
        used = _number(_text(usage / "cpuacct.usage"))
        used_seconds = None if used is None else used / _NS_PER_SECOND
    allowed, per = _number(quota), _number(period)
    if allowed is None or not per or allowed <= 0 or used_seconds is None:
        return None
    return CpuReading(str(level), used_seconds, allowed / per)


def _memory_reading(level: Path) -> MemoryReading | None:
    if (level / "memory.max").is_file():
        bounds = [_number(_text(level / name)) for name in ("memory.max", "memory.high")]
        used = _number(_text(level / "memory.current"))
        droppable = _fields(level / "memory.stat").get("inactive_file", 0)
    else:
        bounds = [_number(_text(level / "memory.limit_in_bytes"))]
        used = _number(_text(level / "memory.usage_in_bytes"))
        droppable = _fields(level / "memory.stat").get("total_inactive_file", 0)
    limits = [bound for bound in bounds if bound is not None and 0 < bound < _BYTES_UNLIMITED]
    if not limits or used is None:
        return None
    return MemoryReading(str(level), max(0, used - droppable), min(limits))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def _number(text: str) -> int | None:
    try:
        return int(text.strip())
    except ValueError:  # "max", or nothing
        return None


def _fields(path: Path) -> dict[str, int]:
    """A file of lines `name number`."""
    found: dict[str, int] = {}
    for line in _text(path).splitlines():
        name, _, value = line.partition(" ")
        number = _number(value)
        if number is not None:
            found[name] = number
    return found
