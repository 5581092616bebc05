"""The run: who comes to which end, and what the server is told of each.

Of every 20 jobs 2 are killed by SIGKILL (one by itself, one from outside), 2 hang, one uses too much
memory, one raises, one exits; the others succeed. Judged is what the server's API says of each job
in the end, what processes are left, and what the pool says of itself.
"""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import psutil

from dispatcher.core.policy import Policy
from protocol import api_pb2, wire_pb2
from tests.integration.worker_sdk import jobs
from tests.integration.worker_sdk.pool import NURSERIES, runs
from tests.support.server import KEY, SECRET, running_server
from worker_sdk import DispatchClient, ProcessExecutor, Worker
from worker_sdk.executors import PoolCounts

__all__ = ["Plan", "Report", "run"]

MIB = 1024 * 1024
MEMORY_BYTES_MAX = 200 * MIB
PING_SECONDS_MAX = 3.0
# After the last job: until the pool has its size again.
SETTLE_SECONDS_MAX = 60.0
AGENT_NAME = "pooled"


@dataclass(frozen=True, slots=True)
class _End:
    """One way to end: what the job does, and what the server then says."""

    name: str
    metadata: str
    status: wire_pb2.JobStatus
    error: str  # a regular expression


_BY_OTHERS = re.escape("the process was killed by SIGKILL (not by this worker:") + ".*"
_SUCCEEDS = _End("success", "succeed", wire_pb2.JS_SUCCESS, "")
# By the job's number, modulo 20. "{folder}/{number}" is where a job says its pid.
_ENDS = {
    0: _End("killed by itself", "die_of SIGKILL", wire_pb2.JS_FAILED, _BY_OTHERS),
    10: _End(
        "killed from outside", "tell_pid_and {folder}/{number} wait", wire_pb2.JS_FAILED, _BY_OTHERS
    ),
    3: _End("hung", "hang", wire_pb2.JS_FAILED, "the process hung: its event loop did not turn .*"),
    13: _End(
        "hung in C", "hang_in_c", wire_pb2.JS_FAILED, "the process hung: its event loop did not .*"
    ),
    6: _End(
        "over memory",
        f"use_memory {300 * MIB}",
        wire_pb2.JS_FAILED,
        rf"the process used \d+ bytes of memory, {MEMORY_BYTES_MAX} are allowed: it was killed",
    ),
    16: _End("raised", "fail no model", wire_pb2.JS_FAILED, "ValueError: no model"),
    19: _End("exited", "exit_at_once 3", wire_pb2.JS_FAILED, "the process exited with code 3"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much."""

    jobs: int
    at_once: int = 8
    warm: int = 4


@dataclass(slots=True)
class Report:
    """What came of it."""

    # Right ends, by name; and wrong ones, with all that is known.
    right: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    # Processes that are there although no worker is, and what the pool said before its end.
    left_behind: list[int] = field(default_factory=list)
    pool: PoolCounts = field(default_factory=PoolCounts)
    warm_processes: int = 0
    seconds: float = 0.0

    def is_good(self, plan: Plan) -> bool:
        """Did all happen that should, and nothing else?"""
        return (
            sum(self.right.values()) == plan.jobs
            and not self.wrong
            and not self.left_behind
            and self.pool.idle == self.warm_processes == plan.warm
        )


def end_of(number: int) -> _End:
    """The end that a job comes to."""
    return _ENDS.get(number % 20, _SUCCEEDS)


async def run(plan: Plan, progress: Callable[[int], None] = lambda _: None) -> Report:
    """Run it; `progress` hears how many jobs have ended."""
    report = Report()
    began_at = time.monotonic()
    before = set(_descendants())
    policy = Policy(queue_time=24 * 3600 * 10**9)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callboard-pool-")))
        server = await stack.enter_async_context(running_server(folder / "data", policy=policy))
        client = await stack.enter_async_context(DispatchClient(server.http_url, KEY, SECRET))
        worker = Worker(
            AGENT_NAME,
            url=server.http_url,
            api_key=KEY,
            api_secret=SECRET,
            capacity=plan.at_once,
            load=lambda: 0.0,
            executor=ProcessExecutor(
                warm=plan.warm, memory_bytes_max=MEMORY_BYTES_MAX, ping_seconds_max=PING_SECONDS_MAX
            ),
        )
        worker.job(jobs.job)
        async with anyio.create_task_group() as around:
            around.start_soon(_kill_from_outside, folder)
            # It is left when the worker has drained, and has closed its pool.
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(worker.serve)
                await _dispatch(client, plan, folder)
                await _wait_ended(client, plan, progress)
                await _judge(client, report)
                with anyio.move_on_after(SETTLE_SECONDS_MAX):
                    while not (  # noqa: ASYNC110 - has no event
                        _has_settled(worker.pool, plan)
                        and len(set(_descendants()) - before) == plan.warm + NURSERIES
                    ):
                        await anyio.sleep(0.1)
                report.pool = worker.pool or PoolCounts()
                report.warm_processes = len(set(_descendants()) - before) - NURSERIES
                worker.drain()
            around.cancel_scope.cancel()
    # The kernel ends what was killed in its own time.
    with anyio.move_on_after(SETTLE_SECONDS_MAX):
        while set(_descendants()) - before:  # noqa: ASYNC110 - has no event
            await anyio.sleep(0.05)
    report.left_behind = sorted(set(_descendants()) - before)
    report.seconds = time.monotonic() - began_at
    return report


async def _dispatch(client: DispatchClient, plan: Plan, folder: Path) -> None:
    for number in range(plan.jobs):
        await client.create_dispatch(
            f"room-{number}",
            AGENT_NAME,
            metadata=end_of(number).metadata.format(folder=folder, number=number),
            restart_policy=wire_pb2.JRP_NEVER,
        )


async def _kill_from_outside(folder: Path) -> None:
    while True:
        for path in folder.iterdir():  # noqa: ASYNC240 - a few names
            if path.name.isdecimal():
                pid = int(path.read_text())
                path.unlink()
                os.kill(pid, signal.SIGKILL)
        await anyio.sleep(0.05)


async def _wait_ended(client: DispatchClient, plan: Plan, progress: Callable[[int], None]) -> None:
    phases = (api_pb2.SUCCEEDED, api_pb2.FAILED, api_pb2.CANCELLED)
    ended = 0
    while ended < plan.jobs:
        await anyio.sleep(0.2)
        ended = len([job async for job in client.iterate_jobs(phases=phases, page_size=1000)])
        progress(ended)


async def _judge(client: DispatchClient, report: Report) -> None:
    async for record in client.iterate_jobs(page_size=1000):
        number = int(record.job.room.name.removeprefix("room-"))
        end, state = end_of(number), record.job.state
        if state.status == end.status and re.fullmatch(end.error, state.error):
            report.right[end.name] += 1
        else:
            status = wire_pb2.JobStatus.Name(state.status)
            report.wrong.append(f"{end.name}: job {number} ended {status}: {state.error}")


def _has_settled(pool: PoolCounts | None, plan: Plan) -> bool:
    return pool is not None and (pool.idle, pool.starting, pool.busy, pool.ending) == (
        plan.warm,
        0,
        0,
        0,
    )


def _descendants() -> list[int]:
    return [each.pid for each in psutil.Process().children(recursive=True) if runs(each)]
