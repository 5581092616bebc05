"""The simulated server process: the real engine and group commit, in the runtime's order.

What `dispatcher.runtime` does with an event loop, this does on the timeline: one commit at a time,
messages released after it, then its results given to the engine. A crash loses all of it; the
database keeps what was applied, whether or not anybody was told. A commit that failed and may be
tried again (a full disk, an input/output error) is tried again; one that failed for good ends the
process. What SQLite could not sync is not there as long as the process lives, and may be there when
it has ended before the next commit: the log on the disk had it.

The process may stop for a while and go on (SIGSTOP): what came meanwhile comes then. Its clock is
`dispatcher.clock.steady_clock`: it reads the wall clock when it starts.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatcher.core.commit import GroupCommit, is_writing, void_jobs
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
from protocol.errors import CallboardError
from tests.simulation.network import Frame, Link
from tests.simulation.store import CommitFault, SqliteUnderSimulation
from tests.simulation.timeline import Action

if TYPE_CHECKING:
    from tests.simulation.simulator import World

# A commit that takes longer than this makes the server unsteady: no bound on it is judged.
SLOW_COMMIT: Nanoseconds = 200 * MILLISECOND
# How long the runtime waits before it tries a commit again (RuntimeLimits).
RETRY_MIN: Nanoseconds = 100 * MILLISECOND
RETRY_MAX: Nanoseconds = 2 * SECOND


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
        # its clock, against the timeline; where it stands while the whole machine is suspended
        self._offset: Nanoseconds = 0
        self._stands_at: Nanoseconds | None = None
        # stopped until then, and what came meanwhile
        self._paused_until: Nanoseconds = 0
        self._put_off: deque[tuple[Action, tuple[object, ...]]] = deque()
        # the pause before the next try, while the store cannot write; 0 while it can
        self._retry_after: Nanoseconds = 0
        # a batch that could not be synced, and when it was tried: the log on the disk may have it
        self._unsynced: tuple[list[StoreRequest], Nanoseconds] | None = None

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

    @property
    def takes_calls(self) -> bool:
        """Would a call reach the engine? (While the store cannot write, callers are refused.)"""
        return self.is_up and not self._retry_after

    @property
    def is_idle(self) -> bool:
        """Is everything durable?"""
        return not len(self._commits)

    @property
    def now(self) -> Nanoseconds:
        """The time by its own clock."""
        if self._stands_at is not None:
            return self._stands_at
        return self._world.timeline.now + self._offset

    def _local(self, at: Nanoseconds) -> Nanoseconds:
        """When this time of its clock is on the timeline."""
        return at - self._offset

    @property
    def stands_still(self) -> bool:
        """Is its machine suspended, and its clock with it?"""
        return self._stands_at is not None

    @property
    def steady_since_by_its_clock(self) -> Nanoseconds:
        """The same as `steady_since`, by its own clock. It must be steady."""
        assert self.steady_since is not None, "it is not"
        return self.steady_since + self._offset

    # --- its life ---

    def start(self) -> None:
        """Start a process on what the database has."""
        world = self._world
        self.is_up, self.is_draining = True, False
        self.incarnation += 1
        self.steady_since = world.timeline.now
        self._offset, self._stands_at = world.wall_offset, None
        self._paused_until = self._retry_after = 0
        self._put_off.clear()
        self._unsynced = None
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
        if self._unsynced is not None and world.random.random() < 0.5:
            world.database.apply(*self._unsynced)
            world.trace.committed(self._unsynced[0])
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

    def pause(self, lasts: Nanoseconds, *, with_its_clock: bool) -> None:
        """Stop for so long."""
        world = self._world
        until = world.timeline.now + lasts
        self._paused_until = max(self._paused_until, until)
        self.steady_since = None
        if with_its_clock and self._stands_at is None:
            self._stands_at = self.now
        world.timeline.at(until, self._go_on, self.incarnation)
        for link in self._links.values():
            if lasts > 8 * SECOND and world.random.random() < 0.5:
                link.cut(lasts, 8 * SECOND)  # its worker has waited for long enough

    def _go_on(self, incarnation: int) -> None:
        if incarnation != self.incarnation or self.is_paused:
            return
        if self._stands_at is not None:
            offset = self._stands_at - self._world.timeline.now
            self._world.facts.stood_still(self._offset - offset)
            self._offset, self._stands_at = offset, None
        if not (self.is_draining or self._retry_after):
            self.steady_since = self._world.timeline.now
        while self._put_off:
            action, args = self._put_off.popleft()
            action(*args)
            if incarnation != self.incarnation:
                return
        self._timer_at = None
        self._set_timer()

    @property
    def is_paused(self) -> bool:
        """Is it stopped?"""
        return self._paused_until > self._world.timeline.now

    def _when_awake(self, action: Action, *args: object) -> bool:
        """Do this when it goes on, in place of now; return False if it is not stopped."""
        if self._paused_until <= self._world.timeline.now:
            return False
        self._put_off.append((action, args))
        return True

    # --- from outside ---

    def accept(self, link: Link) -> None:
        """A connection was opened."""
        self._links[link.worker_id] = link

    def hear(self, link: Link, frame: Frame, true_epoch: int) -> None:
        """A frame of a worker arrived."""
        if self._when_awake(self.hear, link, frame, true_epoch) or not link.is_open_at_server:
            return
        event = frame(link.worker_id)
        self._world.trace.heard(event, link, true_epoch)
        self.submit(event)

    def lost(self, link: Link) -> None:
        """A connection is found to be over."""
        if self._when_awake(self.lost, link):
            return
        link.is_open_at_server = False
        if self._links.pop(link.worker_id, None) is not None:
            event = WorkerDisconnected(link.worker_id)
            self._world.trace.heard(event, link, 0)
            self.submit(event)

    def call(self, event: Event) -> None:
        """A caller's request arrived."""
        if self._when_awake(self.call, event):
            return
        self._world.trace.heard(event, None, 0)
        self.submit(event)

    # --- the runtime's part ---

    def submit(self, event: Event) -> None:
        """Tell the engine what happened, and have its effects carried out."""
        try:
            effects = self.engine.handle(event, self.now)
        except (CallboardError, LookupError, AssertionError, AttributeError, TypeError):
            self._world.trace.broken(f"on {event}: {traceback.format_exc()}")
            return
        self._carry_out(effects)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for message in self._commits.add(effects):
            self._send(message)
        self._commit()
        self._set_timer()

    def _set_timer(self) -> None:
        at = self.engine.next_deadline()
        if at is not None and (self._timer_at is None or at < self._timer_at):
            self._timer_at = at
            self._world.timeline.at(self._local(at), self._expire, self.incarnation, at)

    def _expire(self, incarnation: int, at: Nanoseconds) -> None:
        if incarnation != self.incarnation or at != self._timer_at or self.is_paused:
            return  # one that is stopped looks when it goes on
        self._timer_at = None
        try:
            effects = self.engine.expire(self.now)
        except (CallboardError, LookupError, AssertionError, AttributeError, TypeError):
            self._world.trace.broken(f"on a deadline: {traceback.format_exc()}")
            return
        self._carry_out(effects)

    def _commit(self) -> None:
        if self._is_handing_in or self._commit_begun is not None:
            return
        batch = self._commits.take()
        if batch:
            world = self._world
            self._commit_begun = world.timeline.now
            world.timeline.after(
                world.scenario.commit_time(world.random),
                self._sync,
                self.incarnation,
                batch,
                self.now,
            )

    def _sync(self, incarnation: int, batch: list[StoreRequest], begun: Nanoseconds) -> None:
        """The moment at which the batch is durable."""
        if incarnation != self.incarnation:
            return
        world = self._world
        fault = world.commit_fault(is_writing=is_writing(batch))
        if fault is CommitFault.FULL and isinstance(world.database, SqliteUnderSimulation):
            world.database.is_full = True  # it finds out by itself
            fault = None
        if fault is not None and fault.is_retryable:
            if fault is CommitFault.OUTAGE:
                self._unsynced = list(batch), begun
            self._failed(incarnation)
            return
        if fault is CommitFault.LOST:
            world.server_ends("a commit failed for good, and was not carried out")
            return
        try:
            results = world.database.apply(batch, begun)
        except CallboardError as error:
            if error.retryable:
                self._failed(incarnation)
                return
            world.trace.broken(f"the store refused a batch: {error}")
            return
        if is_writing(batch):
            self._unsynced = None  # its place in the log is another's
        world.trace.committed(batch)
        if fault is CommitFault.LOST_ANSWER:
            world.server_ends("a commit failed for good, and was carried out")
            return
        # The answer takes a moment: who crashes in it has committed without knowing.
        answer = world.random.randrange(MILLISECOND)
        world.timeline.after(answer, self._committed, incarnation, batch, begun, results)

    def _failed(self, incarnation: int) -> None:
        """The batch changed nothing: whoever would make something is refused, and it is tried again."""
        if incarnation != self.incarnation or self._when_awake(self._failed, incarnation):
            return
        world = self._world
        self.steady_since = None
        self._commits.failed()
        self._retry_after = min(max(2 * self._retry_after, RETRY_MIN), RETRY_MAX)
        for request in self._commits.revoke_creations():
            refusal = Reply(request.request, Outcome.REFUSED)
            world.trace.sent(refusal, None)
            world.callers.replied(refusal)
            self._refused.add(request.request)
            self.submit(DispatchCreated(request.request, request.dispatch.id, created=False))
        world.timeline.after(self._retry_after, self._retry, incarnation)

    def _retry(self, incarnation: int) -> None:
        if incarnation != self.incarnation or self._when_awake(self._retry, incarnation):
            return
        world = self._world
        if not self._commits.has_changes:
            # Nothing that waits would tell whether it can write again: a probe does.
            if world.commit_fault(is_writing=True) is not None:
                world.timeline.after(self._retry_after, self._retry, incarnation)
                return
            self._retry_after = 0
            self._unsynced = None
        self._commit_begun = None
        self._commit()

    def _committed(
        self,
        incarnation: int,
        batch: Sequence[StoreRequest],
        begun: Nanoseconds,
        results: Sequence[StoreResult],
    ) -> None:
        if incarnation != self.incarnation or self._when_awake(
            self._committed, incarnation, batch, begun, results
        ):
            return
        world = self._world
        now = world.timeline.now
        if is_writing(batch):
            self._retry_after = 0
        is_slow = now - self._local(begun) > SLOW_COMMIT
        if not (self.is_draining or self._retry_after) and (self.steady_since is None or is_slow):
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
            if world.rule_callers is not None:
                world.rule_callers.replied(message)
            return
        if isinstance(message, SendAssignment) and message.expires_at < self.now:
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
