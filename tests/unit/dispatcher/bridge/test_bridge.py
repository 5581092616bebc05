"""The bridge against an SFU that does things in the worst order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import anyio
import pytest
from structlog.testing import capture_logs

from dispatcher.bridge.bridge import Bridge
from dispatcher.bridge.limits import BridgeLimits
from dispatcher.clock import steady_clock
from dispatcher.core.bridged import Served
from dispatcher.core.effects import Message, NoteIgnored, RecordMove, SendAssignment, StoreRequest
from dispatcher.core.engine import Engine
from dispatcher.core.events import (
    Acceptance,
    Answer,
    JobReported,
    OfferAnswered,
    Registration,
    RuleApplyRequested,
    StoreResult,
    WorkerDisconnected,
    WorkerRegistered,
    WorkerReported,
)
from dispatcher.core.jobs import (
    SECOND,
    Job,
    JobState,
    JobStatus,
    JobType,
    Nanoseconds,
    RestartPolicy,
)
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import AgentPolicy, Policy
from dispatcher.core.rules import Rule
from dispatcher.runtime import Runtime, RuntimeLimits
from dispatcher.sfu.access import SfuAccess
from dispatcher.store.contract import JobFilter, Retention, StoredJob
from protocol import wire_pb2
from protocol.errors import StoreError, StoreFull
from tests.conformance.waiting import eventually, throughout
from tests.support.memory_store import MemoryDatabase, MemoryStore
from tests.unit.dispatcher.bridge.fake_sfu import FakeConnection, FakeSfu

pytestmark = pytest.mark.anyio

PROJECT = "project"
ACCESS = SfuAccess("ws://sfu:7880", "key", "secret-of-at-least-thirty-two-bytes")
RETENTION = Retention(3600 * SECOND, 1000, 3600 * SECOND, 1000)
LIMITS = BridgeLimits(
    answer_seconds=0.3,
    status_seconds=0.05,
    look_seconds=0.02,
    sweep_seconds=600,  # only when something makes one necessary
    outage_seconds=0.0,
    retry_seconds_min=0.01,
    retry_seconds_max=0.02,
)


class HeldStore(MemoryStore):
    """A store whose commits may be held back, or fail."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.gate = anyio.Event()
        self.gate.set()
        self.error: StoreError | None = None

    def hold(self) -> None:
        """Let no commit pass until `gate` is set."""
        self.gate = anyio.Event()

    async def commit(
        self, requests: Sequence[StoreRequest], now: Nanoseconds
    ) -> Sequence[StoreResult]:
        """Commit, once the gate is open."""
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return await super().commit(requests, now)


class Nobody:
    """Takes messages to workers, and hears what the runtime does."""

    def deliver(self, message: Message) -> None: ...

    def prepare(self, assignment: SendAssignment) -> Callable[[], None]:
        return lambda: None

    def created(self, job: Job, state: JobState) -> None: ...

    def recorded(self, move: RecordMove) -> None: ...

    def ignored(self, note: NoteIgnored) -> None: ...

    def engine_failed(self, error: Exception) -> None:
        raise error

    def store_failing(self, error: StoreError) -> None: ...

    def store_recovered(self) -> None: ...
    def committed(self) -> None: ...


class Scene:
    """A runtime, its bridge, and the SFU."""

    def __init__(
        self,
        database: MemoryDatabase,
        sfu: FakeSfu,
        policy: Policy,
        limits: BridgeLimits,
        urls: Sequence[str],
        others: Sequence[FakeSfu] = (),
    ) -> None:
        self.sfu = sfu
        self.store = HeldStore(database)
        self.runtime = Runtime(
            engine=Engine(policy, Random(7)),
            store=self.store,
            delivery=Nobody(),
            clock=steady_clock(),
            witness=Nobody(),
            retention=RETENTION,
            limits=RuntimeLimits(commit_retry_seconds=0.001, commit_retry_seconds_max=0.002),
        )
        self.bridge = Bridge(self.runtime, sfu, ACCESS, urls, PROJECT, limits, sfu.open, others)

    def work(self, agent: str = "greeter", *, job_type: JobType = JobType.ROOM) -> str:
        """A worker of this name comes; return its id."""
        worker = f"AW_{agent}"
        said = Registration(PROJECT, agent, "", "", (job_type,))
        self.runtime.submit(WorkerRegistered(worker, said))
        self.runtime.submit(WorkerReported(worker, 0.0, 0, full=True, draining=False))
        return worker

    async def jobs(self) -> list[StoredJob]:
        """All jobs, oldest first."""
        return list(reversed(await self.store.list_jobs(JobFilter(PROJECT), 1_000)))

    async def only(self, *phases: JobPhase) -> StoredJob:
        """Wait until there is a job, in one of these phases, and no other."""

        async def found() -> StoredJob | None:
            jobs = await self.jobs()
            assert len(jobs) <= 1
            return next((j for j in jobs if not phases or j.state.phase in phases), None)

        return await eventually(f"one job {phases}", found, seconds=5)

    async def swept(self) -> None:
        """Wait for a sweep that begins after this."""
        before = self.sfu.sweeps
        assert await self.bridge.sweep()
        assert self.sfu.sweeps > before


@asynccontextmanager
async def scene(
    sfu: FakeSfu | None = None,
    database: MemoryDatabase | None = None,
    *,
    policy: Policy | None = None,
    limits: BridgeLimits = LIMITS,
    urls: Sequence[str] = (ACCESS.url,),
    others: Sequence[FakeSfu] = (),
) -> AsyncIterator[Scene]:
    """Run a bridge; at the end everything of it is gone but the SFU and the disk, as after a kill."""
    disk = database or MemoryDatabase()
    one = Scene(disk, sfu or FakeSfu(), policy or Policy(), limits, urls, others)
    async with anyio.create_task_group() as tasks:
        await tasks.start(one.runtime.run)
        tasks.start_soon(one.bridge.run)
        try:
            yield one
        finally:
            tasks.cancel_scope.cancel()


def person(identity: str, **fields: object) -> wire_pb2.ParticipantInfo:
    """Somebody who is in a room."""
    info = wire_pb2.ParticipantInfo(
        sid=f"PA_{identity}", identity=identity, state=wire_pb2.ParticipantInfo.ACTIVE
    )
    for name, value in fields.items():
        setattr(info, name, value)
    return info


# --- who is registered ---


async def test_a_workers_name_is_registered_on_two_sockets_as_available_and_idle() -> None:
    async with scene() as one:
        one.work()
        for socket in await one.sfu.sockets():
            statuses = socket.statuses
            while len(statuses) < 2:
                statuses = await _more(socket, len(statuses))
            assert {(each.status, each.load) for each in statuses} == {(wire_pb2.WS_AVAILABLE, 0)}
            assert not socket.registration.namespace


async def _more(socket: FakeConnection, count: int) -> list[wire_pb2.UpdateWorkerStatus]:
    await eventually("another status", lambda: len(socket.statuses) > count, seconds=5)
    return socket.statuses


async def test_rules_and_the_configuration_name_agents_too() -> None:
    policy = Policy(agents={"configured": AgentPolicy()})
    async with scene(policy=policy) as one:
        rule = Rule("r", JobType.PUBLISHER, "ruled")
        await one.runtime.ask(lambda number: RuleApplyRequested(number, PROJECT, rule))
        await one.sfu.sockets("configured")
        await one.sfu.sockets("ruled", job_type=JobType.PUBLISHER)
        # and who is called without a name is asked for at all types that there are
        await one.sfu.sockets("", job_type=JobType.PUBLISHER)


async def test_names_are_registered_again_before_their_workers_are_back() -> None:
    database, sfu = MemoryDatabase(), FakeSfu()
    async with scene(sfu, database) as one:
        worker = one.work()
        await sfu.sockets()
        one.runtime.submit(WorkerDisconnected(worker))
        await throughout("it stays", lambda: len(sfu.connections) == 4, seconds=0.1)
    database.crash()
    async with scene(sfu, database):
        await sfu.sockets()


async def test_a_socket_of_each_node_is_registered() -> None:
    sfu = FakeSfu()
    async with scene(sfu, urls=["ws://one", "wss://two/path", "http://three"]):
        sockets = await sfu.sockets("", count=3)
        urls = sorted(socket.url for socket in sockets)
        assert urls == ["ws://one/agent", "ws://three/agent", "wss://two/path/agent"]


async def test_a_node_that_is_away_for_good_does_not_keep_rooms_from_ending() -> None:
    sfu = FakeSfu()
    sfu.away_urls = {"ws://dead/agent"}
    limits = replace(LIMITS, outage_seconds=0.5)
    async with scene(sfu, urls=["ws://alive", "ws://dead"], limits=limits) as one:
        one.work()
        socket = (await sfu.sockets(count=1))[0]
        sfu.room()
        await sfu.assign(socket, sfu.job(sfu.dispatch()))
        del sfu.rooms["room"]

        async def has_ended() -> bool:
            await one.swept()
            return (await one.only()).state.phase is JobPhase.CANCELLED

        await eventually("the room is over", has_ended, seconds=5)


async def test_more_names_than_the_bound_are_left_out() -> None:
    limits = replace(LIMITS, names_max=3)
    policy = Policy(agents={f"agent-{n}": AgentPolicy() for n in range(9)})
    async with scene(policy=policy, limits=limits) as one:
        await eventually("three", lambda: len(one.sfu.connections) == 6, seconds=5)
        await throughout("no more", lambda: len(one.sfu.connections) == 6, seconds=0.1)


# --- offers ---


async def test_an_offer_is_answered_after_its_commit_with_an_empty_identity() -> None:
    async with scene() as one:
        one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch())
        one.store.hold()
        one.sfu.offer(socket, job)
        await throughout("no answer", lambda: not socket.answers, seconds=0.1)
        assert await one.jobs() == []
        one.store.gate.set()
        answer = await one.sfu.answer(socket, job)
        assert answer.available
        assert not answer.participant_identity
        made = (await one.only()).job
        config = wire_pb2.Job.FromString(made.config)
        assert config.id == made.id != job.id
        assert config.enable_recording
        assert config.metadata == "of the dispatch"
        assert not config.room.turn_password
        assert not config.HasField("state")


async def test_a_commit_that_is_late_is_declined_in_time_and_its_job_is_found_again() -> None:
    async with scene() as one:
        one.work()
        first, second = await one.sfu.sockets()
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch())
        one.store.hold()
        one.sfu.offer(first, job)
        with anyio.fail_after(1):
            assert not (await one.sfu.answer(first, job)).available
        # LiveKit offers the same job at once to the other socket.
        one.sfu.offer(second, job)
        one.store.gate.set()
        assert (await one.sfu.answer(second, job)).available
        await one.only()


async def test_a_commit_that_fails_is_declined() -> None:
    async with scene() as one:
        one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch())
        one.store.error = StoreFull("the disk", "is full", "make room")
        one.sfu.offer(socket, job)
        assert not (await one.sfu.answer(socket, job)).available


async def test_an_unnamed_socket_that_serves_nobody_says_so_at_once() -> None:
    async with scene() as one:
        socket = (await one.sfu.sockets(""))[0]
        one.sfu.room()
        dispatch = one.sfu.dispatch(agent="")
        job = one.sfu.job(dispatch)
        one.store.hold()
        one.sfu.offer(socket, job)
        answer = await one.sfu.answer(socket, job)
        assert answer.terminate
        assert not answer.available
        one.store.gate.set()
        await one.swept()
        assert await one.jobs() == []
        # Now somebody is there: the room is found by a sweep, though LiveKit has it as done.
        terminated = one.sfu.job(dispatch)
        terminated.state.status = wire_pb2.JS_SUCCESS
        dispatch.state.jobs.append(terminated)
        one.work("")
        await one.only()


async def test_the_unnamed_are_not_called_where_a_worker_of_livekits_own_is_done() -> None:
    async with scene() as one:
        one.sfu.room()
        dispatch = one.sfu.dispatch(agent="")
        done = one.sfu.job(dispatch)
        done.state.status = wire_pb2.JS_SUCCESS
        done.state.participant_identity = "agent-of-theirs"
        dispatch.state.jobs.append(done)
        one.work("")
        await eventually("it is served", lambda: Served("") in one.bridge._served)
        await one.swept()
        assert await one.jobs() == []


async def test_what_the_sfu_has_as_done_is_not_called_for_by_a_sweep() -> None:
    async with scene() as one:
        one.sfu.room()
        dispatch = one.sfu.dispatch()
        done = one.sfu.job(dispatch)  # by us, before we were restarted, or by a worker of its own
        done.state.status = wire_pb2.JS_SUCCESS
        dispatch.state.jobs.append(done)
        one.work()
        await one.sfu.sockets()
        await one.swept()
        assert await one.jobs() == []


async def test_a_socket_cut_between_offer_and_answer_leaves_one_job() -> None:
    async with scene() as one:
        one.work()
        first, second = await one.sfu.sockets()
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch())
        one.store.hold()
        one.sfu.offer(first, job)
        await anyio.sleep(0.05)  # it is on its way to the store
        first.cut()
        one.sfu.offer(second, job)
        one.store.gate.set()
        assert (await one.sfu.answer(second, job)).available
        await one.only()
        await one.sfu.sockets()  # and it is back
        await one.swept()
        await one.only()


async def test_one_offer_on_both_sockets_at_once_is_one_job() -> None:
    async with scene() as one:
        one.work()
        sockets = await one.sfu.sockets()
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch())
        for socket in sockets:
            one.sfu.offer(socket, job)
        for socket in sockets:
            assert (await one.sfu.answer(socket, job)).available
        await one.only()


async def test_a_server_killed_between_commit_and_answer_has_one_job() -> None:
    database, sfu = MemoryDatabase(), FakeSfu()
    async with scene(sfu, database) as one:
        one.work()
        socket = (await sfu.sockets())[0]
        sfu.room()
        job = sfu.job(sfu.dispatch())
        sfu.offer(socket, job)
        before = await one.only()
    database.crash()
    async with scene(sfu, database) as one:
        one.work()
        again = (await sfu.sockets())[0]
        sfu.offer(again, job)
        assert (await sfu.answer(again, job)).available
        await one.swept()
        assert (await one.only()).job == before.job


async def test_an_offer_lost_with_its_server_is_adopted_by_the_sweep_at_start() -> None:
    database, sfu = MemoryDatabase(), FakeSfu()
    async with scene(sfu, database) as one:
        one.work()
        socket = (await sfu.sockets())[0]
        sfu.room()
        one.store.hold()
        sfu.offer(socket, sfu.job(sfu.dispatch()))
        await anyio.sleep(0.05)
    database.crash()
    async with scene(sfu, database) as one:
        await one.only()


async def test_an_offers_restart_policy_is_read_from_its_dispatch() -> None:
    async with scene() as one:
        one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch(restart_policy=wire_pb2.JRP_NEVER))
        one.sfu.offer(socket, job)
        assert (await one.only()).job.restart_policy is RestartPolicy.NEVER


async def test_a_flood_of_offers_is_declined_beyond_its_bound() -> None:
    limits = replace(LIMITS, offers_max=2, answer_seconds=5)
    async with scene(limits=limits) as one:
        one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        one.store.hold()
        offered = [one.sfu.job(one.sfu.dispatch()) for _ in range(3)]
        for job in offered:
            one.sfu.offer(socket, job)
        assert not (await one.sfu.answer(socket, offered[2])).available
        one.store.gate.set()
        assert (await one.sfu.answer(socket, offered[1])).available


# --- what ends ---


async def test_a_termination_is_a_hint_as_long_as_the_dispatch_is_there() -> None:
    async with scene() as one:
        one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        dispatch = one.sfu.dispatch()
        job = one.sfu.job(dispatch)
        await one.sfu.assign(socket, job)
        asked = one.sfu.asked_for_one
        socket.say(wire_pb2.ServerMessage(termination={"job_id": job.id}))
        await eventually("it asks", lambda: one.sfu.asked_for_one > asked, seconds=5)
        await one.swept()
        assert (await one.only()).state.phase is JobPhase.QUEUED


@pytest.mark.parametrize(
    ("room_is_there", "reason"), [(True, "DISPATCH_DELETED"), (False, "ROOM_CLOSED")]
)
async def test_a_termination_ends_the_job_of_a_dispatch_that_is_gone(
    room_is_there: bool, reason: str
) -> None:
    async with scene() as one:
        one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch())
        await one.sfu.assign(socket, job)
        one.sfu.dispatches["room"].clear()
        if not room_is_there:
            del one.sfu.rooms["room"]
        socket.say(wire_pb2.ServerMessage(termination={"job_id": job.id}))
        assert (await one.only(JobPhase.CANCELLED)).state.reason.name == reason


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (JobStatus.SUCCESS, wire_pb2.JS_SUCCESS),
        (JobStatus.FAILED, wire_pb2.JS_FAILED),
        (JobStatus.CANCELLED, wire_pb2.JS_SUCCESS),
    ],
)
async def test_the_end_of_a_job_is_told_once(status: JobStatus, told: int) -> None:
    async with scene() as one:
        worker = one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch(restart_policy=wire_pb2.JRP_NEVER))
        await one.sfu.assign(socket, job)
        ours = (await one.only()).job
        one.runtime.submit(WorkerReported(worker, 0.0, 0, full=False, draining=False))
        await _accepted(one, worker, ours.id)
        assert not socket.ends
        one.runtime.submit(JobReported(worker, ours.id, status, "why"))
        end = (await eventually("it is told", lambda: socket.ends, seconds=5))[0]
        assert (end.job_id, end.status) == (job.id, told)
        await throughout("once", lambda: len(socket.ends) == 1, seconds=0.1)


async def _accepted(one: Scene, worker: str, job_id: str) -> None:
    await eventually(
        "an offer", lambda: job_id in one.runtime.engine.workers[worker].offers, seconds=5
    )
    one.runtime.submit(OfferAnswered(worker, job_id, Answer.ACCEPTED, Acceptance()))
    one.runtime.submit(JobReported(worker, job_id, JobStatus.RUNNING))
    await one.only(JobPhase.RUNNING)


# --- sweeps ---


async def test_a_name_that_comes_late_finds_the_rooms_that_are_there() -> None:
    async with scene() as one:
        one.sfu.room()
        one.sfu.dispatch()
        await one.sfu.sockets("")
        one.work()
        await one.only()


async def test_a_reconnect_finds_what_was_offered_to_nobody() -> None:
    async with scene() as one:
        one.work()
        sockets = await one.sfu.sockets()
        one.sfu.is_away = True
        for socket in sockets:
            socket.cut()
        one.sfu.room()
        one.sfu.dispatch()
        one.sfu.is_away = False
        await one.only()


async def test_an_sfu_that_is_away_ends_nothing() -> None:
    async with scene() as one:
        one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        await one.sfu.assign(socket, one.sfu.job(one.sfu.dispatch()))
        one.sfu.is_away = True
        assert not await one.bridge.sweep()
        assert (await one.only()).state.phase is JobPhase.QUEUED


async def test_sweeps_that_fail_are_told_thinned_and_their_end_once() -> None:
    async with scene() as one:
        one.work()
        await one.sfu.sockets()
        await one.swept()
        one.sfu.is_away = True
        with capture_logs() as entries:
            for _ in range(5):
                assert not await one.bridge.sweep()
            warnings = one.bridge.health.warnings()
            one.sfu.is_away = False
            await one.swept()
            await one.swept()
        told = [(e["event"], e["times"]) for e in entries if e["event"].startswith("bridge_sweep")]
        assert told == [
            ("bridge_sweep_failed", 1),
            ("bridge_sweep_failed", 2),
            ("bridge_sweep_failed", 4),
            ("bridge_sweep_recovered", 5),
        ]
        assert "(5 times)" in warnings[0]
        assert one.bridge.health.warnings() == []


async def test_another_node_is_asked_while_the_first_is_away() -> None:
    first, second = FakeSfu(), FakeSfu()
    first.is_away = True
    async with scene(first, others=[second]) as one:
        second.room()
        second.dispatch()
        one.work()
        await one.only()
        with capture_logs() as entries:
            assert await one.bridge.sweep()
        assert [e for e in entries if e["event"].startswith("bridge_sweep")] == []


async def test_a_room_that_the_sfu_tells_nothing_of_is_left_as_it_is() -> None:
    limits = replace(LIMITS, silent_seconds_min=600)
    async with scene(limits=limits) as one:
        one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        dispatch = one.sfu.dispatch()
        await one.sfu.assign(socket, one.sfu.job(dispatch))
        job = await one.only()
        one.sfu.silent_rooms.add("room")
        one.sfu.room("other")
        one.sfu.dispatch("other")
        await one.swept()

        async def rooms() -> bool:
            return {each.job.room for each in await one.jobs()} == {"room", "other"}

        await eventually("the other room's job", rooms, seconds=5)
        assert (await one.jobs())[0].state.phase is job.state.phase
        assert "1 of its rooms" in one.bridge.health.warnings()[0]
        asked = one.sfu.asked_for["room"]
        await one.swept()  # and it costs the next sweep no wait
        assert one.sfu.asked_for["room"] == asked


async def test_an_agent_that_nobody_ever_served_is_told_once_and_thinned() -> None:
    async with scene() as one:
        one.work()
        await one.sfu.sockets()
        with capture_logs() as entries:
            for number in range(5):
                one.sfu.room(f"r{number}")
                one.sfu.dispatch(f"r{number}", agent="nobody")
                one.sfu.dispatch(f"r{number}")
                await one.swept()
                await one.swept()
        told = [e for e in entries if e["event"] == "bridge_agent_unserved"]
        assert [(e["agent_name"], e["room"], e["times"]) for e in told] == [
            ("nobody", "r0", 1),
            ("nobody", "r1", 2),
            ("nobody", "r3", 4),
        ]


async def test_a_room_that_ends_during_a_sweep_is_over_and_no_dispatch_was_deleted() -> None:
    async with scene() as one:
        one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        await one.sfu.assign(socket, one.sfu.job(one.sfu.dispatch()))
        one.sfu.before_dispatches = lambda: _restart(one.sfu, cut=False)
        await one.swept()
        assert (await one.only(JobPhase.CANCELLED)).state.reason.name == "ROOM_CLOSED"


async def test_a_room_that_is_rebuilt_during_a_sweep_is_another_session() -> None:
    async with scene(limits=replace(LIMITS, outage_seconds=600)) as one:
        one.work()
        socket = (await one.sfu.sockets())[0]
        one.sfu.room()
        await one.sfu.assign(socket, one.sfu.job(one.sfu.dispatch()))
        before = await one.only()

        def rebuild() -> None:
            one.sfu.room()
            one.sfu.dispatch()

        one.sfu.before_dispatches = rebuild
        await one.swept()
        await one.swept()
        after = await one.only()
        assert (after.job, after.state.phase) == (before.job, JobPhase.QUEUED)


async def test_a_restarted_sfus_new_ids_are_taken_over() -> None:
    async with scene(limits=replace(LIMITS, outage_seconds=600)) as one:
        one.work()
        sockets = await one.sfu.sockets()
        one.sfu.room()
        await one.sfu.assign(sockets[0], one.sfu.job(one.sfu.dispatch()))
        before = await one.only()
        _restart(one.sfu)
        await one.sfu.sockets()
        await one.swept()  # there are no rooms yet
        assert (await one.only()).state.phase is JobPhase.QUEUED
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch())
        await one.sfu.assign((await one.sfu.sockets())[0], job)
        await one.swept()
        assert (await one.only()).job == before.job


def _restart(sfu: FakeSfu, *, cut: bool = True) -> None:
    sfu.rooms.clear()
    sfu.dispatches.clear()
    sfu.people.clear()
    for socket in list[FakeConnection](sfu.connections if cut else ()):
        socket.cut()


async def test_a_job_that_a_worker_of_livekits_own_has_is_adopted_when_its_agent_is_gone() -> None:
    async with scene() as one:
        one.sfu.room("room", person("ada"), person("agent-1", kind=wire_pb2.ParticipantInfo.AGENT))
        dispatch = one.sfu.dispatch()
        held = one.sfu.job(dispatch)
        held.state.status = wire_pb2.JS_RUNNING
        held.state.participant_identity = "agent-1"
        dispatch.state.jobs.append(held)
        one.work()
        await one.sfu.sockets()
        await one.swept()
        await one.swept()
        assert await one.jobs() == []
        del one.sfu.people["room"][1]
        await one.swept()
        await one.only()


async def test_publishers_and_participants_are_adopted_one_by_one_and_agents_are_not() -> None:
    async with scene() as one:
        one.sfu.room(
            "room",
            person("ada", is_publisher=True),
            person("bob"),
            person("agent", kind=wire_pb2.ParticipantInfo.AGENT, is_publisher=True),
            person("late", state=wire_pb2.ParticipantInfo.JOINING),
        )
        one.sfu.dispatch(agent="each")
        one.sfu.dispatch(agent="loud")
        one.work("each", job_type=JobType.PARTICIPANT)
        one.work("loud", job_type=JobType.PUBLISHER)

        async def called() -> bool:
            jobs = [s.job for s in await one.jobs()]
            configs = [wire_pb2.Job.FromString(job.config) for job in jobs]
            who = sorted((c.agent_name, c.participant.identity) for c in configs)
            return who == [("each", "ada"), ("each", "bob"), ("loud", "ada")]

        await eventually("all are called", called, seconds=5)
        await one.swept()
        assert await called()
