"""What a worker holds, and its room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker_sdk.ledger import (
    RESERVATION_SECONDS_MAX,
    Admission,
    JobLedger,
    Refusal,
    StopReason,
)


def test_simultaneous_offers_never_exceed_the_capacity() -> None:
    ledger = JobLedger(2)
    answers = [ledger.reserve(f"AJ_{n}", 0.0) for n in range(4)]
    assert answers == [None, None, Refusal.FULL, Refusal.FULL]


def test_a_job_takes_its_room_until_it_ends() -> None:
    ledger = JobLedger(1)
    ledger.reserve("AJ_1", 0.0)
    ledger.admit("AJ_1")
    assert ledger.reserve("AJ_2", 0.0) is Refusal.FULL
    ledger.stop("AJ_1", StopReason.TERMINATED)
    assert ledger.reserve("AJ_2", 0.0) is Refusal.FULL
    ledger.end("AJ_1")
    assert ledger.reserve("AJ_2", 0.0) is None


def test_a_released_reservation_frees_its_room() -> None:
    ledger = JobLedger(1)
    ledger.reserve("AJ_1", 0.0)
    ledger.release("AJ_1")
    assert ledger.reserve("AJ_2", 0.0) is None


def test_a_reservation_whose_assignment_never_comes_expires() -> None:
    ledger = JobLedger(1)
    ledger.reserve("AJ_1", 0.0)
    assert ledger.reserve("AJ_2", RESERVATION_SECONDS_MAX - 0.1) is Refusal.FULL
    assert ledger.reserve("AJ_2", RESERVATION_SECONDS_MAX) is None


def test_an_assignment_after_the_reservation_expired_is_honoured_where_there_is_room() -> None:
    ledger = JobLedger(1)
    ledger.reserve("AJ_1", 0.0)
    ledger.expire_reservations(100.0)
    assert ledger.admit("AJ_1") is Admission.START


def test_an_assignment_without_a_reservation_has_no_room_at_a_full_worker() -> None:
    ledger = JobLedger(1)
    ledger.reserve("AJ_1", 0.0)
    assert ledger.admit("AJ_2") is Admission.NO_ROOM


def test_an_assignment_that_comes_twice_starts_one_job() -> None:
    ledger = JobLedger(2)
    ledger.reserve("AJ_1", 0.0)
    assert ledger.admit("AJ_1") is Admission.START
    assert ledger.admit("AJ_1") is Admission.DUPLICATE


def test_an_offer_of_a_job_that_still_runs_here_is_refused() -> None:
    ledger = JobLedger(2)
    ledger.admit("AJ_1")
    ledger.stop("AJ_1", StopReason.FENCED)
    assert ledger.reserve("AJ_1", 0.0) is Refusal.HELD_ALREADY


def test_the_same_offer_again_takes_no_more_room() -> None:
    ledger = JobLedger(1)
    assert ledger.reserve("AJ_1", 0.0) is None
    assert ledger.reserve("AJ_1", 1.0) is None
    assert ledger.held_count == 1


def test_a_draining_worker_takes_no_offer_but_honours_what_it_promised() -> None:
    ledger = JobLedger(2)
    ledger.reserve("AJ_1", 0.0)
    ledger.is_draining = True
    assert ledger.reserve("AJ_2", 0.0) is Refusal.DRAINING
    assert ledger.admit("AJ_1") is Admission.START


def test_a_claim_names_running_jobs_only() -> None:
    ledger = JobLedger(3)
    ledger.reserve("AJ_1", 0.0)
    ledger.admit("AJ_2")
    ledger.admit("AJ_3")
    ledger.stop("AJ_3", StopReason.FENCED)
    assert ledger.running_job_ids == ("AJ_2",)


def test_a_job_that_is_no_longer_ours_stays_so_whatever_it_is_told_later() -> None:
    ledger = JobLedger(1)
    ledger.admit("AJ_1")
    ledger.stop("AJ_1", StopReason.TERMINATED)
    ledger.stop("AJ_1", StopReason.FENCED)
    ledger.stop("AJ_1", StopReason.WORKER_STOPPING)
    assert ledger.stop_reason("AJ_1") is StopReason.FENCED


jobs = st.integers(0, 6).map(lambda n: f"AJ_{n}")


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from(["reserve", "release", "admit", "end"]), jobs)),
)
def test_whatever_happens_the_capacity_holds(capacity: int, steps: list[tuple[str, str]]) -> None:
    ledger = JobLedger(capacity)
    for now, (step, job_id) in enumerate(steps):
        match step:
            case "reserve":
                ledger.reserve(job_id, float(now))
            case "release":
                ledger.release(job_id)
            case "admit":
                ledger.admit(job_id)
            case _:
                if job_id in ledger.running_job_ids:
                    ledger.end(job_id)
        assert ledger.held_count <= capacity
