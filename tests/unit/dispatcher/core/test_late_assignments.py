"""An assignment that its worker waits for no longer is not sent, and costs the job nothing."""

from dispatcher.core.effects import SendAssignment
from dispatcher.core.events import AssignmentExpired
from dispatcher.core.jobs import SECOND, AttemptReason
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import Policy
from tests.support.engine_bench import EngineBench

POLICY = Policy()


def test_an_assignment_expires_so_long_after_the_acceptance() -> None:
    bench = EngineBench()
    bench.worker("w")
    job = bench.dispatch()
    bench.accept(job, worker="w")
    assert bench.assignments(job)[0].expires_at == bench.now + POLICY.assignment_time


def test_the_time_that_the_store_took_to_create_the_job_counts_too() -> None:
    bench = EngineBench()
    bench.worker("w")
    bench.holds_commits = True
    job = bench.dispatch()
    accepted_at = bench.now
    bench.accept(job, worker="w")
    bench.pass_time(3)
    bench.release_commits()
    assert bench.assignments(job)[0].expires_at == accepted_at + POLICY.assignment_time


def test_a_job_whose_assignment_expired_goes_to_the_next_worker_as_the_same_attempt() -> None:
    bench = EngineBench()
    bench.worker("w", capacity=1)
    job = bench.dispatch()
    bench.accept(job, worker="w")
    epoch = bench.state(job).epoch
    bench.pass_time(POLICY.assignment_time / SECOND + 0.1)
    bench.tell(AssignmentExpired(job, epoch))
    assert bench.phase(job) is JobPhase.OFFERED
    state = bench.state(job)
    assert (state.epoch, state.attempt) == (epoch + 1, 1)
    assert state.attempt_reason is AttemptReason.NOT_DELIVERED


def test_an_expiry_of_an_older_epoch_changes_nothing() -> None:
    bench = EngineBench()
    bench.worker("w")
    job = bench.dispatch()
    bench.accept(job, worker="w")
    bench.tell(AssignmentExpired(job, bench.state(job).epoch - 1))
    assert bench.phase(job) is JobPhase.ASSIGNED
    assert len(bench.of(SendAssignment)) == 1
