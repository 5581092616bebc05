"""A worker's own record of what it ran."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from worker_sdk.records import JobRecords

if TYPE_CHECKING:
    from pathlib import Path


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
    for count in range(1, 4):
        records.write("start", job_id="AJ_1", epoch=1, attempt=1, room="lobby")
        assert len(path.read_text().splitlines()) == count
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
