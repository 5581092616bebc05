"""Claims on a real server: all jobs of a worker in one message."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import anyio
import pytest

from protocol import wire_pb2
from tests.faults.seeding import job_id_of, seed_running
from tests.integration.server.peers import RawWorker, registered
from tests.support.server import running_server

pytestmark = pytest.mark.anyio

JOBS = 10_000
AGENT = "agent"
Verdict = wire_pb2.MigrateVerdict


async def verdicts_of(worker: RawWorker, count: int) -> dict[str, int]:
    """Return so many verdicts, which have to come in time."""
    found: dict[str, int] = {}
    with anyio.fail_after(60):
        while len(found) < count:
            found |= {one.job_id: one.verdict for one in (await worker.hear()).migrate_verdicts}
    return found


async def test_ten_thousand_jobs_that_are_claimed_in_one_message_are_each_kept_or_stopped(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    await seed_running(data_dir, AGENT, range(JOBS))
    mine = [job_id_of(number) for number in range(JOBS - 100)]
    others = [f"AJ_unknown{number:06d}" for number in range(100)]
    async with running_server(data_dir) as server, registered(server, AGENT) as worker:
        await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[*others, *mine]))
        stops = [(await worker.hear()).termination.job_id for _ in others]
        await worker.is_answered()  # and nothing else was said: it keeps the others
        assert sorted(stops) == others

    async with (
        running_server(data_dir) as server,
        registered(server, AGENT, capacity=2 * JOBS) as worker,
    ):
        await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[*others, *mine]))
        verdicts = await verdicts_of(worker, JOBS)
        assert Counter(verdicts.values()) == {Verdict.KEEP: JOBS - 100, Verdict.STOP_UNKNOWN: 100}
        assert all(verdicts[job_id] == Verdict.KEEP for job_id in mine)
