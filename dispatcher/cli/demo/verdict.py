"""Was a job lost, did one run twice? Judged from three accounts that cannot agree by accident.

The callers' account: of which rooms the start was acknowledged. The server's, read at the end: the
jobs of each room, their ends and epochs. The workers' own record files, written by processes that do
not know of each other: which job each started and finished, at which epoch.

Lost: an acknowledged room without a job that the server calls succeeded and that a worker's
record finished at that very epoch. Doubled: a job whose epoch was started by two workers, that was
finished more than once, or whose end the server took twice; and a room with more than one job.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One line of a worker's own record (worker_sdk.records)."""

    event: str
    job_id: str
    epoch: int | None
    instance_id: str
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class ServerJob:
    """A job as the server tells it at the end. `ends`: how often its event log ended it."""

    id: str
    room: str
    phase: str
    epoch: int
    ends: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome. `lost` and `doubled` name what it is about; `rooms_wanted` were to be served."""

    rooms_wanted: int
    rooms: int
    jobs: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Was every room served once, with nothing lost and nothing doubled?"""
        served = self.rooms == self.jobs == self.rooms_wanted
        return served and not self.lost and not self.doubled

    def __str__(self) -> str:
        return (
            f"{self.rooms} rooms, {self.jobs} jobs,"
            f" {len(self.lost)} lost, {len(self.doubled)} doubled"
        )


def judge(
    rooms_wanted: int,
    reported: AbstractSet[str],
    jobs: Sequence[ServerJob],
    records: Iterable[RecordLine],
) -> Verdict:
    """Return the verdict. `reported` are the rooms whose start the server has acknowledged."""
    starts: dict[tuple[str, int | None], set[str]] = defaultdict(set)
    start_counts: Counter[tuple[str, int | None]] = Counter()
    finishes: Counter[str] = Counter()
    finished_at: set[tuple[str, int | None]] = set()
    for line in records:
        at = (line.job_id, line.epoch)
        if line.event == "start":
            starts[at].add(line.instance_id)
            start_counts[at] += 1
        elif line.event == "end" and line.outcome == "success":
            finishes[line.job_id] += 1
            finished_at.add(at)
    served = {
        job.room for job in jobs if job.phase == "succeeded" and (job.id, job.epoch) in finished_at
    }
    doubled = {job_id for (job_id, _), count in start_counts.items() if count > 1}
    doubled |= {job_id for (job_id, _), holders in starts.items() if len(holders) > 1}
    doubled |= {job_id for job_id, count in finishes.items() if count > 1}
    doubled |= {job.id for job in jobs if job.ends > 1}
    per_room = Counter(job.room for job in jobs)
    doubled |= {room for room, count in per_room.items() if count > 1}
    return Verdict(
        rooms_wanted=rooms_wanted,
        rooms=len(reported),
        jobs=len({job.id for job in jobs}),
        lost=tuple(sorted(reported - served)),
        doubled=tuple(sorted(doubled)),
    )


def read_records(paths: Iterable[Path]) -> list[RecordLine]:
    """Return all lines of the workers' records; a last line that a kill cut short is left out."""
    lines: list[RecordLine] = []
    for path in paths:
        if not path.exists():
            continue
        for text in path.read_text().splitlines(keepends=True):
            if not text.endswith("\n"):
                continue
            fields = json.loads(text)
            lines.append(
                RecordLine(
                    event=fields["event"],
                    job_id=fields["job_id"],
                    epoch=fields["epoch"],
                    instance_id=fields["instance_id"],
                    outcome=fields.get("outcome", ""),
                )
            )
    return lines
