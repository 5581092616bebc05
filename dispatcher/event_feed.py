"""The event log for those who follow it: event streams and outgoing webhooks.

A commit only sets a flag. A task of its own then reads what is new, once for all followers and at
most every `pause_seconds`, and keeps the newest rows at hand; who is further behind reads pages
from the store. So what following costs grows with neither the number of commits nor, at the log's
end, the number of followers; and where nobody follows, nothing is read.

Rows are those of all projects: who follows shows each bearer its own. Left to others: what a row
looks like outside (`server.event_stream`, `webhooks_out`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Protocol

import anyio

from dispatcher.store.contract import EventRow
from protocol.errors import StoreError

# A read that failed for now is tried again after this.
RETRY_SECONDS = 0.5


class EventLog(Protocol):
    """What a feed needs of a store (`store.contract.Store`)."""

    async def events_after(self, sequence: int, limit: int) -> list[EventRow]:
        """Return rows with greater sequence numbers, in order."""
        ...

    async def last_sequence(self) -> int:
        """Return the highest sequence number that an event was given."""
        ...


class EventFeed:
    """Gives each follower the rows after the ones that it has. All on one event loop.

    `page_rows` are read at once, and at most so many kept at hand.
    """

    def __init__(
        self,
        log: EventLog,
        page_rows: int,
        pause_seconds: float,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._log = log
        self._page_rows = page_rows
        self._pause_seconds = pause_seconds
        self._retry_seconds = retry_seconds
        # something was committed since the last look
        self._committed = asyncio.Event()
        # set when rows came in, and replaced by a new one
        self._news = asyncio.Event()
        self._followers = 0
        # all rows after `_floor`, up to `_last`
        self._tail: deque[EventRow] = deque()
        self._floor = 0
        self._last = 0
        # nobody looked for a while, and what is at hand is not the log's end
        self._is_stale = True
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Has it been closed? Followers then get what is left, and no more."""
        return self._is_closed

    def committed(self) -> None:
        """Say that a commit is durable. Costs next to nothing."""
        self._committed.set()

    def close(self) -> None:
        """Let followers end once they have what there is."""
        self._is_closed = True
        self._tell()

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow while the context lasts: `after` is for followers only."""
        if not self._followers:
            self._is_stale = True
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1

    async def after(self, sequence: int) -> Sequence[EventRow]:
        """Return some rows after that number, in order, at least one; wait until there is one.

        Nothing at all means that the feed is closed. Rows that were pruned are not there: the
        first row's number tells. Raises StoreError.
        """
        while True:
            # Taken before the look: what comes in meanwhile is not slept over.
            news = self._news
            rows: Sequence[EventRow]
            if self._floor <= sequence and not self._is_stale:
                rows = self._at_hand(sequence)
            else:
                rows = await self.at_once_after(sequence)
            if rows:
                return rows
            if self._is_closed:
                return await self.at_once_after(sequence)
            await news.wait()

    async def at_once_after(self, sequence: int) -> Sequence[EventRow]:
        """Return the rows that the log has after that number, a page at most. Raises StoreError."""
        return await self._log.events_after(sequence, self._page_rows)

    async def last_sequence(self) -> int:
        """Return the number of the newest event. Raises StoreError."""
        return await self._log.last_sequence()

    async def run(self) -> None:
        """Look for what is new, for ever. Raises StoreError where trying again is no use."""
        while True:
            await self._committed.wait()
            self._committed.clear()
            if self._followers:
                try:
                    await self._read()
                except StoreError as error:
                    if not error.retryable:
                        raise
                    self._committed.set()
                    await anyio.sleep(self._retry_seconds)
            await anyio.sleep(self._pause_seconds)

    async def _read(self) -> None:
        if self._is_stale:
            # What is before this is read from the store by those who need it.
            self._floor = self._last = await self._log.last_sequence()
            self._tail.clear()
            self._is_stale = False
            self._tell()
        while rows := await self._log.events_after(self._last, self._page_rows):
            self._tail.extend(rows)
            while len(self._tail) > self._page_rows:
                self._floor = self._tail.popleft().sequence
            self._last = rows[-1].sequence
            self._tell()

    def _at_hand(self, sequence: int) -> list[EventRow]:
        newest_first = takewhile(lambda row: row.sequence > sequence, reversed(self._tail))
        return list(newest_first)[::-1]

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
