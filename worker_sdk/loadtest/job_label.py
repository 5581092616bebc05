"""What stands in a dispatch's metadata, by which its job is known again wherever it is run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["JobLabel", "metadata_of", "read_label", "room_of"]

_WORD = "callboard-loadtest"


@dataclass(frozen=True, slots=True)
class JobLabel:
    """A job of this run: its number, and when its call was due (CLOCK_MONOTONIC)."""

    number: int
    due_ns: int


def metadata_of(run: str, number: int, due_ns: int, metadata_bytes: int) -> str:
    """The metadata of a call, as long as it is to be (at least 60 bytes)."""
    return f"{_WORD} {run} {number} {due_ns} ".ljust(metadata_bytes, "x")


def room_of(run: str, number: int) -> str:
    """The room of a job: each has one of its own."""
    return f"loadtest-{run}-{number}"


def read_label(run: str, metadata: str) -> JobLabel | None:
    """The label in a job's metadata; None: the job is not of this run."""
    parts = metadata.split(" ", 4)
    if len(parts) < 4 or parts[0] != _WORD or parts[1] != run:
        return None
    return JobLabel(int(parts[2]), int(parts[3]))
