"""What there is of each agent: counted from the engine as it stands, whatever stands there."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import anyio
import pytest

from dispatcher.core.engine import Engine
from dispatcher.core.events import WorkerUnreachable
from dispatcher.core.jobs import JobStatus, Lane, Nanoseconds, seconds
from dispatcher.core.lifecycle import WorkerPhase
from dispatcher.core.policy import Policy
from dispatcher.metrics import census as census_module
from dispatcher.metrics.census import AgentCount, AgentKey, Census, CensusTaker
from dispatcher.metrics.scaling import WorkerKind
from protocol.errors import StoreFull
from tests.support.engine_bench import AGENT, PROJECT, EngineBench

pytestmark = pytest.mark.anyio

KEY: AgentKey = (PROJECT, AGENT, "", "")


class BenchQueues:
    """The store of a bench; may fail, or not answer at all."""

    def __init__(self, bench: EngineBench) -> None:
        self.bench = bench
        self.error: StoreFull | None = None
        self.hangs = False
        self.asked: list[int] = []

    async def oldest_queued(self, lanes: Sequence[Lane]) -> dict[Lane, Nanoseconds]:
        self.asked.append(len(lanes))
        if self.hangs:
            await anyio.sleep_forever()
        if self.error is not None:
            raise self.error
        return self.bench.database.oldest_queued(lanes)


class Registrar:
    """A taker of censuses of one bench, each of them fresh."""

    def __init__(self, bench: EngineBench) -> None:
        self.queues = BenchQueues(bench)
        self.bench = bench
        self.taker = CensusTaker(bench.engine, self.queues, lambda: bench.now, 0.01)

    async def census(self) -> Census:
        census = await self.taker.census()
        self.taker._fresh_until = 0.0  # the next one is another
        return census

    async def of(self, key: AgentKey = KEY) -> AgentCount:
        census = await self.census()
        return census.agents.get(key) or self.taker.nothing_of(key)

    async def wait_seconds(self) -> float:
        return (self.bench.now - (await self.of()).oldest_at) / 1e9


async def test_there_is_nothing_of_an_agent_that_nobody_heard_of() -> None:
    registrar = Registrar(EngineBench())
    assert (await registrar.census()).agents == {}
    count = await registrar.of()
    assert (count.is_empty, count.desired, count.kind) == (True, 0, WorkerKind(7, 1))


async def test_jobs_are_counted_where_they_are() -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    rooms = [bench.dispatch(f"room-{number}") for number in range(4)]
    assert (await registrar.of()).queued == 4
    bench.worker("a", capacity=3)
    count = await registrar.of()
    assert (count.queued, count.offered, count.waiting, count.running) == (1, 3, 4, 0)
    for number in range(2):
        bench.accept(rooms[number])
    count = await registrar.of()
    assert (count.queued, count.offered, count.running, count.jobs) == (1, 1, 2, 4)


async def test_jobs_of_a_lost_worker_still_count_and_so_does_the_kind_of_worker_they_need() -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    bench.worker("a", capacity=2)
    for number in range(2):
        bench.accept(bench.dispatch(f"room-{number}"))
    assert (await registrar.of()).desired == 1
    bench.lose("a")
    count = await registrar.of()
    assert (count.running, count.orphaned, count.connected) == (0, 2, 0)
    assert (count.desired, count.kind) == (1, WorkerKind(2, 1))


async def test_after_a_restart_running_jobs_count_before_any_worker_is_back() -> None:
    bench = EngineBench()
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job)
    bench.job_status(job, JobStatus.RUNNING)
    bench.restart()
    count = await Registrar(bench).of()
    assert (count.orphaned, count.desired) == (1, 1)


async def test_workers_are_counted_by_their_state() -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    bench.worker("free", capacity=4)
    bench.worker("full", capacity=4)
    bench.report("full", full=True)
    bench.worker("leaving", capacity=4)
    bench.report("leaving", draining=True)
    bench.connect("new", capacity=4)
    count = await registrar.of()
    assert count.workers == {
        WorkerPhase.AVAILABLE: 1,
        WorkerPhase.FULL: 1,
        WorkerPhase.DRAINING: 1,
        WorkerPhase.SETTLING: 1,
    }
    assert (count.accepting, count.slots, count.free_slots) == (3, 12, 8)


async def test_a_worker_whose_connection_is_gone_is_none_while_its_jobs_run_on() -> None:
    bench = EngineBench()
    bench.worker("a")
    bench.accept(bench.dispatch())
    bench.tell(WorkerUnreachable("a"))  # that it is lost is told a moment later
    count = await Registrar(bench).of()
    assert (count.connected, count.accepting, count.running, count.desired) == (0, 0, 1, 1)


async def test_jobs_on_a_worker_that_drains_keep_the_need_where_it_was() -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    for worker in ("a", "b"):
        bench.worker(worker, capacity=2)
    for number in range(4):
        bench.accept(bench.dispatch(f"room-{number}"))
    assert (await registrar.of()).desired == 2
    bench.report("a", draining=True)
    assert (await registrar.of()).desired == 2


@pytest.mark.parametrize("workers", range(1, 6))
async def test_the_need_is_the_same_however_many_workers_follow_it(workers: int) -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    for number in range(workers):
        bench.worker(f"w{number}", capacity=3)
    for number in range(7):
        bench.dispatch(f"room-{number}")
    assert (await registrar.of()).desired == 3


async def test_agents_are_apart_by_project_name_namespace_and_deployment() -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    bench.worker("a", deployment="blue")
    bench.worker("b", namespace="n")
    bench.worker("c", project="other")
    bench.worker("d", agent="")
    bench.dispatch("room", deployment="blue")
    agents = (await registrar.census()).agents
    assert {key: (count.connected, count.offered) for key, count in agents.items()} == {
        (PROJECT, AGENT, "", "blue"): (1, 1),
        (PROJECT, AGENT, "n", ""): (1, 0),
        ("other", AGENT, "", ""): (1, 0),
        (PROJECT, "", "", ""): (1, 0),
    }


# --- the oldest wait ---


async def test_the_oldest_wait_is_of_the_job_that_was_queued_first() -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    bench.dispatch("first")
    bench.pass_time(10)
    bench.dispatch("second", priority=9)
    bench.pass_time(5)
    assert await registrar.wait_seconds() == 15


async def test_a_job_on_offer_still_waits() -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    job = bench.dispatch()
    bench.pass_time(10)
    bench.worker("a")
    assert await registrar.wait_seconds() == 10
    bench.accept(job)
    assert (await registrar.of()).oldest_at == 0


async def test_a_job_whose_worker_was_lost_waits_since_then() -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    bench.worker("a", grace_seconds=1)
    bench.accept(bench.dispatch())
    bench.pass_time(60)
    bench.lose("a")
    bench.pass_time(1)
    bench.pass_time(3)
    assert await registrar.wait_seconds() == 3


async def test_a_restart_does_not_make_a_wait_shorter() -> None:
    bench = EngineBench()
    bench.dispatch()
    bench.pass_time(30)
    bench.restart()
    assert await Registrar(bench).wait_seconds() == 30


async def test_a_store_that_fails_or_hangs_leaves_what_is_known() -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    bench.dispatch("first")
    bench.pass_time(10)
    assert await registrar.wait_seconds() == 10
    registrar.queues.error = StoreFull("is full", "place", "make room")
    bench.pass_time(10)
    bench.dispatch("other", agent="other")
    assert await registrar.wait_seconds() == 20
    registrar.queues.error, registrar.queues.hangs = None, True
    bench.pass_time(10)
    assert await registrar.wait_seconds() == 30
    # Of the other one the store never told: at least since it was first seen.
    other = await registrar.of((PROJECT, "other", "", ""))
    assert bench.now - other.oldest_at == seconds(10)


# --- what it costs ---


def crowded(workers: int, waiting: int) -> Engine:
    """Return an engine with so many workers, and a lane in which so many jobs wait."""
    bench = EngineBench()
    for number in range(workers):
        bench.connect(f"w{number}")
    bench.dispatch()
    engine = bench.engine
    (queue,) = engine.lanes.values()
    queue.waiting = waiting
    return engine


async def steps_of(engine: Engine) -> int:
    """Return how many steps a walk over the engine takes."""
    bench = EngineBench()
    taker = CensusTaker(engine, BenchQueues(bench), lambda: bench.now, 0.01)
    return sum(1 for _ in taker._walk({}, []))


async def test_a_million_jobs_that_wait_cost_no_more_than_one() -> None:
    assert await steps_of(crowded(100, 1_000_000)) == await steps_of(crowded(100, 1))


async def test_others_have_a_turn_between_few_workers() -> None:
    steps = await steps_of(crowded(3_200, 1))
    assert steps >= 3_200 / census_module.STEP


async def test_a_census_is_used_for_twenty_times_as_long_as_it_took() -> None:
    bench = EngineBench()
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.001
        return now

    taker = CensusTaker(bench.engine, BenchQueues(bench), lambda: bench.now, 0.01, clock)
    first = await taker.census()
    until = now + census_module.USE_FACTOR * first.seconds
    while now < until - 0.005:
        assert await taker.census() is first
    now = until
    assert await taker.census() is not first


async def test_lanes_are_looked_up_a_bounded_number_at_once() -> None:
    bench = EngineBench()
    registrar = Registrar(bench)
    for number in range(census_module.LANES_AT_ONCE + 1):
        bench.dispatch(f"room-{number}", agent=f"agent-{number}")
    assert len((await registrar.census()).agents) == census_module.LANES_AT_ONCE + 1
    assert registrar.queues.asked == [census_module.LANES_AT_ONCE, 1]


async def test_an_engine_is_not_changed_by_being_counted() -> None:
    engine = Engine(Policy(), Random(1))
    bench = EngineBench()
    taker = CensusTaker(engine, BenchQueues(bench), lambda: bench.now, 0.01)
    await taker.census()
    assert (engine.next_deadline(), dict(engine.lanes), dict(engine.jobs)) == (None, {}, {})
