"""`InProcessDispatcher`: a whole dispatcher in a test's event loop, to which unmodified workers connect.

It is the one that `callboard serve` runs, engine, rules, API and all, over a store in memory: without a
socket, a file or a thread. Its clock stands still until the test moves it (`pass_time`). A worker's own
time (its timeouts, how soon it reconnects, what its jobs sleep) is the event loop's, and goes on.

What workers tell by their own clock, the dispatcher does not wait for by its: a worker that is connected
is never taken to hang for want of a status, however much time is passed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.lowlevel

from dispatcher.config import ApiKey, Config
from dispatcher.core.jobs import SECOND
from dispatcher.core.policy import Policy
from dispatcher.runtime import RuntimeLimits
from dispatcher.store.memory import MemoryDatabase
from protocol import wire_pb2
from protocol.errors import ConfigError
from worker_sdk.client import DispatchClient
from worker_sdk.client.messages import JobRestartPolicy, ParticipantInfo, Room, RoomEvent
from worker_sdk.testing.fake_room import FakeRoom, opened
from worker_sdk.testing.in_process_job import InProcessJob
from worker_sdk.testing.memory_http import MemoryHttp
from worker_sdk.testing.one_job import API_KEY, API_SECRET, URL
from worker_sdk.testing.served_workers import ServedWorkers, only_error
from worker_sdk.testing.server_life import MovedClock, ServerLife
from worker_sdk.testing.waiting import WAIT_SECONDS, WaitedInVain, until
from worker_sdk.wakeup import Wakeup

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import TaskGroup

    from dispatcher.server.http import HttpApp
    from dispatcher.server.sessions import Sessions
    from worker_sdk.client import ReportedRoomEvent
    from worker_sdk.job import JobContext
    from worker_sdk.worker import Worker

__all__ = ["InProcessDispatcher"]

# Turns of the event loop in which nobody says anything, after which all is said; and the most turns
# that are waited for that.
QUIET_TURNS = 25
SETTLE_TURNS_MAX = 100_000
# What all that runs has to end when the block is left.
LEAVE_SECONDS_MAX = 30.0
# Deadlines that one call of `pass_time` lets pass.
DEADLINES_MAX = 100_000
# Longer than any test moves the clock.
_NEVER = 100 * 365 * 24 * 3600 * SECOND
# A busy server rests after a commit, by the real clock: here it never does.
_RUNTIME_LIMITS = RuntimeLimits(crowded_batch=1_000_000_000)


class InProcessDispatcher:
    """A dispatcher for a test: an asynchronous context, on asyncio.

    `policy` is the engine's (`dispatcher.core.policy`), `room` makes what `ctx.room()` gives a job: a
    FakeRoom where None. `wait_seconds` is how long the waits of a test last, in real time, before they
    raise WaitedInVain. Every call can be made from any task of the loop.
    """

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        room: Callable[[JobContext], object] | None = None,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.wait_seconds = wait_seconds
        self._config = Config(
            keys={API_KEY: ApiKey(API_SECRET)},
            policy=replace(
                policy or Policy(),
                status_stale_time=_NEVER,
                status_timeout=_NEVER,
                uncounted_time=_NEVER,
            ),
            runtime=_RUNTIME_LIMITS,
        )
        self._make_room = room or (lambda ctx: FakeRoom(ctx.job.room))
        self._clock = MovedClock(time.time_ns())
        self._database = MemoryDatabase()
        # Fired when something has changed that a test may wait for; and how much was said and stored.
        self._changes = Wakeup()
        self._said = 0
        self._workers = ServedWorkers(self._sessions, self._open_room, self._changes, self._note)
        # By job: the room that its last attempt opened.
        self._rooms: dict[str, object] = {}
        self._client: DispatchClient | None = None
        # The server that is up, and the task that everything runs in, while the context lasts.
        self._life: ServerLife | None = None
        self._tasks: TaskGroup | None = None
        self._host: asyncio.Task[None] | None = None
        self._leave = anyio.Event()

    # ---- its life ----

    async def __aenter__(self) -> Self:
        """Start it. Raises ConfigError outside asyncio, and for one that was left before."""
        if self._host is not None:
            raise ConfigError("an InProcessDispatcher is entered once; make another one")
        _check_loop()
        begun = anyio.Event()
        # Of its own, and not the test's: errors of the test are raised as they are, and a fixture may
        # enter in one task and leave in another.
        self._host = asyncio.create_task(self._run(begun), name="in-process dispatcher")
        self._host.add_done_callback(lambda _: begun.set())
        await begun.wait()
        self._raise_if_broken()
        self._client = DispatchClient(
            URL,
            API_KEY,
            API_SECRET,
            retry_seconds_max=self.wait_seconds,
            transport=MemoryHttp(self._server),
        )
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill it. Raises what broke it, if anything did."""
        assert self._host is not None
        with anyio.CancelScope(shield=True):
            if self._client is not None:
                await self._client.close()
            self._leave.set()
            _, running = await asyncio.wait([self._host], timeout=LEAVE_SECONDS_MAX)
        if running:
            raise WaitedInVain(f"the dispatcher did not end within {LEAVE_SECONDS_MAX:g} s")
        self._raise_if_broken()

    async def restart(self) -> None:
        """Kill the server, and start another one on its store. Workers reconnect by themselves."""
        life, self._life = self._life, None
        assert life is not None
        self._workers.server_died()
        await life.kill()
        await self._begin_life()

    # ---- workers ----

    @asynccontextmanager
    async def serving(self, *workers: Worker) -> AsyncIterator[None]:
        """Let workers serve while the block lasts; it begins when all are registered.

        When it is left each worker ends at once and its jobs are cancelled: a test that wants a drain
        calls `worker.drain()` and waits for `ended(worker)` before. Raises what a worker ended with.
        """
        self._running_life()
        assert self._tasks is not None
        served = self._workers.start(workers, self._tasks)
        try:
            for worker in workers:
                await self.connected(worker)
            yield
        finally:
            await self._workers.end(workers)
        for one in served:
            if one.failure is not None:
                raise one.failure

    async def connected(self, worker: Worker) -> None:
        """Wait until the worker is registered: at first, after a cut, after a restart."""
        served = self._workers.of(worker)

        async def look() -> bool | None:
            if served.ended.is_set():
                raise served.failure or WaitedInVain(f"{worker!r} has ended")
            return True if worker.worker_id is not None and served.is_connected else None

        await until(look, _saying(f"{worker!r} did not register"), self._changes, self.wait_seconds)

    async def ended(self, worker: Worker) -> None:
        """Wait until the worker has ended by itself: after `worker.drain()` or `worker.stop()`."""
        served = self._workers.of(worker)

        async def look() -> bool | None:
            return True if served.ended.is_set() else None

        text = f"{worker!r} serves on, with {worker.active_jobs} jobs"
        await until(look, _saying(text), self._changes, self.wait_seconds)
        if served.failure is not None:
            raise served.failure

    def cut(self, worker: Worker) -> None:
        """Break the worker's connection: both sides see it lost. The worker comes back by itself."""
        self._workers.of(worker).cut()

    @contextmanager
    def unreachable(self, worker: Worker) -> Iterator[None]:
        """Break the worker's connection, and let it make no other while the block lasts."""
        served = self._workers.of(worker)
        served.is_cut_off = True
        served.cut()
        try:
            yield
        finally:
            served.is_cut_off = False
            self._changes.fire()

    # ---- time ----

    @property
    def now_ns(self) -> int:
        """The dispatcher's time, in nanoseconds since the epoch: what its records have."""
        return self._clock.now

    async def pass_time(self, seconds: float) -> None:
        """Move the dispatcher's clock, from one deadline to the next, and let all act at each.

        Takes next to no real time. Returns when workers and dispatcher have no more to say.
        """
        if not seconds >= 0:
            raise ConfigError("pass_time: time does not go back")
        clock, end = self._clock, self._clock.now + round(seconds * SECOND)
        await self.settle()
        for _ in range(DEADLINES_MAX):
            due = self._running_life().parts.runtime.engine.next_deadline()
            if due is None or due > end:
                break
            clock.now = max(clock.now, due)
            await self._expire()
        else:
            raise WaitedInVain(f"more than {DEADLINES_MAX} deadlines in {seconds:g} s")
        clock.now = end
        await self._expire()

    async def settle(self) -> None:
        """Wait until workers and dispatcher have said all that they have to say for now.

        What takes real time, a job's `sleep` or a connection that is being made, is not waited for.
        """
        quiet = 0
        for _ in range(SETTLE_TURNS_MAX):
            said = self._said
            await anyio.lowlevel.checkpoint()
            quiet = quiet + 1 if said == self._said else 0
            if quiet >= QUIET_TURNS:
                return
        raise WaitedInVain(f"no end of messages in {SETTLE_TURNS_MAX} turns of the event loop")

    # ---- jobs and what makes them ----

    @property
    def client(self) -> DispatchClient:
        """The API client, connected to this dispatcher: rules, lists, events and all else."""
        if self._client is None:
            raise ConfigError("the InProcessDispatcher has not been entered")
        return self._client

    async def dispatch(
        self,
        room: str,
        agent_name: str | None = None,
        *,
        metadata: str = "",
        attributes: Mapping[str, str] | None = None,
        deployment: str = "",
        restart_policy: JobRestartPolicy = wire_pb2.JRP_ON_FAILURE,
    ) -> InProcessJob:
        """Ask for an agent in a room; return its job. `agent_name` None: the one that is served."""
        name = self._only_agent() if agent_name is None else agent_name
        made = await self.client.create_dispatch(
            room,
            name,
            metadata=metadata,
            attributes=attributes,
            deployment=deployment,
            restart_policy=restart_policy,
        )
        stored = await self.client.get_dispatch(made.id, room)
        if stored is None or not stored.state.jobs:
            raise ConfigError(
                f"the dispatch makes no job for the room: the workers of {name!r} take participants."
                " Tell of one with room_event(), and wait for its job with job()"
            )
        return InProcessJob(self, stored.state.jobs[0].id)

    async def job(self, room: str, agent_name: str = "") -> InProcessJob:
        """Wait until there is a job in the room (of the agent), and return the newest."""

        async def look() -> InProcessJob | None:
            jobs = await self.jobs(room, agent_name)
            return jobs[-1] if jobs else None

        of = f" of {agent_name!r}" if agent_name else ""
        text = f"no job{of} came to be in room {room!r}"
        return await until(look, _saying(text), self._changes, self.wait_seconds)

    async def jobs(self, room: str = "", agent_name: str = "") -> Sequence[InProcessJob]:
        """All jobs (in the room, of the agent), in the order in which they were made."""
        rows = self.client.iterate_jobs(room=room, agent_name=agent_name)
        return [InProcessJob(self, record.job.id) async for record in rows][::-1]

    async def room_event(
        self,
        event: str,
        room: str | Room,
        participant: str | ParticipantInfo | None = None,
        *,
        track_sid: str = "",
        event_id: str = "",
    ) -> ReportedRoomEvent:
        """Tell what happened in a room, by LiveKit's names: room_started, participant_joined ..."""
        told = RoomEvent(
            event=event,
            room=Room(name=room) if isinstance(room, str) else room,
            track_sid=track_sid,
            id=event_id,
        )
        if isinstance(participant, str):
            told.participant.identity = participant
        elif participant is not None:
            told.participant.CopyFrom(participant)
        return await self.client.report_room_event(told)

    # ---- for its jobs ----

    @property
    def changes(self) -> Wakeup:
        """Fired when something has changed."""
        return self._changes

    def room_of(self, job_id: str) -> object | None:
        """The room that the job's last attempt opened."""
        return self._rooms.get(job_id)

    # ---- inside ----

    async def _run(self, begun: anyio.Event) -> None:
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            await self._begin_life()
            begun.set()
            await self._leave.wait()
            tasks.cancel_scope.cancel()

    async def _begin_life(self) -> None:
        assert self._tasks is not None
        life = ServerLife(self._config, self._database, self._clock, self._note)
        await self._tasks.start(life.run)
        self._life = life
        self._changes.fire()

    def _raise_if_broken(self) -> None:
        host = self._host
        if host is not None and host.done() and not host.cancelled():
            error = host.exception()
            if error is not None:
                raise only_error(error) if isinstance(error, Exception) else error

    def _running_life(self) -> ServerLife:
        if self._life is None or self._life.tasks is None:
            raise ConfigError("the InProcessDispatcher does not run: it is to be entered, once")
        return self._life

    def _server(self) -> tuple[HttpApp, TaskGroup] | None:
        life = self._life
        return None if life is None or life.tasks is None else (life.parts.http, life.tasks)

    def _sessions(self) -> Sessions | None:
        return None if self._life is None else self._life.parts.sessions

    def _note(self) -> None:
        self._said += 1
        self._changes.fire()

    async def _expire(self) -> None:
        self._running_life().parts.runtime.expire()
        await self.settle()

    def _open_room(self, ctx: JobContext) -> AbstractAsyncContextManager[Any]:
        room = self._rooms[ctx.job.id] = self._make_room(ctx)
        self._changes.fire()
        return opened(room, ctx)

    def _only_agent(self) -> str:
        names = self._workers.agent_names
        if len(names) != 1:
            served = ", ".join(map(repr, names)) or "none"
            raise ConfigError(f"dispatch: say which agent_name; served are {served}")
        return names[0]


def _check_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigError(
            "an InProcessDispatcher needs asyncio: the dispatcher runs on it"
        ) from None


def _saying(text: str) -> Any:  # noqa: ANN401 - a coroutine function
    async def tell() -> str:
        return text

    return tell
