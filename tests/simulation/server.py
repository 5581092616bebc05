"""The simulated server process: the real engine and group commit, in the runtime's order.

What `dispatcher.runtime` does with an event loop, this does on the timeline: one commit at a time,
messages released after it, then its results given to the engine. A crash loses all of it; the
database keeps what was applied, whether or not anybody was told.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatcher.core.commit import GroupCommit, void_jobs
from dispatcher.core.effects import (
    DropWorker,
    Effect,
    Message,
    NoteIgnored,
    Outcome,
    Reply,
    SendAssignment,
    StoreRequest,
)
from dispatcher.core.engine import Engine
from dispatcher.core.events import (
    AssignmentExpired,
    DispatchCreated,
    DrainStarted,
    Event,
    StoreResult,
    WorkerDisconnected,
)
from dispatcher.core.jobs import MILLISECOND, SECOND, Nanoseconds
from protocol.errors import CallboardError, StoreUnavailable
from tests.simulation.network import Frame, Link

if TYPE_CHECKING:
    from tests.simulation.simulator import World

# A commit that takes longer than this makes the server unsteady: no bound on it is judged.
SLOW_COMMIT: Nanoseconds = 200 * MILLISECOND


class Server:
    """One server process after another, on one database."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.is_up = False
        self.is_draining = False
        self.incarnation = 0
        # since when nothing but its own decisions keeps it from being prompt; None: it is kept
        self.steady_since: Nanoseconds | None = None
        self.engine: Engine
        self._commits: GroupCommit
        self._links: dict[str, Link] = {}
        self._timer_at: Nanoseconds | None = None
        # results of a commit are being given to the engine: the next commit begins after them
        self._is_handing_in = False
        # calls that were refused because the store could not write
        self._refused: set[int] = set()
        # when the commit under way began; None: there is none
        self._commit_begun: Nanoseconds | None = None

    def is_steady(self, window: Nanoseconds) -> bool:
        """Has nothing kept it from being prompt for this long?"""
        now = self._world.timeline.now
        if self.steady_since is None or now - self.steady_since < window:
            return False
        return self._commit_begun is None or now - self._commit_begun < SLOW_COMMIT

    @property
    def accepts(self) -> bool:
        """Would a new connection be taken?"""
        return self.is_up and not self.is_draining

    # --- its life ---

    def start(self) -> None:
        """Start a process on what the database has."""
        world = self._world
        self.is_up, self.is_draining = True, False
        self.incarnation += 1
        self.steady_since = world.timeline.now
        self.engine = world.make_engine(world.random.getrandbits(32))
        self._commits = world.make_commits()
        self._links = {}
        self._timer_at = None
        self._is_handing_in = False
        self._commit_begun = None
        self._refused = set()
        recovered = world.database.open()
        world.trace.started(self.incarnation)
        self.submit(recovered)

    def crash(self) -> None:
        """Lose the process and everything that is not in the database."""
        world = self._world
        self.is_up = False
        self.incarnation += 1
        self.steady_since = None
        world.database.crash()
        world.trace.crashed()
        for link in self._links.values():
            link.is_open_at_server = False
            link.cut(0, world.scenario.notice_delay(world.random))
        self._links = {}

    def drain(self) -> None:
        """Make no more offers: the process is about to be stopped in good order."""
        self.is_draining = True
        self.steady_since = None
        self.submit(DrainStarted())

    # --- from outside ---

    def accept(self, link: Link) -> None:
        """A connection was opened."""
        self._links[link.worker_id] = link

    def hear(self, link: Link, frame: Frame, true_epoch: int) -> None:
        """A frame of a worker arrived."""
        event = frame(link.worker_id)
        self._world.trace.heard(event, link, true_epoch)
        self.submit(event)

    def lost(self, link: Link) -> None:
        """A connection is found to be over."""
        if self._links.pop(link.worker_id, None) is not None:
            event = WorkerDisconnected(link.worker_id)
            self._world.trace.heard(event, link, 0)
            self.submit(event)

    def call(self, event: Event) -> None:
        """A caller's request arrived."""
        self._world.trace.heard(event, None, 0)
        self.submit(event)

    # --- the runtime's part ---

    def submit(self, event: Event) -> None:
        """Tell the engine what happened, and have its effects carried out."""
        try:
            effects = self.engine.handle(event, self._world.timeline.now)
        except (CallboardError, LookupError, AssertionError, AttributeError, TypeError):
            self._world.trace.broken(f"on {event}: {traceback.format_exc()}")
            return
        self._carry_out(effects)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for message in self._commits.add(effects):
            self._send(message)
        self._commit()
        at = self.engine.next_deadline()
        if at is not None and (self._timer_at is None or at < self._timer_at):
            self._timer_at = at
            self._world.timeline.at(at, self._expire, self.incarnation, at)

    def _expire(self, incarnation: int, at: Nanoseconds) -> None:
        if incarnation != self.incarnation or at != self._timer_at:
            return
        self._timer_at = None
        try:
            effects = self.engine.expire(self._world.timeline.now)
        except (CallboardError, LookupError, AssertionError, AttributeError, TypeError):
            self._world.trace.broken(f"on a deadline: {traceback.format_exc()}")
            return
        self._carry_out(effects)

    def _commit(self) -> None:
        if self._is_handing_in:
            return
        batch = self._commits.take()
        if batch:
            world = self._world
            self._commit_begun = begun = world.timeline.now
            world.timeline.after(
                world.scenario.commit_time(world.random), self._sync, self.incarnation, batch, begun
            )

    def _sync(self, incarnation: int, batch: list[StoreRequest], begun: Nanoseconds) -> None:
        """The moment at which the batch is durable."""
        if incarnation != self.incarnation:
            return
        world = self._world
        if world.commit_fails():
            world.database.fail_next_commits()
        try:
            results = world.database.apply(batch, begun)
        except StoreUnavailable:
            self.steady_since = None
            self._commits.failed()
            for request in self._commits.revoke_creations():
                refusal = Reply(request.request, Outcome.REFUSED)
                world.trace.sent(refusal, None)
                world.callers.replied(refusal)
                self._refused.add(request.request)
                self.submit(DispatchCreated(request.request, request.dispatch.id, created=False))
            world.timeline.after(SECOND // 10, self._retry, incarnation)
            return
        except CallboardError as error:
            world.trace.broken(f"the store refused a batch: {error}")
            return
        world.trace.committed(batch)
        # The answer takes a moment: who crashes in it has committed without knowing.
        answer = world.random.randrange(MILLISECOND)
        world.timeline.after(answer, self._committed, incarnation, batch, begun, results)

    def _retry(self, incarnation: int) -> None:
        if incarnation == self.incarnation:
            self._commit()

    def _committed(
        self,
        incarnation: int,
        batch: Sequence[StoreRequest],
        begun: Nanoseconds,
        results: Sequence[StoreResult],
    ) -> None:
        if incarnation != self.incarnation:
            return
        world = self._world
        now = world.timeline.now
        if not self.is_draining and (self.steady_since is None or now - begun > SLOW_COMMIT):
            self.steady_since = now
        if self.steady_since is not None and len(self._commits) > 2 * world.scenario.batch_max:
            self.steady_since = now  # an outage has left more than one commit's worth
        self._commit_begun = None
        self._is_handing_in = True
        for message in self._commits.committed(void_jobs(batch, results)):
            self._send(message)
        for result in results:
            self.submit(result)
        self._is_handing_in = False
        self._commit()

    def _send(self, message: Message) -> None:
        world = self._world
        if isinstance(message, NoteIgnored):
            world.trace.noted(message)
            return
        if isinstance(message, Reply):
            if message.request in self._refused:
                return  # its caller has been told already
            world.trace.sent(message, None)
            world.callers.replied(message)
            return
        if isinstance(message, SendAssignment) and message.expires_at < world.timeline.now:
            expired = AssignmentExpired(message.job.id, message.state.epoch)
            world.trace.heard(expired, self._links.get(message.worker_id), 0)
            self.submit(expired)
            return
        link = self._links.get(message.worker_id)
        if link is None:
            return
        world.trace.sent(message, link)
        if isinstance(message, DropWorker):
            del self._links[message.worker_id]
            link.close_by_server()
        else:
            link.tell(message)
