"""The timer that calls are made by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import anyio
import pytest

from worker_sdk.loadtest.precise_timer import PreciseTimer

pytestmark = pytest.mark.anyio

NS = 1_000_000_000
DEADLINE_SECONDS = 60.0


class Bell:
    """A timer, and when it rang."""

    def __init__(self) -> None:
        self.rang_ns: list[int] = []
        self.rings = asyncio.Event()
        self.timer = PreciseTimer(asyncio.get_running_loop(), self._ring)

    def _ring(self) -> None:
        self.rang_ns.append(time.monotonic_ns())
        self.rings.set()

    async def wait(self) -> None:
        with anyio.fail_after(DEADLINE_SECONDS):
            await self.rings.wait()


@pytest.fixture
async def bell() -> AsyncIterator[Bell]:
    made = Bell()
    yield made
    made.timer.close()


async def test_it_rings_once_and_never_before_its_time(bell: Bell) -> None:
    at_ns = time.monotonic_ns() + NS // 20
    bell.timer.arm(at_ns)
    await bell.wait()
    assert len(bell.rang_ns) == 1
    assert bell.rang_ns[0] >= at_ns


async def test_a_time_that_has_passed_is_now(bell: Bell) -> None:
    bell.timer.arm(time.monotonic_ns() - NS)
    await bell.wait()


async def test_the_last_word_counts(bell: Bell) -> None:
    soon_ns = time.monotonic_ns() + NS // 50
    bell.timer.arm(soon_ns)
    bell.timer.arm(soon_ns + NS // 10)
    await bell.wait()
    assert len(bell.rang_ns) == 1
    assert bell.rang_ns[0] >= soon_ns + NS // 10


async def test_one_that_is_closed_never_rings(bell: Bell) -> None:
    other = Bell()
    other.timer.arm(time.monotonic_ns() + NS // 50)
    other.timer.close()
    bell.timer.arm(time.monotonic_ns() + NS // 10)
    await bell.wait()
    assert not other.rang_ns
