"""A worker's own record of what it ran."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from worker_sdk.log_events import LogEvent
from worker_sdk.records import RECORD_PATH_VARIABLE, JobRecords

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_each_line_says_which_attempt_of_which_job_in_which_process(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records = JobRecords(path, "worker-1", wall_clock_ns=lambda: 17)
    records.write("end", job_id="AJ_1", epoch=2, attempt=3, room="lobby", outcome="success")
    assert json.loads(path.read_text()) == {
        "event": "end",
        "job_id": "AJ_1",
        "epoch": 2,
        "attempt": 3,
        "room": "lobby",
        "pid": os.getpid(),
        "instance_id": "worker-1",
        "at_ns": 17,
        "outcome": "success",
    }
    records.close()


def test_a_line_is_there_before_the_program_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records = JobRecords(path, "worker-1")
    for written in range(1, 4):
        records.write("start", job_id="AJ_1", epoch=1, attempt=1, room="lobby")
        assert len(path.read_text().splitlines()) == written
    records.close()


def test_two_workers_append_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    for name in ("worker-1", "worker-2"):
        records = JobRecords(path, name)
        records.write("start", job_id="AJ_1", epoch=1, attempt=1, room="lobby")
        records.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["instance_id"] for line in lines] == ["worker-1", "worker-2"]


def test_without_a_path_nothing_is_kept() -> None:
    JobRecords(None, "worker-1").write("start", job_id="x", epoch=1, attempt=1, room="r")


# --- a file that takes no more ---


@contextmanager
def full_after(more_bytes: int, path: Path) -> Iterator[None]:
    """Let files of this process grow no further than this one's size and so many bytes more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.stat().st_size if path.exists() else 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + more_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def start(records: JobRecords, job_id: str) -> None:
    records.write("start", job_id=job_id, epoch=1, attempt=1, room="lobby")


def lines_of(path: Path) -> list[dict[str, object]]:
    """Return each line; nothing for one that is torn."""
    found: list[dict[str, object]] = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append({})
    return found


def test_a_full_disk_is_said_once_and_ends_nothing() -> None:
    with capture_logs() as logs:
        records = JobRecords(Path("/dev/full"), "worker-1")
        for job_id in ("AJ_1", "AJ_2", "AJ_3"):
            start(records, job_id)
        records.close()
    assert [line["event"] for line in logs] == [LogEvent.RECORDS_NOT_WRITTEN]
    assert logs[0]["error"] == "No space left on device"


def test_it_is_said_how_many_lines_are_missing_when_the_file_takes_them_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "records.jsonl"
    clock = count(1)
    records = JobRecords(path, "worker-1", wall_clock_ns=lambda: next(clock))
    start(records, "AJ_1")
    with capture_logs() as logs:
        with full_after(0, path):
            start(records, "AJ_2")
            start(records, "AJ_3")
        start(records, "AJ_4")
        start(records, "AJ_5")
    assert [line["event"] for line in logs] == [
        LogEvent.RECORDS_NOT_WRITTEN,
        LogEvent.RECORDS_WRITTEN_AGAIN,
    ]
    assert logs[1]["missing"] == 2
    first, missing, *others = lines_of(path)
    assert first["job_id"] == "AJ_1"
    assert (missing["event"], missing["count"]) == ("missing", 2)
    # the clock ticks once when the file is opened and once a line
    assert (missing["since_ns"], missing["at_ns"]) == (3, 5)
    assert [line["job_id"] for line in others] == ["AJ_4", "AJ_5"]


def test_what_is_missing_at_the_end_is_said_when_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records = JobRecords(path, "worker-1")
    with full_after(0, path), capture_logs():
        start(records, "AJ_1")
    records.close()
    (missing,) = lines_of(path)
    assert missing["count"] == 1


def test_a_line_that_was_torn_spoils_no_line_of_another_worker(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    one, two = JobRecords(path, "worker-1"), JobRecords(path, "worker-2")
    with full_after(20, path), capture_logs():
        start(one, "AJ_1")
    assert path.stat().st_size == 20
    start(two, "AJ_2")
    start(one, "AJ_3")
    torn, whole, missing, last = lines_of(path)
    assert torn == {}
    assert whole["instance_id"] == "worker-2"
    assert missing["event"] == "missing"
    assert last["job_id"] == "AJ_3"


def test_a_start_says_how_many_jobs_its_worker_may_run(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    start(JobRecords(path, "worker-1", wall_clock_ns=lambda: 5, capacity=8), "AJ_1")
    (line,) = lines_of(path)
    assert (line["capacity"], line["opened_at_ns"]) == (8, 5)


PROGRAM = """
from worker_sdk import JobContext, Worker

worker = Worker("greeter", url="ws://127.0.0.1:9", api_key="key", api_secret="s" * 40)

@worker.job
async def greet(ctx: JobContext) -> None: ...

worker.run(["start"])
"""


def test_a_path_that_cannot_be_opened_ends_the_program_with_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, RECORD_PATH_VARIABLE: str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"record_path ({RECORD_PATH_VARIABLE}) cannot be written" in done.stderr
