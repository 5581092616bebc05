"""A worker against the dispatcher of `worker_sdk.testing`: the life of a job, time, and what breaks."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import structlog

from dispatcher.core.policy import Policy
from protocol import wire_pb2
from protocol.errors import ConfigError
from tests.unit.worker_sdk.testing.agents import Agent
from worker_sdk import DrainPolicy, JobContext, JobRequest, JobType, TaskExecutor, Worker
from worker_sdk.client.messages import ParticipantInfo, Room, Rule, RuleMatch
from worker_sdk.testing import FakeRoom, InProcessDispatcher, WaitedInVain

pytestmark = pytest.mark.anyio

HOUR = 3600.0


@pytest.fixture(autouse=True)
def quiet() -> object:
    with structlog.testing.capture_logs() as logs:
        yield logs


@pytest.fixture
async def dispatcher() -> AsyncIterator[InProcessDispatcher]:
    async with InProcessDispatcher() as dispatcher:
        yield dispatcher


# ---- the life of a job ----


async def test_a_job_runs_and_succeeds(dispatcher: InProcessDispatcher) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="hello", attributes={"lang": "de"})
        view = await job.ended()
    assert (view.phase, view.room, view.metadata, view.error) == (
        "succeeded",
        "lobby",
        "hello",
        "",
    )
    assert (view.agent_name, view.attempt, view.is_ended) == ("greeter", 1, True)
    (ctx,) = agent.attempts
    assert (ctx.job.id, dict(ctx.job.attributes)) == (job.id, {"lang": "de"})


async def test_a_job_that_runs_has_started_and_ends_when_it_returns(
    dispatcher: InProcessDispatcher,
) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="wait")
        assert (await job.started()).phase == "running"
        agent.released.set()
        assert (await job.ended()).phase == "succeeded"
        assert (await job.started()).phase == "succeeded"


async def test_a_job_that_fails_is_tried_again_when_its_pause_is_over(
    dispatcher: InProcessDispatcher,
) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="fail once")
        delayed = await job.reached("delayed")
        assert (delayed.attempt, delayed.error) == (2, "ValueError: as the test wants")
        await dispatcher.pass_time(2)
        view = await job.ended()
    assert (view.phase, view.attempt) == ("succeeded", 2)
    assert agent.told == [(1, False), (2, False)]


async def test_a_job_that_always_fails_fails_after_its_attempts() -> None:
    agent = Agent()
    policy = Policy(attempts_max=3)
    async with InProcessDispatcher(policy=policy) as dispatcher, dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="fail")
        await job.reached("delayed")
        await dispatcher.pass_time(HOUR)
        view = await job.ended()
    assert (view.phase, view.error) == ("failed", "ValueError: as the test wants")
    assert len(agent.told) == 3


async def test_a_restart_policy_of_never_is_heeded(dispatcher: InProcessDispatcher) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="fail", restart_policy=wire_pb2.JRP_NEVER)
        assert (await job.ended()).phase == "failed"
    assert agent.told == [(1, False)]


async def test_a_job_that_is_terminated_is_told_to_stop(dispatcher: InProcessDispatcher) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="wait")
        await job.started()
        view = await job.terminate("the caller hung up")
        assert view.phase == "cancelled"
        assert agent.cancelled == [1]
    assert view.record.detail.endswith("the caller hung up")


async def test_a_job_without_a_worker_says_why_it_waits_and_fails_at_its_deadline(
    dispatcher: InProcessDispatcher,
) -> None:
    job = await dispatcher.dispatch("lobby", "greeter")
    assert (await job.reached("queued")).attempt == 1
    assert await job.why() == "no worker of this agent is connected"
    await dispatcher.pass_time(301)
    view = await job.ended()
    assert (view.phase, view.error) == (
        "failed",
        "no worker of agent 'greeter' took the job within 300 s",
    )
    assert view.record.job.state.reason == wire_pb2.JSR_NO_CAPACITY


async def test_why_has_a_line_for_each_worker(dispatcher: InProcessDispatcher) -> None:
    agent = Agent(capacity=1)
    async with dispatcher.serving(agent.worker):
        await (await dispatcher.dispatch("lobby", metadata="wait")).started()
        job = await dispatcher.dispatch("lounge")
        _, line = (await job.why()).split("\n")
        assert line.startswith(f"{agent.worker.worker_id}: ")
        agent.released.set()
        assert (await job.ended()).phase == "succeeded"


async def test_an_offer_that_is_refused_is_made_again_when_time_passes(
    dispatcher: InProcessDispatcher,
) -> None:
    agent = Agent()
    asked: list[str] = []

    @agent.worker.request
    async def _(request: JobRequest) -> None:
        asked.append(request.job.id)
        if len(asked) == 1:
            request.decline()
        else:
            request.accept(identity="ada")

    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="room")
        await dispatcher.settle()
        assert len(asked) == 1
        await dispatcher.pass_time(1)
        assert len(asked) == 2
        assert (await job.joined()).local_participant.identity == "ada"


async def test_a_job_whose_offer_is_terminated_succeeds_without_running(
    dispatcher: InProcessDispatcher,
) -> None:
    agent = Agent()

    @agent.worker.request
    async def _(request: JobRequest) -> None:
        request.terminate()

    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby")
        assert (await job.ended()).phase == "succeeded"
        with pytest.raises(WaitedInVain, match="did not start attempt 1, epoch 1; it is succeeded"):
            await job.started()
    assert agent.told == []


# ---- rooms, rules, participants ----


async def test_a_job_is_in_a_room_where_the_test_is_too(dispatcher: InProcessDispatcher) -> None:
    worker = Worker("echo")

    @worker.job
    async def _(ctx: JobContext) -> None:
        async with ctx.room() as room:
            heard = anyio.Event()
            room.on("data_received", lambda _: heard.set())
            await heard.wait()
            await room.local_participant.publish_data(b"hello, ann")

    async with dispatcher.serving(worker):
        job = await dispatcher.dispatch("lobby")
        room = await job.joined()
        assert room.name == "lobby"
        assert room.local_participant.identity == f"agent-{job.id}"
        room.join("ann")
        room.say("ann", "hi")
        assert (await job.ended()).phase == "succeeded"
        assert [sent.data for sent in room.sent] == [b"hello, ann"]


async def test_each_attempt_joins_a_room_of_its_own(dispatcher: InProcessDispatcher) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="room")
        first = await job.joined()
        with dispatcher.unreachable(agent.worker):
            await dispatcher.pass_time(5)
        await job.started(attempt=2)
        second = await job.joined()
        assert second is not first
        assert not first.isconnected()


async def test_the_test_can_make_the_rooms() -> None:
    made: list[str] = []

    def make(ctx: JobContext) -> FakeRoom:
        made.append(ctx.job.room)
        room = FakeRoom(ctx.job.room)
        room.join("ann")
        return room

    agent = Agent()
    async with InProcessDispatcher(room=make) as dispatcher, dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="room")
        assert list((await job.joined()).remote_participants) == ["ann"]
    assert made == ["lobby"]


async def test_a_room_that_is_no_fake_one_is_not_given_as_one() -> None:
    agent = Agent()
    async with (
        InProcessDispatcher(room=lambda _: object()) as dispatcher,
        dispatcher.serving(agent.worker),
    ):
        job = await dispatcher.dispatch("lobby", metadata="room")
        await job.started()
        with pytest.raises(TypeError, match="is not a FakeRoom"):
            await job.joined()


async def test_a_rule_makes_a_job_of_a_room_event(dispatcher: InProcessDispatcher) -> None:
    agent = Agent("concierge")
    rule = Rule(
        name="vip",
        type=wire_pb2.JT_ROOM,
        match=RuleMatch(room="vip-*"),
        agent_name="concierge",
    )
    async with dispatcher.serving(agent.worker):
        await dispatcher.client.apply_rule(rule)
        await dispatcher.room_event("room_started", "lobby")
        await dispatcher.room_event("room_started", Room(name="vip-1", sid="RM_1"))
        job = await dispatcher.job("vip-1", "concierge")
        assert (await job.ended()).phase == "succeeded"
        assert [each.id for each in await dispatcher.jobs()] == [job.id]


async def test_a_job_for_each_participant(dispatcher: InProcessDispatcher) -> None:
    agent = Agent(types=[JobType.PARTICIPANT])
    async with dispatcher.serving(agent.worker):
        with pytest.raises(ConfigError, match="makes no job for the room"):
            await dispatcher.dispatch("lobby")
        await dispatcher.room_event("room_started", "lobby")
        await dispatcher.room_event("participant_joined", "lobby", "ann")
        first = await dispatcher.job("lobby")
        await first.ended()
        bob = ParticipantInfo(identity="bob", attributes={"lang": "de"})
        told = await dispatcher.room_event("participant_joined", "lobby", bob, event_id="EV_1")
        assert not told.told_before
        second = await dispatcher.job("lobby")
        assert (await second.ended()).participant_identity == "bob"
    assert [each.id for each in await dispatcher.jobs("lobby")] == [first.id, second.id]
    told_of = [ctx.participant for ctx in agent.attempts]
    assert [one.identity for one in told_of if one is not None] == ["ann", "bob"]
    assert dict(told_of[1].attributes if told_of[1] is not None else {}) == {"lang": "de"}


async def test_a_room_that_is_over_ends_its_jobs(dispatcher: InProcessDispatcher) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        await dispatcher.room_event("room_started", "lobby")
        job = await dispatcher.dispatch("lobby", metadata="wait")
        await job.started()
        await dispatcher.room_event("room_finished", "lobby")
        await job.ended()
        await dispatcher.settle()
    assert agent.cancelled == [1]


# ---- what breaks ----


async def test_a_worker_that_is_cut_comes_back_and_its_jobs_go_on(
    dispatcher: InProcessDispatcher,
) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="wait")
        before = await job.started()
        dispatcher.cut(agent.worker)
        await dispatcher.connected(agent.worker)
        after = await job.reached("running")
        assert [event.kind for event in after.record.timeline][-2:] == ["orphaned", "claimed"]
        assert after.epoch == before.epoch
        assert after.worker_id == agent.worker.worker_id != before.worker_id
        agent.released.set()
        assert (await job.ended()).phase == "succeeded"
    assert agent.told == [(1, False)]


async def test_a_result_that_comes_to_be_while_the_worker_is_away_is_delivered(
    dispatcher: InProcessDispatcher,
) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="wait")
        await job.started()
        with dispatcher.unreachable(agent.worker):
            agent.released.set()
            await dispatcher.settle()
            assert (await job.view()).phase == "orphaned"
        assert (await job.ended()).phase == "succeeded"
    assert agent.told == [(1, False)]


async def test_a_worker_that_is_away_for_too_long_loses_its_jobs_to_another(
    dispatcher: InProcessDispatcher,
) -> None:
    one, other = Agent(), Agent()
    async with dispatcher.serving(one.worker):
        job = await dispatcher.dispatch("lobby", metadata="wait")
        first = await job.started()
        async with dispatcher.serving(other.worker):
            with dispatcher.unreachable(one.worker):
                await dispatcher.pass_time(2.9)
                assert other.told == []
                await dispatcher.pass_time(0.2)
                second = await job.started(attempt=2)
                assert other.told == [(2, True)]
                assert second.epoch > first.epoch
            await dispatcher.connected(one.worker)
            await dispatcher.settle()
            assert one.cancelled == [1]
            assert other.cancelled == []


async def test_a_server_that_is_killed_comes_back_with_all_that_it_had(
    dispatcher: InProcessDispatcher,
) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        running = await dispatcher.dispatch("lobby", metadata="wait")
        await running.started()
        waiting = await dispatcher.dispatch("lounge", "nobody")
        await dispatcher.restart()
        await dispatcher.connected(agent.worker)
        assert (await running.reached("running")).epoch == 1
        assert (await waiting.view()).phase == "queued"
        agent.released.set()
        assert (await running.ended()).phase == "succeeded"
    assert agent.told == [(1, False)]


async def test_calls_and_events_outlast_a_restart(dispatcher: InProcessDispatcher) -> None:
    job = await dispatcher.dispatch("lobby", "greeter")
    async with dispatcher.client.events(after=0) as events:
        with anyio.fail_after(60):
            assert (await anext(events)).kind == "created"
            await dispatcher.restart()
            await job.terminate()
            assert (await anext(events)).kind == "cancelled"


async def test_a_worker_that_drains_ends_when_its_jobs_do(dispatcher: InProcessDispatcher) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="wait")
        await job.started()
        agent.worker.drain()
        other = await dispatcher.dispatch("lounge")
        agent.released.set()
        await dispatcher.ended(agent.worker)
        assert (await job.view()).phase == "succeeded"
        assert (await other.view()).phase == "queued"


async def test_a_worker_that_hands_over_gives_its_jobs_to_another(
    dispatcher: InProcessDispatcher,
) -> None:
    one, other = Agent(drain_policy=DrainPolicy.HAND_OVER), Agent()
    async with dispatcher.serving(one.worker):
        job = await dispatcher.dispatch("lobby", metadata="wait")
        await job.started()
        async with dispatcher.serving(other.worker):
            one.worker.drain()
            await dispatcher.ended(one.worker)
            view = await job.started(epoch=2)
            assert (view.attempt, view.attempt_reason) == (1, "handed_over")
            assert (one.cancelled, other.told) == ([1], [(1, True)])


# ---- time ----


async def test_time_stands_still_until_it_is_moved(dispatcher: InProcessDispatcher) -> None:
    before = dispatcher.now_ns
    await dispatcher.settle()
    assert dispatcher.now_ns == before
    await dispatcher.pass_time(1.5)
    assert dispatcher.now_ns == before + 1_500_000_000


async def test_a_year_takes_no_time_and_no_worker_is_lost(dispatcher: InProcessDispatcher) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        job = await dispatcher.dispatch("lobby", metadata="wait")
        await job.started()
        worker_id = agent.worker.worker_id
        await dispatcher.pass_time(365 * 24 * HOUR)
        assert (agent.worker.worker_id, agent.told) == (worker_id, [(1, False)])
        assert (await job.view()).phase == "running"


async def test_time_does_not_go_back(dispatcher: InProcessDispatcher) -> None:
    with pytest.raises(ConfigError, match="does not go back"):
        await dispatcher.pass_time(-1)


async def test_a_wait_in_vain_says_what_there_was_instead() -> None:
    async with InProcessDispatcher() as dispatcher:
        job = await dispatcher.dispatch("lobby", "greeter")
        dispatcher.wait_seconds = 0.05
        with pytest.raises(WaitedInVain) as raised:
            await job.started()
        assert str(raised.value).split("\n") == [
            f"job {job.id} did not start attempt 1, epoch 1; it is queued, attempt 1, epoch 1",
            "no worker of this agent is connected",
            "(the dispatcher's clock stands still until `pass_time` moves it)",
        ]
        assert isinstance(raised.value, AssertionError)
        with pytest.raises(WaitedInVain, match="no job of 'x' came to be in room 'attic'"):
            await dispatcher.job("attic", "x")
        with pytest.raises(WaitedInVain, match="did not join its room"):
            await job.joined()


async def test_a_job_that_has_ended_otherwise_is_not_waited_for(
    dispatcher: InProcessDispatcher,
) -> None:
    job = await dispatcher.dispatch("lobby", "greeter")
    await job.terminate()
    dispatcher.wait_seconds = 3600.0
    with anyio.fail_after(60), pytest.raises(WaitedInVain, match="it is cancelled"):
        await job.started()
    with pytest.raises(ValueError, match="phase must be one of delayed, queued"):
        await job.reached("finished")


# ---- the worker's block ----


async def test_a_worker_can_serve_one_dispatcher_after_the_other() -> None:
    agent = Agent()
    for _ in range(2):
        async with InProcessDispatcher() as dispatcher, dispatcher.serving(agent.worker):
            job = await dispatcher.dispatch("lobby", metadata="wait")
            await job.started()
    assert agent.cancelled == [1, 1]
    async with InProcessDispatcher() as dispatcher, dispatcher.serving(agent.worker):
        agent.worker.drain()
        await dispatcher.ended(agent.worker)
    async with InProcessDispatcher() as dispatcher, dispatcher.serving(agent.worker):
        assert (await (await dispatcher.dispatch("lobby")).ended()).phase == "succeeded"


def test_a_worker_can_serve_in_one_event_loop_after_the_other() -> None:
    agent = Agent()

    async def main() -> str:
        async with InProcessDispatcher() as dispatcher, dispatcher.serving(agent.worker):
            await agent.worker.wait_registered()
            return (await (await dispatcher.dispatch("lobby")).ended()).phase

    assert [asyncio.run(main()), asyncio.run(main())] == ["succeeded", "succeeded"]


async def test_an_error_in_the_block_is_raised_as_it_is() -> None:
    agent = Agent()
    with pytest.raises(KeyError, match="mine"):
        async with InProcessDispatcher() as dispatcher, dispatcher.serving(agent.worker):
            raise KeyError("mine")


async def test_a_worker_that_cannot_start_is_the_blocks_error(
    dispatcher: InProcessDispatcher,
) -> None:
    agent = Agent()

    @agent.worker.prewarm
    def _() -> None:
        raise RuntimeError("no model")

    with pytest.raises(RuntimeError, match="no model"):
        async with dispatcher.serving(agent.worker):
            pytest.fail("it does not serve")
    with pytest.raises(ConfigError, match="no job function"):
        async with dispatcher.serving(Worker("greeter")):
            pytest.fail("it does not serve")


class BreaksAtItsEnd(TaskExecutor):
    """Runs jobs, and raises when it is left."""

    @asynccontextmanager
    async def open(self, *args: Any) -> AsyncIterator[Any]:
        async with super().open(*args) as runner:
            yield runner
        raise RuntimeError("the pool is not empty")


async def test_what_a_worker_breaks_of_later_is_the_blocks_error_too(
    dispatcher: InProcessDispatcher,
) -> None:
    agent = Agent(executor=BreaksAtItsEnd())
    serving = dispatcher.serving(agent.worker)
    await serving.__aenter__()
    agent.worker.drain()
    with pytest.raises(RuntimeError, match="the pool is not empty"):
        await dispatcher.ended(agent.worker)
    with pytest.raises(RuntimeError, match="the pool is not empty"):
        await serving.__aexit__(None, None, None)


async def test_the_only_agent_is_the_one_that_is_called(dispatcher: InProcessDispatcher) -> None:
    with pytest.raises(ConfigError, match="say which agent_name; served are none"):
        await dispatcher.dispatch("lobby")
    async with dispatcher.serving(Agent("a").worker, Agent("b").worker):
        with pytest.raises(ConfigError, match="served are 'a', 'b'"):
            await dispatcher.dispatch("lobby")
        assert (await (await dispatcher.dispatch("lobby", "b")).ended()).agent_name == "b"


async def test_a_worker_serves_once_at_a_time_and_is_known_only_while_it_does(
    dispatcher: InProcessDispatcher,
) -> None:
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        with pytest.raises(ConfigError, match="serves here already"):
            async with dispatcher.serving(agent.worker):
                pytest.fail("not twice")
        async with InProcessDispatcher() as other:
            with pytest.raises(ConfigError, match="serves already"):
                async with other.serving(agent.worker):
                    pytest.fail("not elsewhere")
    with pytest.raises(ConfigError, match="does not serve here"):
        dispatcher.cut(agent.worker)


async def test_what_the_environment_says_of_servers_ports_and_files_is_not_heeded(
    dispatcher: InProcessDispatcher, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("LIVEKIT_URL", "wss://production.example.org")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "the real one")
    monkeypatch.setenv("CALLBOARD_WORKER_HEALTH_PORT", "1")
    monkeypatch.setenv("CALLBOARD_RECORD_PATH", f"{tmp_path}/record")
    monkeypatch.setenv("CALLBOARD_WORKER_CAPACITY", "3")
    agent = Agent()
    async with dispatcher.serving(agent.worker):
        assert (await (await dispatcher.dispatch("lobby")).ended()).phase == "succeeded"
        (row,) = (await dispatcher.client.list_workers()).workers
        assert row.capacity == 3
    assert agent.worker.health_port is None
    assert os.listdir(f"{tmp_path}") == []  # noqa: PTH208


# ---- the dispatcher's block ----


async def test_it_uses_no_thread_and_no_socket() -> None:
    agent = Agent()
    threads, descriptors = threading.active_count(), len(os.listdir("/dev/fd"))  # noqa: PTH208
    async with InProcessDispatcher() as dispatcher, dispatcher.serving(agent.worker):
        await (await dispatcher.dispatch("lobby")).ended()
        assert threading.active_count() == threads
        assert len(os.listdir("/dev/fd")) == descriptors  # noqa: PTH208


async def test_it_is_entered_once() -> None:
    dispatcher = InProcessDispatcher()
    with pytest.raises(ConfigError, match="has not been entered"):
        await dispatcher.dispatch("lobby", "greeter")
    with pytest.raises(ConfigError, match="does not run"):
        await dispatcher.pass_time(1)
    async with dispatcher:
        pass
    with pytest.raises(ConfigError, match="entered once"):
        async with dispatcher:
            pytest.fail("not twice")


def test_it_can_be_entered_in_one_task_and_left_in_another() -> None:
    async def main() -> str:
        dispatcher, agent = InProcessDispatcher(), Agent()
        await asyncio.create_task(dispatcher.__aenter__())
        async with dispatcher.serving(agent.worker):
            phase = (await (await dispatcher.dispatch("lobby")).ended()).phase
        await asyncio.create_task(dispatcher.__aexit__(None, None, None))
        return phase

    assert asyncio.run(main()) == "succeeded"


def test_another_event_loop_than_asyncios_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="needs asyncio"):
            async with InProcessDispatcher():
                pytest.fail("the dispatcher is asyncio's")

    anyio.run(main, backend="trio")


async def test_what_breaks_the_server_is_raised(dispatcher: InProcessDispatcher) -> None:
    async def main() -> None:
        async with InProcessDispatcher(wait_seconds=0.2) as broken:
            broken._database.is_open = False
            await broken.dispatch("lobby", "greeter")

    with pytest.raises(Exception, match="is not open"):
        await main()
