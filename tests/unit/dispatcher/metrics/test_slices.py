"""Long work leaves turns to others."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from dispatcher.metrics.slices import in_slices

pytestmark = pytest.mark.anyio


async def test_others_have_a_turn_after_each_slice_and_the_pauses_are_not_counted() -> None:
    now = 0.0
    turns: list[float] = []

    def steps() -> Iterator[None]:
        nonlocal now
        for _ in range(10):
            now += 1.0
            yield

    async def other() -> None:
        nonlocal now
        while True:
            turns.append(now)
            now += 100.0
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        spent = await in_slices(steps(), slice_seconds=3.0, clock=lambda: now)
        tasks.cancel_scope.cancel()
    assert spent == 10.0
    assert len(turns) == 3


async def test_what_fits_into_one_slice_is_done_in_one_turn() -> None:
    async with anyio.create_task_group() as tasks:
        seen: list[str] = []

        async def other() -> None:
            seen.append("other")

        tasks.start_soon(other)
        await in_slices(iter(range(1000)), clock=lambda: 0.0)
        seen.append("done")
    assert seen == ["done", "other"]
