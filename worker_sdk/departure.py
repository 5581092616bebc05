"""A worker on its way out: what it says, to the server and to people, and what it waits for.

`drain` has the stages and their bounds; here is who obeys them. Whatever happens a departure ends:
jobs that do not let go are given away as they are, results that are not confirmed are given up after
a while, and a process that cannot close is ended by the watchdog.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import structlog

from worker_sdk.drain import (
    ANNOUNCED_JOBS_MAX,
    CLOSING_SECONDS_MAX,
    FORCED_DELIVERY_SECONDS_MAX,
    RESULT_DELIVERY_SECONDS_MAX,
    Drain,
    DrainPolicy,
    DrainStage,
)
from worker_sdk.log_events import LogEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from structlog.typing import FilteringBoundLogger

    from worker_sdk.link import ServerLink
    from worker_sdk.planner import Order, Planner
    from worker_sdk.signals import SignalCount
    from worker_sdk.wakeup import Wakeup

__all__ = ["Departure"]

# How often it is looked, beside when something changes: promises expire without a word.
LOOK_SECONDS = 1.0


class Departure:
    """The way out of one worker: `begin`, perhaps `leave`, and `until_over` for who serves."""

    def __init__(self, planner: Planner, wakeup: Wakeup) -> None:
        self._planner = planner
        self._wakeup = wakeup
        self.drain = Drain()
        self.log: FilteringBoundLogger = structlog.get_logger("callboard.worker")
        # While it serves; and where it is a program of its own, which may be ended by a watchdog.
        self.link: ServerLink | None = None
        self.signals: SignalCount | None = None

    def begin(self) -> None:
        """Take no more jobs."""
        drain = self.drain
        if not drain.begin(time.monotonic()):
            return
        self.log.info(
            LogEvent.DRAIN_STARTED,
            jobs=self._planner.ledger.held_count,
            policy=drain.policy.value,
            seconds_max=drain.seconds_max,
        )
        self._carry_out(self._planner.drain(yields=drain.policy is DrainPolicy.HAND_OVER))

    def leave(self) -> None:
        """End now: cancel the jobs that run, and give them to other workers."""
        if not self.drain.leave(time.monotonic()):
            return
        if self.signals is not None:
            self.signals.arm_watchdog()
        self.log.warning(LogEvent.STOP_FORCED, jobs=self._planner.ledger.active_count)
        self._carry_out(self._planner.stop_all())

    async def until_over(self, link: ServerLink) -> None:
        """Wait until a departure has begun, and until nothing is left to be done or told."""
        drain, outbox = self.drain, self._planner.outbox
        while drain.stage is DrainStage.SERVING:
            await self._wakeup.wait()
        await self._until_idle()
        idle_at = time.monotonic()
        while link.has_unwritten or len(outbox):
            is_leaving = drain.stage is DrainStage.LEAVING
            bound = FORCED_DELIVERY_SECONDS_MAX if is_leaving else RESULT_DELIVERY_SECONDS_MAX
            left_seconds = idle_at + bound - time.monotonic()
            if left_seconds <= 0:
                break
            self._announce("the server to confirm results", left_seconds)
            await self._wakeup.wait(min(left_seconds, LOOK_SECONDS))
        self.log.info(LogEvent.DRAIN_FINISHED, results_not_confirmed=len(outbox))
        if self.signals is not None:
            self.signals.arm_watchdog(CLOSING_SECONDS_MAX)

    async def _until_idle(self) -> None:
        drain, ledger = self.drain, self._planner.ledger
        # One that was told twice to end does not wait for what it was promised.
        while ledger.active_count if drain.stage is DrainStage.LEAVING else ledger.held_count:
            left_seconds = drain.seconds_left(time.monotonic())
            if left_seconds > 0:
                self._announce(self._awaited(), left_seconds)
                await self._wakeup.wait(min(left_seconds, LOOK_SECONDS))
                ledger.expire_reservations(anyio.current_time())
            elif drain.stage is DrainStage.DRAINING:
                self.log.warning(
                    LogEvent.DRAIN_DEADLINE_PASSED, jobs=ledger.held_count, after=drain.seconds_max
                )
                self.leave()
            else:
                self._carry_out(self._planner.abandon_all())
                return

    def _carry_out(self, orders: Iterable[Order]) -> None:
        if self.link is not None:
            self.link.carry_out(orders)
        self._wakeup.fire()

    # ---- what it says to people ----

    def _awaited(self) -> str:
        if self.drain.stage is DrainStage.LEAVING:
            return "jobs to clean up"
        if self.drain.policy is DrainPolicy.WAIT:
            return "jobs to end"
        is_connected = self.link is not None and self.link.worker_id is not None
        if is_connected and not self._planner.can_yield:
            return "jobs to end: this server gives none away"
        return "other workers with room for the jobs"

    def _announce(self, awaited: str, left_seconds: float) -> None:
        """Say what this worker still waits for, if that was not said just now."""
        now = time.monotonic()
        if not self.drain.is_announcement_due(now):
            return
        self.drain.announced(now)
        ledger, loop_now = self._planner.ledger, anyio.current_time()
        seconds = {job_id: ledger.since(job_id) for job_id in ledger.held_job_ids}
        self.log.info(
            LogEvent.DRAIN_WAITS,
            waits_for=awaited,
            jobs=len(seconds),
            running_seconds={
                job_id: None if since is None else round(loop_now - since, 1)
                for job_id, since in list(seconds.items())[:ANNOUNCED_JOBS_MAX]
            },
            results=len(self._planner.outbox),
            seconds_left=round(left_seconds, 1),
        )
