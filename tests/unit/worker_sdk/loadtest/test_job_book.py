"""The account of jobs: what is lost, what is doubled, and what is neither."""

from __future__ import annotations

import itertools

import pytest

from worker_sdk.loadtest.job_book import JobBook
from worker_sdk.loadtest.tally import Happening

A, B = 11, 12  # workers


def book(*entries: tuple[Happening, list[int]]) -> JobBook:
    made = JobBook()
    for what, numbers in entries:
        made.take(what, numbers)
    return made


ACKNOWLEDGED = (Happening.ACKNOWLEDGED, [5])
ENDED = (Happening.ENDED, [5])


def assigned(epoch: int, worker: int) -> tuple[Happening, list[int]]:
    return (Happening.ASSIGNED, [5, epoch, worker])


@pytest.mark.parametrize(
    "entries", list(itertools.permutations([ACKNOWLEDGED, assigned(1, A), ENDED])), ids=str
)
def test_a_job_that_ended_is_well_in_whatever_order_it_is_reported(
    entries: tuple[tuple[Happening, list[int]], ...],
) -> None:
    made = book(*entries)
    assert (made.acknowledged, made.waiting, made.open) == (1, 0, 0)
    assert (made.unaccounted(is_stock=False), made.doubled, made.reruns) == ([], 0, 0)


def test_a_job_that_was_acknowledged_and_never_assigned_is_unaccounted() -> None:
    made = book(ACKNOWLEDGED)
    assert (made.waiting, made.open) == (1, 1)
    assert made.unaccounted(is_stock=False) == made.unaccounted(is_stock=True) == [5]


def test_a_job_that_nobody_acknowledged_cannot_be_unaccounted() -> None:
    assert book(assigned(1, A)).unaccounted(is_stock=False) == []


def test_a_job_whose_worker_vanished_is_unaccounted_but_on_stock() -> None:
    made = book(ACKNOWLEDGED, assigned(1, A))
    assert made.unaccounted(is_stock=False) == [5]
    assert made.unaccounted(is_stock=True) == []


def test_a_job_that_its_worker_still_has_is_unfinished_and_accounted_for() -> None:
    made = book(ACKNOWLEDGED, assigned(1, A), (Happening.HELD, [5]))
    assert (made.unaccounted(is_stock=False), made.unfinished()) == ([], 1)


def test_a_job_whose_end_was_told_by_a_process_that_was_killed_is_accounted_for() -> None:
    made = book(ACKNOWLEDGED, assigned(1, A), (Happening.END_TOLD, [5]))
    assert (made.unaccounted(is_stock=False), made.open, made.ended) == ([], 0, 1)


def test_a_job_of_another_worker_at_a_later_epoch_is_a_rerun() -> None:
    made = book(ACKNOWLEDGED, assigned(1, A), assigned(2, B), assigned(3, A), ENDED)
    assert (made.reruns, made.doubled) == (1, 0)


def test_two_workers_at_one_epoch_are_a_double() -> None:
    assert book(assigned(1, A), assigned(1, B)).doubled == 1
    assert book(assigned(1, A), assigned(2, B), assigned(2, A)).doubled == 1


def test_an_assignment_that_is_told_again_is_none() -> None:
    made = book(assigned(1, A), assigned(1, A), assigned(2, B), assigned(1, A))
    assert (made.doubled, made.reruns) == (0, 1)


def test_a_job_that_ended_twice_is_a_double_and_counts_once() -> None:
    made = book(ACKNOWLEDGED, ENDED, ENDED, ENDED)
    assert (made.doubled, made.ended) == (1, 1)


def test_it_grows_with_the_numbers() -> None:
    made = book((Happening.ACKNOWLEDGED, [0, 1_000_000]))
    assert made.unaccounted(is_stock=False) == [0, 1_000_000]
