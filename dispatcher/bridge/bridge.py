"""The bridge: everything that makes the SFU dispatch becomes jobs of ours (A20, A22).

It keeps sockets for all that is served: what workers have registered, ever; what rules and the
configuration name. An offer is committed, then answered, with an empty identity: so the SFU ties the
job to no participant, and ends none by mistake. A sweep over the SFU's rooms and dispatches, at start,
after a reconnect, for a new name and every so often, adopts what was offered to nobody and calls off
what is gone. An unnamed socket that serves nobody says so at once.

Left to others: one socket (`socket`), one job for one call (`core.bridging`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from random import Random
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskGroup

from dispatcher.bridge.health import SweepHealth
from dispatcher.bridge.limits import BridgeLimits
from dispatcher.bridge.offers import call_of, job_for, restart_policy_of, served_of
from dispatcher.bridge.socket import Connect, SfuSocket, open_websocket
from dispatcher.bridge.sweeping import DispatchSource, look
from dispatcher.core.bridged import (
    AgentServed,
    BridgeDispatchEnded,
    BridgeDispatchesListed,
    BridgeOffered,
    Served,
    SfuCall,
)
from dispatcher.core.bridging import SERVED_INTERVAL
from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.engine import Engine
from dispatcher.core.events import Event
from dispatcher.core.jobs import JobType, Nanoseconds, RestartPolicy
from dispatcher.core.lifecycle import JobPhase
from dispatcher.sfu.access import SfuAccess
from dispatcher.sfu.client import SfuError
from dispatcher.store.contract import StoredJob
from protocol import wire_pb2
from protocol.errors import CallboardError
from protocol.ids import new_job_id

log = structlog.get_logger()


class JobReader(Protocol):
    """Who can tell of a job (the store)."""

    async def get_job(self, project: str, job_id: str) -> StoredJob | None:
        """Return one job."""
        ...


class Dispatcher(Protocol):
    """Whom calls are told to (`runtime.Runtime`)."""

    @property
    def engine(self) -> Engine:
        """The engine, for its views."""
        ...

    @property
    def store(self) -> JobReader:
        """The store, for reading."""
        ...

    @property
    def now(self) -> Callable[[], Nanoseconds]:
        """The engine's clock."""
        ...

    def submit(self, event: Event) -> None:
        """Tell the engine what happened."""
        ...

    async def ask(self, make_event: Callable[[int], Event]) -> Reply:
        """Tell the engine, and return its answer when that is durable. Raises CallboardError."""
        ...


class Bridge:
    """Keeps the sockets of one project's SFU, and sweeps over its dispatches."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        source: DispatchSource,
        access: SfuAccess,
        urls: Sequence[str],
        project: str,
        limits: BridgeLimits | None = None,
        opener: Connect = open_websocket,
        others: Sequence[DispatchSource] = (),
    ) -> None:
        self._dispatcher = dispatcher
        # who can tell of dispatches; whom we ask is the first, and others have a try when it fails
        self._sources = [source, *others]
        self._access = access
        self._urls = tuple(urls)
        self._project = project
        self._limits = limits or BridgeLimits()
        self._open = opener
        self._random = Random()
        # what is served now, and the sockets of what is registered, with what ends them
        self._served: frozenset[Served] = frozenset()
        self._sockets: dict[Served, tuple[anyio.CancelScope, list[SfuSocket]]] = {}
        # when a connection was last lost, or came back, by the loop's clock; None: never
        self._disturbed_at: float | None = None
        # set when a sweep is wanted before its time
        self._wanted = anyio.Event()
        self.health = SweepHealth()
        # addresses whose last connection failed
        self._away: set[str] = set()
        # rooms that a sweep was told nothing of: when they are asked for again, and the pause then
        self._silent: dict[str, tuple[float, float]] = {}
        # is more served than may be registered?
        self._is_over_limit = False

    async def run(self) -> None:
        """Keep the sockets, and sweep, until cancelled."""
        self._disturb()  # what the SFU did while we were away is not known
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_sockets, tasks)
            tasks.start_soon(self._sweep)
            tasks.start_soon(self._report)

    @property
    def sockets(self) -> list[SfuSocket]:
        """All its sockets."""
        return [socket for _, sockets in self._sockets.values() for socket in sockets]

    # --- who is served ------------------------------------------------------------------------

    async def _keep_sockets(self, tasks: TaskGroup) -> None:
        while True:
            of_workers = self._of_workers()
            self._remember(of_workers)
            served = of_workers | set(self._otherwise_served())
            if served - self._served:
                self._wanted.set()  # its sockets may be there: those of who is unnamed always are
            self._served = frozenset(served)
            # Without an unnamed worker each room keeps the SFU busy for 3 s in asking for one.
            unnamed = {Served("", job_type) for job_type in {s.job_type for s in served}}
            registered = self._bounded({*served, *unnamed, Served("")})
            for gone in self._sockets.keys() - registered:
                self._sockets.pop(gone)[0].cancel()
            for new in registered - self._sockets.keys():
                self._register(new, tasks)
            await anyio.sleep(self._limits.look_seconds)

    def _bounded(self, registered: set[Served]) -> set[Served]:
        """Return as many as may be registered."""
        names_max = self._limits.names_max
        is_over_limit = len(registered) > names_max
        if is_over_limit and not self._is_over_limit:
            log.warning("bridge_names_over_limit", names_max=names_max)
        self._is_over_limit = is_over_limit
        if not is_over_limit:
            return registered
        by_name = sorted(registered, key=lambda s: (s.agent_name, s.deployment, s.job_type))
        return set(by_name[:names_max])

    def _remember(self, of_workers: Iterable[Served]) -> None:
        """Have what workers serve now written down, so that the SFU is told before they return."""
        known, now = self._dispatcher.engine.served, self._dispatcher.now()
        for served in of_workers:
            at = known.get((self._project, served))
            if at is None or now - at >= SERVED_INTERVAL:
                self._dispatcher.submit(AgentServed(self._project, served))

    def _of_workers(self) -> set[Served]:
        # Thousands of workers have a few lanes between them.
        workers = self._dispatcher.engine.workers.values()
        lanes = {lane for worker in workers for lane in worker.lanes}
        return {
            Served(lane.agent_name, lane.job_type, lane.deployment)
            for lane in lanes
            if lane.project == self._project and not lane.namespace
        }

    def _otherwise_served(self) -> Iterable[Served]:
        engine = self._dispatcher.engine
        for project, served in engine.served:
            if project == self._project:
                yield served
        for (project, _), rule in engine.rules.items():
            if project == self._project and rule.enabled and rule.agent_name and not rule.namespace:
                yield Served(rule.agent_name, rule.job_type, rule.deployment)
        for agent_name in engine.policy.agents:
            if agent_name:
                yield Served(agent_name)

    def _register(self, served: Served, tasks: TaskGroup) -> None:
        count = max(self._limits.sockets_each, len(self._urls))
        sockets = [
            SfuSocket(
                self._urls[number % len(self._urls)],
                self._access,
                served,
                self,
                self._limits,
                self._open,
            )
            for number in range(count)
        ]
        scope = anyio.CancelScope()
        self._sockets[served] = scope, sockets

        async def keep() -> None:
            with scope:
                async with anyio.create_task_group() as group:
                    for socket in sockets:
                        group.start_soon(socket.run)

        tasks.start_soon(keep)

    # --- what comes over a socket -------------------------------------------------------------

    def connected(self, socket: SfuSocket) -> None:
        """A socket is registered: what was offered to nobody until now is found by a sweep."""
        if socket.url in self._away:
            self._away.discard(socket.url)
            self._disturb()
            log.info("bridge_connected_again", url=socket.url)
        served = socket.served
        log.info(
            "bridge_registered",
            url=socket.url,
            agent_name=served.agent_name,
            job_type=served.job_type.name.lower(),
            deployment=served.deployment,
        )
        self._wanted.set()

    def lost(self, socket: SfuSocket, cause: str, *, was_connected: bool) -> None:
        """A socket is lost, and the SFU may be restarting; or it cannot be made."""
        if was_connected:
            self._disturb()
        if socket.url not in self._away:
            self._away.add(socket.url)
            log.warning("bridge_disconnected", url=socket.url, reason=cause)

    def _disturb(self) -> None:
        self._disturbed_at = anyio.current_time()

    @property
    def _after_outage(self) -> bool:
        at = self._disturbed_at
        return at is not None and anyio.current_time() - at < self._limits.outage_seconds

    async def offered(self, socket: SfuSocket, job: wire_pb2.Job) -> wire_pb2.AvailabilityResponse:
        """Commit the call, then answer; what cannot be committed in time is declined."""
        try:
            if served_of(job) not in self._served:
                return wire_pb2.AvailabilityResponse(available=False, terminate=True)
            with anyio.fail_after(self._limits.answer_seconds):
                is_taken = await self._commit(socket, job)
        except TimeoutError:
            log.warning("bridge_offer_declined", sfu_job_id=job.id, reason="the commit is late")
            is_taken = False
        except CallboardError as error:
            log.warning("bridge_offer_declined", sfu_job_id=job.id, reason=str(error))
            is_taken = False
        return wire_pb2.AvailabilityResponse(available=is_taken)

    async def _commit(self, socket: SfuSocket, offered: wire_pb2.Job) -> bool:
        call = call_of(offered, self._project)
        engine, now = self._dispatcher.engine, self._dispatcher.now()
        policy, ids = RestartPolicy.ON_FAILURE, None
        if (self._project, call.key) not in engine.calls:
            policy, ids = await self._ask_of(call)
        job_id = new_job_id(now, self._random)
        job = job_for(call, offered, job_id, now, engine.policy.queue_time, policy)
        reply = await self._dispatcher.ask(
            lambda number: BridgeOffered(number, call, job, self._after_outage, ids)
        )
        if reply.outcome is Outcome.REFUSED:
            log.warning("bridge_offer_declined", sfu_job_id=offered.id, reason=reply.detail)
            return False
        socket.accepted[offered.id] = self._project, call.key
        return True

    async def _ask_of(self, call: SfuCall) -> tuple[RestartPolicy, frozenset[str] | None]:
        """Ask what an offer does not tell: its restart policy, and its room's dispatches."""
        try:
            with anyio.fail_after(self._limits.policy_seconds):
                found = {each.id: each for each in await self._source.list_dispatches(call.room)}
        except (TimeoutError, SfuError):
            return RestartPolicy.ON_FAILURE, None  # the default is LiveKit's own
        if call.dispatch_id not in found:
            return RestartPolicy.ON_FAILURE, None  # who does not know it is not to be trusted
        return restart_policy_of(found[call.dispatch_id]), frozenset(found)

    async def terminated(self, socket: SfuSocket, sfu_job_id: str) -> None:
        """The SFU ended a job: a hint, and nothing more, that its dispatch is gone."""
        key = socket.accepted.pop(sfu_job_id, None)
        called = self._dispatcher.engine.calls.get(key) if key is not None else None
        if called is None:
            return
        room, dispatch_id = called.call.room, called.call.dispatch_id
        try:
            if await self._source.list_dispatches(room, dispatch_id):
                return
            sid = called.call.room_sid
            room_is_there = any(each.sid == sid for each in await self._source.list_rooms([room]))
        except SfuError:
            self._wanted.set()
            return
        self._dispatcher.submit(
            BridgeDispatchEnded(self._project, room, dispatch_id, room_is_there)
        )

    # --- what has ended here ------------------------------------------------------------------

    async def _report(self) -> None:
        """Tell the SFU how jobs have ended, once."""
        while True:
            await anyio.sleep(self._limits.look_seconds)
            for socket in self.sockets:
                for sfu_job_id, key in list(socket.accepted.items()):
                    called = self._dispatcher.engine.calls.get(key)
                    if called is None:  # its dispatch is gone, and the SFU knows
                        socket.accepted.pop(sfu_job_id, None)
                    elif called.has_ended:
                        await self._report_end(socket, sfu_job_id, called.job_id)

    async def _report_end(self, socket: SfuSocket, sfu_job_id: str, job_id: str) -> None:
        try:
            stored = await self._dispatcher.store.get_job(self._project, job_id)
        except CallboardError:
            return  # at the next look
        if stored is not None and not stored.state.phase.is_ended:
            return  # its end is being committed
        socket.accepted.pop(sfu_job_id, None)
        if stored is not None and stored.state.phase is JobPhase.FAILED:
            await socket.report(sfu_job_id, wire_pb2.JS_FAILED, stored.state.error)
        else:  # to the SFU, CANCELLED is no end
            await socket.report(sfu_job_id, wire_pb2.JS_SUCCESS, "")

    # --- sweeps -------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            self._wanted = anyio.Event()
            await self.sweep()
            with anyio.move_on_after(self._limits.sweep_seconds):
                await self._wanted.wait()

    async def sweep(self) -> bool:
        """Hold what is known against the SFU's dispatches; False where it did not tell them."""
        asked_at = self._dispatcher.now()
        after_outage = self._after_outage
        now = anyio.current_time()
        avoided = {name for name, (until, _) in self._silent.items() if until > now}
        failed: SfuError | None = None
        for _ in range(len(self._sources)):
            try:
                seen = await look(
                    self._source,
                    self._project,
                    self._served_types(),
                    self._dispatcher,
                    self._random,
                    self._limits,
                    avoided,
                )
                break
            except SfuError as error:
                failed = failed or error
                self._sources.append(self._sources.pop(0))
        else:
            assert failed is not None, "there is somebody to ask"
            self.health.failed(failed)
            self._disturb()
            return False
        self._note_silent(seen.silent, avoided)
        self.health.succeeded(len(seen.silent), seen.unserved)
        self._dispatcher.submit(
            BridgeDispatchesListed(
                self._project,
                asked_at,
                seen.rooms,
                after_outage or self._after_outage,
                seen.silent,
            )
        )
        return True

    @property
    def _source(self) -> DispatchSource:
        return self._sources[0]

    def _note_silent(self, silent: Collection[str], avoided: Collection[str]) -> None:
        limits, before, now = self._limits, self._silent, anyio.current_time()
        self._silent = {name: before[name] for name in silent if name in avoided}
        for name in silent:
            if name not in avoided:
                pause = limits.silent_seconds_min
                if name in before:
                    pause = min(before[name][1] * 2, limits.silent_seconds_max)
                self._silent[name] = now + pause, pause

    def _served_types(self) -> dict[tuple[str, str], set[JobType]]:
        """The job types that are served, by agent name and deployment."""
        types: dict[tuple[str, str], set[JobType]] = {}
        for served in self._served:
            types.setdefault((served.agent_name, served.deployment), set()).add(served.job_type)
        return types
