"""A worker that is slower than an offer waits gets its job all the same, if nobody else has it."""

from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import Policy
from tests.support.engine_bench import EngineBench

OFFER_SECONDS = Policy().offer_timeout / 1e9
LATE_SECONDS = Policy().late_answer_time / 1e9


def test_who_accepts_late_gets_the_job_that_still_waits() -> None:
    bench = EngineBench()
    bench.worker("slow")
    job = bench.dispatch()
    bench.pass_time(OFFER_SECONDS + 2)
    bench.accept(job, worker="slow")
    assert bench.holder(job) == "slow"


def test_who_accepts_late_does_not_get_a_job_that_another_holds() -> None:
    bench = EngineBench()
    bench.worker("slow")
    job = bench.dispatch()
    bench.worker("quick")
    bench.pass_time(OFFER_SECONDS)
    bench.accept(job, worker="quick")
    bench.accept(job, worker="slow")
    assert bench.holder(job) == "quick"
    assert len(bench.assignments(job)) == 1


def test_who_accepts_late_gets_the_job_when_the_next_worker_declines() -> None:
    bench = EngineBench()
    bench.worker("slow")
    job = bench.dispatch()
    bench.worker("other")
    bench.pass_time(OFFER_SECONDS)
    bench.accept(job, worker="slow")
    bench.decline(job, worker="other")
    assert bench.holder(job) == "slow"


def test_a_late_acceptance_is_forgotten_when_the_worker_waits_no_longer() -> None:
    bench = EngineBench()
    bench.worker("slow")
    job = bench.dispatch()
    bench.worker("other")
    bench.pass_time(OFFER_SECONDS)
    bench.accept(job, worker="slow")
    bench.pass_time(LATE_SECONDS)
    bench.decline(job, worker="other")
    assert bench.phase(job) is JobPhase.OFFERED


def test_an_acceptance_of_a_job_that_was_never_offered_gets_nothing() -> None:
    bench = EngineBench()
    bench.worker("offered")
    job = bench.dispatch()
    bench.worker("stranger")
    bench.accept(job, worker="stranger")
    bench.decline(job, worker="offered")
    assert bench.assignments(job) == []
