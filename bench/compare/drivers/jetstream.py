"""Drives NATS JetStream by its own Python client.

    python -m bench.compare.drivers.jetstream PORT SOCKET WORKERS CALLERS

The stream is on disk; the caller's publish returns when the server has synced it. Workers are
subscribers of one durable push consumer in one queue group, with a connection each, in a process of
their own (`jetstream_workers.py`), and acknowledge each message when its function has returned, without
waiting for an answer; what is acknowledged stays in the stream, as is the default. All this is NATS's
best: beside it a stream that drops what is acknowledged, pull consumers, and acknowledgements that are
waited for were slower. Callers share a connection, as those of one backend process do.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

import nats  # type: ignore[import-not-found]
from nats.js.api import RetentionPolicy, StorageType, StreamConfig  # type: ignore[import-not-found]

from bench.compare.drivers.shapes import PAYLOAD_BYTES, JobBook, first_job_over, run_driver
from bench.compare.drivers.side_channel import Listener, payload_of

STREAM, SUBJECT = "jobs", "jobs.bench"
PUBLISH_SECONDS_MAX = 10.0


class JetStreamClient:
    """The caller's connection, and the process of the workers."""

    def __init__(self, port: int, socket_path: str) -> None:
        self._port = port
        self._socket_path = socket_path

    async def open(self, book: JobBook, workers: int, callers: int) -> None:
        """Make the stream, start the workers, wait until one of their jobs is over."""
        del callers
        loop = asyncio.get_running_loop()
        await loop.create_unix_server(lambda: Listener(book), self._socket_path)
        self._connection = await nats.connect(f"nats://127.0.0.1:{self._port}")
        self._stream = self._connection.jetstream(timeout=PUBLISH_SECONDS_MAX)
        await self._stream.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=[SUBJECT],
                storage=StorageType.FILE,
                retention=RetentionPolicy.LIMITS,
            )
        )
        self._workers = self._start_workers(workers)
        await first_job_over(self, book)

    async def call(self, number: int, due_ns: int) -> None:
        """Publish a job."""
        del due_ns
        await self._stream.publish(SUBJECT, payload_of(number, PAYLOAD_BYTES).encode())

    async def close(self) -> None:
        """Disconnect."""
        self._workers.terminate()
        self._workers.wait()
        await self._connection.close()

    def _start_workers(self, workers: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                sys.executable,
                *("-m", "bench.compare.drivers.jetstream_workers"),
                *(str(self._port), self._socket_path, str(workers)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )


def main() -> None:
    """Drive the server that the command line names."""
    port, socket_path, workers, callers = sys.argv[1:5]
    run_driver(lambda: JetStreamClient(int(port), socket_path), int(workers), int(callers))


if __name__ == "__main__":
    main()
