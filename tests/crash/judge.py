"""The judge: what became of each acknowledged dispatch, and who held which epoch of which job.

Two sources that know nothing of each other: the event log (the server's word, read by SQL from the
data folder) and the workers' records (what really ran). Nothing of the dispatcher's code is used.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ENDED = {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True)
class Row:
    """A row of the event log."""

    sequence: int
    job_id: str
    trigger: str
    phase: str
    epoch: int


@dataclass(frozen=True)
class Line:
    """A line of a worker's records."""

    event: str
    job_id: str
    epoch: int
    instance_id: str
    outcome: str


@dataclass
class Verdict:
    """What was found. Empty lists are good."""

    acknowledged: int = 0
    rows: int = 0
    lines: int = 0
    attempts_beyond_first: int = 0
    # acknowledged jobs that are not there, or did not succeed
    lost: list[str] = field(default_factory=list)
    # epochs that two workers, or one worker twice, have started
    doubled: list[str] = field(default_factory=list)
    # ends that were accepted of another epoch than the newest, or that no worker reached
    stale: list[str] = field(default_factory=list)
    # rows of the log that contradict one another
    broken: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Was nothing lost, doubled, stale or broken?"""
        return not (self.lost or self.doubled or self.stale or self.broken)

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} acknowledged dispatches, {len(self.lost)} lost, "
            f"{len(self.doubled)} epochs with two holders, {len(self.stale)} stale results accepted, "
            f"{len(self.broken)} contradictions in the log "
            f"({self.rows} log rows, {self.lines} worker records, "
            f"{self.attempts_beyond_first} attempts beyond the first)"
        )


def read_log(database: Path) -> list[Row]:
    """Return the event log of a data folder whose server has ended."""
    connection = sqlite3.connect(database)
    try:
        found = connection.execute(
            "SELECT sequence, job_id, trigger, phase, epoch FROM event ORDER BY sequence"
        )
        return [Row(*row) for row in found]
    finally:
        connection.close()


def read_records(paths: Iterable[Path]) -> list[Line]:
    """Return the workers' records; the last line of a killed worker is whole, by their promise."""
    lines = []
    for path in paths:
        for text in path.read_text().splitlines():
            said = json.loads(text)
            lines.append(
                Line(
                    said["event"],
                    said["job_id"],
                    said["epoch"] or 0,
                    said["instance_id"],
                    said.get("outcome", ""),
                )
            )
    return lines


def judge(acknowledged: Mapping[str, str], log: list[Row], records: list[Line]) -> Verdict:
    """Hold the two sources against each other. `acknowledged`: job id by dispatch id."""
    verdict = Verdict(acknowledged=len(acknowledged), rows=len(log), lines=len(records))
    by_job: dict[str, list[Row]] = defaultdict(list)
    for row in log:
        by_job[row.job_id].append(row)
    starts: dict[tuple[str, int], list[str]] = defaultdict(list)
    finished: set[tuple[str, int]] = set()
    for line in records:
        if line.event == "start":
            starts[line.job_id, line.epoch].append(line.instance_id)
        elif line.event == "end" and line.outcome == "success":
            finished.add((line.job_id, line.epoch))
    for dispatch_id, job_id in acknowledged.items():
        rows = by_job.get(job_id, [])
        if not rows or rows[-1].phase != "succeeded":
            ending = rows[-1].trigger if rows else "no row"
            verdict.lost.append(f"{dispatch_id} {job_id}: {ending}")
    for job_id, rows in by_job.items():
        epochs = [row.epoch for row in rows]
        verdict.attempts_beyond_first += epochs[-1] - 1
        if epochs != sorted(epochs):
            verdict.broken.append(f"{job_id}: epochs go back: {epochs}")
        ends = [row for row in rows if row.phase in ENDED]
        if len(ends) > 1 or (ends and rows[-1] is not ends[0]):
            verdict.broken.append(f"{job_id}: moved after its end")
        for end in ends:
            if end.phase == "succeeded" and (job_id, end.epoch) not in finished:
                verdict.stale.append(f"{job_id}: epoch {end.epoch} ended, no worker finished it")
    for (job_id, epoch), instances in starts.items():
        if len(instances) > 1:
            verdict.doubled.append(f"{job_id} epoch {epoch}: {instances}")
    return verdict
