"""Who is here: workers that register twice, and those that went."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import DropReason, DropWorker, Ignored, Outcome, SendGoAway
from dispatcher.core.events import WorkerUnreachable
from dispatcher.core.jobs import AttemptReason, Lane
from dispatcher.core.lifecycle import JobPhase, WorkerPhase
from dispatcher.core.policy import Policy
from tests.support.engine_bench import AGENT, PROJECT, EngineBench
from tests.unit.dispatcher.core.board_checks import board_of, watched

BIG_EPOCH = 2**64 - 1


# --- odds ---


def test_a_worker_that_registers_twice_is_registered_once(bench: EngineBench) -> None:
    bench.worker("a", capacity=1)
    bench.connect("a", capacity=9)
    assert bench.ignored() == [Ignored.REGISTERED_TWICE]
    assert bench.engine.workers["a"].capacity == 1


def test_nothing_is_remembered_of_a_worker_that_went(bench: EngineBench) -> None:
    bench.worker("a", instance="one")
    job = bench.running()
    bench.claim("a", "AJ_none")
    bench.succeed(job)
    bench.lose("a")
    bench.pass_time(60)  # then starts are looked at, of which there was one
    board = board_of(bench.engine)
    assert not board.workers
    assert not board.processes
    assert not board.unstarted
    assert not len(board.deadlines)


def test_a_job_says_whether_its_worker_was_lost_or_sent_elsewhere(bench: EngineBench) -> None:
    bench.worker("a", capacity=1)
    first = bench.running()
    bench.worker("b", capacity=1)
    second = bench.running("second")
    assert (bench.holder(first), bench.holder(second)) == ("a", "b")
    bench.lose("a")
    bench.drain()
    bench.lose("b")
    assert bench.events(first)[-1].detail == "its worker is gone: its connection was lost"
    told = bench.events(second)[-1].detail
    assert told == "its worker was sent elsewhere: the server stopped"


# --- one process, one connection ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "namespace", "deployment"),
    [("other", "", ""), (AGENT, "n", ""), (AGENT, "", "blue")],
)
def test_workers_of_other_agents_are_other_processes_whatever_they_call_themselves(
    bench: EngineBench, agent: str, namespace: str, deployment: str
) -> None:
    bench.worker("a", instance="pod-1")
    job = bench.running()
    bench.worker("b", agent=agent, namespace=namespace, deployment=deployment, instance="pod-1")
    assert bench.of(DropWorker) == []
    assert bench.holder(job) == "a"


def test_two_workers_with_one_instance_id_are_told_to_be_two(bench: EngineBench) -> None:
    for number in range(5):
        bench.worker(f"w{number}", instance="pod-1")
        bench.pass_time(1)
    reasons = [dropped.reason for dropped in bench.of(DropWorker)]
    assert reasons == [DropReason.TAKEN_OVER] * 2 + [DropReason.INSTANCE_SHARED] * 2


def test_a_process_that_comes_back_now_and_then_is_not_taken_for_two(bench: EngineBench) -> None:
    for number in range(5):
        bench.worker(f"w{number}", instance="pod-1")
        bench.pass_time(11)
    reasons = [dropped.reason for dropped in bench.of(DropWorker)]
    assert reasons == [DropReason.TAKEN_OVER] * 4


# --- taken out of service ----------------------------------------------------------------------


def test_a_worker_that_was_taken_out_of_service_keeps_its_jobs_and_gets_no_more(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    assert bench.drain_worker("a") is Outcome.DONE
    bench.report("a")
    waiting = bench.dispatch()
    bench.pass_time(60)
    assert bench.offered(waiting) is None
    assert bench.holder(job) == "a"
    bench.succeed(job)
    assert bench.phase(job) is JobPhase.SUCCEEDED


def test_the_jobs_of_a_worker_that_was_taken_out_are_handed_over_at_the_deadline(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.drain_worker("a", hand_over_seconds=30)
    bench.worker("b")
    bench.pass_time(29)
    assert bench.holder(job) == "a"
    bench.pass_time(2)
    assert bench.offered(job) == "b"
    assert bench.state(job).attempt_reason is AttemptReason.HANDED_OVER
    assert bench.stops("a") == [job]


def test_a_process_that_was_taken_out_of_service_stays_out_when_it_connects_again(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one")
    bench.running()
    bench.drain_worker("a", hand_over_seconds=30)
    bench.lose("a")
    bench.worker("b", instance="one")
    assert bench.engine.workers["b"].phase is WorkerPhase.OUT_OF_SERVICE
    assert bench.offered(bench.dispatch()) is None


def test_a_worker_that_is_not_there_cannot_be_taken_out_of_service(bench: EngineBench) -> None:
    bench.worker("a", project="other")
    assert bench.drain_worker("nobody") is Outcome.NOT_FOUND
    assert bench.drain_worker("a") is Outcome.NOT_FOUND


def test_only_so_many_processes_are_remembered_as_out_of_service() -> None:
    bench = EngineBench(Policy(out_of_service_max=2), watch=watched)
    for name in ("a", "b", "c"):
        bench.worker(name, instance=name)
        bench.drain_worker(name)
        bench.lose(name)
    taken_out = board_of(bench.engine).out_of_service
    processes = [Lane(PROJECT, AGENT).process(name) for name in ("a", "b", "c")]
    assert [process in taken_out for process in processes] == [False, True, True]


# --- a server that stops -----------------------------------------------------------------------


def test_a_server_that_drains_sends_its_workers_elsewhere(bench: EngineBench) -> None:
    bench.worker("a")
    bench.worker("b")
    bench.drain()
    assert bench.of(SendGoAway) == [SendGoAway("a"), SendGoAway("b")]


# --- losses that wait for their turn -----------------------------------------------------------


def test_a_worker_that_cannot_be_reached_is_offered_nothing_and_what_it_was_offered_goes_on(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    held = bench.running()
    offered = bench.dispatch(room="other")
    bench.worker("b", load=0.1)
    bench.tell(WorkerUnreachable("a"))
    assert bench.offered(offered) == "b"
    assert bench.phase(held) is JobPhase.RUNNING
    bench.pass_time(40)
    bench.lose("a")
    assert bench.phase(held) is JobPhase.ORPHANED


def test_the_jobs_of_a_worker_that_cannot_be_reached_may_be_claimed_meanwhile(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    bench.worker("one", instance="one", load=0.5)
    jobs = [bench.running(room) for room in ("first", "second")]
    holders = {bench.holder(job): job for job in jobs}
    for worker in list(holders):
        assert worker is not None
        bench.tell(WorkerUnreachable(worker))
    for worker, job in holders.items():
        bench.connect(f"{worker}2", instance="one" if worker == "one" else "")
        bench.claim(f"{worker}2", job)
        bench.lose(str(worker))
        assert bench.holder(job) == f"{worker}2"
        assert bench.state(job).epoch == 1


def test_a_job_is_not_handed_over_while_nobody_has_room_for_it(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.drain_worker("a", hand_over_seconds=5)
    bench.pass_time(30)
    assert bench.holder(job) == "a"
    assert bench.stops("a") == []
    bench.worker("b")
    bench.pass_time(5)
    assert bench.offered(job) == "b"
    assert bench.stops("a") == [job]
