"""One server and one worker for all tests of client commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.integration.cli.callboard import Server, environment, served


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this package's tests."""
    with served(tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.fixture(scope="package")
def worker(server: Server) -> Iterator[None]:
    """A worker of the agent "demo", which runs each job for as long as its metadata says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dispatcher.cli.demo.worker", "w1"],
        env=environment(server.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield
    process.kill()
    process.wait()
