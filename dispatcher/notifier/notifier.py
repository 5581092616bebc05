"""All outgoing webhooks of a server: one `UrlNotifier` for each URL, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from random import Random

import anyio
import anyio.abc
import httpx2

from dispatcher.core.jobs import Nanoseconds
from dispatcher.event_feed import EventFeed
from dispatcher.notifier.limits import NotifierLimits
from dispatcher.notifier.url_notifier import Jobs, Target, UrlNotifier
from dispatcher.server.access import ApiKey


class Notifier:
    """Runs the webhooks of `targets`, whose keys are all among `keys`."""

    def __init__(
        self,
        targets: Sequence[Target],
        keys: Mapping[str, ApiKey],
        feed: EventFeed,
        store: Jobs,
        limits: NotifierLimits,
        clock: Callable[[], Nanoseconds] = time.time_ns,
        random: Random | None = None,
    ) -> None:
        self._targets = targets
        self._keys = keys
        self._feed = feed
        self._store = store
        self._limits = limits
        self._clock = clock
        self._random = random or Random()
        # one for each target, from the start of `run` on
        self.notifiers: list[UrlNotifier] = []
        self._running = anyio.CancelScope()
        self._ended = anyio.Event()

    async def run(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Tell what happens until `stop`. Starts when what happens from then on will be told.

        Raises StoreError where the store is broken for good.
        """
        try:
            if self._targets:
                await self._run(task_status)
            else:
                task_status.started()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Tell what is left, within a bound, and end. The feed is closed; the store still open."""
        with anyio.move_on_after(self._limits.stop_seconds):
            await self._ended.wait()
        self._running.cancel()
        await self._ended.wait()

    async def _run(self, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with httpx2.AsyncClient(
            timeout=self._limits.timeout_seconds,
            follow_redirects=False,
            # One connection for each URL: none waits for another's.
            limits=httpx2.Limits(max_connections=None),
        ) as client:
            self.notifiers = [
                UrlNotifier(
                    target,
                    self._keys[target.key].secret,
                    self._keys[target.key].project,
                    feed=self._feed,
                    store=self._store,
                    client=client,
                    limits=self._limits,
                    clock=self._clock,
                    random=self._random,
                )
                for target in self._targets
            ]
            for notifier in self.notifiers:
                await notifier.begin()
            task_status.started()
            with self._running:
                async with anyio.create_task_group() as tasks:
                    for notifier in self.notifiers:
                        tasks.start_soon(notifier.run)
