"""Drives servers that speak LiveKit's agent protocol: callboard, the bare transport, livekit-server.

    python -m bench.compare.drivers.dispatching PORT WORKERS CALLERS [stock]

The workers and callers are those of `bench.client`. To LiveKit's own server a worker tells RUNNING and
SUCCESS without waiting for receipts, which that server does not have; the job is over when both are
written. There an unnamed worker is present, too, which declines every offer at once: without one
livekit-server waits for such a worker in each new room.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from bench.client import Driver, Load, WorkerSocket
from bench.compare.drivers.shapes import PAYLOAD_BYTES, run_driver
from protocol import wire_pb2

if TYPE_CHECKING:
    from bench.client import CallerSocket
    from bench.compare.drivers.shapes import JobBook

_NS = 1_000_000_000


class StockWorkerSocket(WorkerSocket):
    """A worker for LiveKit's own server."""

    __slots__ = ()

    def _read(self, payload: bytes) -> None:
        message = wire_pb2.ServerMessage.FromString(payload)
        if message.WhichOneof("message") != "assignment":
            super()._read(payload)
            return
        job = message.assignment.job
        called_at = self._load.called_at.pop(job.room.name, None)
        if called_at is None:
            return  # of a call that was given up
        self._load.assign_seconds.append(time.perf_counter() - called_at)
        for status in (wire_pb2.JS_RUNNING, wire_pb2.JS_SUCCESS):
            update = wire_pb2.UpdateJobStatus(job_id=job.id, status=status)
            self._send(wire_pb2.WorkerMessage(update_job=update))
        if self._load.on_done is not None:
            self._load.on_done(job.room.name)


class DecliningWorkerSocket(WorkerSocket):
    """An unnamed worker that takes nothing."""

    __slots__ = ()

    def _register(self) -> None:
        register = wire_pb2.RegisterWorkerRequest(version="bench")
        self._send(wire_pb2.WorkerMessage(register=register))

    def _read(self, payload: bytes) -> None:
        message = wire_pb2.ServerMessage.FromString(payload)
        if message.WhichOneof("message") != "availability":
            super()._read(payload)
            return
        refusal = wire_pb2.AvailabilityResponse(job_id=message.availability.job.id, available=False)
        self._send(wire_pb2.WorkerMessage(availability=refusal))


class DispatchingClient:
    """Workers and callers of one server."""

    def __init__(self, port: int, *, is_stock: bool) -> None:
        metadata = "x" * PAYLOAD_BYTES
        worker_class = StockWorkerSocket if is_stock else WorkerSocket
        self._drivers = [Driver(port, metadata=metadata, worker_class=worker_class)]
        if is_stock:
            self._drivers.append(Driver(port, worker_class=DecliningWorkerSocket))
        self._driver = self._drivers[0]
        self._load: Load = self._driver.load
        self._idle: list[CallerSocket] = []
        self._prefix = f"compare-{os.getpid()}"

    async def open(self, book: JobBook, workers: int, callers: int) -> None:
        """Connect everything."""
        self._book = book
        self._load.on_done = self._on_done
        for driver, count in zip(self._drivers, (workers, 1), strict=False):
            await driver.connect(count, 0)
        self._idle = [await self._driver.connect_caller() for _ in range(callers)]

    async def call(self, number: int, due_ns: int) -> None:
        """Ask for an agent in a room of its own."""
        caller = self._idle.pop() if self._idle else await self._driver.connect_caller()
        if not caller.is_connected:  # hung up on, for idling
            caller = await self._driver.connect_caller()
        try:
            # CLOCK_MONOTONIC is what perf_counter reads on Linux.
            await caller.create_dispatch(f"{self._prefix}-{number}", due_ns / _NS)
        except BaseException:
            caller.close()  # its answer may come yet
            raise
        self._idle.append(caller)

    async def close(self) -> None:
        """Disconnect."""
        for caller in self._idle:
            caller.close()
        for driver in self._drivers:
            await driver.close()

    def _on_done(self, room: str) -> None:
        for seconds in self._load.assign_seconds:
            self._book.taken.start_us.append(round(1e6 * seconds))
        self._load.assign_seconds.clear()
        self._load.acknowledge_seconds.clear()
        self._book.is_over(int(room.rpartition("-")[2]))


def main() -> None:
    """Drive the server that the command line names."""
    port, workers, callers = (int(word) for word in sys.argv[1:4])
    is_stock = "stock" in sys.argv[4:]
    run_driver(lambda: DispatchingClient(port, is_stock=is_stock), workers, callers)


if __name__ == "__main__":
    main()
