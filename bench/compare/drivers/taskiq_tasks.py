"""The task of `taskiq_calls.py`, and its broker: what `taskiq worker` imports.

The environment says which Redis, which of taskiq's brokers on it, and where to tell of jobs.
"""

from __future__ import annotations

import asyncio
import os
import time

from taskiq import TaskiqEvents, TaskiqState  # type: ignore[import-not-found]
from taskiq_redis import ListQueueBroker, RedisStreamBroker  # type: ignore[import-not-found]

from bench.compare.drivers.side_channel import Teller, number_of
from bench.compare.drivers.taskiq_settings import BROKER_VARIABLE, SOCKET_VARIABLE, URL_VARIABLE

BROKERS = {"stream": RedisStreamBroker, "list": ListQueueBroker}

broker = BROKERS[os.environ[BROKER_VARIABLE]](os.environ[URL_VARIABLE])
_tellers: list[Teller] = []


@broker.on_event(TaskiqEvents.WORKER_STARTUP)  # type: ignore[untyped-decorator]
async def _connect(_state: TaskiqState) -> None:
    loop = asyncio.get_running_loop()
    _, teller = await loop.create_unix_connection(Teller, os.environ[SOCKET_VARIABLE])
    _tellers.append(teller)


@broker.task  # type: ignore[untyped-decorator]
async def run_job(payload: str) -> None:
    """The job."""
    _tellers[0].tell(number_of(payload), time.monotonic_ns())
