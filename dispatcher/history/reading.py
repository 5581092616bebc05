"""Where a history comes from: workers' and callers' logs, and the event stream of a server.

Logs of workers and callers are JSON, one object a line. They are read as far as they go when they
are opened, because who writes them may go on; a line that was cut off in the middle at the very end
is one that was being written. The data folder has a module of its own (`folder`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from pathlib import Path
from typing import Any, TypeVar

from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history.evidence import (
    Acknowledgement,
    HistoryUnreadable,
    WorkerRecord,
    acknowledgement_of,
    worker_record_of,
)
from dispatcher.store.contract import EventRow

Said = TypeVar("Said")


class Logs:
    """Some logs of one kind, as long as they are when this is made. Raises OSError."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = [(path, path.stat().st_size) for path in paths]

    def records(self) -> Iterator[WorkerRecord]:
        """Yield the records of all workers, by time. HistoryUnreadable."""
        logs = (_read(path, size, worker_record_of) for path, size in self._paths)
        return merge(*logs, key=lambda record: record.at)

    def acknowledgements(self) -> Iterator[Acknowledgement]:
        """Yield what all callers were acknowledged. HistoryUnreadable."""
        for path, size in self._paths:
            yield from _read(path, size, acknowledgement_of)


def _read(path: Path, size: int, parse: Callable[[str, str], Said]) -> Iterator[Said]:
    with path.open("rb") as file:
        read = 0
        for number, line in enumerate(file, 1):
            read += len(line)
            if read > size or not line.endswith(b"\n"):
                return  # it was being written
            if text := line.decode("utf-8", "replace").strip():
                yield parse(text, f"{path}, line {number}")


def streamed_event(sequence: int, data: Mapping[str, Any]) -> EventRow:
    """Return the event that a server's stream told. It has no project: the stream has one only."""
    try:
        return EventRow(
            sequence=sequence,
            at=int(data["at"]),
            project="",
            job_id=str(data["job_id"]),
            dispatch_id=str(data["dispatch_id"]),
            trigger=JobTrigger(data["kind"]),
            phase=JobPhase[data["phase"]],
            epoch=int(data["epoch"]),
            attempt=int(data["attempt"]),
            worker_id=sys.intern(str(data["worker_id"])),
            reason=sys.intern(str(data["reason"])),
            error=str(data["error"]),
            detail=sys.intern(str(data["detail"])),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise HistoryUnreadable(
            f"event {sequence} has {error}, which this version of Callboard does not know"
        ) from None
