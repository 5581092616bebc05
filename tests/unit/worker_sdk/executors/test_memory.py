"""The memory of a process counts with that of all that it started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from worker_sdk.executors.memory import resident_bytes

MIB = 1024 * 1024
# Says that it is there; the inner one holds 64 MiB.
INNER = "held = bytes(4096) * (16 * 1024); print('up', flush=True); input()"
OUTER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {INNER!r}])"


@pytest.fixture
def outer() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has started another one."""
    process = subprocess.Popen(
        [sys.executable, "-c", OUTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process


def test_a_process_counts_with_what_it_started(outer: subprocess.Popen[bytes]) -> None:
    used = resident_bytes([outer.pid, os.getpid()])
    assert 64 * MIB < used[outer.pid] < 200 * MIB
    assert used[os.getpid()] > used[outer.pid]


def test_a_process_that_is_gone_counts_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert resident_bytes([process.pid]) == {process.pid: 0}
