"""The shapes of load, the same for every contender, and the commands by which they are asked for.

A driver process reads one command a line, `{"shape": "closed", "callers": 32, "seconds": 5}` or
`{"shape": "open", "rate": 500, "seconds": 10}`, and answers each with the JSON of a `Taken`.

- closed: each caller asks for a job, waits until it is over, and asks for the next one.
- open: jobs are asked for at fixed moments, whatever became of those before. Times count from the
  moment at which the call was due, so that a server that is late for one is charged for all behind it
  (no coordinated omission), and so is a driver that is late: `late_us_p99` says by how much.

A client tells the book when a job's assignment (its start) has reached the worker, and when it is over.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Protocol

import uvloop

from worker_sdk.loadtest.precise_timer import PreciseTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["PAYLOAD_BYTES", "Client", "JobBook", "first_job_over", "run_driver"]

PAYLOAD_BYTES = 200
# For one job in a closed loop, from the call to the end: after that it counts as unfinished.
JOB_SECONDS_MAX = 10.0
# For what is under way when the calls of an open loop are over.
LAST_SECONDS_MAX = 15.0
# Calls of an open loop that nobody has answered; those beyond are not made, and count as unfinished.
CALLS_AT_ONCE_MAX = 20_000
FIRST_JOB_SECONDS_MAX = 30.0
# Between the command and the first call.
AHEAD_NS = 100_000_000

_NS = 1_000_000_000


@dataclass(slots=True)
class _Job:
    due_ns: int
    over: asyncio.Future[None]


@dataclass(slots=True)
class Taken:
    """What became of the jobs of one command."""

    # ended, within the time
    jobs: int = 0
    # From the first call to the end of the last job that ended.
    elapsed_seconds: float = 0.0
    # From when each call was due to the assignment at the worker, or the start of its task there.
    start_us: list[int] = field(default_factory=list)
    unfinished: int = 0
    # Calls that failed, and what the first one said.
    errors: int = 0
    first_error: str = ""
    late_us_p99: int = 0


class JobBook:
    """The jobs under way, by number."""

    def __init__(self) -> None:
        self.taken = Taken()
        self._jobs: dict[int, _Job] = {}
        self._numbers = itertools.count()
        self._last_over_ns = 0

    def begin(self, due_ns: int) -> tuple[int, asyncio.Future[None]]:
        """A new job; the future is done when it is over."""
        number = next(self._numbers)
        over = asyncio.get_running_loop().create_future()
        self._jobs[number] = _Job(due_ns, over)
        return number, over

    def started(self, number: int, at_ns: int) -> None:
        """The worker has its assignment. Times are of CLOCK_MONOTONIC, in whatever process."""
        job = self._jobs.get(number)
        if job is not None:
            self.taken.start_us.append((at_ns - job.due_ns) // 1000)

    def is_over(self, number: int) -> None:
        """The job has ended."""
        job = self._jobs.pop(number, None)
        if job is not None and not job.over.done():
            self.taken.jobs += 1
            self._last_over_ns = time.monotonic_ns()
            job.over.set_result(None)

    def give_up(self, number: int) -> None:
        """Wait for it no longer."""
        self._jobs.pop(number, None)
        self.taken.unfinished += 1

    def failed(self, number: int, error: Exception) -> None:
        """Its call failed."""
        self._jobs.pop(number, None)
        self.taken.errors += 1
        self.taken.first_error = self.taken.first_error or f"{type(error).__name__}: {error}"

    def close(self, began_ns: int) -> Taken:
        """What was taken since; a new count begins, without the jobs that are still under way."""
        taken, self.taken = self.taken, Taken()
        taken.elapsed_seconds = max(0, self._last_over_ns - began_ns) / _NS
        taken.unfinished += len(self._jobs)
        self._jobs.clear()
        return taken


class Client(Protocol):
    """How one contender is called."""

    async def open(self, book: JobBook, workers: int, callers: int) -> None:
        """Connect everything; the book is told of jobs from now on."""

    async def call(self, number: int, due_ns: int) -> None:
        """Ask for a job; returns when the server has acknowledged it. Raises whatever goes wrong."""

    async def close(self) -> None:
        """Disconnect."""


async def run_closed(client: Client, book: JobBook, callers: int, seconds: float) -> Taken:
    """Callers that wait for the end of their job."""
    began_ns = time.monotonic_ns()
    stop_ns = began_ns + round(seconds * _NS)

    async def call_on() -> None:
        while (now_ns := time.monotonic_ns()) < stop_ns:
            number, over = book.begin(now_ns)
            try:
                async with asyncio.timeout(JOB_SECONDS_MAX):
                    await client.call(number, now_ns)
                    await over
            except TimeoutError:
                book.give_up(number)
            except Exception as error:  # noqa: BLE001  whatever the contender's client raises
                book.failed(number, error)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(call_on())
    return book.close(began_ns)


async def run_open(client: Client, book: JobBook, rate: float, seconds: float) -> Taken:
    """Calls at fixed moments."""
    loop = asyncio.get_running_loop()
    count = round(rate * seconds)
    began_ns = time.monotonic_ns() + AHEAD_NS
    late_us: list[int] = []
    waiting: set[asyncio.Future[None]] = set()
    all_made = loop.create_future()

    async def call(number: int, due_ns: int, over: asyncio.Future[None]) -> None:
        waiting.add(over)
        over.add_done_callback(waiting.discard)
        try:
            await client.call(number, due_ns)
        except Exception as error:  # noqa: BLE001  whatever the contender's client raises
            book.failed(number, error)
            waiting.discard(over)

    async with asyncio.TaskGroup() as tasks:

        def call_due() -> None:
            now_ns = time.monotonic_ns()
            while len(late_us) < count:
                due_ns = began_ns + round(len(late_us) * _NS / rate)
                if due_ns > now_ns:
                    timer.arm(due_ns)
                    return
                late_us.append((now_ns - due_ns) // 1000)
                if len(waiting) >= CALLS_AT_ONCE_MAX:
                    book.taken.unfinished += 1
                    continue
                number, over = book.begin(due_ns)
                tasks.create_task(call(number, due_ns, over))
            if not all_made.done():
                all_made.set_result(None)

        timer = PreciseTimer(loop, call_due)
        timer.arm(began_ns)
        await all_made
        timer.close()
        until_ns = time.monotonic_ns() + round(LAST_SECONDS_MAX * _NS)
        # Tasks that are waiting for an acknowledgement are among those that are waited for.
        while waiting and (left_ns := until_ns - time.monotonic_ns()) > 0:
            await asyncio.wait(waiting, timeout=left_ns / _NS)
    taken = book.close(began_ns)
    taken.late_us_p99 = sorted(late_us)[round(0.99 * (count - 1))]
    return taken


async def first_job_over(client: Client, book: JobBook) -> None:
    """Have a job done, which is not counted: then the workers are there. Raises TimeoutError."""
    now_ns = time.monotonic_ns()
    number, over = book.begin(now_ns)
    async with asyncio.timeout(FIRST_JOB_SECONDS_MAX):
        await client.call(number, now_ns)
        await over
    book.close(now_ns)


def run_driver(make_client: Callable[[], Client], workers: int, callers: int) -> None:
    """Connect, say that it is ready, then do what is commanded until standard input ends."""
    uvloop.run(_serve(make_client(), workers, callers))


async def _serve(client: Client, workers: int, callers: int) -> None:
    book = JobBook()
    await client.open(book, workers, callers)
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    _answer({"ready": True})
    while line := await commands.readline():
        command = json.loads(line)
        taking: Coroutine[None, None, Taken]
        if command["shape"] == "closed":
            taking = run_closed(client, book, command["callers"], command["seconds"])
        else:
            taking = run_open(client, book, command["rate"], command["seconds"])
        _answer(asdict(await taking))
    await client.close()


def _answer(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
