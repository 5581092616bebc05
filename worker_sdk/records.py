"""A worker's own record of what it ran: one JSON line for each start, stop order and end of a job.

Independent evidence for those who check the dispatcher: a line is handed to the operating system
before the program goes on, so it survives a SIGKILL of the worker (not a crash of the machine).
Several workers may append to one file.

    {"event":"start","job_id":"AJ_..","epoch":1,"attempt":1,"room":"r","pid":17,
     "instance_id":"..","at_ns":1790000000000000000,"capacity":8,"opened_at_ns":17900..}
    {"event":"stop",..,"reason":"fenced"}          the worker was told to stop it
    {"event":"end",..,"outcome":"success"}         success, failed or stopped; the function is over
    {"event":"missing",..,"count":3,"since_ns":1790..}    so many lines before could not be written

A record is evidence, never a reason to end: where the file takes no more (a full disk), jobs go on,
it is said in the log once, and again when it takes lines, with how many are missing. A line that
was written in part is followed by a newline, whoever writes next, so that it spoils no other.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from typing import TYPE_CHECKING, Literal

import structlog

from worker_sdk.log_events import LogEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

__all__ = ["RECORD_PATH_VARIABLE", "JobRecords", "RecordEvent"]

RecordEvent = Literal["start", "stop", "end"]

# Names the file where the program does not (Worker(record_path=...)).
RECORD_PATH_VARIABLE = "CALLBOARD_RECORD_PATH"
# A write that was cut short is done anew so often before its line counts as missing.
WRITES_TRIED_MAX = 2


class JobRecords:
    """Appends to one file; without a path it keeps nothing. Raises OSError where it cannot open it.

    `capacity` is written with each start, so that who reads can judge it; None: not known.
    """

    def __init__(
        self,
        path: Path | None,
        instance_id: str,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        *,
        capacity: int | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._path = path
        self._instance_id = instance_id
        self._wall_clock_ns = wall_clock_ns
        self._capacity = capacity
        # Not bound before it is used: the program may set logs up until then.
        self._log: FilteringBoundLogger = log or structlog.get_logger("callboard.worker")
        self._opened_at = wall_clock_ns()
        # lines that could not be written, and when the first of them should have been
        self._missing = 0
        self._missing_since = 0
        # to look at the end of a file that others append to; None: it is none, or may not be read
        self._reader: int | None = None
        self._descriptor: int | None = None
        if path is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o644)
            self._reader = _reader_of(path, self._descriptor)

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
        """Append one line, in one write, so that lines of several workers never mix.

        Never raises for a file that takes nothing: the line is missing then, and that is logged.
        """
        if self._descriptor is None:
            return
        at = self._wall_clock_ns()
        line = self._line(event, job_id, epoch, attempt, room, at) | details
        if event == "start":
            line["opened_at_ns"] = self._opened_at
            if self._capacity is not None:
                line["capacity"] = self._capacity
        if self._append(self._told_missing(at) + _bytes_of(line)):
            self._wrote()
        else:
            self._missing_since = self._missing_since or at
            self._missing += 1

    def close(self) -> None:
        """Close the file. Nothing is buffered, so nothing is lost without it."""
        descriptor, reader = self._descriptor, self._reader
        if descriptor is None:
            return
        if self._missing and self._append(self._told_missing(self._wall_clock_ns())):
            self._wrote()
        self._descriptor = self._reader = None
        os.close(descriptor)
        if reader is not None:
            os.close(reader)

    # ---- inside ----

    def _line(
        self, event: str, job_id: str, epoch: int | None, attempt: int, room: str, at: int
    ) -> dict[str, str | int | None]:
        return {
            "event": event,
            "job_id": job_id,
            "epoch": epoch,
            "attempt": attempt,
            "room": room,
            "pid": os.getpid(),
            "instance_id": self._instance_id,
            "at_ns": at,
        }

    def _told_missing(self, at: int) -> bytes:
        """The line that says how many are missing; empty for none."""
        if not self._missing:
            return b""
        line = self._line("missing", "", None, 0, "", at)
        return _bytes_of(line | {"count": self._missing, "since_ns": self._missing_since})

    def _append(self, data: bytes) -> bool:
        """Write all of it, or say once that it could not be. What was written in part is torn."""
        assert self._descriptor is not None, "only an open file is written to"
        try:
            for _ in range(WRITES_TRIED_MAX):
                whole = b"\n" + data if self._is_torn() else data
                if os.write(self._descriptor, whole) == len(whole):
                    return True
            raise OSError(errno.ENOSPC, "a line was written in part only")
        except OSError as error:
            if not self._missing:
                self._log.error(
                    LogEvent.RECORDS_NOT_WRITTEN,
                    path=str(self._path),
                    error=error.strerror or str(error),
                    remedy="jobs go on; make room, or the record of what they did has a gap",
                )
            return False

    def _wrote(self) -> None:
        """A line was written: if some were not before, say how many."""
        if self._missing:
            path = str(self._path)
            self._log.warning(LogEvent.RECORDS_WRITTEN_AGAIN, path=path, missing=self._missing)
            self._missing = self._missing_since = 0

    def _is_torn(self) -> bool:
        """Does the file end in the middle of a line, of this worker or of another?"""
        if self._reader is None:
            return False
        size = os.fstat(self._reader).st_size
        return size > 0 and os.pread(self._reader, 1, size - 1) != b"\n"


def _bytes_of(line: dict[str, str | int | None]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _reader_of(path: Path, descriptor: int) -> int | None:
    """Open the file for reading, too, if it is a regular one that this process may read."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None  # a pipe or a terminal has no end to look at
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
