"""The feed: every follower gets every row once, in order, and who does not follow costs nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.event_feed import EventFeed
from dispatcher.store.contract import EventRow
from protocol.errors import StoreError, StoreUnavailable

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 60.0


class Log:
    """A log in a list, which counts its reads."""

    def __init__(self) -> None:
        self.rows: list[EventRow] = []
        self.reads = 0
        self.failure: StoreError | None = None

    async def events_after(self, sequence: int, limit: int) -> list[EventRow]:
        self.reads += 1
        # The answer is as old as the question: the event loop turns in between.
        found = [row for row in self.rows if row.sequence > sequence][:limit]
        await anyio.lowlevel.checkpoint()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return found

    async def last_sequence(self) -> int:
        last = self.rows[-1].sequence if self.rows else 0
        await anyio.lowlevel.checkpoint()
        return last

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            sequence = self.rows[-1].sequence + 1 if self.rows else 1
            self.rows.append(
                EventRow(
                    sequence=sequence,
                    at=sequence,
                    project="p",
                    job_id="AJ_1",
                    dispatch_id="",
                    trigger=JobTrigger.STARTED,
                    phase=JobPhase.RUNNING,
                    epoch=1,
                    attempt=1,
                    worker_id="",
                    reason="",
                    error="",
                    detail="",
                )
            )


@pytest.fixture
def log() -> Log:
    return Log()


@asynccontextmanager
async def running(log: Log, page_rows: int = 10) -> AsyncIterator[EventFeed]:
    """Run a feed that looks as often as it can."""
    feed = EventFeed(log, page_rows, pause_seconds=0.0, retry_seconds=0.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        yield feed
        tasks.cancel_scope.cancel()


async def next_rows(feed: EventFeed, after: int) -> list[int]:
    with anyio.fail_after(WAIT_SECONDS):
        return numbers(await feed.after(after))


def numbers(rows: Sequence[EventRow]) -> list[int]:
    return [row.sequence for row in rows]


async def collect(feed: EventFeed, after: int, count: int) -> list[int]:
    """Follow until so many rows have come."""
    found: list[int] = []
    with feed.following():
        while len(found) < count:
            found += await next_rows(feed, found[-1] if found else after)
    return found


async def test_a_follower_gets_what_is_there_and_then_what_comes(log: Log) -> None:
    log.write(2)
    async with running(log) as feed, anyio.create_task_group() as tasks:

        async def write_more() -> None:
            for _ in range(3):
                log.write()
                feed.committed()
                await anyio.wait_all_tasks_blocked()

        tasks.start_soon(write_more)
        assert await collect(feed, 0, 5) == [1, 2, 3, 4, 5]


async def test_followers_far_behind_and_at_the_end_both_get_every_row_once(log: Log) -> None:
    log.write(55)
    found: dict[int, list[int]] = {}
    async with running(log, page_rows=4) as feed, anyio.create_task_group() as tasks:

        async def follow(after: int) -> None:
            found[after] = await collect(feed, after, 200 - after)

        async def write_more() -> None:
            while log.rows[-1].sequence < 200:
                log.write(5)
                feed.committed()
                await anyio.sleep(0.0005)

        for after in (0, 20, 50, 55):
            tasks.start_soon(follow, after)
        tasks.start_soon(write_more)
    assert found == {after: list(range(after + 1, 201)) for after in (0, 20, 50, 55)}


async def test_many_followers_of_the_end_share_one_read(log: Log) -> None:
    async with running(log) as feed, anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(collect, feed, 0, 3)
        await anyio.wait_all_tasks_blocked()
        feed.committed()
        await anyio.wait_all_tasks_blocked()
        before = log.reads
        log.write(3)
        feed.committed()
    # the rows, and that there are no more
    assert log.reads == before + 2


async def test_without_followers_a_commit_reads_nothing(log: Log) -> None:
    async with running(log) as feed:
        for _ in range(5):
            log.write()
            feed.committed()
            await anyio.wait_all_tasks_blocked()
        assert log.reads == 0


async def test_a_follower_that_comes_when_nobody_looked_for_long_misses_nothing(log: Log) -> None:
    async with running(log) as feed:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, feed, 0, 1)
            await anyio.wait_all_tasks_blocked()
            log.write()
            feed.committed()
        log.write(30)
        feed.committed()
        await anyio.wait_all_tasks_blocked()
        assert await collect(feed, 1, 30) == list(range(2, 32))


async def test_a_pruned_log_shows_in_the_first_number(log: Log) -> None:
    log.write(9)
    del log.rows[:6]
    async with running(log) as feed:
        with feed.following():
            assert await next_rows(feed, 2) == [7, 8, 9]


async def test_a_closed_feed_gives_what_is_left_and_then_nothing(log: Log) -> None:
    async with running(log) as feed:
        with feed.following():
            log.write(3)
            feed.close()
            assert await next_rows(feed, 1) == [2, 3]
            assert await next_rows(feed, 3) == []


async def test_closing_wakes_who_waits(log: Log) -> None:
    async with running(log) as feed, anyio.create_task_group() as tasks:
        with feed.following():
            tasks.start_soon(next_rows, feed, 0)
            await anyio.wait_all_tasks_blocked()
            feed.close()


async def test_a_store_that_fails_for_now_is_asked_again(
    log: Log,
) -> None:
    async with running(log) as feed, anyio.create_task_group() as tasks:
        tasks.start_soon(collect, feed, 0, 2)
        await anyio.wait_all_tasks_blocked()
        log.failure = StoreUnavailable("busy", "here", "wait")
        log.write(2)
        feed.committed()


async def test_a_store_that_is_broken_ends_the_feed(log: Log) -> None:
    feed = EventFeed(log, 10, 0.0)
    log.failure = StoreError("broken", "here", "restore it")
    feed.committed()
    with feed.following(), anyio.fail_after(WAIT_SECONDS), pytest.raises(StoreError):
        await feed.run()
