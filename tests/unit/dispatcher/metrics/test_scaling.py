"""How many workers an agent needs: of jobs alone, and steady."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.lifecycle import WorkerPhase
from dispatcher.core.policy import AgentPolicy, Policy
from dispatcher.core.workers import Worker
from dispatcher.metrics.scaling import (
    WorkerKind,
    desired_workers,
    free_slots_of,
    kind_expected,
    slots_of,
    uncapped_slots,
)
from tests.support.engine_bench import EngineBench

POLICY = Policy()


def worker_with(capacity: int | None, jobs: int = 0, *, full: bool = False) -> Worker:
    """Return a worker that runs so many jobs."""
    bench = EngineBench()
    bench.worker("a", capacity=capacity)
    for number in range(jobs):
        bench.accept(bench.dispatch(f"room-{number}"))
    if full:
        bench.report("a", full=True)
    return bench.engine.workers["a"]


@pytest.mark.parametrize(
    ("jobs", "slots", "workers", "wanted"),
    [(0, 4, 1, 0), (1, 4, 1, 1), (4, 4, 1, 1), (5, 4, 1, 2), (7, 6, 4, 5), (10, 25, 1, 1)],
)
def test_jobs_need_as_many_workers_of_the_present_kind_as_hold_them(
    jobs: int, slots: int, workers: int, wanted: int
) -> None:
    assert desired_workers(jobs, WorkerKind(slots, workers)) == wanted


@given(jobs=st.integers(0, 100_000), each=st.integers(1, 500), workers=st.integers(1, 1000))
def test_the_need_does_not_depend_on_how_many_workers_there_are(
    jobs: int, each: int, workers: int
) -> None:
    need = desired_workers(jobs, WorkerKind(each * workers, workers))
    assert need == desired_workers(jobs, WorkerKind(each, 1))
    assert (need - 1) * each < jobs <= need * each


@given(jobs=st.integers(0, 10_000), slots=st.integers(1, 500), workers=st.integers(1, 50))
def test_one_job_more_never_needs_fewer_workers(jobs: int, slots: int, workers: int) -> None:
    kind = WorkerKind(slots, workers)
    assert desired_workers(jobs, kind) <= desired_workers(jobs + 1, kind)


def test_a_worker_without_a_capacity_takes_what_brings_it_to_the_target_load() -> None:
    assert uncapped_slots(POLICY) == 7
    assert uncapped_slots(Policy(target_load=0.05, load_per_job=0.1)) == 1
    assert uncapped_slots(Policy(load_per_job=0.0)) == 1


def test_what_a_load_was_measured_to_be_changes_no_slots() -> None:
    bench = EngineBench()
    bench.worker("a")
    bench.report("a", 0.69, 3)
    assert slots_of(bench.engine.workers["a"], POLICY) == 7


def test_free_slots_are_those_that_neither_jobs_nor_offers_take() -> None:
    assert free_slots_of(worker_with(5), POLICY) == 5
    assert free_slots_of(worker_with(5, jobs=2), POLICY) == 3
    assert free_slots_of(worker_with(None, jobs=2), POLICY) == 5
    bench = EngineBench()
    bench.worker("a", capacity=5)
    bench.dispatch()
    assert free_slots_of(bench.engine.workers["a"], POLICY) == 4


def test_a_worker_that_is_full_or_leaves_has_no_free_slots() -> None:
    assert free_slots_of(worker_with(5, full=True), POLICY) == 0
    worker = worker_with(5)
    worker.phase = WorkerPhase.DRAINING
    assert free_slots_of(worker, POLICY) == 0


def test_an_agent_without_workers_is_expected_to_have_those_of_its_configured_capacity() -> None:
    policy = Policy(agents={"small": AgentPolicy(capacity=2)})
    assert kind_expected(policy, "small") == WorkerKind(2, 1)
    assert kind_expected(policy, "other") == WorkerKind(7, 1)
