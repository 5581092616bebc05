"""Assignments that were cut (`holding`): sent again at the same epoch, to the same process."""

from __future__ import annotations

from dispatcher.core.events import AssignmentExpired
from dispatcher.core.jobs import JobStatus
from tests.support.engine_bench import EngineBench
from tests.unit.dispatcher.core.board_checks import board_of


def test_an_assignment_that_its_worker_may_not_have_got_is_sent_again_at_the_same_epoch(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one", grace_seconds=3)
    job = bench.dispatch()
    bench.accept(job)
    bench.lose("a")
    bench.connect("b", instance="one", grace_seconds=3)
    bench.pass_time(2.9)
    assert len(bench.assignments(job)) == 1  # it may be about to claim it
    bench.report("b")
    again = bench.assignments(job)[1]
    assert (again.worker_id, again.state.epoch, again.state.attempt) == ("b", 1, 1)
    bench.pass_time(10)
    assert bench.holder(job) == "b"


def test_an_assignment_that_is_sent_again_waits_until_that_is_durable(bench: EngineBench) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.accept(job)
    bench.lose("a")
    bench.connect("b", instance="one")
    bench.pass_time(1)
    bench.holds_commits = True
    bench.report("b")
    assert [message.worker_id for message in bench.assignments(job)] == ["a"]
    bench.release_commits()
    assert [message.worker_id for message in bench.assignments(job)] == ["a", "b"]


def test_an_assignment_is_not_sent_again_to_a_worker_that_is_full_by_now(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one", capacity=1, grace_seconds=3)
    job = bench.dispatch(room="cut")
    bench.accept(job)
    bench.lose("a")
    bench.connect("b", instance="one", capacity=1, grace_seconds=3)
    bench.pass_time(1)
    other = bench.dispatch(room="other")
    bench.accept(other, worker="b")
    bench.report("b")
    assert bench.holder(other) == "b"
    assert len(bench.assignments(job)) == 1
    bench.worker("c")
    bench.pass_time(3)
    assert bench.offered(job) == "c"


def test_an_assignment_that_its_worker_claims_or_reports_is_not_sent_again(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one")
    claimed, reported = bench.dispatch(room="claimed"), bench.dispatch(room="reported")
    started = bench.dispatch(room="started")
    for job in (claimed, reported, started):
        bench.accept(job)
    bench.start(started)
    bench.lose("a")
    bench.connect("b", instance="one")
    bench.claim("b", claimed)
    bench.job_status(reported, JobStatus.RUNNING, worker="b", epoch=1)
    bench.report("b")
    assert [len(bench.assignments(job)) for job in (claimed, reported, started)] == [1, 1, 1]


def test_nobody_else_gets_an_assignment_that_was_cut(bench: EngineBench) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.accept(job)
    bench.lose("a")
    bench.worker("b", instance="two")
    bench.worker("c")
    assert len(bench.assignments(job)) == 1
    bench.pass_time(20)
    assert board_of(bench.engine).undelivered == {}
    assert bench.offered(job) in ("b", "c")


def test_an_assignment_that_was_not_durable_when_its_worker_came_back_is_sent_once(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.decline(job)
    bench.pass_time(1)
    bench.holds_commits = True
    bench.accept(job)
    bench.lose("a")
    bench.worker("b", instance="one")
    bench.release_commits()
    assert [message.worker_id for message in bench.assignments(job)] == ["a", "b"]
    assert bench.holder(job) == "b"


def test_an_assignment_that_is_superseded_by_another_does_not_end_it_when_it_expires(
    bench: EngineBench,
) -> None:
    bench.worker("a", instance="one")
    job = bench.dispatch()
    bench.accept(job)
    bench.lose("a")
    bench.pass_time(4)
    bench.worker("b", instance="one")
    bench.pass_time(3)
    bench.tell(AssignmentExpired(job, 1))
    assert bench.holder(job) == "b"
    assert bench.state(job).epoch == 1
