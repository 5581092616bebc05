"""The runtime: gives events to the engine and carries out its effects.

One event loop owns the engine. `submit` takes an event, sends what goes out at once, and wakes the
committer; the committer hands a batch to the store, releases the messages that waited for it, and
gives the results back to the engine as events. The timer wakes at the engine's next deadline.

A store that cannot write for now (a full disk) stops the commits, not the server: the batch is
tried again until it passes, workers stay connected, callers are refused with a retryable error,
and nothing that was promised is lost. A store that is broken ends the process with its one line, and
so does an engine that contradicts itself: what is on disk is whole, and a restart goes on from there.

Left to others: what to do (`core`), frames and sockets (`server`), rows (`store`), and when those are
deleted that are past retention (`pruning`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import anyio
import anyio.abc

from dispatcher.core.commit import GroupCommit, is_writing, void_jobs
from dispatcher.core.effects import (
    CreateDispatch,
    CreateJob,
    Effect,
    Message,
    NoteIgnored,
    RecordMove,
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
)
from dispatcher.core.jobs import Job, JobState, Nanoseconds
from dispatcher.pruning import prune
from dispatcher.store.contract import Retention, Store
from protocol.errors import CallboardError, StoreError

Clock = Callable[[], Nanoseconds]
# Job, worker and epoch.
_AssignmentKey = tuple[str, str, int]
_Underway = tuple[Sequence[StoreRequest], Awaitable[Sequence[StoreResult]]]


# The position that is written to find out whether the store can write again.
PROBE = "runtime.probe"


class Overloaded(CallboardError):
    """More is asked for than the store can take in for now; try again in a moment."""

    retryable = True


class EngineFailed(CallboardError):
    """The engine raised: a bug of ours, after which it is not to be trusted."""


class Delivery(Protocol):
    """Takes messages to workers. Called on the event loop."""

    def deliver(self, message: Message) -> None:
        """Send the message, or queue it within a bound; never wait, never raise."""
        ...

    def prepare(self, assignment: SendAssignment) -> Callable[[], None]:
        """Make an assignment ready, while the disk works; return what sends it. As `deliver`."""
        ...


class Witness(Protocol):
    """Is told of what the runtime does, for logs and metrics. Called on the event loop."""

    def created(self, job: Job, state: JobState) -> None:
        """A new job is durable."""
        ...

    def recorded(self, move: RecordMove) -> None:
        """A move of a job is durable."""
        ...

    def assigned(self, assignment: SendAssignment, now: Nanoseconds) -> None:
        """An assignment was sent to its worker."""
        ...

    def committed(self, requests: int, seconds: float) -> None:
        """A commit of so many requests took so long, and all that it made durable has been told."""
        ...

    def ignored(self, note: NoteIgnored) -> None:
        """Something that a worker said was of no consequence."""
        ...

    def engine_failed(self, error: Exception) -> None:
        """The engine raised, and the server ends."""
        ...

    def store_failing(self, error: StoreError) -> None:
        """A commit failed and will be tried again."""
        ...

    def store_recovered(self) -> None:
        """A commit passed after one or more that failed."""
        ...


@dataclass(frozen=True, slots=True)
class RuntimeLimits:
    """The runtime's bounds."""

    # store requests that are not durable yet; beyond it callers are refused
    backlog_max: int = 20_000
    # a caller's request is answered within this, or with a retryable error
    ask_timeout_seconds: float = 10.0
    # how often it is looked whose time is over
    ask_poll_seconds: float = 0.5
    # first and longest pause before a commit that failed is tried again
    commit_retry_seconds: float = 0.1
    commit_retry_seconds_max: float = 2.0
    # After a commit of so many requests the store rests so long, to find as many again: fewer and
    # larger commits cost a tenth less CPU a job, and under such a load even the wait is shorter.
    crowded_batch: int = 16
    rest_seconds: float = 0.002
    # A job's move that nobody waits for, or only the worker that reported it, has this time to find
    # company, for a commit of its own would have the next call wait for the disk twice as long.
    patience_seconds: float = 0.002
    # How long a drain waits for offers in flight, for commits and for running jobs, and how often it
    # looks. Jobs outlive a restart, but none is given out meanwhile: so it is short.
    drain_seconds: float = 5.0
    drain_poll_seconds: float = 0.02
    # The longest and the shortest rest between two slices of what is past retention. A commit may have
    # to wait for a slice: one of 250 rows takes 5 to 10 ms, half of it the disk's, whatever their number.
    # At the shortest rest that is 16,000 rows/s and more: 3,000 jobs/s, each with four events. The most
    # rows of a slice, where such slices suffice; and where they do not, so that the file is bounded.
    prune_interval_seconds: float = 5.0
    prune_rest_seconds: float = 0.005
    prune_rows: int = 250
    prune_rows_max: int = 1_000


class Runtime:
    """Runs one engine on one store. Build it, and call everything, on one event loop."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        delivery: Delivery,
        clock: Clock,
        witness: Witness,
        retention: Retention,
        limits: RuntimeLimits | None = None,
        committed: Callable[[], None] | None = None,
    ) -> None:
        self.engine = engine
        self.store = store
        self.now = clock
        self._delivery = delivery
        self._witness = witness
        self._retention = retention
        self._limits = limits or RuntimeLimits()
        # is told of each commit; must neither wait nor raise
        self._committed = committed
        self._commits = GroupCommit()
        # the batch that the store is at, and its answer to come
        self._underway: _Underway | None = None
        # when it was handed over, by time.perf_counter
        self._underway_since = 0.0
        # the end of its rest; None: it is not at rest
        self._rest: asyncio.TimerHandle | None = None
        # when what is patient is committed, if nothing else is before; None: nothing waits so
        self._patience: asyncio.TimerHandle | None = None
        # set when there is one, or the engine has failed
        self._work = asyncio.Event()
        # callers that wait for a Reply, and since when by the loop's clock, by request number;
        # and the last number that was given
        self._callers: dict[int, tuple[asyncio.Future[Reply], float]] = {}
        self._requests = 0
        # what sends the assignments that wait for the disk: a job has two where its worker is cut off
        # and back meanwhile
        self._prepared: dict[_AssignmentKey, Callable[[], None]] = {}
        # the loop's timer for the engine's next deadline, and when that is
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Nanoseconds = 0
        # why the store cannot write now; None while it can
        self._failing: StoreError | None = None
        # what a read found that cannot be mended: the store is not to be trusted after that
        self._damage: StoreError | None = None
        # what the engine raised: nothing more is decided after that
        self._broken: Exception | None = None
        self._is_open = False

    # --- what others may ask ---

    @property
    def ready(self) -> bool:
        """Does it take work: the store is open and writable, and no drain has begun?"""
        return self._is_open and self._failing is None and not self.engine.is_draining

    @property
    def failing(self) -> StoreError | None:
        """Why the store cannot write now; None while it can."""
        return self._failing

    @property
    def backlog(self) -> int:
        """How many store requests are not durable."""
        return len(self._commits)

    @property
    def callers_waiting(self) -> int:
        """How many callers wait for their answer."""
        return len(self._callers)

    def note_damage(self, error: StoreError) -> None:
        """Somebody who read found that the store is broken beyond trying again: end the run."""
        if self._damage is None:
            self._damage = error
            self._work.set()

    def submit(self, event: Event) -> None:
        """Tell the engine what happened, and have its effects carried out."""
        self._carry_out(self._handled(event))

    def expire(self) -> None:
        """Let pass what is due by the clock now: for who moves the clock. A timer does it else."""
        if self._broken is not None:
            return
        try:
            effects = self.engine.expire(self.now())
        except Exception as error:  # noqa: BLE001 (as in `_handled`)
            effects = self._broke(error)
        self._carry_out(effects)

    async def ask(self, make_event: Callable[[int], Event]) -> Reply:
        """Submit a caller's request, made with the number given to it; return its answer.

        Raises a retryable CallboardError when the store cannot write now, or too much is waiting.
        The request may be carried out all the same: a caller that repeats it uses the same id.
        """
        if self._failing is not None:
            # raised many times: without what it gathered each time
            raise self._failing.with_traceback(None)
        if self._commits.backlog > self._limits.backlog_max:
            raise Overloaded("too many requests wait for the store; try again in a moment")
        self._requests += 1
        request = self._requests
        loop = asyncio.get_running_loop()
        caller: asyncio.Future[Reply] = loop.create_future()
        self._callers[request] = caller, loop.time()
        try:
            self.submit(make_event(request))
            return await caller
        finally:
            del self._callers[request]

    # --- running ---

    async def run(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Open the store, take up what was there, and run until cancelled.

        Raises StoreError when the store cannot be opened, or is broken beyond trying again.
        """
        try:
            self.submit(await self.store.open(self.now()))
            self._is_open = True
            self._begin_commit()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(prune, self.store, self._retention, self._limits, self.now)
                tasks.start_soon(self._give_up)
                task_status.started()
                await self._commit()
        except ExceptionGroup as group:
            broken = [error for error in group.exceptions if isinstance(error, CallboardError)]
            if len(broken) < len(group.exceptions):
                raise
            raise broken[0] from None
        finally:
            self._is_open = False
            self._refuse_callers()
            for timer in (self._timer, self._rest, self._patience):
                if timer is not None:
                    timer.cancel()
            with anyio.CancelScope(shield=True):
                await self.store.close()

    async def drain(self) -> None:
        """Make no more offers; return when those in flight are settled, all is durable, and no
        worker that is connected has a job, or when the time is over.
        """
        self.submit(DrainStarted())
        limits = self._limits
        with anyio.move_on_after(limits.drain_seconds):
            while self._is_busy:  # noqa: ASYNC110
                await anyio.sleep(limits.drain_poll_seconds)
        # Who still waits is told so, before the server closes its connections.
        self._refuse_callers()

    def _refuse_callers(self) -> None:
        for caller, _ in self._callers.values():
            if not caller.done():
                caller.set_exception(Overloaded("the server stops; try again in a moment"))

    @property
    def _is_busy(self) -> bool:
        engine = self.engine
        return bool(len(self._commits)) or engine.has_offers or engine.has_held_jobs

    def _begin_commit(self) -> None:
        """Hand the store what waits, at once or in a moment, if it is neither at work nor at rest."""
        if self._commits.is_urgent:
            self._hand_over()
        elif self._patience is None and self._commits.has_waiting:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(self._limits.patience_seconds, self._end_patience)

    def _hand_over(self) -> None:
        """Hand the store what waits, now, if it is neither at work nor at rest."""
        if not self._is_open or self._underway is not None or self._rest is not None:
            return
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        batch = self._commits.take()
        if batch:
            self._underway_since = time.perf_counter()
            self._underway = batch, self.store.commit(batch, self.now())
            self._work.set()

    def _end_patience(self) -> None:
        self._patience = None
        self._hand_over()

    def _end_rest(self) -> None:
        self._rest = None
        self._hand_over()

    async def _commit(self) -> None:
        """Finish one commit after the other, for ever."""
        pause = self._limits.commit_retry_seconds
        while True:
            if self._broken is not None:
                raise EngineFailed(
                    f"the engine failed ({type(self._broken).__name__}: {self._broken}); nothing that"
                    " was acknowledged is lost: start the server again, and report this with its log"
                ) from self._broken
            if self._damage is not None:
                raise self._damage
            if self._underway is None:
                self._work.clear()
                await self._work.wait()
                continue
            batch, commit = self._underway
            try:
                results = await commit
            except StoreError as error:
                if not error.retryable:
                    raise
                self._failing = error
                self._witness.store_failing(error)
                self._commits.failed()
                self._refuse_creations(error)
                await anyio.sleep(pause)
                pause = min(pause * 2, self._limits.commit_retry_seconds_max)
                self._underway = None
                if self._commits.has_changes:
                    self._hand_over()
                else:
                    await self._wait_until_writable(pause)
                continue
            if self._failing is not None and is_writing(batch):
                self._recovered()
                pause = self._limits.commit_retry_seconds
            commit_seconds = time.perf_counter() - self._underway_since
            void = void_jobs(batch, results)
            for message in self._commits.committed(void):
                self._send(message)
            self._drop_prepared(void)
            for request in batch:
                if type(request) is RecordMove:
                    if request.job_id not in void:
                        self._witness.recorded(request)
                elif type(request) is CreateDispatch:
                    for job, state in request.jobs:
                        if job.id not in void:
                            self._witness.created(job, state)
                elif type(request) is CreateJob:
                    self._witness.created(request.job, request.state)
            self._witness.committed(len(batch), commit_seconds)
            if self._committed is not None:
                self._committed()
            effects: list[Effect] = []
            for result in results:
                effects += self._handled(result)
            self._underway = None
            if len(batch) >= self._limits.crowded_batch:
                loop = asyncio.get_running_loop()
                self._rest = loop.call_later(self._limits.rest_seconds, self._end_rest)
            self._carry_out(effects)

    async def _wait_until_writable(self, pause_seconds: float) -> None:
        """Try to write, until that works or something is committed that tells."""
        while not await self._can_write():
            await anyio.sleep(pause_seconds)
            if self._underway is not None:
                return
        self._hand_over()

    def _recovered(self) -> None:
        self._failing = None
        self._witness.store_recovered()

    async def _can_write(self) -> bool:
        """Write something of no meaning, where nothing else waits that would tell."""
        try:
            await self.store.set_position(PROBE, self.now())
        except StoreError as error:
            if not error.retryable:
                raise
            self._failing = error
            return False
        self._recovered()
        return True

    def _refuse_creations(self, error: StoreError) -> None:
        """Refuse the calls that would make something, and see that nothing of theirs is made.

        The store may be away for long, and a caller that was refused calls again by another id.
        """
        revoked = self._commits.revoke_creations()
        self._drop_prepared({job.id for request in revoked for job, _ in request.jobs})
        for request in revoked:
            entry = self._callers.get(request.request)
            if entry is not None and not entry[0].done():
                entry[0].set_exception(error.with_traceback(None))
            existed = DispatchCreated(request.request, request.dispatch.id, created=False)
            self._carry_out(self._handled(existed))

    def _drop_prepared(self, void: Collection[str]) -> None:
        """Forget the assignments of jobs that were not made."""
        if void:  # rare
            self._prepared = {
                key: send for key, send in self._prepared.items() if key[0] not in void
            }

    async def _give_up(self) -> None:
        """Answer callers who have waited for too long: looked at together, which costs a call nothing."""
        limits = self._limits
        while True:
            await anyio.sleep(limits.ask_poll_seconds)
            asked_before = anyio.current_time() - limits.ask_timeout_seconds
            for caller, asked_at in list(self._callers.values()):
                if asked_at > asked_before:
                    break  # in the order in which they asked
                if not caller.done():
                    caller.set_exception(
                        Overloaded(
                            f"the store did not answer within {limits.ask_timeout_seconds:g} s; what"
                            " was asked may still be done: ask again with the same request id"
                        )
                    )

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        at_once = self._commits.add(effects)
        # The disk is slower than the wire: it starts first.
        self._begin_commit()
        for effect in effects:
            if type(effect) is SendAssignment:
                self._prepared[_key_of(effect)] = self._delivery.prepare(effect)
        for message in at_once:
            self._send(message)
        at = self.engine.next_deadline()
        # A timer that is early does no harm, and is cheaper than one that is moved all the time.
        if at is not None and (self._timer is None or at < self._timer_at):
            self._set_timer(at)

    def _set_timer(self, at: Nanoseconds) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay_seconds = max(0.0, (at - self.now()) / 1e9)
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(delay_seconds, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.expire()

    def _handled(self, event: Event) -> list[Effect]:
        """Let the engine decide; a turn that fails is its last."""
        if self._broken is not None:
            return []
        try:
            return self.engine.handle(event, self.now())
        except Exception as error:  # noqa: BLE001 (nothing that it may be leaves the engine whole)
            return self._broke(error)

    def _broke(self, error: Exception) -> list[Effect]:
        """The engine raised: it has no effects, and is asked no more."""
        self._broken = error
        self._witness.engine_failed(error)
        self._work.set()
        return []

    def _send(self, message: Message) -> None:
        if type(message) is Reply:
            entry = self._callers.get(message.request)
            if entry is not None and not entry[0].done():
                entry[0].set_result(message)
        elif type(message) is NoteIgnored:
            self._witness.ignored(message)
        elif type(message) is SendAssignment:
            send = self._prepared.pop(_key_of(message), None)
            if send is None:
                return  # its worker was told this very thing before
            now = self.now()
            if message.expires_at < now:
                self.submit(AssignmentExpired(message.job.id, message.state.epoch))
            else:
                send()
                self._witness.assigned(message, now)
        else:
            self._delivery.deliver(message)


def _key_of(assignment: SendAssignment) -> _AssignmentKey:
    return assignment.job.id, assignment.worker_id, assignment.state.epoch
