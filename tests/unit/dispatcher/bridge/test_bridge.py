"""The bridge against an SFU that does things in the worst order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.core.events import (
    Acceptance,
    Answer,
    JobReported,
    OfferAnswered,
    RuleApplyRequested,
    WorkerDisconnected,
    WorkerReported,
)
from dispatcher.core.jobs import JobStatus, JobType, RestartPolicy
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import AgentPolicy, Policy
from dispatcher.core.rules import Rule
from protocol import wire_pb2
from protocol.errors import StoreFull
from tests.conformance.waiting import eventually, throughout
from tests.support.memory_store import MemoryDatabase
from tests.unit.dispatcher.bridge.fake_sfu import FakeConnection, FakeSfu
from tests.unit.dispatcher.bridge.scene import LIMITS, PROJECT, Scene, scene

pytestmark = pytest.mark.anyio


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
    await eventually("another status", lambda: len(socket.statuses) > count)
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

        await eventually("the room is over", has_ended)


async def test_more_names_than_the_bound_are_left_out() -> None:
    limits = replace(LIMITS, names_max=3)
    policy = Policy(agents={f"agent-{n}": AgentPolicy() for n in range(9)})
    async with scene(policy=policy, limits=limits) as one:
        await eventually("three", lambda: len(one.sfu.connections) == 6)
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
    async with scene(limits=replace(LIMITS, answer_seconds=2.0)) as one:
        one.work()
        first, second = await one.sfu.sockets()
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch())
        one.store.hold()
        one.sfu.offer(first, job)
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


async def test_a_socket_cut_between_offer_and_answer_leaves_one_job() -> None:
    async with scene() as one:
        one.work()
        first, second = await one.sfu.sockets()
        one.sfu.room()
        job = one.sfu.job(one.sfu.dispatch())
        one.store.hold()
        one.sfu.offer(first, job)
        await eventually("it is on its way to the store", lambda: one.store.come)
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
        await eventually("it is on its way to the store", lambda: one.store.come)
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
    limits = replace(LIMITS, offers_max=2)
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
        await eventually("it asks", lambda: one.sfu.asked_for_one > asked)
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
        end = (await eventually("it is told", lambda: socket.ends))[0]
        assert (end.job_id, end.status) == (job.id, told)
        await throughout("once", lambda: len(socket.ends) == 1, seconds=0.1)


async def _accepted(one: Scene, worker: str, job_id: str) -> None:
    await eventually("an offer", lambda: job_id in one.runtime.engine.workers[worker].offers)
    one.runtime.submit(OfferAnswered(worker, job_id, Answer.ACCEPTED, Acceptance()))
    one.runtime.submit(JobReported(worker, job_id, JobStatus.RUNNING))
    await one.only(JobPhase.RUNNING)
