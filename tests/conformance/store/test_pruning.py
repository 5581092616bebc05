"""Retention: what is old or too many goes, a slice at a time; numbers are never used again."""

from dataclasses import replace

import pytest

from dispatcher.core.effects import DeleteDispatch, FinishDeletion, StoreRequest
from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.lifecycle import JobTrigger
from dispatcher.store.contract import JobFilter, Retention, Store
from tests.conformance.store.builders import (
    NOW,
    RUNNING,
    SUCCEEDED,
    assign,
    claim,
    claimed_names,
    create,
    create_job,
    move,
)
from tests.conformance.store.subjects import Subject

pytestmark = pytest.mark.anyio

EVERYTHING = Retention(ended_jobs_age=10**18, ended_jobs_max=99, events_age=10**18, events_max=99)


def succeed_at(name: str, at: Nanoseconds) -> StoreRequest:
    return move(name, JobTrigger.SUCCEEDED, replace(SUCCEEDED, ended_at=at))


async def jobs_of(store: Store) -> list[str]:
    return [each.job.id for each in await store.list_jobs(JobFilter("project"), 99)]


async def test_nothing_goes_before_its_time(store: Store) -> None:
    await store.commit([create("1", reserved=True), succeed_at("1", NOW)], NOW)
    assert await store.prune(EVERYTHING, NOW, 99) == 0
    assert await jobs_of(store) == ["AJ_1"]
    assert len(await store.events_after(0, 99)) == 2


async def test_ended_jobs_go_by_age(store: Store) -> None:
    made = [create_job(name, reserved=True) for name in "123"]
    await store.commit([*made, succeed_at("2", NOW), succeed_at("1", NOW + 1)], NOW)
    kept = replace(EVERYTHING, ended_jobs_age=10)
    assert await store.prune(kept, NOW + 11, 99) == 1
    assert await jobs_of(store) == ["AJ_3", "AJ_1"]


async def test_ended_jobs_go_by_count_those_that_ended_first(store: Store) -> None:
    made = [create_job(name, reserved=True) for name in "1234"]
    ends = [succeed_at(name, NOW + at) for at, name in enumerate("321")]
    await store.commit([*made, *ends], NOW)
    assert await store.prune(replace(EVERYTHING, ended_jobs_max=1), NOW, 99) == 2
    assert await jobs_of(store) == ["AJ_4", "AJ_1"]


async def test_jobs_that_have_not_ended_never_go(store: Store) -> None:
    made = [create_job("1"), create_job("2", reserved=True), create_job("3", reserved=True)]
    await store.commit([*made, assign("3"), move("3", JobTrigger.STARTED, RUNNING)], NOW)
    nothing = Retention(ended_jobs_age=0, ended_jobs_max=0, events_age=10**18, events_max=99)
    assert await store.prune(nothing, NOW + 10**9, 99) == 0
    assert await jobs_of(store) == ["AJ_3", "AJ_2", "AJ_1"]
    assert claimed_names(await store.commit([claim()], NOW)) == ["1"]


async def test_a_dispatch_goes_with_its_last_job(store: Store) -> None:
    await store.commit([create("1", jobs=2, reserved=True), create("2", reserved=True)], NOW)
    await store.commit([succeed_at("1", NOW), succeed_at("1b", NOW + 5)], NOW)
    kept = replace(EVERYTHING, ended_jobs_age=10)
    await store.prune(kept, NOW + 11, 99)
    stored = await store.get_dispatch("project", "AD_1")
    assert stored is not None
    assert [each.job.id for each in stored.jobs] == ["AJ_1b"]
    await store.prune(kept, NOW + 16, 99)
    assert await store.get_dispatch("project", "AD_1") is None
    assert await store.get_dispatch("project", "AD_2") is not None


async def test_a_dispatch_that_is_being_deleted_stays_until_that_is_over(store: Store) -> None:
    await store.commit([create("1", reserved=True), succeed_at("1", NOW)], NOW)
    await store.commit([DeleteDispatch(1, "project", "room", "AD_1", NOW)], NOW)
    nothing = replace(EVERYTHING, ended_jobs_max=0, ended_jobs_age=10)
    await store.prune(nothing, NOW, 99)
    stored = await store.get_dispatch("project", "AD_1")
    assert stored is not None
    assert stored.jobs == ()
    await store.commit([FinishDeletion("AD_1", NOW + 1)], NOW)
    assert await store.prune(nothing, NOW + 11, 99) == 0
    assert await store.prune(nothing, NOW + 12, 99) == 1
    assert await store.get_dispatch("project", "AD_1") is None


async def test_a_dispatch_that_nobody_deleted_and_that_has_no_job_yet_stays(store: Store) -> None:
    await store.commit([create("1", jobs=0)], NOW)
    nothing = Retention(ended_jobs_age=0, ended_jobs_max=0, events_age=0, events_max=0)
    assert await store.prune(nothing, NOW + 10**9, 99) == 0
    assert await store.get_dispatch("project", "AD_1") is not None


async def test_events_go_by_age(store: Store) -> None:
    await store.commit([create_job("1")], NOW)
    await store.commit([create_job("2")], NOW + 1)
    kept = replace(EVERYTHING, events_age=10)
    assert await store.prune(kept, NOW + 11, 99) == 1
    assert [event.sequence for event in await store.events_after(0, 99)] == [2]


async def test_events_go_by_count_oldest_first(store: Store) -> None:
    await store.commit([create_job(name) for name in "12345"], NOW)
    assert await store.prune(replace(EVERYTHING, events_max=2), NOW, 99) == 3
    assert [event.sequence for event in await store.events_after(0, 99)] == [4, 5]


async def test_a_job_shows_the_events_that_are_left(store: Store) -> None:
    await store.commit([create_job("1", reserved=True), create_job("2"), assign("1")], NOW)
    await store.prune(replace(EVERYTHING, events_max=2), NOW, 99)
    assert [event.sequence for event in await store.job_events("project", "AJ_1")] == [3]


async def test_an_event_outlives_its_job(store: Store) -> None:
    await store.commit([create("1", reserved=True), succeed_at("1", NOW)], NOW)
    await store.prune(replace(EVERYTHING, ended_jobs_max=0), NOW, 99)
    assert await store.job_events("project", "AJ_1") == []
    events = await store.events_after(0, 99)
    assert [(event.job_id, event.dispatch_id) for event in events] == [("AJ_1", "AD_1")] * 2


async def test_a_slice_takes_no_more_than_its_limit(store: Store) -> None:
    made = [create_job(str(number), reserved=True) for number in range(9)]
    await store.commit([*made, *(succeed_at(str(number), NOW) for number in range(9))], NOW)
    nothing = Retention(ended_jobs_age=0, ended_jobs_max=0, events_age=0, events_max=0)
    slices = [await store.prune(nothing, NOW + 1, 5) for _ in range(7)]
    assert slices == [5, 5, 5, 5, 5, 2, 0]
    assert await jobs_of(store) == []
    assert await store.events_after(0, 99) == []


async def test_numbers_are_never_used_again_after_pruning_and_a_crash(subject: Subject) -> None:
    await subject.store.commit([create("1", reserved=True), succeed_at("1", NOW)], NOW)
    nothing = Retention(ended_jobs_age=0, ended_jobs_max=0, events_age=0, events_max=0)
    while await subject.store.prune(nothing, NOW + 1, 99):
        pass
    await subject.crash()
    await subject.start()
    await subject.store.commit([create("2")], NOW)
    (event,) = await subject.store.events_after(0, 99)
    (stored,) = await subject.store.list_jobs(JobFilter("project"), 99)
    assert (event.sequence, stored.number) == (3, 2)


async def test_a_job_that_was_pruned_may_be_made_again(store: Store) -> None:
    await store.commit([create("1", reserved=True), succeed_at("1", NOW)], NOW)
    await store.prune(replace(EVERYTHING, ended_jobs_max=0), NOW, 99)
    await store.commit([create("1")], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == ["1"]
