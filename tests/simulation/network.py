"""Connections between workers and the server: in order each, delayed, stalled, broken, half-open.

A connection keeps the order of each direction; nothing is ordered between two connections. When it
breaks, what is on its way is lost, each side notices at a time of its own, and what is written
until then is lost as well. One direction alone may break: nobody is told before somebody misses
an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dispatcher.core.effects import Message
from dispatcher.core.events import Event
from dispatcher.core.jobs import Nanoseconds

if TYPE_CHECKING:
    from tests.simulation.processes import WorkerProcess
    from tests.simulation.simulator import World

# What a worker says, once the server has named its connection.
Frame = Callable[[str], Event]


class Link:
    """One connection of a worker process."""

    __slots__ = (
        "_last_to_server",
        "_last_to_worker",
        "_world",
        "is_cut",
        "is_deaf_at_server",
        "is_deaf_at_worker",
        "is_open_at_server",
        "is_open_at_worker",
        "process",
        "worker_id",
    )

    def __init__(self, world: World, process: WorkerProcess, worker_id: str) -> None:
        self._world = world
        self.process = process
        self.worker_id = worker_id
        # nothing passes any more, whatever the two sides believe
        self.is_cut = False
        # nothing passes any more in this direction
        self.is_deaf_at_server = False
        self.is_deaf_at_worker = False
        # what each side believes
        self.is_open_at_server = True
        self.is_open_at_worker = True
        # when the last frame of each direction arrives: the next one comes no earlier
        self._last_to_server: Nanoseconds = 0
        self._last_to_worker: Nanoseconds = 0

    def __repr__(self) -> str:
        return f"{self.worker_id} of {self.process}"

    @property
    def is_whole(self) -> bool:
        """Do both sides believe in it, and are they right?"""
        return (
            self.is_open_at_server
            and self.is_open_at_worker
            and not (self.is_cut or self.is_deaf_at_server or self.is_deaf_at_worker)
        )

    # --- frames ---

    def say(self, frame: Frame, true_epoch: int = 0) -> None:
        """The worker writes a frame. `true_epoch` is what the frame is really about."""
        if self.is_open_at_worker and not self.is_cut:
            timeline = self._world.timeline
            arrives = max(self._last_to_server, timeline.now + self._world.latency())
            self._last_to_server = arrives
            timeline.at(arrives, self._server_hears, frame, true_epoch)

    def tell(self, message: Message) -> None:
        """The server writes a frame."""
        if self.is_open_at_server and not self.is_cut:
            timeline = self._world.timeline
            arrives = max(self._last_to_worker, timeline.now + self._world.latency())
            self._last_to_worker = arrives
            timeline.at(arrives, self._worker_hears, message)

    def _server_hears(self, frame: Frame, true_epoch: int) -> None:
        if self.is_open_at_server and not (self.is_cut or self.is_deaf_at_server):
            self._world.server.hear(self, frame, true_epoch)

    def _worker_hears(self, message: Message) -> None:
        if self.is_open_at_worker and not (self.is_cut or self.is_deaf_at_worker):
            self.process.wake(self.process.receive, self, message)

    # --- its end ---

    def cut(self, server_notices: Nanoseconds, worker_notices: Nanoseconds) -> None:
        """Break it; each side notices after this time."""
        self.is_cut = True
        self._world.timeline.after(server_notices, self.server_notices)
        self._world.timeline.after(worker_notices, self.worker_notices)

    def break_one_way(self, *, to_server: bool, noticed: Nanoseconds) -> None:
        """Break one direction; whoever misses an answer first gives it up after this time."""
        if to_server:
            self.is_deaf_at_server = True
        else:
            self.is_deaf_at_worker = True
        self._world.timeline.after(noticed, self.cut, 0, 0)

    def close_by_worker(self) -> None:
        """The worker closes it in good order: what it wrote before arrives before."""
        self.is_open_at_worker = False
        if not self.is_cut:
            arrives = max(self._last_to_server, self._world.timeline.now + self._world.latency())
            self._world.timeline.at(arrives, self.server_notices)

    def close_by_server(self) -> None:
        """The server closes it; it has forgotten it already."""
        self.is_open_at_server = False
        if not self.is_cut:
            arrives = max(self._last_to_worker, self._world.timeline.now + self._world.latency())
            self._world.timeline.at(arrives, self.worker_notices)

    def server_notices(self) -> None:
        """The server learns that it is over."""
        if self.is_open_at_server:
            self._world.server.lost(self)

    def worker_notices(self) -> None:
        """The worker learns that it is over."""
        if self.is_open_at_worker:
            self.is_open_at_worker = False
            self.process.wake(self.process.connection_lost, self)
