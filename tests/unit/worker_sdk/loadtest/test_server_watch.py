"""CPU and memory of whoever listens on a port of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from worker_sdk.loadtest.server_watch import ServerWatch

LISTEN = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(listener.getsockname()[1], flush=True)
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


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    process, port = listening()
    with process:
        yield process, port
        process.kill()


def test_who_listens_is_found_and_measured(server: tuple[subprocess.Popen[str], int]) -> None:
    process, port = server
    watch = ServerWatch("127.0.0.1", port)
    assert watch.name.endswith(f"(pid {process.pid})")
    sample = watch.look()
    assert sample is not None
    assert sample.rss_mib > 1
    assert sample.cpu_cores >= 0


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
