"""What workers leave unsaid: a status, a count, a start."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import DropReason, DropWorker, Verdict
from dispatcher.core.jobs import SECOND, JobType
from dispatcher.core.lifecycle import JobPhase, WorkerPhase
from tests.support.engine_bench import AGENT, PROJECT, EngineBench


def test_a_worker_whose_status_comes_no_more_is_dropped_and_its_jobs_are_orphans(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.hung.add("a")
    bench.pass_time(29)
    assert bench.phase(job) is JobPhase.RUNNING
    bench.pass_time(1)
    assert bench.of(DropWorker) == [DropWorker("a", DropReason.STATUS_STALE)]
    assert bench.phase(job) is JobPhase.ORPHANED
    assert bench.events(job)[-1].detail == "its worker hangs: no status for 30 s"


def test_a_worker_is_offered_nothing_while_its_status_is_stale(bench: EngineBench) -> None:
    bench.worker("a")
    bench.hung.add("a")
    bench.pass_time(11)
    assert bench.engine.workers["a"].phase is WorkerPhase.STALE
    job = bench.dispatch()
    assert bench.offered(job) is None
    bench.report("a")
    assert bench.offered(job) == "a"


def test_a_worker_that_was_dropped_for_its_silence_claims_its_jobs_and_keeps_them(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.hung.add("a")
    bench.pass_time(31)
    bench.connect("b")
    assert bench.claim("b", job) == {job: Verdict.KEEP}


def test_a_worker_that_reports_late_and_again_is_not_dropped(bench: EngineBench) -> None:
    bench.worker("a")
    bench.hung.add("a")
    for _ in range(4):
        bench.pass_time(25)
        bench.report("a")
    assert bench.of(DropWorker) == []


def test_a_worker_that_never_tells_a_status_is_offered_nothing_more_and_dropped(
    bench: EngineBench,
) -> None:
    bench.connect("a")
    bench.hung.add("a")
    bench.pass_time(1)
    job = bench.running()
    bench.pass_time(10)
    assert bench.engine.workers["a"].phase is WorkerPhase.STALE
    bench.pass_time(20)
    assert bench.of(DropWorker) == [DropWorker("a", DropReason.STATUS_STALE)]
    assert bench.events(job)[-1].detail == "its worker hangs: no status for 30 s"


def test_a_job_that_its_worker_counts_no_more_is_given_to_another(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.report("a", jobs=1)
    bench.report("a", jobs=0)
    bench.worker("b", load=0.1)
    bench.pass_time(31)
    assert bench.stops("a") == [job]
    assert bench.offered(job) == "b"
    assert bench.state(job).epoch == 2
    assert "has said for 30 s that it runs no job" in bench.events(job)[-2].detail


def test_a_worker_that_counts_its_jobs_again_keeps_them(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.report("a", jobs=1)
    bench.report("a", jobs=0)
    bench.pass_time(25)
    bench.report("a", jobs=1)
    bench.pass_time(60)
    assert bench.holder(job) == "a"


def test_a_job_that_is_younger_than_the_count_is_not_lost_for_it(bench: EngineBench) -> None:
    bench.worker("a")
    old = bench.running()
    bench.report("a", jobs=1)
    bench.report("a", jobs=0)
    bench.pass_time(19)
    young = bench.running(room="young")
    bench.pass_time(12)
    assert bench.stops("a") == [old]
    assert bench.holder(young) == "a"
    bench.pass_time(40)
    assert bench.stops("a") == [old, young]


def test_a_job_that_was_never_counted_where_others_count_theirs_is_given_to_another(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.worker("b", load=0.1)
    bench.report("b", jobs=1)
    bench.report("a", jobs=0)
    bench.pass_time(31)
    assert bench.stops("a") == [job]
    assert bench.offered(job) == "b"


def test_a_worker_that_says_nothing_of_its_jobs_keeps_them_whatever_others_count(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job)
    bench.worker("b", load=0.1)
    bench.report("b", jobs=1)
    bench.report("a", jobs=0)
    bench.pass_time(50)
    assert bench.holder(job) == "a"


@pytest.mark.parametrize(
    ("project", "agent", "version"),
    [(PROJECT, AGENT, "1.8"), (PROJECT, "other", ""), ("other", AGENT, "")],
)
def test_a_worker_of_another_kind_that_counts_its_jobs_is_evidence_against_nobody(
    bench: EngineBench, project: str, agent: str, version: str
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.connect("b", project=project, agent=agent, version=version)
    bench.report("b", jobs=1)
    bench.report("a", jobs=0)
    bench.pass_time(300)
    assert bench.holder(job) == "a"


def test_a_worker_that_never_counts_its_jobs_keeps_them(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.pass_time(300)
    assert bench.holder(job) == "a"


def assigned(bench: EngineBench) -> str:
    """Return a job that was assigned to "a", which says nothing of it."""
    job = bench.dispatch(room="room")
    bench.accept(job, worker="a")
    return job


def test_a_job_that_does_not_start_where_others_do_is_given_to_another(bench: EngineBench) -> None:
    bench.worker("a")
    bench.succeed(bench.running(room="first"))
    job = assigned(bench)
    bench.worker("b", load=0.1)
    bench.pass_time(59)
    assert bench.holder(job) == "a"
    bench.pass_time(2)
    assert bench.stops("a") == [job]
    assert bench.offered(job) == "b"
    assert bench.events(job)[-2].detail == "its worker did not start it within 60 s"


def test_a_job_of_a_worker_that_never_speaks_of_jobs_is_left_alone(bench: EngineBench) -> None:
    bench.worker("a")
    job = assigned(bench)
    bench.pass_time(3600)
    assert bench.phase(job) is JobPhase.ASSIGNED


def test_a_job_of_which_nothing_is_ever_heard_ends_after_a_day(bench: EngineBench) -> None:
    bench.worker("a")
    job = assigned(bench)
    bench.pass_time(24 * 3600 + 120)
    assert bench.phase(job) is JobPhase.FAILED
    assert bench.state(job).error.startswith("nothing was heard of it for 86")
    assert bench.stops("a") == [job]


@pytest.mark.parametrize("is_there", [True, False])
def test_an_agent_that_is_not_in_its_room_where_others_were_seen_is_lost(
    bench: EngineBench, is_there: bool
) -> None:
    bench.worker("a")
    bench.room_starts(room="room")
    first = assigned(bench)
    bench.joins(f"agent-{first}", room="room")
    bench.pass_time(10)
    second = bench.dispatch(room="other")
    bench.room_starts(room="other", session=2)
    bench.accept(second, worker="a")
    if is_there:
        bench.joins(f"agent-{second}", 2, room="other", session=2)
    bench.pass_time(300)
    assert bench.holder(first) == "a"
    assert bench.stops("a") == ([] if is_there else [second])
    if not is_there:
        evidence = [row.detail for row in bench.events(second)]
        assert "its agent did not join the room within 60 s" in evidence


def test_a_job_of_an_unknown_room_is_not_lost_because_its_agent_was_not_seen(
    bench: EngineBench,
) -> None:
    bench.worker("a", types=(JobType.ROOM,))
    bench.room_starts(room="room")
    seen = assigned(bench)
    bench.joins(f"agent-{seen}", room="room")
    unseen = bench.dispatch(room="nobody told of it")
    bench.accept(unseen, worker="a")
    bench.pass_time(600)
    assert bench.holder(unseen) == "a"


def test_a_server_that_was_stopped_itself_accuses_nobody_of_silence(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.now += 60 * SECOND
    bench.carry_out(bench.engine.expire(bench.now))
    assert bench.of(DropWorker) == []
    assert bench.engine.workers["a"].phase is WorkerPhase.AVAILABLE
    bench.report("a")
    bench.pass_time(60)
    assert bench.holder(job) == "a"


def test_a_worker_that_stays_silent_after_a_server_was_stopped_is_found(bench: EngineBench) -> None:
    bench.worker("a")
    bench.running()
    bench.hung.add("a")
    bench.now += 60 * SECOND
    bench.carry_out(bench.engine.expire(bench.now))
    bench.pass_time(31)
    assert len(bench.of(DropWorker)) == 1


def test_an_orphan_whose_server_was_stopped_is_held_until_its_worker_can_be_heard(
    bench: EngineBench,
) -> None:
    bench.worker("a", grace_seconds=3)
    job = bench.running()
    bench.lose("a")
    bench.now += 60 * SECOND
    bench.carry_out(bench.engine.expire(bench.now))
    bench.pass_time(1)
    bench.connect("b")
    assert bench.claim("b", job) == {job: Verdict.KEEP}
