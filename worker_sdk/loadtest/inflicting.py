"""What goes wrong in a load test, on purpose: workers come and go, are killed, are all cut off."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from worker_sdk.loadtest.processes import CrowdProcess
    from worker_sdk.loadtest.profile import Profile

__all__ = ["Inflicting"]

CHURN_TICK_SECONDS = 0.25
# All processes are told of a cut so long ahead.
CUT_AHEAD_NS = 100_000_000


class Inflicting:
    """Does what the profile says for as long as it runs; `note` is told of each thing."""

    def __init__(
        self,
        profile: Profile,
        workers: Callable[[], list[CrowdProcess]],
        kill: Callable[[CrowdProcess], Awaitable[None]],
        note: Callable[[str], None],
    ) -> None:
        self._profile = profile
        self._workers = workers
        self._kill = kill
        self._note = note

    async def run(self) -> None:
        """Go on until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._churn)
            tasks.start_soon(self._kills)
            tasks.start_soon(self._storms)

    async def _churn(self) -> None:
        if not self._profile.churn_per_second:
            return
        owed, turn = 0.0, 0
        while True:
            await anyio.sleep(CHURN_TICK_SECONDS)
            owed += self._profile.churn_per_second * CHURN_TICK_SECONDS
            while owed >= 1.0:
                owed -= 1.0
                processes = self._workers()
                processes[turn % len(processes)].tell({"do": "churn", "workers": 1})
                turn += 1

    async def _kills(self) -> None:
        if not self._profile.kill_every_seconds:
            return
        turn = 0
        while True:
            await anyio.sleep(self._profile.kill_every_seconds)
            processes = self._workers()
            victim = processes[turn % len(processes)]
            turn += 1
            self._note(f"SIGKILL to {victim.state.get('workers', 0)} workers")
            await self._kill(victim)

    async def _storms(self) -> None:
        if not self._profile.storm_every_seconds:
            return
        while True:
            await anyio.sleep(self._profile.storm_every_seconds)
            at_ns = time.monotonic_ns() + CUT_AHEAD_NS
            for process in self._workers():
                process.tell({"do": "cut", "at_ns": at_ns})
            self._note("all sockets cut")
