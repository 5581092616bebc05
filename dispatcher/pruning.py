"""Deleting what is past retention, a slice at a time, spread over the seconds.

A commit may have to wait for the slice that the store is at, so slices are short, and what all of them
take is spread evenly: no burst every few seconds. How much there is to delete is not known before: how
many rows a slice found says how soon the next one is to be, and each is to find half of what it may
take. So a busy server has small slices in a steady row, an idle one hardly looks, and where more comes
than was foreseen, slices have room for it and come sooner. Only where that does not suffice for
seconds do they become larger.

Invariants: after each slice there is a rest, so two never stand in a row before a commit; the rest is
never longer than `prune_interval_seconds`, so what is kept is bounded by retention and by what comes in
the time that it takes to catch up.

Left to others: what is past retention, and the deleting (`store`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from dispatcher.core.jobs import Nanoseconds
from dispatcher.store.contract import Retention, Store
from protocol.errors import StoreError

# What a slice is to find, of what it may take: the rest is for what comes in spurts. A sync of the disk
# takes as long as some hundred rows, so much smaller slices would cost more than they spare.
AIM_SHARE = 0.5
# The rest becomes at most so many times as long at once, for a moment without an end of a job is no sign
# that there will be none; and so much shorter where a slice is full, for nobody knows how much more there is.
STRETCH_MAX = 2.0
FULL_STRETCH = 0.25
# Where full slices do not suffice at the shortest rest, each may take so many times as many rows as the
# last: twice as many after some seconds. What came in a spurt is gone by then. Where one is not full, back.
GROWTH = 1.004
SHRINKAGE = 0.9


class PruneLimits(Protocol):
    """The bounds of pruning (`runtime.RuntimeLimits`)."""

    @property
    def prune_interval_seconds(self) -> float:
        """The longest rest."""
        ...

    @property
    def prune_rest_seconds(self) -> float:
        """The shortest."""
        ...

    @property
    def prune_rows(self) -> int:
        """Most rows of a slice, where such slices suffice."""
        ...

    @property
    def prune_rows_max(self) -> int:
        """Most rows of any slice."""
        ...


class PrunePace:
    """Decides how long the store rests before the next slice, and how large that is. Needs no clock."""

    def __init__(self, limits: PruneLimits) -> None:
        self._limits = limits
        self._usual_rows = min(limits.prune_rows, limits.prune_rows_max)
        self._rest_seconds = limits.prune_interval_seconds
        self._rows: float = self._usual_rows

    @property
    def rest_seconds(self) -> float:
        """How long to rest now."""
        return self._rest_seconds

    @property
    def rows(self) -> int:
        """How many rows the next slice may have."""
        return int(self._rows)

    def pruned(self, found: int) -> None:
        """A slice of `rows` found so many to delete."""
        limits = self._limits
        if found < self.rows:
            aim = self._rows * AIM_SHARE
            stretch = STRETCH_MAX if found * STRETCH_MAX <= aim else aim / found
            self._rows = max(self._rows * SHRINKAGE, self._usual_rows)
        else:
            stretch = FULL_STRETCH
            if self._rest_seconds <= limits.prune_rest_seconds:
                self._rows = min(self._rows * GROWTH, limits.prune_rows_max)
        self._rest_seconds = min(
            max(self._rest_seconds * stretch, limits.prune_rest_seconds),
            limits.prune_interval_seconds,
        )

    def failed(self) -> None:
        """The store could not delete, and may be able to later: leave it alone."""
        self._rest_seconds = self._limits.prune_interval_seconds


async def prune(
    store: Store,
    retention: Retention,
    limits: PruneLimits,
    clock: Callable[[], Nanoseconds],
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> None:
    """Delete what is past retention, for ever. Raises StoreError where trying again is of no use."""
    pace = PrunePace(limits)
    while True:
        await sleep(pace.rest_seconds)
        try:
            found = await store.prune(retention, clock(), pace.rows)
        except StoreError as error:
            if not error.retryable:
                raise
            pace.failed()
        else:
            pace.pruned(found)
