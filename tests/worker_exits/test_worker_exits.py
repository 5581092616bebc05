"""The small run, for every day; the large one is `python -m tests.worker_exits --stock`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.processes import API_KEY, API_SECRET, Server
from tests.worker_exits.run import Ending, Fate, run
from worker_sdk import DispatchClient

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("ending", "fate"),
    [
        (Ending.WAIT, Fate.ENDED_THERE),
        (Ending.HAND_OVER, Fate.HANDED_OVER),
        (Ending.SECOND_SIGNAL, Fate.HANDED_OVER),
        (Ending.STOCK, Fate.ENDED_THERE),
    ],
    ids=lambda value: value.name.lower(),
)
async def test_a_worker_ends_with_code_0_and_its_jobs_are_accounted_for(
    tmp_path: Path, ending: Ending, fate: Fate
) -> None:
    server = Server(tmp_path)
    try:
        await server.start()
        async with DispatchClient(server.http_url, API_KEY, API_SECRET) as client:
            told = await run(tmp_path, server, client, ending, jobs=2)
    finally:
        server.clean_up()
    assert (told.code, dict(told.fates)) == (0, {fate: 2})
