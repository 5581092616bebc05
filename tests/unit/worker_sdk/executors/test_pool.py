"""Which process is started, handed out, kept and ended; the processes do what the test says."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec

import anyio
import pytest
import structlog
from structlog.typing import EventDict

from protocol import executor_pb2
from worker_sdk.executors.job_process import JobProcess, ProcessLimits, ProcessState
from worker_sdk.executors.launching import Launched, Launcher
from worker_sdk.executors.pool import STARTING_MAX, ProcessPool, StartBackoff
from worker_sdk.wakeup import Wakeup

pytestmark = pytest.mark.anyio

BACKENDS = ["asyncio", *(["trio"] if find_spec("trio") else [])]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of a test."""
    backend: str = request.param
    return backend


class NoLauncher(Launcher):
    """Nothing is started here."""

    async def launch(self, theirs: socket.socket) -> Launched:
        """Refuse."""
        raise OSError("nothing is started here")


class ScriptedProcess(JobProcess):
    """A process that is none: it is ready, works and ends when the test says so."""

    def __init__(self, number: int, on_change: Callable[[JobProcess], None]) -> None:
        super().__init__(
            executor_pb2.Setup(),
            ProcessLimits(60.0, 60.0),
            NoLauncher(),
            structlog.get_logger(),
            on_change,
        )
        self.number = number
        self._is_over = anyio.Event()
        self._cause = ""

    async def live(self) -> None:
        """Be there until the test, or the pool, ends it."""
        await self._is_over.wait()
        self._end(self._cause)

    def become_ready(self) -> None:
        """It has loaded the program."""
        self._received(executor_pb2.ChildMessage(ready=executor_pb2.Ready()))

    def work(self) -> None:
        """It runs a job to its end."""
        self._received(executor_pb2.ChildMessage(started=executor_pb2.Started()))
        self._received(executor_pb2.ChildMessage(ended=executor_pb2.Ended()))

    def end(self, cause: str = "the process exited with code 0") -> None:
        """It ends."""
        self._cause = cause
        self._is_over.set()

    def dismiss(self) -> None:
        """It obeys."""
        super().dismiss()
        self.end()

    def kill(self, why: str, *, is_news: bool = True) -> None:
        """It cannot but obey."""
        super().kill(why, is_news=is_news)
        self.end(why)


class Stage:
    """A pool and its processes."""

    def __init__(self) -> None:
        self.processes: list[ScriptedProcess] = []
        self.pool: ProcessPool

    def make_process(self, on_change: Callable[[JobProcess], None]) -> ScriptedProcess:
        """Start the next one."""
        process = ScriptedProcess(len(self.processes), on_change)
        self.processes.append(process)
        return process

    async def settle(self) -> None:
        """Let the pool's tasks do all that they can do now."""
        await anyio.wait_all_tasks_blocked()

    async def ready(self) -> list[ScriptedProcess]:
        """Let all processes that start become ready, until none starts."""
        await self.settle()
        while starting := [p for p in self.processes if p.state is ProcessState.STARTING]:
            for process in starting:
                process.become_ready()
            await self.settle()
        return self.processes


@asynccontextmanager
async def staged(
    warm: int, jobs_per_process: int = 1, backoff: StartBackoff | None = None
) -> AsyncIterator[Stage]:
    """A pool that is kept; closed at the end."""
    stage = Stage()
    async with anyio.create_task_group() as tasks:
        stage.pool = ProcessPool(
            make_process=stage.make_process,
            warm=warm,
            jobs_per_process=jobs_per_process,
            backoff=backoff or StartBackoff(first_seconds=3600.0),
            rng=random.Random(1),
            tasks=tasks,
            log=structlog.get_logger(),
        )
        tasks.start_soon(stage.pool.keep)
        yield stage
        with anyio.fail_after(60):
            await stage.pool.close()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """What the pool logs."""
    with structlog.testing.capture_logs() as captured:
        yield captured


async def test_a_pool_starts_few_at_a_time_until_it_has_its_size() -> None:
    async with staged(warm=STARTING_MAX + 3) as stage:
        await stage.settle()
        assert stage.pool.counts.starting == STARTING_MAX
        await stage.ready()
        assert stage.pool.counts.idle == STARTING_MAX + 3


async def test_jobs_get_processes_in_the_order_in_which_they_came() -> None:
    async with staged(warm=0) as stage:
        tickets = [stage.pool.queue(Wakeup()) for _ in range(3)]
        await stage.settle()
        await stage.ready()
        served = [ticket.process for ticket in tickets]
        assert served == stage.processes
        assert stage.pool.counts.busy == 3


async def test_the_process_that_waits_longest_is_handed_out_first() -> None:
    async with staged(warm=2) as stage:
        await stage.ready()
        assert stage.pool.queue(Wakeup()).process is stage.processes[0]


async def test_a_process_is_replaced_as_soon_as_it_is_taken() -> None:
    async with staged(warm=1) as stage:
        await stage.ready()
        stage.pool.queue(Wakeup())
        await stage.settle()
        assert stage.pool.counts.starting == 1


async def test_a_process_that_has_done_its_jobs_ends() -> None:
    async with staged(warm=1, jobs_per_process=2) as stage:
        await stage.ready()
        process = stage.processes[0]
        for state in (ProcessState.IDLE, ProcessState.GONE):
            ticket = stage.pool.queue(Wakeup())
            assert ticket.process is process
            process.work()
            stage.pool.release(process)
            await stage.settle()
            assert process.state is state


async def test_a_process_that_its_job_did_not_use_is_kept() -> None:
    async with staged(warm=1) as stage:
        await stage.ready()
        ticket = stage.pool.queue(Wakeup())
        stage.pool.leave_queue(ticket)
        await stage.settle()
        assert [process.state for process in stage.processes] == [ProcessState.IDLE]


async def test_a_process_too_many_is_ended() -> None:
    async with staged(warm=0) as stage:
        ticket = stage.pool.queue(Wakeup())
        await stage.settle()
        stage.pool.leave_queue(ticket)
        await stage.ready()
        assert [process.state for process in stage.processes] == [ProcessState.GONE]


async def test_nothing_is_started_while_the_delay_after_a_failure_lasts(
    logs: list[EventDict],
) -> None:
    async with staged(warm=1) as stage:
        await stage.settle()
        stage.processes[0].end("the prewarm function raised: E")
        await stage.settle()
        assert len(stage.processes) == 1
        assert stage.pool.last_failure == "the prewarm function raised: E"
        assert stage.pool.counts.start_failures_total == 1
    assert [entry["event"] for entry in logs] == ["process_start_failed"]


async def test_one_at_a_time_is_tried_after_a_failure() -> None:
    async with staged(warm=4, backoff=StartBackoff(first_seconds=0.0)) as stage:
        await stage.settle()
        for process in stage.processes:
            process.end()
        await stage.settle()
        assert stage.pool.counts.starting == 1
        await stage.ready()
        assert stage.pool.counts.idle == 4


async def test_a_pool_that_cannot_start_a_process_takes_no_jobs_until_one_is_ready() -> None:
    async with staged(warm=1, backoff=StartBackoff(first_seconds=0.0)) as stage:
        for failures in range(3):
            await stage.settle()
            assert stage.pool.counts.can_run_jobs, failures
            stage.processes[-1].end("the prewarm function raised: E")
        await stage.settle()
        assert not stage.pool.counts.can_run_jobs
        await stage.ready()
        assert stage.pool.counts.can_run_jobs


async def test_an_end_in_the_middle_of_a_job_is_no_reason_to_wait() -> None:
    async with staged(warm=1) as stage:
        await stage.ready()
        stage.pool.queue(Wakeup())
        stage.processes[0].has_begun = True
        stage.processes[0].end("the process was killed by SIGSEGV")
        await stage.ready()
        assert stage.pool.counts.replaced_total == 0
        assert stage.pool.counts.idle == 1


async def test_a_process_that_ends_before_it_began_its_job_counts_as_replaced(
    logs: list[EventDict],
) -> None:
    async with staged(warm=1) as stage:
        await stage.ready()
        stage.pool.queue(Wakeup())
        stage.processes[0].end("the process was killed by SIGKILL")
        await stage.settle()
        assert stage.pool.counts.replaced_total == 1
    (said,) = [entry for entry in logs if entry["event"] == "process_replaced"]
    assert said["cause"] == "the process was killed by SIGKILL"


@pytest.mark.parametrize(
    ("failures", "shortest", "longest"), [(1, 0.5, 1.0), (3, 2.0, 4.0), (50, 15.0, 30.0)]
)
def test_delays_double_up_to_a_bound(failures: int, shortest: float, longest: float) -> None:
    rng = random.Random(1)
    delays = [StartBackoff().delay_seconds(failures, rng) for _ in range(200)]
    assert shortest <= min(delays) < max(delays) <= longest
