"""How busy a worker is, 0 (idle) to 1 (full): by jobs, by processor, by memory, or as a program says.

    Worker("greeter", load=GreatestLoad(JobsLoad(), CpuLoad(), MemoryLoad()))
    Worker("greeter", load=lambda: queue.qsize() / 100)

A worker in a container is measured against what the container may use, not against the machine:
control groups of version 2 and 1 are read, of every level that has a limit, and the fullest counts.
Without any limit it is the machine. The server prefers workers below its target load; the hard cap
on jobs is the worker's `capacity`, which no load overrides.

Invariant: `sample` does not raise for a file that is missing or unreadable; what cannot be measured
counts as 0. Left to others: when it is sampled (`link`), what the server makes of it.
"""

from __future__ import annotations

import inspect
import os
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from protocol.errors import ConfigError
from worker_sdk.control_groups import ControlGroups, CpuReading

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CpuLoad",
    "GreatestLoad",
    "JobsLoad",
    "LoadMeasure",
    "LoadSource",
    "MemoryLoad",
    "as_measure",
    "load_by_names",
]

# Over how long the processor's load is averaged: one busy second does not turn a worker away.
CPU_WINDOW_SECONDS = 5.0
# Two looks that are closer together say nothing.
CPU_GAP_SECONDS_MIN = 0.2

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_PROC_ROOT = Path("/proc")


@dataclass(frozen=True, slots=True)
class JobsHeld:
    """The jobs of a worker at the instant of a sample."""

    active_count: int
    capacity: int


class LoadMeasure(ABC):
    """Something that says how busy a worker is."""

    @abstractmethod
    def sample(self, jobs: JobsHeld) -> float:
        """The load now, 0 idle to 1 full. Called about twice a second, and must not block."""


# What Worker(load=...) takes: a measure, or any function without arguments.
LoadSource: TypeAlias = LoadMeasure | Callable[[], float]


class JobsLoad(LoadMeasure):
    """Jobs that run, of the most that may."""

    def sample(self, jobs: JobsHeld) -> float:
        """The share of the capacity that is taken."""
        return jobs.active_count / jobs.capacity


class FunctionLoad(LoadMeasure):
    """A user's own function."""

    def __init__(self, function: Callable[[], float]) -> None:
        self._function = function

    def sample(self, jobs: JobsHeld) -> float:
        """What the function says."""
        return float(self._function())


class GreatestLoad(LoadMeasure):
    """The greatest of several loads: a worker is as busy as what is scarcest there."""

    def __init__(self, *loads: LoadSource) -> None:
        if not loads:
            raise ConfigError("GreatestLoad needs at least one load")
        self._measures = [as_measure(load) for load in loads]

    def sample(self, jobs: JobsHeld) -> float:
        """The greatest of them."""
        return max(measure.sample(jobs) for measure in self._measures)


class CpuLoad(LoadMeasure):
    """Processor time used, of what may be used, averaged over the last seconds.

    `cgroup_root` and `proc_root` are where the kernel tells it; `clock` gives seconds. On a system
    without them (macOS) it is the run queue over the number of processors, if that is known.
    """

    def __init__(
        self,
        *,
        cgroup_root: Path = _CGROUP_ROOT,
        proc_root: Path = _PROC_ROOT,
        window_seconds: float = CPU_WINDOW_SECONDS,
        cpu_count: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._groups = ControlGroups(cgroup_root, proc_root)
        self._cpu_count = cpu_count or _usable_cpus()
        self._proc_root = proc_root
        self._window_seconds = window_seconds
        self._clock = clock
        # (when, what was read then), oldest first; the first is at most a window old, or alone
        self._readings: deque[tuple[float, tuple[CpuReading, ...]]] = deque()
        self._last = 0.0
        self._read(clock())

    def sample(self, jobs: JobsHeld) -> float:
        """The fullest level's share of its processor time since the window began."""
        now = self._clock()
        if now - self._readings[-1][0] >= CPU_GAP_SECONDS_MIN:
            self._read(now)
        (then, before), (last, after) = self._readings[0], self._readings[-1]
        if last > then:
            began = {reading.name: reading for reading in before}
            shares = [
                (reading.used_seconds - began[reading.name].used_seconds)
                / ((last - then) * reading.cpus)
                for reading in after
                if reading.name in began
            ]
            self._last = min(1.0, max(0.0, *shares)) if shares else _run_queue(self._cpu_count)
        return self._last

    def _read(self, now: float) -> None:
        readings = self._groups.cpu(self._cpu_count)
        if not readings:
            machine = _machine_cpu(self._proc_root / "stat", self._cpu_count)
            readings = () if machine is None else (machine,)
        self._readings.append((now, readings))
        while len(self._readings) > 2 and self._readings[1][0] <= now - self._window_seconds:
            self._readings.popleft()
        # After a pause (no connection, no samples) the time before it is no news.
        if len(self._readings) == 2 and now - self._readings[0][0] > 2 * self._window_seconds:
            self._readings.popleft()


class MemoryLoad(LoadMeasure):
    """Memory used, of what may be used; what the kernel could free at once is not counted."""

    def __init__(self, *, cgroup_root: Path = _CGROUP_ROOT, proc_root: Path = _PROC_ROOT) -> None:
        self._groups = ControlGroups(cgroup_root, proc_root)
        self._proc_root = proc_root

    def sample(self, jobs: JobsHeld) -> float:
        """The fullest level's share, the machine being one of them."""
        shares = [
            reading.used_bytes / reading.bytes_max
            for reading in self._groups.memory()
            if reading.bytes_max
        ]
        machine = _machine_memory(self._proc_root / "meminfo")
        if machine is not None:
            shares.append(machine)
        return min(1.0, max(0.0, *shares)) if shares else 0.0


def as_measure(load: object) -> LoadMeasure:
    """A measure as it is, a function as one. Raises ConfigError for anything else."""
    if isinstance(load, LoadMeasure):
        return load
    if isinstance(load, type) or not callable(load) or inspect.iscoroutinefunction(load):
        raise ConfigError(
            "load must be a measure (JobsLoad(), CpuLoad() ...) or a function that is not async,"
            f" not {load!r}"
        )
    return FunctionLoad(load)


_BY_NAME: Mapping[str, Callable[[], LoadMeasure]] = {
    "jobs": JobsLoad,
    "cpu": CpuLoad,
    "memory": MemoryLoad,
}


def load_by_names(names: Sequence[str]) -> LoadMeasure:
    """The greatest of the loads of these names: jobs, cpu, memory. Raises ValueError."""
    if not names:
        raise ValueError(f"must be some of {', '.join(_BY_NAME)}, with commas between")
    for name in names:
        if name not in _BY_NAME:
            raise ValueError(f"must be some of {', '.join(_BY_NAME)}, not {name!r}")
    return GreatestLoad(*(_BY_NAME[name]() for name in names))


def _usable_cpus() -> float:
    if hasattr(os, "sched_getaffinity"):
        return float(len(os.sched_getaffinity(0)))
    return float(os.cpu_count() or 1)


def _machine_cpu(path: Path, cpu_count: float) -> CpuReading | None:
    """All that runs on this machine, from /proc/stat."""
    try:
        lines = path.read_text().splitlines()
        ticks = [int(field) for field in lines[0].split()[1:9]]
        rate = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    if len(ticks) < 8:
        return None
    # user nice system idle iowait irq softirq steal: idle and iowait are free
    busy = sum(ticks) - ticks[3] - ticks[4]
    machine_cpus = sum(line.startswith("cpu") for line in lines) - 1
    return CpuReading("machine", busy / rate, machine_cpus or cpu_count)


def _machine_memory(path: Path) -> float | None:
    """The share of this machine's memory that is not available, from /proc/meminfo."""
    try:
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        total, available = (int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return 1 - available / total if total else None


def _run_queue(cpu_count: float) -> float:
    try:
        return min(1.0, os.getloadavg()[0] / cpu_count)
    except (OSError, AttributeError):
        return 0.0
