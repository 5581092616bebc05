"""The two lifecycle tables: each move as architecture.md has it, and no other."""

from __future__ import annotations

import pytest

from dispatcher.core.lifecycle import (
    ENDED,
    HELD,
    JOB_MOVES,
    WAITING,
    WORKER_MOVES,
    JobPhase,
    JobTrigger,
    LifecycleError,
    WorkerPhase,
    WorkerTrigger,
    advance_job,
    advance_worker,
)

J, T = JobPhase, JobTrigger
W, U = WorkerPhase, WorkerTrigger

# Written down once more, from the architecture: the table is not its own judge.
JOB = {
    (J.DELAYED, T.BECAME_DUE, J.QUEUED),
    (J.DELAYED, T.CANCELLED, J.CANCELLED),
    (J.QUEUED, T.OFFERED, J.OFFERED),
    (J.QUEUED, T.QUEUE_DEADLINE_PASSED, J.FAILED),
    (J.QUEUED, T.CANCELLED, J.CANCELLED),
    (J.OFFERED, T.OFFER_WITHDRAWN, J.QUEUED),
    (J.OFFERED, T.OFFER_ACCEPTED, J.ASSIGNED),
    (J.OFFERED, T.OFFER_TERMINATED, J.SUCCEEDED),
    (J.OFFERED, T.WORKER_LOST, J.ORPHANED),
    (J.ORPHANED, T.LEFT, J.SUCCEEDED),
    (J.OFFERED, T.CANCELLED, J.CANCELLED),
    (J.ASSIGNED, T.ASSIGNMENT_EXPIRED, J.QUEUED),
    (J.ASSIGNED, T.STARTED, J.RUNNING),
    *((phase, T.WORKER_LOST, J.ORPHANED) for phase in (J.ASSIGNED, J.RUNNING)),
    *((phase, T.CLAIMED, J.RUNNING) for phase in HELD),
    *((phase, T.SUCCEEDED, J.SUCCEEDED) for phase in (J.ASSIGNED, J.RUNNING)),
    *((phase, T.RETRIED, J.DELAYED) for phase in (J.ASSIGNED, J.RUNNING)),
    *((phase, T.FAILED, J.FAILED) for phase in (J.ASSIGNED, J.RUNNING)),
    *((phase, T.HANDED_OVER, J.QUEUED) for phase in (J.ASSIGNED, J.RUNNING)),
    *((phase, T.CANCELLED, J.CANCELLED) for phase in HELD),
    (J.ORPHANED, T.GRACE_EXPIRED, J.QUEUED),
    (J.ORPHANED, T.RETRIED, J.DELAYED),
    (J.ORPHANED, T.REDELIVERED, J.ASSIGNED),
    (J.ORPHANED, T.GAVE_UP_LOST, J.FAILED),
}
LIVE = [W.SETTLING, W.AVAILABLE, W.FULL, W.BACKED_OFF, W.DRAINING, W.STALE]
WORKER = {
    *((phase, U.DISCONNECTED, W.GONE) for phase in LIVE),
    *((phase, U.REPORTED_FULL, W.FULL) for phase in LIVE),
    *((phase, U.REPORTED_DRAINING, W.DRAINING) for phase in LIVE),
    *((p, U.REPORTED_AVAILABLE, W.AVAILABLE) for p in LIVE if p is not W.BACKED_OFF),
    (W.BACKED_OFF, U.REPORTED_AVAILABLE, W.BACKED_OFF),
    (W.SETTLING, U.SETTLED, W.AVAILABLE),
    (W.AVAILABLE, U.DECLINED, W.BACKED_OFF),
    (W.BACKED_OFF, U.DECLINED, W.BACKED_OFF),
    (W.FULL, U.DECLINED, W.FULL),
    (W.DRAINING, U.DECLINED, W.DRAINING),
    (W.BACKED_OFF, U.BACKOFF_ENDED, W.AVAILABLE),
    (W.STALE, U.DECLINED, W.STALE),
    *((phase, U.FELL_SILENT, W.STALE) for phase in (W.AVAILABLE, W.FULL, W.BACKED_OFF, W.DRAINING)),
    *((phase, U.TAKEN_OUT, W.OUT_OF_SERVICE) for phase in LIVE),
    *(
        (W.OUT_OF_SERVICE, said, W.OUT_OF_SERVICE)
        for said in (
            U.REPORTED_AVAILABLE,
            U.REPORTED_FULL,
            U.REPORTED_DRAINING,
            U.FELL_SILENT,
            U.DECLINED,
        )
    ),
    (W.OUT_OF_SERVICE, U.DISCONNECTED, W.GONE),
}


@pytest.mark.parametrize("trigger", JobTrigger)
@pytest.mark.parametrize("phase", JobPhase)
def test_a_job_makes_each_move_of_the_architecture_and_no_other(
    phase: JobPhase, trigger: JobTrigger
) -> None:
    targets = [after for before, by, after in JOB if (before, by) == (phase, trigger)]
    if targets:
        assert [advance_job(phase, trigger)] == targets
    else:
        with pytest.raises(LifecycleError, match=f"{phase.value} cannot be {trigger.value}"):
            advance_job(phase, trigger)


@pytest.mark.parametrize("trigger", WorkerTrigger)
@pytest.mark.parametrize("phase", WorkerPhase)
def test_a_worker_makes_each_of_its_moves_and_no_other(
    phase: WorkerPhase, trigger: WorkerTrigger
) -> None:
    targets = [after for before, by, after in WORKER if (before, by) == (phase, trigger)]
    if targets:
        assert [advance_worker(phase, trigger)] == targets
    else:
        with pytest.raises(LifecycleError, match=f"{phase.value} cannot be {trigger.value}"):
            advance_worker(phase, trigger)


def test_every_phase_of_a_job_is_reached_from_its_creation() -> None:
    reached = {J.QUEUED, J.DELAYED}
    while more := {to for p in reached for to in JOB_MOVES[p].values()} - reached:
        reached |= more
    assert reached == set(JobPhase)


def test_every_phase_of_a_worker_is_reached_from_its_registration() -> None:
    reached = {W.SETTLING}
    while more := {to for p in reached for to in WORKER_MOVES[p].values()} - reached:
        reached |= more
    assert reached == set(WorkerPhase)


def test_ended_states_never_change() -> None:
    assert all(not JOB_MOVES[phase] for phase in ENDED)
    assert not WORKER_MOVES[W.GONE]


def test_every_job_phase_waits_or_is_held_or_has_ended() -> None:
    assert sorted(p.value for p in (*WAITING, *HELD, *ENDED)) == sorted(p.value for p in JobPhase)
    assert [p for p in JobPhase if p.is_waiting] == [J.DELAYED, J.QUEUED, J.OFFERED]
    assert [p for p in JobPhase if p.is_held] == [J.ASSIGNED, J.RUNNING, J.ORPHANED]
    assert [p for p in JobPhase if p.is_ended] == [J.SUCCEEDED, J.FAILED, J.CANCELLED]


@pytest.mark.parametrize("phase", [p for p in JobPhase if p not in ENDED])
def test_from_every_phase_that_has_not_ended_a_job_can_still_end(phase: JobPhase) -> None:
    reached = {phase}
    while more := {to for p in reached for to in JOB_MOVES[p].values()} - reached:
        reached |= more
    assert reached & ENDED
