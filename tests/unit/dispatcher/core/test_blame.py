"""Jobs that are lost together with one worker (`holding`): which is to blame, which are excused."""

from __future__ import annotations

from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import Policy
from tests.support.engine_bench import EngineBench
from tests.unit.dispatcher.core.board_checks import board_of


def test_a_job_that_kills_its_workers_is_parked_before_its_neighbours_are(
    bench: EngineBench,
) -> None:
    calls = [bench.dispatch(room=f"call {n}") for n in range(3)]
    poison = bench.dispatch(room="poison")
    for n in range(12):
        worker = bench.worker(f"w{n}")
        waiting = [*calls, poison]
        while waiting and bench.phase(poison) is not JobPhase.FAILED:
            for job in list(waiting):
                if bench.offered(job) == worker and (job != poison or len(waiting) == 1):
                    bench.accept(job)
                    waiting.remove(job)
            bench.pass_time(1)
        bench.lose(worker)
        bench.pass_time(20)
        if bench.phase(poison) is JobPhase.FAILED:
            break
    assert bench.state(poison).attempt == 5
    assert all(not bench.phase(job).is_ended for job in calls)


def test_a_neighbour_that_is_lost_too_often_ends_all_the_same() -> None:
    bench = EngineBench(Policy(attempts_max=2, losses_max=4))
    job = bench.dispatch(room="call")
    for n in range(4):
        worker = bench.worker(f"w{n}")
        while bench.offered(job) is None:
            bench.pass_time(1)
        bench.accept(job)
        bench.pass_time(1)
        bench.accept(bench.dispatch(room=f"poison {n}"))
        bench.lose(worker)
        bench.pass_time(20)
    assert bench.phase(job) is JobPhase.FAILED
    assert bench.state(job).error == "its worker w3 was lost; attempt 4 of 4, the last"


def test_a_job_that_was_excused_and_claimed_was_not_lost(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running("first")
    bench.pass_time(1)
    bench.running("second")
    bench.lose("a")
    bench.connect("b")
    bench.claim("b", job)
    assert not board_of(bench.engine).excused
