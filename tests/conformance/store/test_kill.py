"""Promise 1, for the SQLite store as a process: SIGKILL at any moment loses nothing acknowledged."""

import random
import subprocess
import sys
from pathlib import Path

from dispatcher.core.lifecycle import JobPhase
from dispatcher.store.contract import JobFilter
from dispatcher.store.sqlite import SqliteDatabase

ALL = 10**6
KILLS = 8


def write_until_killed(folder: Path, first: int, acknowledged_min: int) -> list[str]:
    """Run a writer, kill it after so many acknowledgements; return what it acknowledged."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.store.endless_writer", str(folder), str(first)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledged_min)]
        writer.kill()
        lines += writer.stdout.readlines()  # what it had told before it died
    return [line.strip() for line in lines if line.endswith("\n")]


def test_a_killed_writer_has_lost_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    moments = random.Random(4)
    acknowledged: set[str] = set()
    made = 0
    for kills in range(1, KILLS + 1):
        acknowledged.update(write_until_killed(tmp_path, made + 1, moments.randrange(1, 200)))
        database = SqliteDatabase(tmp_path)
        database.open()
        try:
            jobs = database.reads.list_jobs(JobFilter("project"), ALL, 0)
            events = database.reads.events_after(0, ALL)
        finally:
            database.close()
        made = len(jobs)
        ended = {each.job.id for each in jobs if each.state.phase is JobPhase.SUCCEEDED}
        assert ended >= {f"AJ_{name}" for name in acknowledged}
        assert made - len(acknowledged) <= kills  # at most one was under way at each kill
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert 3 * len(acknowledged) <= len(events) <= 3 * made
