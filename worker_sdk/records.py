"""A worker's own record of what it ran: one JSON line for each start, stop order and end of a job.

Independent evidence for those who check the dispatcher: a line is handed to the operating system
before the program goes on, so it survives a SIGKILL of the worker (not a crash of the machine).
Several workers may append to one file.

    {"event":"start","job_id":"AJ_..","epoch":1,"attempt":1,"room":"r","pid":17,
     "instance_id":"..","at_ns":1790000000000000000}
    {"event":"stop",..,"reason":"fenced"}          the worker was told to stop it
    {"event":"end",..,"outcome":"success"}         success, failed or stopped; the function is over
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["RECORD_PATH_VARIABLE", "JobRecords", "RecordEvent"]

RecordEvent = Literal["start", "stop", "end"]

# Names the file where the program does not (Worker(record_path=...)).
RECORD_PATH_VARIABLE = "CALLBOARD_RECORD_PATH"


class JobRecords:
    """Appends to one file; without a path it keeps nothing. Raises OSError where it cannot."""

    def __init__(
        self,
        path: Path | None,
        instance_id: str,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._instance_id = instance_id
        self._wall_clock_ns = wall_clock_ns
        self._descriptor = (
            None
            if path is None
            else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        )

    def write(
        self,
        event: RecordEvent,
        *,
        job_id: str,
        epoch: int | None,
        attempt: int,
        room: str,
        **details: str,
    ) -> None:
        """Append one line, in one write, so that lines of several workers never mix."""
        if self._descriptor is None:
            return
        line = {
            "event": event,
            "job_id": job_id,
            "epoch": epoch,
            "attempt": attempt,
            "room": room,
            "pid": os.getpid(),
            "instance_id": self._instance_id,
            "at_ns": self._wall_clock_ns(),
            **details,
        }
        os.write(self._descriptor, json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Close the file. Nothing is buffered, so nothing is lost without it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
