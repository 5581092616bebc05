"""Control groups where something is missing, odd or said twice; the ordinary trees: `test_load`."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker_sdk.control_groups import ControlGroups

TREES = Path(__file__).parent / "cgroups"


def tree(folder: Path, **files: str) -> ControlGroups:
    """Groups of these files; `__` in a name is a slash, `_dot_` a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ControlGroups(folder / "sys", folder / "proc")


def test_a_system_without_control_groups_has_no_readings(tmp_path: Path) -> None:
    groups = ControlGroups(tmp_path / "nothing", tmp_path / "nowhere")
    assert (groups.cpu(4), groups.memory()) == ((), ())


def test_a_machine_that_limits_nothing_has_no_readings() -> None:
    recorded = TREES / "hybrid_unlimited"
    groups = ControlGroups(recorded / "sys", recorded / "proc")
    assert (groups.cpu(4), groups.memory()) == ((), ())


def test_each_level_with_a_limit_is_a_reading_of_its_own(tmp_path: Path) -> None:
    groups = tree(
        tmp_path,
        proc__self__cgroup="0::/pod/container\n",
        sys__pod__cpu_dot_max="200000 100000\n",
        sys__pod__cpu_dot_stat="usage_usec 5000000\n",
        sys__pod__container__cpu_dot_max="50000 100000\n",
        sys__pod__container__cpu_dot_stat="usage_usec 1000000\n",
    )
    assert [(each.used_seconds, each.cpus) for each in groups.cpu(8)] == [(1.0, 0.5), (5.0, 2.0)]


def test_a_group_outside_of_the_namespace_is_the_root_of_what_is_mounted(tmp_path: Path) -> None:
    groups = tree(
        tmp_path,
        proc__self__cgroup="0::/../../other\n",
        sys__memory_dot_max="1000\n",
        sys__memory_dot_current="600\n",
    )
    assert [(each.used_bytes, each.bytes_max) for each in groups.memory()] == [(600, 1000)]


def test_the_lower_of_two_memory_bounds_counts(tmp_path: Path) -> None:
    groups = tree(
        tmp_path,
        proc__self__cgroup="0::/\n",
        sys__memory_dot_max="2000\n",
        sys__memory_dot_high="1000\n",
        sys__memory_dot_current="500\n",
    )
    assert [each.bytes_max for each in groups.memory()] == [1000]


@pytest.mark.parametrize("quota", ["", "nonsense", "max", "0 100000", "50000", "50000 0", "-1 5"])
def test_a_quota_that_cannot_be_read_is_none(tmp_path: Path, quota: str) -> None:
    groups = tree(
        tmp_path,
        proc__self__cgroup="0::/\n",
        sys__cpu_dot_max=quota,
        sys__cpu_dot_stat="usage_usec 1\n",
    )
    assert groups.cpu(4) == ()


def test_a_file_that_goes_away_is_no_reading_and_no_error(tmp_path: Path) -> None:
    groups = tree(
        tmp_path,
        proc__self__cgroup="0::/\n",
        sys__memory_dot_max="1000\n",
        sys__memory_dot_current="600\n",
    )
    (tmp_path / "sys/memory.current").unlink()
    assert groups.memory() == ()
