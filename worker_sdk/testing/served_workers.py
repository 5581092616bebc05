"""The workers that serve an `InProcessDispatcher`: over which links, and how each ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from protocol.errors import ConfigError
from protocol.tokens import mint_api_token
from worker_sdk.connection import OPEN_TIMEOUT_SECONDS, ConnectionEnded, FrameSocket
from worker_sdk.credentials import Credentials
from worker_sdk.room_opener import RoomOpener, room_opener
from worker_sdk.testing.memory_link import ServerEnd, WorkerEnd, connected
from worker_sdk.testing.one_job import API_KEY, API_SECRET, URL

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from dispatcher.server.sessions import Sessions
    from worker_sdk.wakeup import Wakeup
    from worker_sdk.worker import Worker

__all__ = ["Served", "ServedWorkers", "only_error"]

CREDENTIALS = Credentials(URL, API_KEY, API_SECRET)
# What a worker's jobs have to clean up when its block is left.
STOP_SECONDS_MAX = 20.0


class Served:
    """A worker that serves, or did."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()
        # Why it ended, where that is an error.
        self.failure: Exception | None = None
        # Its last connection.
        self.link: ServerEnd | None = None
        # While it is, it makes no connection.
        self.is_cut_off = False

    @property
    def is_connected(self) -> bool:
        """Has it a link that is not over?"""
        return self.link is not None and not self.link.ended_because

    def cut(self) -> None:
        """Break its connection, if it has one."""
        if self.link is not None:
            self.link.lose("connection lost: cut by the test")


class ServedWorkers:
    """Starts workers and ends them. `sessions` are those of the server that is up; None: none is.

    `changes` is fired when something has changed, `note_frame` called at each frame.
    """

    def __init__(
        self,
        sessions: Callable[[], Sessions | None],
        open_room: RoomOpener,
        changes: Wakeup,
        note_frame: Callable[[], None],
    ) -> None:
        self._sessions = sessions
        self._open_room = open_room
        self._changes = changes
        self._note_frame = note_frame
        self._served: dict[Worker, Served] = {}

    def of(self, worker: Worker) -> Served:
        """What is known of a worker that serves here. Raises ConfigError for another."""
        if worker not in self._served:
            raise ConfigError(f"{worker!r} does not serve here")
        return self._served[worker]

    @property
    def agent_names(self) -> Sequence[str]:
        """The agents that are served, in order."""
        return sorted({worker.agent_name for worker in self._served})

    def start(self, workers: Sequence[Worker], tasks: TaskGroup) -> Sequence[Served]:
        """Let workers serve, in tasks of their own. Raises ConfigError for one that does already."""
        for number, worker in enumerate(workers):
            if worker in self._served or worker in workers[:number]:
                raise ConfigError(f"{worker!r} serves here already")
        for worker in workers:
            served = self._served[worker] = Served()
            tasks.start_soon(self._serve, worker, served, name=repr(worker))
        return [self._served[worker] for worker in workers]

    async def end(self, workers: Sequence[Worker]) -> None:
        """End workers at once, and wait until nothing of them runs."""
        for worker in workers:
            self._served[worker].scope.cancel()
        with anyio.move_on_after(STOP_SECONDS_MAX, shield=True):
            for worker in workers:
                await self._served[worker].ended.wait()
        for worker in workers:
            del self._served[worker]

    def server_died(self) -> None:
        """The server is killed: all connections are lost, and it is told of none."""
        for served in self._served.values():
            if served.link is not None:
                served.link.die("the server was killed")

    async def _serve(self, worker: Worker, served: Served) -> None:
        room_opener.set(self._open_room)
        try:
            with served.scope:
                await worker.serve_over(partial(self._connect, served), CREDENTIALS)
        except Exception as error:  # noqa: BLE001 - the test's to see, wherever it waits
            served.failure = only_error(error)
        finally:
            served.ended.set()
            self._changes.fire()

    async def _connect(self, served: Served, credentials: Credentials) -> FrameSocket:
        with anyio.move_on_after(OPEN_TIMEOUT_SECONDS):
            await anyio.lowlevel.checkpoint()
            while (sessions := self._sessions()) is None or served.is_cut_off:
                await self._changes.wait()
            token = mint_api_token(
                credentials.api_key, credentials.api_secret, now_ns=time.time_ns(), agent=True
            )
            served.link = connected(sessions, token, self._note_frame)
            return WorkerEnd(served.link)
        raise ConnectionEnded(f"no answer in {OPEN_TIMEOUT_SECONDS:g} s")


def only_error(error: Exception) -> Exception:
    """The error that a group is about, where it has one alone."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
