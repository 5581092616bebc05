"""What became of a job, in words: each trigger has some, and they accuse nobody who did nothing."""

from __future__ import annotations

import pytest

from dispatcher.core.courses import TOLD, event_told, held_notes
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.room_events import DisconnectReason
from dispatcher.core.workers import Absence
from tests.support.engine_bench import EngineBench


def test_every_trigger_has_its_words() -> None:
    assert set(TOLD) == set(JobTrigger)


def course(bench: EngineBench, job: str) -> list[str]:
    """Return the words for each event of a job."""
    before: JobPhase | None = None
    told = []
    for row in bench.events(job):
        words = event_told(
            row.trigger, row.phase, row.worker_id, "x", before=before, detail=row.detail
        )
        told.append(words)
        before = row.phase
    return told


def test_the_words_tell_a_job_that_failed_from_one_whose_worker_was_lost(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.fail(job)
    assert course(bench, job)[-1] == "failed, and waits to be tried again"
    bench.pass_time(30)
    bench.accept(job)
    bench.start(job)
    bench.lose("a")
    assert course(bench, job)[-1] == "its worker is gone: its connection was lost"
    bench.pass_time(20.5)  # the grace time is over, the pause after it is not
    assert course(bench, job)[-1] == "its worker did not come back: waits to be tried again"


@pytest.mark.parametrize(
    ("trigger", "detail", "told"),
    [
        (
            JobTrigger.GRACE_EXPIRED,
            "was on AW_1",
            "its worker did not come back: queued for another",
        ),
        (
            JobTrigger.GRACE_EXPIRED,
            "was on AW_1; its agent left",
            "its agent left: queued for another",
        ),
        (JobTrigger.RETRIED, "was lost with AW_1; no word", "no word: waits to be tried again"),
        (JobTrigger.GAVE_UP_LOST, "its agent left", "its agent left, and it is not tried again"),
        (JobTrigger.GAVE_UP_LOST, "", "its worker did not come back, and it is not tried again"),
    ],
)
def test_the_words_for_a_loss_are_those_of_the_evidence(
    trigger: JobTrigger, detail: str, told: str
) -> None:
    before, after = JobPhase.ORPHANED, JobPhase.QUEUED
    assert event_told(trigger, after, "", "x", before=before, detail=detail) == told


def test_the_words_for_a_retry_whose_cause_is_pruned_accuse_nobody() -> None:
    told = event_told(JobTrigger.RETRIED, JobPhase.DELAYED, "", "x", detail="was lost with AW_1")
    assert told == "waits to be tried again"


def test_the_first_words_say_what_made_the_job() -> None:
    told = event_told(JobTrigger.CREATED, JobPhase.OFFERED, "AW_1", "rule 'greeter'")
    assert told == "made by rule 'greeter', offered to AW_1"
    told = event_told(JobTrigger.CREATED, JobPhase.QUEUED, "", "dispatch AD_1")
    assert told == "made by dispatch AD_1: queued"


def notes(bench: EngineBench, job: str) -> list[str]:
    """Return what is said of a held job beside who holds it."""
    return list(held_notes(bench.engine.jobs[job], bench.now))


def test_of_a_job_that_runs_as_it_should_nothing_more_is_said(bench: EngineBench) -> None:
    bench.worker("w")
    assert notes(bench, bench.running()) == []


def test_an_agent_that_is_away_is_told_with_how_and_how_long_and_what_to_do(
    bench: EngineBench,
) -> None:
    bench.worker("w")
    job = bench.running()
    bench.engine.jobs[job].absence = Absence(bench.now, DisconnectReason.SIGNAL_CLOSE)
    bench.pass_time(60)
    [told] = notes(bench, job)
    assert told.startswith("its agent left the room (signal_close) and has been away for 60 s")
    assert told.endswith("(callboard job terminate ends it)")


def test_a_drain_is_told_with_when_the_job_goes_and_what_it_waits_for(bench: EngineBench) -> None:
    bench.worker("w")
    job = bench.running()
    bench.drain_worker("w")
    assert notes(bench, job) == ["its worker is out of service: its jobs run there until they end"]
    bench.drain_worker("w", hand_over_seconds=10)
    told = "its worker is out of service: its jobs go to others in 10 s, if they have room"
    assert notes(bench, job) == [told]
    bench.pass_time(12)
    told = (
        "its worker is out of service: its jobs were to go to others 2 s ago, and no other has room"
    )
    assert notes(bench, job) == [told]


def test_a_worker_that_would_hand_its_job_over_and_cannot_is_told(bench: EngineBench) -> None:
    bench.worker("w")
    job = bench.running()
    bench.hand_over("w", job, when_room=True)
    told = "its worker drains and would hand it over, and no other has room for it"
    assert notes(bench, job) == [told]
