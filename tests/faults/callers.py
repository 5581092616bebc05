"""Callers in open loop: a dispatch at each tick of the rate, whatever becomes of the others.

Each caller insists: it repeats its call under the same request id until it has an answer, or gives
up after a long time. What was acknowledged is written down before anything else is done with it.
Of some jobs the caller thinks better, and ends them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, TypeVar

import anyio

from dispatcher.core.jobs import RestartPolicy
from protocol import wire_pb2
from protocol.errors import TwirpError
from tests.faults.fleet import AGENT, AWAY_AGENT, KEY, LATE_AGENT, SECRET, STOCK_AGENT
from tests.faults.jobs import KILLER_ROOM, JobKind, Wish
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
_AGENTS = {JobKind.LATE: LATE_AGENT, JobKind.AWAY: AWAY_AGENT}
_Answer = TypeVar("_Answer")
# A caller that is refused for good tries again all the same, so often.
TRIES_MAX = 10
REFUSED_PAUSE_SECONDS = 1.0


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
    # what was asked for, by the dispatch that was acknowledged
    wishes: dict[str, Wish] = field(default_factory=dict)
    # when the call that ends a job was answered, by dispatch; 0: it was made, and not answered
    called_off_ns: dict[str, int] = field(default_factory=dict)

    def acknowledge(self, room: str, wish: Wish, dispatch_id: str, job_ids: list[str]) -> None:
        """Write down an answer."""
        now_ns = time.time_ns()
        if len(job_ids) != 1 or dispatch_id in self.acknowledged:
            self.doubled.append(f"{room}: {dispatch_id} with {job_ids}")
        self.wishes[dispatch_id] = wish
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
    wishes: Iterator[Wish],
    *,
    rate_per_second: float,
    is_over: Callable[[int], bool],
    killers: tuple[float, ...] = (),
) -> None:
    """Create dispatches until `is_over(number)`; return when each has its answer or gave up.

    Besides, at each of the times `killers` (seconds from now) one whose job kills its workers.
    """
    begun_at = anyio.current_time()
    lanes = [anyio.Semaphore(CALLS_AT_ONCE // len(clients)) for _ in clients]
    async with anyio.create_task_group() as tasks:

        async def call(number: int, room: str, wish: Wish, due_at: float) -> None:
            await anyio.sleep_until(due_at)
            if calls.dispatched - len(calls.answered_after_seconds) < CALLS_IN_FLIGHT_MAX:
                late_ns = round((anyio.current_time() - due_at) * 1e9)
                calls.due_at_ns[room] = time.time_ns() - late_ns
                calls.dispatched += 1
                lane = number % len(clients)
                tasks.start_soon(_call, clients[lane], lanes[lane], calls, room, wish)

        for number, after_seconds in enumerate(killers):
            killer = Wish(JobKind.KILLER, 0.0)
            room = f"{KILLER_ROOM}{number}"
            tasks.start_soon(call, number, room, killer, begun_at + after_seconds)
        number = 0
        while not is_over(number):
            due_at = begun_at + number / rate_per_second
            await call(number, f"room-{number}", next(wishes), due_at)
            number += 1


async def _call(
    client: DispatchClient, lane: anyio.Semaphore, calls: Calls, room: str, wish: Wish
) -> None:
    async with lane:
        dispatch = await _insist(calls, room, lambda: _create(client, room, wish))
        if dispatch is None:
            return
        calls.acknowledge(room, wish, dispatch.id, [job.id for job in dispatch.state.jobs])
    if not wish.kind.is_called_off:
        return
    await anyio.sleep(wish.called_off_after_seconds)
    async with lane:
        calls.called_off_ns[dispatch.id] = 0
        done = await _insist(calls, room, lambda: _call_off(client, room, wish, dispatch))
        if done:
            calls.called_off_ns[dispatch.id] = time.time_ns()


async def _create(client: DispatchClient, room: str, wish: Wish) -> wire_pb2.AgentDispatch:
    agent = STOCK_AGENT if wish.is_stock else _AGENTS.get(wish.kind, AGENT)
    is_once = wish.kind.restart_policy is RestartPolicy.NEVER
    return await client.create_dispatch(
        room,
        agent,
        metadata=wish.metadata,
        restart_policy=wire_pb2.JRP_NEVER if is_once else wire_pb2.JRP_ON_FAILURE,
        request_id=f"call-{room}",
    )


async def _call_off(
    client: DispatchClient, room: str, wish: Wish, dispatch: wire_pb2.AgentDispatch
) -> bool:
    if wish.kind is JobKind.DELETED:
        await client.delete_dispatch(dispatch.id, room)
    else:
        await client.terminate_job(dispatch.state.jobs[0].id, "the fault run ends it")
    return True


async def _insist(
    calls: Calls, room: str, call: Callable[[], Awaitable[_Answer]]
) -> _Answer | None:
    """Call until there is an answer, and return it; None for who gave up."""
    for _ in range(TRIES_MAX):
        try:
            return await call()
        except ServerUnreachable as error:
            calls.given_up.append(f"{room}: {error}")
            return None
        except (TwirpError, UnexpectedAnswer) as error:
            # The client does not try again what is answered so; these callers do.
            calls.refused.append(f"{room}: {error}")
            await anyio.sleep(REFUSED_PAUSE_SECONDS)
    calls.given_up.append(f"{room}: refused {TRIES_MAX} times")
    return None
