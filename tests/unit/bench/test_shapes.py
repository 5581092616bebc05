"""The loops of the comparison: what they count, and from when."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from bench.compare.drivers.shapes import JobBook, first_job_over, run_closed, run_open

pytestmark = pytest.mark.anyio

MS = 1_000_000


class Contender:
    """Has jobs done as a test says: never, or by a task that starts them `late_ns` after the call."""

    def __init__(self, book: JobBook) -> None:
        self._book = book
        self.refuses = False
        self.late_ns = 0
        self.calls: list[int] = []

    async def open(self, book: JobBook, workers: int, callers: int) -> None:
        """Nothing to connect."""

    async def call(self, number: int, due_ns: int) -> None:
        """Start the job and end it."""
        self.calls.append(due_ns)
        if self.refuses:
            raise ConnectionError("no")
        await asyncio.sleep(0)
        self._book.started(number, due_ns + self.late_ns)
        self._book.is_over(number)

    async def close(self) -> None:
        """Nothing to disconnect."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_an_open_loop_makes_its_calls_at_its_rate_and_counts_from_when_each_was_due() -> None:
    book = JobBook()
    contender = Contender(book)
    contender.late_ns = 3 * MS
    taken = await run_open(contender, book, rate=1000.0, seconds=0.05)
    gaps = {
        after - before for before, after in zip(contender.calls, contender.calls[1:], strict=False)
    }
    assert (taken.jobs, taken.unfinished, taken.errors) == (50, 0, 0)
    assert gaps == {MS}
    assert taken.start_us == [3000] * 50


async def test_a_closed_loop_has_one_job_of_each_caller_at_a_time() -> None:
    book = JobBook()
    contender = Contender(book)
    taken = await run_closed(contender, book, callers=3, seconds=0.2)
    assert taken.jobs == len(contender.calls) >= 3
    assert taken.unfinished == 0


async def test_calls_that_fail_are_counted_with_what_the_first_one_said() -> None:
    book = JobBook()
    contender = Contender(book)
    contender.refuses = True
    taken = await run_open(contender, book, rate=1000.0, seconds=0.01)
    assert (taken.jobs, taken.errors, taken.first_error) == (0, 10, "ConnectionError: no")


async def test_a_job_that_is_not_over_at_the_end_is_unfinished_and_counts_no_more() -> None:
    book = JobBook()
    number, _ = book.begin(time.monotonic_ns())
    taken = book.close(0)
    book.started(number, time.monotonic_ns())
    book.is_over(number)
    assert (taken.jobs, taken.unfinished) == (0, 1)
    assert (book.taken.jobs, book.taken.start_us) == (0, [])


async def test_the_job_that_shows_that_workers_are_there_is_not_counted() -> None:
    book = JobBook()
    with anyio.fail_after(60):
        await first_job_over(Contender(book), book)
    assert (book.taken.jobs, book.taken.start_us) == (0, [])
