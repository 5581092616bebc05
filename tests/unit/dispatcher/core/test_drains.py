"""Drains, as jobs in hand see them: a worker hands its jobs over, a server gives no orphan away.

What a worker or a server that drains is offered: `test_offering`; who goes when: `test_presence`.
"""

from __future__ import annotations

from dispatcher.core.effects import Ignored, SendOffer, Verdict
from dispatcher.core.jobs import AttemptReason, RestartPolicy
from dispatcher.core.lifecycle import JobPhase
from tests.support.engine_bench import EngineBench


def test_a_job_that_was_handed_over_resumes_on_another_worker_as_the_same_attempt(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job, identity="me")
    bench.start(job)
    bench.worker("b")
    bench.report("a", draining=True)
    bench.hand_over("a", job)
    assert bench.offered(job) == "b"
    offer = bench.of(SendOffer)[-1]
    assert (offer.resuming, offer.state.epoch, offer.state.attempt) == (True, 2, 1)
    assert offer.state.attempt_reason is AttemptReason.HANDED_OVER
    assert bench.stops("a") == [job]
    bench.accept(job)
    assert bench.state(job).participant_identity == "me"


def test_a_hand_over_is_no_failure_even_where_nothing_is_to_be_restarted(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running(restart=RestartPolicy.NEVER)
    bench.hand_over("a", job)
    assert bench.phase(job) is JobPhase.QUEUED


def test_a_job_that_was_handed_over_does_not_come_back_while_it_still_runs_there(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.hand_over("a", job)
    assert bench.offered(job) is None


def test_what_a_worker_does_not_hold_it_cannot_hand_over(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.worker("b")
    bench.hand_over("b", job, "AJ_none")
    assert bench.holder(job) == "a"
    assert bench.ignored() == [Ignored.NOT_HOLDER, Ignored.NOT_HOLDER]


def test_a_server_that_drains_leaves_orphans_to_where_their_workers_come_back(
    bench: EngineBench,
) -> None:
    bench.worker("a", grace_seconds=3)
    job = bench.running()
    bench.drain()
    bench.lose("a")
    bench.pass_time(60)
    assert bench.phase(job) is JobPhase.ORPHANED
    bench.restart()
    bench.connect("b")
    assert bench.claim("b", job) == {job: Verdict.KEEP}
