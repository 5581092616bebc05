"""What is left of a worker's connection when it is over, without Python's look for cycles.

The server has that done rarely (`app`): what a connection leaves in a cycle stays for hours, 12 KiB each.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from dispatcher.server.worker_session import WorkerSession
from protocol import wire_pb2
from protocol.errors import CloseCode
from tests.support.server import KEY, SECRET, running_server
from worker_sdk.connection import ServerConnection
from worker_sdk.credentials import Credentials

pytestmark = pytest.mark.anyio

DEADLINE_SECONDS = 60.0


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def sessions() -> set[WorkerSession]:
    """All sessions that there are, in use or not."""
    return {each for each in gc.get_objects() if isinstance(each, WorkerSession)}


@pytest.mark.usefixtures("_no_collector")
async def test_the_session_of_a_worker_that_has_gone_is_freed_at_once(tmp_path: Path) -> None:
    # of other tests' workers, perhaps; kept here, so that each is told from ours
    before = sessions()
    async with running_server(tmp_path) as server:
        connection = await ServerConnection.open(
            Credentials(server.http_url, KEY, SECRET),
            wire_pb2.RegisterWorkerRequest(type=wire_pb2.JT_ROOM, agent_name="a", version="1"),
        )
        assert len(sessions() - before) == 1
        await connection.close(CloseCode.NORMAL)
        with anyio.fail_after(DEADLINE_SECONDS):
            while sessions() - before:  # noqa: ASYNC110 - nothing tells of it
                await anyio.sleep(0.05)
