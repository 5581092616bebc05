"""The workers of `jetstream.py`: subscribers in one queue group, with a connection each."""

from __future__ import annotations

import asyncio
import sys
import time

import nats  # type: ignore[import-not-found]
import uvloop
from nats.aio.msg import Msg  # type: ignore[import-not-found]

from bench.compare.drivers.side_channel import Teller, number_of

SUBJECT, GROUP = "jobs.bench", "workers"


async def _work(port: int, socket_path: str, workers: int) -> None:
    _, teller = await asyncio.get_running_loop().create_unix_connection(Teller, socket_path)

    async def run_job(message: Msg) -> None:
        started_ns = time.monotonic_ns()
        await message.ack()
        teller.tell(number_of(message.data), started_ns)

    for _ in range(workers):
        connection = await nats.connect(f"nats://127.0.0.1:{port}")
        stream = connection.jetstream()
        await stream.subscribe(SUBJECT, queue=GROUP, durable=GROUP, cb=run_job, manual_ack=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_work(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
