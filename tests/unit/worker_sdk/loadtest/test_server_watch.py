"""CPU and memory of whoever listens on a port of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from worker_sdk.loadtest.server_watch import ServerWatch

LISTEN = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""
USE_CPU = """
import sys, time
while time.process_time() < 0.5: pass
print(flush=True)
sys.stdin.read()
"""


def listening(port: int = 0) -> tuple[subprocess.Popen[str], int]:
    """Start a process that listens; it and its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", LISTEN, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def burn(seconds: float) -> None:
    """Use so much CPU."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    process, port = listening()
    with process:
        yield process, port
        process.kill()


def test_who_listens_is_found_and_measured(server: tuple[subprocess.Popen[str], int]) -> None:
    process, port = server
    watch = ServerWatch("127.0.0.1", port, clock=iter([100.0, 102.0]).__next__)
    assert watch.name.endswith(f"(pid {process.pid})")
    sample = watch.look()
    assert sample is not None
    assert sample.rss_mib > 1
    assert sample.cpu_cores is not None
    assert sample.over_seconds == 2.0


def test_cpu_is_what_was_used_since_the_last_look_that_told_of_it() -> None:
    """The second look is too soon: its CPU comes with the third."""
    watch = ServerWatch("", 0, os.getpid(), clock=iter([0.0, 1.0, 1.0, 3.0]).__next__)
    first = watch.look()
    burn(0.1)
    soon, late = watch.look(), watch.look()
    assert first is not None
    assert soon is not None
    assert late is not None
    assert (soon.cpu_cores, soon.over_seconds) == (None, 0.0)
    assert soon.rss_mib > 1
    assert late.cpu_cores is not None
    assert late.cpu_cores >= 0.05 / 2.0
    assert late.over_seconds == 2.0


def test_a_child_that_ends_while_it_is_read_is_left_out(
    server: tuple[subprocess.Popen[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, _ = server
    child = psutil.Process(process.pid)
    process.kill()
    process.wait()
    monkeypatch.setattr(psutil.Process, "children", lambda *_, **__: [child])
    watch = ServerWatch("", 0, os.getpid())
    sample = watch.look()
    assert sample is not None
    assert sample.rss_mib > 1


def test_a_child_that_has_ended_takes_no_cpu_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", USE_CPU], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        children = [psutil.Process(process.pid)]
        monkeypatch.setattr(psutil.Process, "children", lambda *_, **__: children)
        watch = ServerWatch("", 0, os.getpid(), clock=iter([0.0, 1.0]).__next__)
        process.kill()
    children.clear()
    burn(0.1)
    sample = watch.look()
    assert sample is not None
    assert sample.cpu_cores is not None
    assert sample.cpu_cores >= 0.05


def test_a_server_that_is_started_again_is_found_again(
    server: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = server
    watch = ServerWatch("127.0.0.1", port)
    process.kill()
    process.wait()
    assert watch.look() is None
    again, _ = listening(port)
    with again:
        watch.look()
        assert watch.look() is not None
        assert watch.name.endswith(f"(pid {again.pid})")
        again.kill()


def test_a_port_without_a_listener_has_nothing() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        watch = ServerWatch("127.0.0.1", probe.getsockname()[1])
    assert (watch.name, watch.look()) == ("", None)


def test_another_machine_is_not_looked_at() -> None:
    assert ServerWatch("192.0.2.1", 80).name == ""


def test_a_process_may_be_named() -> None:
    assert ServerWatch("192.0.2.1", 80, os.getpid()).look() is not None
