"""Where a history comes from: workers' and callers' logs, and the event stream of a server.

Logs of workers and callers are JSON, one object a line. They are read as far as they go when they
are opened, because who writes them may go on; a line that was cut off in the middle at the very end
is one that was being written. One that is torn elsewhere (a disk was full) is passed over and
counted, and what it should have said is not judged; a file without any line that is whole is refused.
The data folder has a module of its own (`folder`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from pathlib import Path
from typing import Any, TypeVar

from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history.evidence import (
    Acknowledgement,
    HistoryUnreadable,
    LineTorn,
    MissingRecords,
    WorkerRecord,
    acknowledgement_of,
    worker_record_of,
)
from dispatcher.store.contract import EventRow

Said = TypeVar("Said")
# until the end of a file that ends with a torn line
_EVER: Nanoseconds = 1 << 62


class Logs:
    """Some logs of one kind, as long as they are when this is made. Raises OSError."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = [(path, path.stat().st_size) for path in paths]
        # lines that were torn, of what was read so far
        self.torn = 0

    def records(self) -> Iterator[WorkerRecord | MissingRecords]:
        """Yield the records of all workers, by time, and where some are missing.

        HistoryUnreadable for a file of something else.
        """
        logs = (self._records_of(path, size) for path, size in self._paths)
        return merge(*logs, key=lambda record: record.at)

    def acknowledgements(self) -> Iterator[Acknowledgement]:
        """Yield what all callers were acknowledged. HistoryUnreadable."""
        for path, size in self._paths:
            for _, said in self._read(path, size, acknowledgement_of):
                if said is not None:
                    yield said

    def _records_of(self, path: Path, size: int) -> Iterator[WorkerRecord | MissingRecords]:
        last: Nanoseconds = 0
        torn = ""
        for place, said in self._read(path, size, worker_record_of):
            if said is None:
                torn = torn or place
                continue
            if torn:
                # Its time is not known, only that of the lines around it.
                yield MissingRecords(min(last, said.at), said.at, torn)
                torn = ""
            last = said.at
            yield said
        if torn:
            yield MissingRecords(last, _EVER, torn)

    def _read(
        self, path: Path, size: int, parse: Callable[[str, str], Said]
    ) -> Iterator[tuple[str, Said | None]]:
        """Yield each line's place and what it says; None of a torn one."""
        first_torn: LineTorn | None = None
        has_any = False
        with path.open("rb") as file:
            read = 0
            for number, line in enumerate(file, 1):
                read += len(line)
                if read > size or not line.endswith(b"\n"):
                    break  # it was being written
                text = line.decode("utf-8", "replace").strip()
                if not text:
                    continue
                place = f"{path}, line {number}"
                try:
                    said = parse(text, place)
                except LineTorn as torn:
                    first_torn = first_torn or torn
                    self.torn += 1
                    yield place, None
                else:
                    has_any = True
                    yield place, said
        if first_torn is not None and not has_any:
            raise first_torn


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
