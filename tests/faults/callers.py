"""Callers in open loop: a dispatch at each tick of the rate, whatever becomes of the others.

Each caller insists: it repeats its call under the same request id until it has an answer, or gives
up after a long time. What was acknowledged is written down before anything else is done with it.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

import anyio

from protocol.errors import TwirpError
from tests.faults.fleet import AGENT, KEY, SECRET, STOCK_AGENT
from worker_sdk import DispatchClient, ServerUnreachable, UnexpectedAnswer

__all__ = ["Calls", "call_all", "clients_to"]

# One that has no answer by then tries again: sooner than real ones, so that it happens often.
CALL_TIMEOUT_SECONDS = 5.0
RETRY_SECONDS_MAX = 180.0
CALLS_IN_FLIGHT_MAX = 20_000
# Calls that are tried at the same time; the others wait for their turn, which counts as waiting for
# an answer. Each client may use 100 connections, and gets slow when more wait for one.
CALLS_AT_ONCE = 256
CLIENTS = 4
# A caller that is refused for good tries again all the same, so often.
TRIES_MAX = 10
REFUSED_PAUSE_SECONDS = 1.0
# Most jobs are short, so that many are on their way through each move at any time; some are long
# enough to be run elsewhere while a worker that is cut off still runs them, and short enough not to
# be lost as often as a job is tried.
SHORT_SECONDS_MIN, SHORT_SECONDS_MAX = 0.02, 1.5
LONG_SECONDS_MIN, LONG_SECONDS_MAX = 4.0, 10.0
LONG_SHARE = 0.06


@dataclass
class Calls:
    """What callers did and were told. Times are of `time.time_ns`."""

    # Where each acknowledgement is written: {"dispatch_id":..,"job_id":..,"room":..,"at_ns":..}
    log: IO[str]
    dispatched: int = 0
    # job id by dispatch id
    acknowledged: dict[str, str] = field(default_factory=dict)
    # acknowledged to two callers, or with two jobs: never
    doubled: list[str] = field(default_factory=list)
    # callers that gave up; what they asked for may exist or not
    given_up: list[str] = field(default_factory=list)
    # when each room's call was due, and how long its acknowledgement took
    due_at_ns: dict[str, int] = field(default_factory=dict)
    answered_after_seconds: list[float] = field(default_factory=list)
    # An answer that is no answer to the call: a server's fault.
    refused: list[str] = field(default_factory=list)

    def acknowledge(self, room: str, dispatch_id: str, job_ids: list[str]) -> None:
        """Write down an answer."""
        now_ns = time.time_ns()
        if len(job_ids) != 1 or dispatch_id in self.acknowledged:
            self.doubled.append(f"{room}: {dispatch_id} with {job_ids}")
        self.acknowledged[dispatch_id] = job_ids[0] if job_ids else ""
        self.answered_after_seconds.append((now_ns - self.due_at_ns[room]) / 1e9)
        line = {"dispatch_id": dispatch_id, "job_ids": job_ids, "room": room, "at_ns": now_ns}
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()


def clients_to(url: str) -> list[DispatchClient]:
    """Clients that insist for as long as a fault may last."""
    return [
        DispatchClient(
            url,
            KEY,
            SECRET,
            call_timeout_seconds=CALL_TIMEOUT_SECONDS,
            retry_seconds_max=RETRY_SECONDS_MAX,
        )
        for _ in range(CLIENTS)
    ]


async def call_all(
    clients: list[DispatchClient],
    calls: Calls,
    rng: random.Random,
    *,
    rate_per_second: float,
    is_over: Callable[[int], bool],
    stock_share: float = 0.0,
) -> None:
    """Create dispatches until `is_over(number)`; return when each has its answer or gave up.

    Of all dispatches `stock_share` are for stock workers.
    """
    begun_at = anyio.current_time()
    lanes = [anyio.Semaphore(CALLS_AT_ONCE // len(clients)) for _ in clients]
    async with anyio.create_task_group() as tasks:
        number = 0
        while not is_over(number):
            due_at = begun_at + number / rate_per_second
            await anyio.sleep_until(due_at)
            if calls.dispatched - len(calls.answered_after_seconds) < CALLS_IN_FLIGHT_MAX:
                room = f"room-{number}"
                agent = STOCK_AGENT if rng.random() < stock_share else AGENT
                seconds = _job_seconds(rng)
                late_ns = round((anyio.current_time() - due_at) * 1e9)
                calls.due_at_ns[room] = time.time_ns() - late_ns
                calls.dispatched += 1
                lane = number % len(clients)
                tasks.start_soon(_call, clients[lane], lanes[lane], calls, room, agent, seconds)
            number += 1


def _job_seconds(rng: random.Random) -> float:
    if rng.random() < LONG_SHARE:
        return rng.uniform(LONG_SECONDS_MIN, LONG_SECONDS_MAX)
    return rng.uniform(SHORT_SECONDS_MIN, SHORT_SECONDS_MAX)


async def _call(
    client: DispatchClient,
    lane: anyio.Semaphore,
    calls: Calls,
    room: str,
    agent: str,
    seconds: float,
) -> None:
    wish = f"call-{room}"
    metadata = f"{seconds:.3f}"
    async with lane:
        for _ in range(TRIES_MAX):
            try:
                dispatch = await client.create_dispatch(
                    room, agent, metadata=metadata, request_id=wish
                )
            except ServerUnreachable as error:
                calls.given_up.append(f"{room}: {error}")
                return
            except (TwirpError, UnexpectedAnswer) as error:
                # The client does not try again what is answered so; these callers do.
                calls.refused.append(f"{room}: {error}")
                await anyio.sleep(REFUSED_PAUSE_SECONDS)
            else:
                calls.acknowledge(room, dispatch.id, [job.id for job in dispatch.state.jobs])
                return
        calls.given_up.append(f"{room}: refused {TRIES_MAX} times")
