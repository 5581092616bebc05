"""Why a job waits: every obstacle of a worker is named, and nothing else is said to be one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dispatcher.core.jobs import JobType, Lane
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.reasons import (
    Candidates,
    Obstacle,
    advice,
    candidates,
    waiting_summary,
    worker_note,
    worker_reason,
)
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


def test_the_summary_of_a_job_that_was_lost_says_why_it_pauses(bench: EngineBench) -> None:
    bench.worker("w")
    job = bench.running()
    bench.lose("w")
    bench.pass_time(20.5)  # the grace time is over, the pause after it is not
    state = replace(bench.state(job), phase=JobPhase.DELAYED)
    told = waiting_summary(state, JobPhase.DELAYED, LANE, all_of(bench), 0, is_draining=False)
    assert told == "its worker was lost: it is tried again after a pause, as attempt 2"


def test_a_worker_that_is_asked_is_told_from_one_that_has_room(bench: EngineBench) -> None:
    bench.worker("w")
    job = bench.dispatch()
    bench.pass_time(2)
    found = why(bench, job=job)
    assert found == (Obstacle.ON_OFFER, "is asked, and has not answered for 2.0 s")
    assert why(bench, job="AJ_other")[0] is Obstacle.NONE


def test_how_often_a_worker_refused_this_very_job_is_told_and_no_other_job_pays(
    bench: EngineBench,
) -> None:
    bench.worker("w")
    job = bench.dispatch()
    bench.decline(job)
    bench.pass_time(5)
    bench.decline(job)
    bench.pass_time(8 + bench.policy.offer_timeout / 1e9)  # the third offer it leaves unanswered
    engine = bench.engine
    found = worker_reason(engine.workers["w"], LANE, job, engine.policy, bench.now)
    assert (found.declined, found.unanswered) == (2, 1)
    assert "declined this job 2 times, left it unanswered once" in found.text
    other = worker_reason(engine.workers["w"], LANE, "AJ_other", engine.policy, bench.now)
    assert (other.declined, "this job" in other.text) == (0, False)


def test_of_many_workers_each_obstacle_is_shown_and_all_are_counted(bench: EngineBench) -> None:
    for number in range(6):
        bench.worker(f"a{number}")
        bench.report(f"a{number}", 1.0, 1, full=True)
    bench.worker("z")
    bench.report("z", draining=True)
    found = all_of(bench, reasons_max=3)
    assert [each.worker_id for each in found.reasons] == ["a0", "a1", "z"]
    assert found.counts == {Obstacle.FULL: 6, Obstacle.DRAINING: 1}


@pytest.mark.parametrize(
    ("bring", "lane", "told"),
    [
        (idle, Lane(PROJECT, "greter"), "is 'greeter' meant? If not, start its workers"),
        (idle, Lane(PROJECT, "nothing-alike"), "start its workers, with this server's address"),
        (
            idle,
            Lane(PROJECT, AGENT, deployment="blue"),
            "start workers of deployment 'blue', or dispatch to one that is here: no deployment",
        ),
        (out_of_service, LANE, "all its workers are on their way out: start others"),
        (full, LANE, "start more workers, or wait until one of its jobs ends"),
        (stale, LANE, "connected and silent"),
        (backed_off, LANE, "refuse what they are offered"),
        (idle, LANE, ""),
    ],
)
def test_what_can_be_done_is_said_where_something_can(
    bench: EngineBench, bring: Callable[[EngineBench], None], lane: Lane, told: str
) -> None:
    bring(bench)
    deployments = {worker.registration.deployment for worker in bench.engine.workers.values()}
    found = advice(lane, all_of(bench, lane), {AGENT, "scribe"}, deployments)
    assert told in found
    assert bool(told) == bool(found)


def test_since_when_no_worker_of_the_lane_is_here_is_known(bench: EngineBench) -> None:
    assert bench.engine.none_since(LANE)[1]
    bench.worker("w")
    bench.lose("w")
    assert bench.engine.none_since(LANE) == (bench.now, False)


def test_a_workers_note_says_why_it_gets_no_jobs_or_what_they_wait_for(bench: EngineBench) -> None:
    def note() -> str:
        return worker_note(bench.engine.workers["w"], bench.now)

    bench.worker("w")
    bench.running()
    assert note() == ""
    bench.drain_worker("w", hand_over_seconds=10)
    assert note() == "its jobs go to others in 10 s, if they have room"
    bench.pass_time(12)
    assert note() == "its jobs were to go to others 2 s ago, and no other has room"
