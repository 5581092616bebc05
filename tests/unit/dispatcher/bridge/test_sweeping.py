"""The bridge's sweeps: what LiveKit's server has is found, whatever was not heard of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from dispatcher.core.bridged import Served
from dispatcher.core.jobs import JobType
from dispatcher.core.lifecycle import JobPhase
from protocol import wire_pb2
from tests.conformance.waiting import eventually
from tests.unit.dispatcher.bridge.fake_sfu import FakeConnection, FakeSfu
from tests.unit.dispatcher.bridge.scene import LIMITS, scene

pytestmark = pytest.mark.anyio


def person(identity: str, **fields: object) -> wire_pb2.ParticipantInfo:
    """Somebody who is in a room."""
    info = wire_pb2.ParticipantInfo(
        sid=f"PA_{identity}", identity=identity, state=wire_pb2.ParticipantInfo.ACTIVE
    )
    for name, value in fields.items():
        setattr(info, name, value)
    return info


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

        await eventually("the other room's job", rooms)
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

        await eventually("all are called", called)
        await one.swept()
        assert await called()


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
