"""Loads, measured from recorded control group trees and a clock that the test moves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from protocol.errors import ConfigError
from worker_sdk.load import (
    CpuLoad,
    GreatestLoad,
    JobsHeld,
    JobsLoad,
    MemoryLoad,
    as_measure,
    load_by_names,
)

TREES = Path(__file__).parent / "cgroups"
IDLE = JobsHeld(active_count=0, capacity=10)


class Machine:
    """A copy of a recorded tree, whose clock and counters a test moves."""

    def __init__(self, folder: Path, tree: str) -> None:
        self.root = folder / tree
        shutil.copytree(TREES / tree, self.root)
        self.now = 100.0

    def cpu_load(self, cpu_count: float = 8, window_seconds: float = 5.0) -> CpuLoad:
        """A measure of it that begins now."""
        return CpuLoad(
            cgroup_root=self.root / "sys",
            proc_root=self.root / "proc",
            cpu_count=cpu_count,
            window_seconds=window_seconds,
            clock=lambda: self.now,
        )

    def memory_load(self) -> MemoryLoad:
        """A measure of its memory."""
        return MemoryLoad(cgroup_root=self.root / "sys", proc_root=self.root / "proc")

    def add(self, name: str, amount: int, key: str = "") -> None:
        """Let a counter grow: a file of one number, or the field `key` of a file of fields."""
        path = self.root / name
        lines = path.read_text().splitlines()
        for index, line in enumerate(lines):
            field, _, value = line.rpartition(" ")
            if field == key:
                lines[index] = f"{field} {int(value) + amount}".strip()
        path.write_text("\n".join(lines) + "\n")


# ---- processor ----


# Each row: the tree, the counter, how much it grows in a second, and the load that this is.
@pytest.mark.parametrize(
    ("tree", "counter", "key", "amount", "load"),
    [
        ("v2_container", "sys/cpu.stat", "usage_usec", 250_000, 0.5),
        ("v2_container", "sys/cpu.stat", "usage_usec", 500_000, 1.0),
        ("v2_pod", "sys/kubepods.slice/pod7.slice/cpu.stat", "usage_usec", 500_000, 0.25),
        ("v2_host_path", "sys/cpu.stat", "usage_usec", 750_000, 0.5),
        ("v1_container", "sys/cpu,cpuacct/cpuacct.usage", "", 750_000_000, 0.75),
        ("v1_separate", "sys/cpuacct/jobs/cpuacct.usage", "", 1_500_000_000, 0.5),
    ],
)
def test_the_processor_is_measured_against_the_quota_of_the_container(
    tmp_path: Path, tree: str, counter: str, key: str, amount: int, load: float
) -> None:
    machine = Machine(tmp_path, tree)
    measure = machine.cpu_load()
    machine.now += 1.0
    machine.add(counter, amount, key)
    assert measure.sample(IDLE) == pytest.approx(load)


def test_without_a_quota_it_is_the_machine(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "hybrid_unlimited")
    measure = machine.cpu_load()
    path = machine.root / "proc/stat"
    first, rest = path.read_text().split("\n", 1)
    ticks = [int(field) for field in first.split()[1:]]
    ticks[0] += os.sysconf("SC_CLK_TCK")  # one of its two processors was busy
    ticks[3] += os.sysconf("SC_CLK_TCK")
    path.write_text("cpu  " + " ".join(map(str, ticks)) + "\n" + rest)
    machine.now += 1.0
    assert measure.sample(IDLE) == pytest.approx(0.5)


def test_a_quota_beyond_the_processors_that_may_be_used_means_those(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "v2_pod")  # two processors by quota
    measure = machine.cpu_load(cpu_count=1)
    machine.now += 1.0
    machine.add("sys/kubepods.slice/pod7.slice/cpu.stat", 500_000, "usage_usec")
    assert measure.sample(IDLE) == pytest.approx(0.5)


def test_one_busy_second_is_averaged_over_the_window(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "v2_container")
    measure = machine.cpu_load(window_seconds=5.0)
    for _ in range(5):
        machine.now += 1.0
        measure.sample(IDLE)
    machine.now += 1.0
    machine.add("sys/cpu.stat", 500_000, "usage_usec")
    assert measure.sample(IDLE) == pytest.approx(0.2, abs=0.04)


def test_what_was_before_the_window_is_forgotten(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "v2_container")
    measure = machine.cpu_load(window_seconds=5.0)
    machine.now += 1.0
    machine.add("sys/cpu.stat", 500_000, "usage_usec")
    assert measure.sample(IDLE) == pytest.approx(1.0)
    for _ in range(6):
        machine.now += 1.0
        measure.sample(IDLE)
    assert measure.sample(IDLE) == 0.0


def test_a_load_is_never_above_one(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "v2_container")
    measure = machine.cpu_load()
    machine.now += 1.0
    machine.add("sys/cpu.stat", 5_000_000, "usage_usec")
    assert measure.sample(IDLE) == 1.0


def test_where_nothing_can_be_read_the_run_queue_counts(tmp_path: Path) -> None:
    clock = iter([0.0, 1.0])
    measure = CpuLoad(cgroup_root=tmp_path, proc_root=tmp_path, clock=lambda: next(clock))
    assert 0.0 <= measure.sample(IDLE) <= 1.0


def test_this_very_machine_can_be_measured() -> None:
    clock = [0.0]
    measure = CpuLoad(clock=lambda: clock[0])
    sum(range(200_000))
    clock[0] = 1.0
    assert 0.0 <= measure.sample(IDLE) <= 1.0
    assert 0.0 < MemoryLoad().sample(IDLE) < 1.0


# ---- memory ----


@pytest.mark.parametrize(
    ("tree", "load"),
    [
        ("v2_container", 0.5),  # 384 of 512 MiB, of which 128 are files that can be dropped
        ("v2_pod", 0.75),
        ("v2_host_path", 0.25),
        ("v1_container", 0.5),
        ("v1_separate", 0.5),
    ],
)
def test_memory_is_measured_against_the_limit_of_the_container(
    tmp_path: Path, tree: str, load: float
) -> None:
    assert Machine(tmp_path, tree).memory_load().sample(IDLE) == pytest.approx(load)


def test_memory_without_a_limit_is_that_of_the_machine(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "hybrid_unlimited")
    (machine.root / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 400 kB\n")
    assert machine.memory_load().sample(IDLE) == pytest.approx(0.6)


def test_a_machine_that_is_short_of_memory_counts_although_the_container_is_not(
    tmp_path: Path,
) -> None:
    machine = Machine(tmp_path, "v2_host_path")
    (machine.root / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 50 kB\n")
    assert machine.memory_load().sample(IDLE) == pytest.approx(0.95)


# ---- jobs, functions, the greatest ----


def test_jobs_are_counted_against_the_capacity() -> None:
    assert JobsLoad().sample(JobsHeld(3, 12)) == 0.25


def test_the_greatest_of_several_loads_counts() -> None:
    measure = GreatestLoad(JobsLoad(), lambda: 0.3)
    assert measure.sample(JobsHeld(1, 10)) == 0.3
    assert measure.sample(JobsHeld(9, 10)) == 0.9


def test_loads_have_names_for_who_deploys() -> None:
    assert load_by_names(["jobs"]).sample(JobsHeld(1, 2)) == 0.5
    with pytest.raises(ValueError, match="jobs, cpu, memory"):
        load_by_names(["disk"])


async def asynchronous() -> float:
    """What no load can be: it is asked for between two messages."""
    return 0.5


@pytest.mark.parametrize("load", [0.5, CpuLoad, "cpu", asynchronous])
def test_what_is_no_load_is_refused_with_words(load: object) -> None:
    with pytest.raises(ConfigError, match="load must be"):
        as_measure(load)
