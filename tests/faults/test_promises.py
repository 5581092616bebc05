"""The judge of promises finds each harm, and says how often there was a chance to do it."""

import pytest

from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history import WorkerRecord
from dispatcher.store.contract import EventRow
from tests.faults.jobs import JobKind, Wish
from tests.faults.promises import ATTEMPTS_MAX, Chance, Late, Promises, end_is_wrong, judge_promises

SECOND = 1_000_000_000
REPORTED = "reported by its worker"


def row(
    at_seconds: float,
    trigger: JobTrigger,
    phase: JobPhase,
    epoch: int = 1,
    *,
    job: str = "1",
    detail: str = "",
    attempt: int | None = None,
) -> EventRow:
    at = round(at_seconds * SECOND)
    return EventRow(
        sequence=round(at_seconds * 1000),
        at=at,
        project="p",
        job_id=f"AJ_{job}",
        dispatch_id=f"AD_{job}",
        trigger=trigger,
        phase=phase,
        epoch=epoch,
        attempt=attempt or epoch,
        worker_id="AW",
        reason="",
        error="",
        detail=detail,
    )


def line(
    kind: str, at_seconds: float, epoch: int = 1, *, by: str = "one", job: str = "1", how: str = ""
) -> WorkerRecord:
    at = round(at_seconds * SECOND)
    outcome = how or ("success" if kind == "end" else "")
    return WorkerRecord(kind, f"AJ_{job}", epoch, at, by, "r", outcome)


def judged(rows: list[EventRow], records: list[WorkerRecord]) -> Promises:
    wishes = {one.dispatch_id: Wish(JobKind.SHORT, 1.0) for one in rows}
    return judge_promises(rows, sorted(records, key=lambda one: one.at), wishes, {})


CREATED = row(1, JobTrigger.CREATED, JobPhase.QUEUED)
ASSIGNED = row(2, JobTrigger.OFFER_ACCEPTED, JobPhase.ASSIGNED)
# Lost at second 5, and given to another.
LEFT = [
    CREATED,
    ASSIGNED,
    row(3, JobTrigger.WORKER_LOST, JobPhase.ORPHANED),
    row(5, JobTrigger.GRACE_EXPIRED, JobPhase.QUEUED, 2),
    row(6, JobTrigger.OFFER_ACCEPTED, JobPhase.ASSIGNED, 2),
]
# Another job, by which it is seen that its worker is back at second 10.
OTHER = [
    row(9, JobTrigger.CREATED, JobPhase.QUEUED, job="2"),
    row(9.5, JobTrigger.OFFER_ACCEPTED, JobPhase.ASSIGNED, job="2"),
]
BACK = line("start", 10, job="2")


def test_a_success_that_counted_before_its_epoch_was_over_is_stale() -> None:
    counted = row(7, JobTrigger.SUCCEEDED, JobPhase.SUCCEEDED, 2, detail=REPORTED)
    runs = [line("start", 2), line("end", 5.5), line("start", 6.1, 2, by="two")]
    found = judged([*LEFT, counted], [*runs, line("end", 9, 2, by="two")])
    assert len(found.stale) == 1
    assert found.chances[Chance.STALE_RESULTS] == 1
    assert not judged([*LEFT, counted], [*runs, line("end", 6.9, 2, by="two")]).stale


def test_a_failure_that_counted_at_an_epoch_that_did_not_fail_is_stale() -> None:
    retried = row(3, JobTrigger.RETRIED, JobPhase.DELAYED, 2, detail="failed on AW")
    assert judged([CREATED, ASSIGNED, retried], [line("start", 2), line("end", 2.9)]).stale
    failed = line("end", 2.9, how="failed")
    assert not judged([CREATED, ASSIGNED, retried], [line("start", 2), failed]).stale


def test_an_old_run_that_goes_on_when_its_worker_is_back_is_found() -> None:
    alive = [line("start", at, job=f"{at}") for at in (14, 16)]
    found = judged([*LEFT, *OTHER], [line("start", 2), BACK, *alive])
    assert len(found.unfenced) == 1
    assert found.chances[Chance.COME_BACK] == 1


@pytest.mark.parametrize("over", [line("stop", 10.1), line("end", 10.1)])
def test_an_old_run_that_is_stopped_or_over_soon_is_right(over: WorkerRecord) -> None:
    alive = [line("start", at, job=f"{at}") for at in (14, 16)]
    found = judged([*LEFT, *OTHER], [line("start", 2), BACK, over, *alive])
    assert not found.unfenced
    assert found.chances[Chance.COME_BACK] == 1


def test_an_old_run_of_a_worker_that_did_not_come_back_accuses_nobody() -> None:
    buffered = [line("start", at, job="1") for at in (8, 14, 16)]
    assert not judged(LEFT, [line("start", 2), *buffered]).unfenced


def test_a_result_that_was_told_again_is_a_chance_only_when_it_was_old() -> None:
    told = [Late("AJ_1", epoch, at * SECOND) for epoch, at in ((1, 4), (1, 7), (2, 8))]
    assert judge_promises(LEFT, [], {}, {}, told).chances[Chance.STALE_RESULTS] == 1


def test_a_claim_of_an_older_epoch_that_was_kept_is_found() -> None:
    verdicts = [Late("AJ_1", 1, at * SECOND, kept) for at, kept in ((4, True), (7, False))]
    found = judge_promises(LEFT, [], {}, {}, verdicts)
    assert not found.unfenced
    assert found.chances[Chance.OLD_CLAIMS] == 1
    assert judge_promises(LEFT, [], {}, {}, [Late("AJ_1", 1, 7 * SECOND, True)]).unfenced


def ended(phase: JobPhase, trigger: JobTrigger, attempt: int) -> EventRow:
    return row(9, trigger, phase, attempt, attempt=attempt)


SUCCEEDED = ended(JobPhase.SUCCEEDED, JobTrigger.SUCCEEDED, 1)
FAILED = ended(JobPhase.FAILED, JobTrigger.FAILED, 1)
FAILED_LAST = ended(JobPhase.FAILED, JobTrigger.FAILED, ATTEMPTS_MAX)
LOST = ended(JobPhase.FAILED, JobTrigger.GAVE_UP_LOST, 1)
LOST_LAST = ended(JobPhase.FAILED, JobTrigger.GAVE_UP_LOST, ATTEMPTS_MAX)
CANCELLED = ended(JobPhase.CANCELLED, JobTrigger.CANCELLED, 1)
RIGHT_ENDS = {
    JobKind.SHORT: [SUCCEEDED, LOST_LAST],
    JobKind.MIDDLING: [SUCCEEDED, LOST_LAST],
    JobKind.LONG: [SUCCEEDED, LOST_LAST],
    JobKind.LATE: [SUCCEEDED, LOST_LAST],
    JobKind.AWAY: [SUCCEEDED, LOST_LAST],
    JobKind.FAILS_FIRST: [SUCCEEDED, LOST_LAST],
    JobKind.ONCE: [SUCCEEDED, LOST],
    JobKind.FAILS_ONCE: [FAILED, LOST],
    JobKind.FAILS_ALWAYS: [FAILED_LAST, LOST_LAST],
    JobKind.KILLER: [LOST_LAST],
    JobKind.TERMINATED: [CANCELLED],
    JobKind.DELETED: [CANCELLED],
}


@pytest.mark.parametrize("kind", JobKind)
def test_a_job_may_come_to_the_ends_of_its_kind_and_to_no_other(kind: JobKind) -> None:
    answered_ns = 9 * SECOND if kind.is_called_off else None
    # One that is called off, and ends before it is, is right as well.
    ends = [SUCCEEDED, FAILED, FAILED_LAST, LOST, LOST_LAST, CANCELLED]
    later = [
        end if end is CANCELLED or not answered_ns else row(9.1, end.trigger, end.phase)
        for end in ends
    ]
    right = [
        end
        for end, told in zip(ends, later, strict=True)
        if not end_is_wrong(Wish(kind, 1.0), told, answered_ns)
    ]
    assert right == RIGHT_ENDS[kind]


def test_a_job_that_ends_after_its_operator_was_told_that_it_had_is_wrong() -> None:
    assert end_is_wrong(Wish(JobKind.TERMINATED, 60.0), CANCELLED, 8 * SECOND)
