"""What is known of a worker: its estimated load, its jobs, and the room that it has."""

from __future__ import annotations

import pytest

from dispatcher.core.events import Registration
from dispatcher.core.jobs import JobStatus, JobType, Lane
from dispatcher.core.lifecycle import WorkerPhase
from dispatcher.core.policy import AgentPolicy, Policy
from dispatcher.core.workers import Worker
from tests.support.engine_bench import AGENT, EngineBench
from tests.unit.dispatcher.core.board_checks import watched

POLICY = Policy()


def worker(capacity: int | None = None) -> Worker:
    """Return an available worker that has said nothing."""
    said = Registration("p", "a", "", "", (JobType.ROOM,))
    return Worker("w", said, (Lane("p", "a"),), capacity, 0, 0, phase=WorkerPhase.AVAILABLE)


def test_a_job_counts_as_a_tenth_until_it_is_measured() -> None:
    one = worker()
    one.reported_load, one.unreported_jobs = 0.2, 3
    assert one.load(POLICY) == pytest.approx(0.2 + 3 * 0.1)


def test_a_job_counts_as_its_share_of_the_load_that_was_reported() -> None:
    one = worker()
    one.reported_load, one.reported_jobs, one.unreported_jobs = 0.6, 2, 1
    assert one.load(POLICY) == pytest.approx(0.6 + 0.3)


def test_the_jobs_of_a_worker_are_ours_and_those_that_it_counts_beyond_ours(
    bench: EngineBench,
) -> None:
    bench.worker("w")
    for n in range(2):
        bench.accept(bench.dispatch(f"r{n}"))
    counted = bench.engine.workers["w"]
    assert counted.jobs_count == 2
    bench.report("w", 0.1, jobs=5)
    assert counted.jobs_count == 5
    bench.accept(bench.dispatch("another"))
    assert counted.jobs_count == 6
    bench.report("w", 0.1, jobs=1)
    assert counted.jobs_count == 3


def test_a_job_that_a_worker_counts_and_has_not_claimed_yet_takes_room_beside_new_ones() -> None:
    bench = EngineBench(Policy(agents={AGENT: AgentPolicy(capacity=2)}))
    bench.worker("w")
    starting = bench.dispatch("first")
    bench.accept(starting)
    bench.lose("w")
    bench.connect("w2")
    bench.report("w2", jobs=1)  # it starts the first, which a stock worker does not claim
    bench.accept(bench.dispatch("second"))
    third = bench.dispatch("third")
    assert bench.offered(third) is None
    bench.job_status(starting, JobStatus.RUNNING, worker="w2")  # now it is known
    assert bench.engine.workers["w2"].jobs_count == 2


def test_pressure_is_load_or_the_share_of_the_cap_that_is_used_whichever_is_more() -> None:
    one = worker(capacity=4)
    one.unclaimed_jobs, one.reported_load = 2, 0.1
    assert one.pressure(POLICY) == 0.5
    one.reported_load = 0.8
    assert one.pressure(POLICY) == 0.8


def test_an_uncapped_worker_has_room_for_as_many_offers_as_may_be_in_flight() -> None:
    assert worker().room(POLICY) == POLICY.offers_in_flight_max


def test_a_capped_worker_has_room_up_to_its_cap() -> None:
    one = worker(capacity=3)
    one.unclaimed_jobs = 2
    assert one.room(POLICY) == 1
    one.unclaimed_jobs = 7
    assert one.room(POLICY) == 0


def test_a_worker_with_a_cap_of_nothing_has_no_room() -> None:
    one = worker(capacity=0)
    assert one.room(POLICY) == 0
    assert one.pressure(POLICY) == 0.0


def test_load_alone_never_closes_a_worker() -> None:
    one = worker()
    one.reported_load = 1.0
    assert one.room(POLICY) > 0


def test_a_full_worker_is_offered_nothing_whatever_its_load(bench: EngineBench) -> None:
    bench.worker("w")
    bench.report("w", 0.0, full=True)
    assert bench.offered(bench.dispatch()) is None


def test_a_worker_that_is_full_no_longer_is_offered_what_waits(bench: EngineBench) -> None:
    bench.worker("w")
    bench.report("w", full=True)
    job = bench.dispatch()
    bench.report("w")
    assert bench.offered(job) == "w"


def test_a_draining_worker_is_offered_nothing_and_keeps_what_it_has(bench: EngineBench) -> None:
    bench.worker("w")
    running = bench.running("first")
    bench.report("w", draining=True)
    assert bench.offered(bench.dispatch("second")) is None
    assert bench.holder(running) == "w"


def test_a_jobs_load_counts_between_reports_and_fades_with_them(bench: EngineBench) -> None:
    bench.worker("w")
    for n in range(2):
        bench.accept(bench.dispatch(f"r{n}"))
    known = bench.engine.workers["w"]
    assert known.load(POLICY) == pytest.approx(0.2)
    bench.report("w", 0.0, jobs=0)
    assert known.load(POLICY) == pytest.approx(0.1)


def test_an_offer_that_was_declined_is_no_load(bench: EngineBench) -> None:
    bench.worker("w")
    bench.decline(bench.dispatch())
    assert bench.engine.workers["w"].load(POLICY) == 0.0


def test_jobs_spread_over_workers_that_all_report_nothing() -> None:
    bench = EngineBench(watch=watched)
    for n in range(4):
        bench.worker(f"w{n}")
    for n in range(200):
        job = bench.dispatch(f"r{n}")
        bench.accept(job)
    held = sorted(len(one.jobs) for one in bench.engine.workers.values())
    assert held[0] > 40
    assert held[-1] < 60


def test_the_lower_of_the_declared_and_the_configured_cap_counts() -> None:
    policy = Policy(agents={"greeter": AgentPolicy(capacity=2)})
    bench = EngineBench(policy)
    bench.worker("low", capacity=1)
    bench.worker("high", capacity=9)
    bench.worker("stock")
    caps = {name: one.capacity for name, one in bench.engine.workers.items()}
    assert caps == {"low": 1, "high": 2, "stock": 2}
