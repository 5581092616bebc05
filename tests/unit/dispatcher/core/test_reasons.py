"""Why a job waits: every obstacle of a worker is named, and nothing else is said to be one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dispatcher.core.jobs import JobType, Lane
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.reasons import (
    TOLD,
    Candidates,
    Obstacle,
    candidates,
    event_told,
    held_notes,
    waiting_summary,
    worker_reason,
)
from dispatcher.core.room_events import DisconnectReason
from dispatcher.core.workers import Absence
from tests.support.engine_bench import AGENT, PROJECT, EngineBench

LANE = Lane(PROJECT, AGENT)


def why(
    bench: EngineBench, worker: str = "w", lane: Lane = LANE, job: str = "AJ_x"
) -> tuple[Obstacle, str]:
    """Return why the worker does not get a job of the lane, and the words for it."""
    engine = bench.engine
    found = worker_reason(engine.workers[worker], lane, job, engine.policy, bench.now)
    return found.obstacle, found.text


def all_of(bench: EngineBench, lane: Lane = LANE, reasons_max: int = 100) -> Candidates:
    engine = bench.engine
    return candidates(engine.workers.values(), lane, "AJ_x", engine.policy, bench.now, reasons_max)


def summary(bench: EngineBench, lane: Lane = LANE, position: int = 1) -> str:
    job = bench.dispatch("summary")
    return waiting_summary(
        bench.state(job), JobPhase.QUEUED, lane, all_of(bench, lane), position, is_draining=False
    )


def settling(bench: EngineBench) -> None:
    bench.connect("w")


def full(bench: EngineBench) -> None:
    bench.worker("w")
    bench.report("w", 0.93, 4, full=True)


def draining(bench: EngineBench) -> None:
    bench.worker("w")
    bench.report("w", draining=True)


def stale(bench: EngineBench) -> None:
    bench.worker("w")
    bench.hung.add("w")
    bench.pass_time(bench.policy.status_stale_time / 1e9 + 1)


def out_of_service(bench: EngineBench) -> None:
    bench.worker("w")
    bench.drain_worker("w")


def backed_off(bench: EngineBench) -> None:
    bench.worker("w")
    bench.decline(bench.dispatch())


def at_capacity(bench: EngineBench) -> None:
    bench.worker("w", capacity=2)
    bench.running("one")
    bench.dispatch("two")


def busy(bench: EngineBench) -> None:
    bench.worker("w")
    for number in range(bench.policy.offers_in_flight_max):
        bench.dispatch(f"room-{number}")


def idle(bench: EngineBench) -> None:
    bench.worker("w")


@pytest.mark.parametrize(
    ("bring", "obstacle", "words"),
    [
        (settling, Obstacle.SETTLING, "connected a moment ago"),
        (full, Obstacle.FULL, "says that it is full: load 0.93, 4 jobs"),
        (draining, Obstacle.DRAINING, "drains"),
        (stale, Obstacle.STALE, "has told no status for"),
        (out_of_service, Obstacle.OUT_OF_SERVICE, "an operator took it out of service"),
        (backed_off, Obstacle.BACKED_OFF, "is left alone for"),
        (at_capacity, Obstacle.AT_CAPACITY, "is at capacity: 2 of 2 jobs (1 of them on offer)"),
        (busy, Obstacle.BUSY_WITH_OFFERS, "offers that it has not answered"),
        (idle, Obstacle.NONE, "has room"),
    ],
)
def test_each_obstacle_of_a_worker_is_named(
    bench: EngineBench, bring: Callable[[EngineBench], None], obstacle: Obstacle, words: str
) -> None:
    bring(bench)
    found, text = why(bench)
    assert found is obstacle
    assert words in text


@pytest.mark.parametrize(
    ("lane", "obstacle", "words"),
    [
        (
            Lane(PROJECT, AGENT, "eu"),
            Obstacle.OTHER_NAMESPACE,
            "is of no namespace, the job of namespace 'eu'",
        ),
        (
            Lane(PROJECT, AGENT, deployment="blue"),
            Obstacle.OTHER_DEPLOYMENT,
            "is of no deployment, the job of deployment 'blue'",
        ),
        (
            Lane(PROJECT, AGENT, job_type=JobType.PUBLISHER),
            Obstacle.OTHER_TYPE,
            "takes jobs of type room, this one is publisher",
        ),
    ],
)
def test_a_worker_that_serves_other_jobs_says_which(
    bench: EngineBench, lane: Lane, obstacle: Obstacle, words: str
) -> None:
    bench.worker("w")
    assert why(bench, lane=lane) == (obstacle, words)


def test_a_worker_that_may_still_run_the_job_is_not_offered_it(bench: EngineBench) -> None:
    bench.worker("w")
    job = bench.running()
    bench.hand_over("w", job)
    assert why(bench, job=job)[0] is Obstacle.STOPPING
    assert why(bench, job="AJ_other")[0] is Obstacle.NONE


def test_workers_of_the_lane_come_first_and_the_rest_is_counted(bench: EngineBench) -> None:
    for number in range(5):
        bench.worker(f"other-{number}", deployment="blue")
    bench.worker("w-of-lane")
    bench.worker("stranger", agent="another")
    found = all_of(bench, reasons_max=3)
    assert [each.worker_id for each in found.reasons] == ["w-of-lane", "other-0", "other-1"]
    assert (found.left_out, found.of_lane) == (3, 1)


def test_the_summary_says_that_nobody_is_connected(bench: EngineBench) -> None:
    bench.worker("stranger", agent="another")
    assert summary(bench) == "no worker of this agent is connected"


def test_the_summary_says_that_those_who_are_connected_serve_others(bench: EngineBench) -> None:
    bench.worker("w", deployment="blue")
    told = summary(bench, Lane(PROJECT, AGENT, "eu", deployment="green"))
    assert "no worker of agent 'greeter', namespace 'eu', deployment 'green'," in told
    assert "1 other namespace" in told


def test_the_summary_counts_the_obstacles(bench: EngineBench) -> None:
    bench.worker("one")
    bench.report("one", 1.0, 1, full=True)
    bench.worker("two")
    bench.report("two", draining=True)
    assert summary(bench) == "no worker of its lane can take a job now: 1 full, 1 draining"


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
    waits = waiting_summary(
        bench.state(job), JobPhase.DELAYED, LANE, all_of(bench), 0, is_draining=False
    )
    assert waits == "its worker was lost: it is tried again after a pause, as attempt 3"


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
    assert notes(bench, job) == ["its worker is out of service: it runs there until it ends"]
    bench.drain_worker("w", hand_over_seconds=10)
    told = "its worker is out of service: in 10 s it goes to another, if one has room"
    assert notes(bench, job) == [told]
    bench.pass_time(12)
    told = (
        "its worker is out of service: it has been due to go to another for 2 s, and no other has"
        " room for it"
    )
    assert notes(bench, job) == [told]


def test_a_worker_that_would_hand_its_job_over_and_cannot_is_told(bench: EngineBench) -> None:
    bench.worker("w")
    job = bench.running()
    bench.hand_over("w", job, when_room=True)
    told = "its worker drains and would hand it over, and no other has room for it"
    assert notes(bench, job) == [told]
