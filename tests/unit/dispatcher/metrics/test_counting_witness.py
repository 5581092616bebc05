"""Counting what is durable: moves, and how long jobs waited and ran."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import RecordMove, SendAssignment
from dispatcher.core.jobs import JobStatus
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.metrics.counting_witness import CountingWitness
from dispatcher.metrics.histogram import Histogram
from dispatcher.witness import LogWitness
from protocol.errors import StoreFull
from tests.support.engine_bench import EngineBench


class Watched:
    """A bench whose moves and assignments a witness is told."""

    def __init__(self) -> None:
        self.bench = EngineBench()
        self.witness = CountingWitness(self.bench.engine.jobs, LogWitness())
        self._batches = 0
        self._sent = 0

    def tell(self) -> None:
        """Tell what is new."""
        bench = self.bench
        for message in bench.sent[self._sent :]:
            if isinstance(message, SendAssignment):
                self.witness.assigned(message, bench.now)
        self._sent = len(bench.sent)
        for batch in bench.batches[self._batches :]:
            for request in batch:
                if isinstance(request, RecordMove):
                    self.witness.recorded(request)
        self._batches = len(bench.batches)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def only(histogram: Histogram) -> float:
    """Return the only value that there was."""
    assert histogram.count == 1
    return histogram.sum


def test_a_job_that_waited_is_counted_with_its_wait_its_start_and_its_run(
    watched: Watched,
) -> None:
    bench, witness = watched.bench, watched.witness
    job = bench.dispatch()
    bench.pass_time(8)
    bench.worker("a")
    bench.pass_time(2)
    bench.accept(job)
    watched.tell()
    bench.pass_time(0.5)
    bench.job_status(job, JobStatus.RUNNING)
    bench.pass_time(60)
    bench.job_status(job, JobStatus.SUCCESS)
    watched.tell()
    assert only(witness.queue_seconds) == pytest.approx(10)
    assert only(witness.dispatch_seconds) == pytest.approx(10)
    assert only(witness.start_seconds) == pytest.approx(0.5)
    assert only(witness.run_seconds) == pytest.approx(60.5)
    assert witness.moves[JobTrigger.SUCCEEDED] == 1


def test_a_job_that_is_tried_again_waits_since_it_was_queued_again(watched: Watched) -> None:
    bench, witness = watched.bench, watched.witness
    bench.worker("a", grace_seconds=1)
    job = bench.dispatch()
    bench.accept(job)
    watched.tell()
    bench.pass_time(100)
    bench.lose("a")
    bench.pass_time(1)
    bench.pass_time(7)
    bench.worker("b")
    bench.accept(job)
    watched.tell()
    assert witness.queue_seconds.count == 2
    assert witness.queue_seconds.sum == pytest.approx(7)
    assert witness.moves[JobTrigger.WORKER_LOST] == witness.moves[JobTrigger.GRACE_EXPIRED] == 1


def test_an_assignment_that_is_sent_again_is_not_another_wait(watched: Watched) -> None:
    bench, witness = watched.bench, watched.witness
    bench.worker("a", instance="i")
    job = bench.dispatch()
    bench.accept(job)
    watched.tell()
    bench.lose("a")
    bench.pass_time(0.1)
    bench.worker("b", instance="i")
    watched.tell()
    assert len(bench.assignments(job)) == 2
    assert witness.queue_seconds.count == 1


def test_a_job_that_nobody_took_has_neither_run_nor_start(watched: Watched) -> None:
    bench, witness = watched.bench, watched.witness
    job = bench.dispatch(queue_seconds=5)
    bench.pass_time(6)
    watched.tell()
    assert bench.state(job).phase is JobPhase.FAILED
    assert witness.moves[JobTrigger.QUEUE_DEADLINE_PASSED] == 1
    assert witness.run_seconds.count == witness.queue_seconds.count == 0


def test_commits_and_their_failures_are_counted(watched: Watched) -> None:
    witness = watched.witness
    witness.committed(17, 0.004)
    witness.store_failing(StoreFull("is full", "place", "make room"))
    witness.store_recovered()
    assert (only(witness.commit_requests), only(witness.commit_seconds)) == (17, 0.004)
    assert witness.commit_failures == 1


def test_who_is_behind_is_told_everything(watched: Watched) -> None:
    bench = watched.bench
    told: list[str] = []

    class Behind(LogWitness):
        def recorded(self, move: RecordMove) -> None:
            told.append(move.trigger.value)

        def committed(self, requests: int, seconds: float) -> None:
            told.append("committed")

    witness = CountingWitness(bench.engine.jobs, Behind())
    bench.worker("a")
    bench.accept(bench.dispatch())
    (move,) = [one for batch in bench.batches for one in batch if isinstance(one, RecordMove)]
    witness.recorded(move)
    witness.committed(1, 0.0)
    assert told == ["assigned", "committed"]
