"""What comes over GET /events, without a network: blocks of Server-Sent Events, and what they say.

A block is whole or not there: one that a lost connection has cut off is dropped, and its number is
not taken for read. Blocks are as HTML's standard has them, as far as our server sends them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from protocol.api_pb2 import JOB_PHASE_UNSPECIFIED, JobPhase

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GONE", "Block", "BlockReader", "JobEvent", "UnreadableBlock", "gone_of", "job_event_of"]

# The event that says that others are gone.
GONE = "gone"

_PHASES = {name: cast("JobPhase", number) for name, number in JobPhase.items()}


class UnreadableBlock(ValueError):
    """A block that our server would not send; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One durable move of a job.

    `kind` is the move's name (created, offered, assigned ... as in `callboard events`), `phase` the
    job's after it. `worker_id` is who has the job, `rule` the name of the rule that made it. What is
    not known is empty.
    """

    # Its place in the server's log: unique, and growing with time. Those of other projects are in it
    # too, so that numbers may be left out.
    sequence: int
    # Nanoseconds since the epoch.
    at_ns: int
    kind: str
    # JOB_PHASE_UNSPECIFIED: a phase of a server that is newer than we are.
    phase: JobPhase
    job_id: str
    dispatch_id: str = ""
    epoch: int = 0
    attempt: int = 0
    worker_id: str = ""
    reason: str = ""
    error: str = ""
    # Of what happened, for people.
    detail: str = ""
    rule: str = ""
    # All of it as the server wrote it, with what a newer server says beyond the above.
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a stream. `sequence` None: it names no place; `data` empty: it is no event."""

    sequence: int | None
    kind: str
    data: str


class BlockReader:
    """Puts blocks together from what one connection brings."""

    def __init__(self, block_bytes_max: int) -> None:
        self._block_bytes_max = block_bytes_max
        # A line that has not come to its end, and the lines of the block that has not.
        self._rest = b""
        self._lines: list[bytes] = []
        self._bytes = 0

    def feed(self, chunk: bytes) -> list[Block]:
        """The blocks that are whole now. Raises UnreadableBlock."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        blocks: list[Block] = []
        for line in (each.removesuffix(b"\r") for each in lines):
            if line:
                self._lines.append(line)
                self._bytes += len(line)
            elif self._lines:
                blocks.append(_block(self._lines))
                self._lines, self._bytes = [], 0
        if self._bytes + len(self._rest) > self._block_bytes_max:
            raise UnreadableBlock(f"an event is larger than {self._block_bytes_max} bytes")
        return blocks


def job_event_of(block: Block) -> JobEvent:
    """The event that a block with data is. Raises UnreadableBlock."""
    data = _object(block)
    if block.sequence is None:
        raise UnreadableBlock("an event has no number")
    try:
        return JobEvent(
            sequence=block.sequence,
            at_ns=int(data["at"]),
            kind=block.kind,
            phase=_PHASES.get(str(data.get("phase", "")), JOB_PHASE_UNSPECIFIED),
            job_id=str(data["job_id"]),
            dispatch_id=str(data.get("dispatch_id", "")),
            epoch=int(data.get("epoch", 0)),
            attempt=int(data.get("attempt", 0)),
            worker_id=str(data.get("worker_id", "")),
            reason=str(data.get("reason", "")),
            error=str(data.get("error", "")),
            detail=str(data.get("detail", "")),
            rule=str(data.get("rule", "")),
            data=data,
        )
    except (KeyError, TypeError, ValueError):
        raise UnreadableBlock("an event is not as our server writes it") from None


def gone_of(block: Block) -> tuple[int, int]:
    """Of an event `gone`: after which number events are gone, and which may come next."""
    data = _object(block)
    try:
        return int(data["after"]), int(data["next"])
    except (KeyError, TypeError, ValueError):
        raise UnreadableBlock("an event is not as our server writes it") from None


def _object(block: Block) -> dict[str, Any]:
    try:
        data = json.loads(block.data)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise UnreadableBlock("the data of an event is no JSON object")
    return data


def _block(lines: list[bytes]) -> Block:
    sequence: int | None = None
    kind = ""
    data: list[str] = []
    for line in lines:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            if not (value.isascii() and value.isdecimal()):
                raise UnreadableBlock("the number of an event is none")
            sequence = int(value)
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
    return Block(sequence, kind, "\n".join(data))
