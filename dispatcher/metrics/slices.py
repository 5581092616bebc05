"""Long work on the event loop, in slices: others have their turn between two of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import anyio.lowlevel

# How long a slice lasts, but for its last step.
SLICE_SECONDS = 0.0005


async def in_slices(
    steps: Iterable[object],
    slice_seconds: float = SLICE_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Take all steps, which are short; return the seconds that they took, without the pauses."""
    spent = 0.0
    began = clock()
    for _ in steps:
        now = clock()
        if now - began >= slice_seconds:
            spent += now - began
            await anyio.lowlevel.checkpoint()
            began = clock()
    return spent + clock() - began
