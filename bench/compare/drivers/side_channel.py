"""How a worker process tells the driver that its tasks started and ended: a local socket beside the queue.

The queues have no word for a caller's "my job is over" that does not cost them something; this one costs
the queue nothing. A record is the job's number and when its function began, on CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from bench.compare.drivers.shapes import JobBook

__all__ = ["RECORD", "Listener", "Teller", "number_of", "payload_of"]

RECORD = struct.Struct("<QQ")


def payload_of(number: int, size: int) -> str:
    """The body of a job: its number, made up to a size."""
    return f"{number} ".ljust(size, "x")


def number_of(payload: str | bytes) -> int:
    """The job's number."""
    return int(payload.split(maxsplit=1)[0])


class Listener(asyncio.Protocol):
    """The driver's end of one worker process."""

    def __init__(self, book: JobBook) -> None:
        self._book = book
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % RECORD.size
        self._rest = data[whole:]
        for number, started_ns in RECORD.iter_unpack(data[:whole]):
            self._book.started(number, started_ns)
            self._book.is_over(number)


class Teller(asyncio.Protocol):
    """The worker's end."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def tell(self, number: int, started_ns: int) -> None:
        """A job's function began then, and is over."""
        assert self._transport is not None
        self._transport.write(RECORD.pack(number, started_ns))
