"""The judge finds each kind of harm: one that cannot condemn would prove nothing."""

from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history import WorkerRecord
from dispatcher.store.contract import EventRow
from tests.crash.judge import judge

SECOND = 1_000_000_000


def row(sequence: int, trigger: JobTrigger, phase: JobPhase, epoch: int = 1) -> EventRow:
    """A row of job AJ_1, at second `sequence`."""
    return EventRow(
        sequence=sequence,
        at=sequence * SECOND,
        project="p",
        job_id="AJ_1",
        dispatch_id="AD_1",
        trigger=trigger,
        phase=phase,
        epoch=epoch,
        attempt=epoch,
        worker_id="" if phase.is_waiting else f"AW_{epoch}",
        reason="",
        error="",
        detail="reported by its worker" if trigger is JobTrigger.SUCCEEDED else "",
    )


def line(kind: str, at_seconds: float, epoch: int = 1, instance_id: str = "one") -> WorkerRecord:
    """A record of job AJ_1."""
    outcome = "success" if kind == "end" else ""
    return WorkerRecord(kind, "AJ_1", epoch, int(at_seconds * SECOND), instance_id, "r", outcome)


CREATED = row(1, JobTrigger.CREATED, JobPhase.QUEUED)
ASSIGNED = row(2, JobTrigger.OFFER_ACCEPTED, JobPhase.ASSIGNED)
SUCCEEDED = row(3, JobTrigger.SUCCEEDED, JobPhase.SUCCEEDED)
START, END = line("start", 2.1), line("end", 2.9)

ORPHANED = row(3, JobTrigger.WORKER_LOST, JobPhase.ORPHANED)
AGAIN = row(4, JobTrigger.GRACE_EXPIRED, JobPhase.QUEUED, 2)
ASSIGNED_AGAIN = row(5, JobTrigger.OFFER_ACCEPTED, JobPhase.ASSIGNED, 2)
SUCCEEDED_AGAIN = row(6, JobTrigger.SUCCEEDED, JobPhase.SUCCEEDED, 2)
RESUMED = [CREATED, ASSIGNED, ORPHANED, AGAIN, ASSIGNED_AGAIN, SUCCEEDED_AGAIN]


def test_a_job_that_ran_once_and_succeeded_is_good() -> None:
    assert judge({"AD_1": "AJ_1"}, [CREATED, ASSIGNED, SUCCEEDED], [START, END]).is_good


def test_an_acknowledged_job_without_a_row_is_lost() -> None:
    assert judge({"AD_1": "AJ_1"}, [], []).lost


def test_an_acknowledged_job_that_never_succeeded_is_lost() -> None:
    cancelled = row(3, JobTrigger.CANCELLED, JobPhase.CANCELLED)
    assert judge({"AD_1": "AJ_1"}, [CREATED, ASSIGNED, cancelled], [START]).lost


def test_a_job_that_has_not_ended_is_lost() -> None:
    assert judge({}, [CREATED, ASSIGNED], [START]).lost


def test_an_epoch_that_two_workers_started_is_doubled() -> None:
    other = line("start", 2.2, instance_id="two")
    assert judge({}, [CREATED, ASSIGNED, SUCCEEDED], [START, other, END]).doubled


def test_two_epochs_on_two_workers_are_not_doubled() -> None:
    again = [line(kind, at, 2, "two") for kind, at in (("start", 5.1), ("end", 5.9))]
    verdict = judge({"AD_1": "AJ_1"}, [*RESUMED], [START, *again])
    assert verdict.is_good
    assert verdict.attempts_beyond_first == 1


def test_a_result_of_an_older_epoch_that_counted_is_stale() -> None:
    assert judge({}, [*RESUMED], [START, END]).stale


def test_a_job_that_moves_after_its_end_is_broken() -> None:
    later = row(4, JobTrigger.OFFER_ACCEPTED, JobPhase.ASSIGNED)
    verdict = judge({}, [CREATED, ASSIGNED, SUCCEEDED, later], [START, END])
    assert not verdict.is_good
    assert verdict.history.of("endings")


def test_epochs_that_go_back_are_broken() -> None:
    back = row(6, JobTrigger.SUCCEEDED, JobPhase.SUCCEEDED)
    assert judge({}, [*RESUMED[:-1], back], [START, END]).broken
