"""What the workers' own records say so far: jobs that run and that have ended, and how soon they began.

Read while they are written, a piece at a time; the server is not asked, so it is known also while
the server is down.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.jobs import KILLER_ROOM

__all__ = ["Tally"]


@dataclass
class _File:
    offset: int = 0
    # A line that was not whole when it was read.
    rest: bytes = b""
    running: set[tuple[str, int]] = field(default_factory=set)


@dataclass
class Tally:
    """Counts over all record files of a run. Times are of `time.time_ns`."""

    files: dict[Path, _File] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    # Starts of a second epoch or later.
    restarts: int = 0
    # Starts of jobs that kill their worker.
    killer_starts: int = 0
    first_start_ns: dict[str, int] = field(default_factory=dict)  # by room
    jobs_of_room: dict[str, set[str]] = field(default_factory=dict)

    def read(self, paths: Iterable[Path]) -> None:
        """Read what is new in these files."""
        for path in paths:
            file = self.files.setdefault(path, _File())
            with path.open("rb") as source:
                source.seek(file.offset)
                new = source.read()
            file.offset += len(new)
            *lines, file.rest = (file.rest + new).split(b"\n")
            for line in lines:
                self._take(file, json.loads(line))

    def _take(self, file: _File, said: dict[str, str | int | None]) -> None:
        job_id, room = str(said["job_id"]), str(said["room"])
        run = (job_id, int(said["epoch"] or 0))
        if said["event"] == "start":
            file.running.add(run)
            self.jobs_of_room.setdefault(room, set()).add(job_id)
            self.restarts += run[1] > 1
            self.killer_starts += room.startswith(KILLER_ROOM)
            at_ns = int(said["at_ns"] or 0)
            self.first_start_ns[room] = min(at_ns, self.first_start_ns.get(room, at_ns))
        elif said["event"] == "end":
            file.running.discard(run)
            if said["outcome"] == "success":
                self.ended.add(job_id)

    def running(self, paths: Iterable[Path]) -> int:
        """How many jobs run, if only the workers of these files live."""
        return sum(len(self.files[path].running) for path in paths if path in self.files)
