"""One life of the dispatcher in a test's process: the real parts, on a store in memory.

`dispatcher.app.compose` puts them together, as for `callboard serve`; only the port is missing. A life
ends by being killed: nothing is drained, nobody is told, and what its store has is what the next
life begins with.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from dispatcher.app import compose
from dispatcher.store.memory import MemoryDatabase, MemoryStore

if TYPE_CHECKING:
    from dispatcher.config import Config
    from dispatcher.core.effects import StoreRequest
    from dispatcher.core.events import StoreResult
    from dispatcher.core.jobs import Nanoseconds

__all__ = ["MovedClock", "ServerLife"]

KILL_SECONDS_MAX = 5.0


class MovedClock:
    """A clock in nanoseconds since the epoch that stands still until it is moved."""

    def __init__(self, now: Nanoseconds) -> None:
        self.now = now

    def __call__(self) -> Nanoseconds:
        """Tell the time."""
        return self.now


class _ToldCommit:
    """A commit, after which somebody is told."""

    def __init__(
        self, commit: Awaitable[Sequence[StoreResult]], committed: Callable[[], None]
    ) -> None:
        self._commit = commit
        self._committed = committed

    def __await__(self) -> Generator[object, None, Sequence[StoreResult]]:
        results = yield from self._commit.__await__()
        self._committed()
        return results


class _ToldStore(MemoryStore):
    """A store that tells of its commits."""

    def __init__(self, database: MemoryDatabase, committed: Callable[[], None]) -> None:
        super().__init__(database)
        self._committed = committed

    def commit(
        self, requests: Sequence[StoreRequest], now: Nanoseconds
    ) -> Awaitable[Sequence[StoreResult]]:
        """Apply the requests, and tell."""
        return _ToldCommit(super().commit(requests, now), self._committed)


class ServerLife:
    """A server from its start to its kill. `run` it in a task; `parts` are there at once."""

    def __init__(
        self,
        config: Config,
        database: MemoryDatabase,
        clock: MovedClock,
        committed: Callable[[], None],
    ) -> None:
        self.parts = compose(config, _ToldStore(database, committed), clock)
        # Of the calls that are under way, and all else that dies with it; None while it does not run.
        self.tasks: anyio.abc.TaskGroup | None = None
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()

    async def run(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until killed. Starts when the store is open. Raises what breaks the server."""
        parts = self.parts
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    await tasks.start(parts.runtime.run)
                    tasks.start_soon(parts.feed.run)
                    self.tasks = tasks
                    task_status.started()
                    await anyio.sleep_forever()
        finally:
            self.tasks = None
            with anyio.move_on_after(KILL_SECONDS_MAX, shield=True):
                await parts.http.close()
            self._ended.set()

    async def kill(self) -> None:
        """End at once, and wait until nothing of it runs."""
        self._scope.cancel()
        await self._ended.wait()
