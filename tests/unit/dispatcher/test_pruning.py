"""What is past retention goes in small slices, evenly, however much comes; and nobody looks for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from dispatcher.core.jobs import Nanoseconds
from dispatcher.pruning import PrunePace, prune
from dispatcher.runtime import RuntimeLimits
from dispatcher.store.contract import Retention
from protocol.errors import StoreCorrupt, StoreError, StoreFull
from tests.support.memory_store import MemoryStore

pytestmark = pytest.mark.anyio

LIMITS = RuntimeLimits()
LONGEST = LIMITS.prune_interval_seconds
SHORTEST = LIMITS.prune_rest_seconds
ROWS = LIMITS.prune_rows
ROWS_MAX = LIMITS.prune_rows_max

# Of each job four events and the job itself are counted.
ROWS_OF_A_JOB = 5
HALF_LOAD = 900 * ROWS_OF_A_JOB
FLOOD = 3_000 * ROWS_OF_A_JOB


@dataclass
class Flow:
    """A store in which so many rows a second become old, on a clock of its own."""

    rows_per_second: float
    # what a slice takes, and with each of its rows
    slice_seconds: float = 0.004
    row_seconds: float = 6e-6

    now: float = 0.0
    # rows that are past retention and still there
    kept: float = 0.0
    pace: PrunePace = field(default_factory=lambda: PrunePace(LIMITS))
    # of each slice of this run: how long the store rested before, how many rows it had, and then how
    # many rows were left
    rests: list[float] = field(default_factory=list)
    slices: list[int] = field(default_factory=list)
    left: list[float] = field(default_factory=list)

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.kept += seconds * self.rows_per_second

    def run(self, seconds: float) -> Flow:
        """Let time pass, and take down the slices of it alone."""
        self.rests, self.slices, self.left = [], [], []
        until = self.now + seconds
        while self.now < until:
            self.rests.append(self.pace.rest_seconds)
            self._pass(self.pace.rest_seconds)
            rows = min(int(self.kept), self.pace.rows)
            self.kept -= rows
            self._pass(self.slice_seconds + rows * self.row_seconds)
            self.pace.pruned(rows)
            self.slices.append(rows)
            self.left.append(self.kept)
        return self


def settled(rows_per_second: float, slice_seconds: float = 0.004) -> Flow:
    """Return a flow that has been on for a minute."""
    flow = Flow(rows_per_second, slice_seconds)
    flow.run(60)
    return flow


# --- a steady load ---


@pytest.mark.parametrize("rate", [100, 1_000, HALF_LOAD, 2 * HALF_LOAD])
def test_a_steady_load_is_deleted_in_slices_that_are_all_alike(rate: int) -> None:
    flow = settled(rate).run(60)
    assert max(flow.slices) - min(flow.slices) <= 0.05 * ROWS


@pytest.mark.parametrize("rate", [100, 1_000, HALF_LOAD, 2 * HALF_LOAD])
def test_under_a_steady_load_slices_have_room_for_more(rate: int) -> None:
    assert max(settled(rate).run(60).slices) <= 0.6 * ROWS


@pytest.mark.parametrize("rate", [100, 1_000, HALF_LOAD, 2 * HALF_LOAD])
def test_under_a_steady_load_slices_are_no_smaller_than_is_worth_a_sync(rate: int) -> None:
    assert min(settled(rate).run(60).slices) >= 0.4 * ROWS


def test_where_little_ends_it_is_deleted_at_the_longest_intervals() -> None:
    assert set(settled(2).run(60).rests) == {LONGEST}


# --- more than was foreseen ---


@pytest.mark.parametrize("slice_seconds", [0.001, 0.004, 0.02])
def test_a_flood_leaves_nothing_behind(slice_seconds: float) -> None:
    assert max(settled(FLOOD, slice_seconds).run(60).left) < ROWS_MAX


def test_slices_stay_small_in_a_flood_where_such_slices_suffice() -> None:
    assert max(settled(FLOOD).run(60).slices) <= ROWS


def test_slices_grow_only_as_far_as_a_flood_needs_it() -> None:
    flow = settled(FLOOD, slice_seconds=0.02).run(60)
    rows_of_a_turn = FLOOD * (SHORTEST + 0.02)
    assert ROWS < rows_of_a_turn < max(flow.slices) < 1.5 * rows_of_a_turn


def test_slices_that_had_to_grow_are_small_again_when_the_flood_is_over() -> None:
    flow = settled(FLOOD, slice_seconds=0.02)
    flow.rows_per_second = 1_000
    flow.run(60)
    assert flow.pace.rows == ROWS


def test_slices_do_not_grow_for_what_came_while_an_idle_server_rested() -> None:
    flow = settled(0)
    flow.rows_per_second = HALF_LOAD
    assert max(flow.run(20).slices) <= 2 * ROWS


def test_slices_never_grow_beyond_their_bound() -> None:
    flow = settled(HALF_LOAD)
    flow.kept += 10**9
    assert max(flow.run(60).slices) == ROWS_MAX


@pytest.mark.parametrize("rate", [HALF_LOAD, FLOOD])
def test_a_load_that_comes_all_at_once_is_caught_up_with(rate: int) -> None:
    flow = settled(0)
    flow.rows_per_second = rate
    flow.run(60)
    assert flow.left[-1] < ROWS_MAX


def test_a_large_backlog_is_caught_up_with_beside_a_load() -> None:
    flow = settled(HALF_LOAD)
    flow.kept += 500_000
    flow.run(60)
    assert flow.left[-1] < ROWS_MAX


def test_there_is_a_rest_before_every_slice_of_a_backlog() -> None:
    flow = settled(HALF_LOAD)
    flow.kept += 10**9
    assert min(flow.run(60).rests) == SHORTEST


def test_a_backlog_is_caught_up_with_at_the_shortest_rest_where_a_slice_is_one_row() -> None:
    pace = PrunePace(RuntimeLimits(prune_rows_max=1))
    for _ in range(10):
        pace.pruned(pace.rows)
    assert (pace.rows, pace.rest_seconds) == (1, SHORTEST)


def test_a_slice_that_took_more_with_it_than_was_counted_is_a_full_one() -> None:
    pace, other = PrunePace(LIMITS), PrunePace(LIMITS)
    pace.pruned(ROWS)
    other.pruned(ROWS + 1)
    assert pace.rest_seconds == other.rest_seconds


# --- nothing to do ---


def test_a_server_that_was_just_started_rests_first() -> None:
    assert PrunePace(LIMITS).rest_seconds == LONGEST


def test_an_idle_server_looks_at_the_longest_intervals() -> None:
    assert set(settled(0).run(60).rests) == {LONGEST}


def test_a_server_that_falls_idle_looks_less_and_less() -> None:
    flow = settled(FLOOD)
    flow.rows_per_second = 0
    flow.run(30)
    assert flow.rests == sorted(flow.rests)
    assert flow.rests[-1] == LONGEST


def test_a_moment_without_anything_to_delete_is_not_idleness() -> None:
    flow = settled(HALF_LOAD)
    before = flow.pace.rest_seconds
    flow.pace.pruned(0)
    assert flow.pace.rest_seconds == 2 * before


# --- the store ---

RETENTION = Retention(1, 1, 1, 1)
NOW: Nanoseconds = 17


class Night(Exception):
    """There are no more rests."""


class ScriptedStore(MemoryStore):
    """Has an answer for each prune."""

    def __init__(self, answers: Sequence[int | StoreError]) -> None:
        super().__init__()
        self._answers = iter(answers)
        self.asked: list[tuple[Retention, Nanoseconds, int]] = []

    async def prune(self, retention: Retention, now: Nanoseconds, limit: int) -> int:
        """Give the next answer."""
        self.asked.append((retention, now, limit))
        answer = next(self._answers)
        if isinstance(answer, StoreError):
            raise answer
        return answer


async def rests_of(answers: Sequence[int | StoreError]) -> list[float]:
    """Prune a store that answers so; return the rests, the one after the last answer included."""
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) > len(answers):
            raise Night

    with pytest.raises(Night):
        await prune(ScriptedStore(answers), RETENTION, LIMITS, lambda: NOW, rest)
    return rests


async def test_the_store_is_asked_for_what_is_past_retention_by_now() -> None:
    store = ScriptedStore([StoreCorrupt("broken", "here", "mend it")])
    limits = RuntimeLimits(prune_interval_seconds=0.001)
    with pytest.raises(StoreCorrupt):
        await prune(store, RETENTION, limits, lambda: NOW)
    assert store.asked == [(RETENTION, NOW, ROWS)]


async def test_the_store_rests_before_each_slice_and_less_the_more_there_is() -> None:
    assert await rests_of([ROWS, ROWS]) == [LONGEST, LONGEST / 4, LONGEST / 16]


async def test_a_store_that_cannot_delete_is_left_alone_for_the_longest_interval() -> None:
    full = StoreFull("full", "here", "make room")
    assert await rests_of([ROWS, full]) == [LONGEST, LONGEST / 4, LONGEST]


async def test_a_store_that_can_delete_again_is_pruned_as_before() -> None:
    full = StoreFull("full", "here", "make room")
    assert (await rests_of([full, ROWS]))[1:] == [LONGEST, LONGEST / 4]


async def test_a_store_that_is_broken_ends_the_pruning() -> None:
    broken = StoreCorrupt("broken", "here", "mend it")
    with pytest.raises(StoreCorrupt):
        await rests_of([broken])
