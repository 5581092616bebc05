"""Promise 2, its first half: create is create-if-absent, by the dispatch's id."""

from dataclasses import replace

import pytest

from dispatcher.core.effects import CreateDispatch
from dispatcher.core.events import DispatchCreated
from dispatcher.core.jobs import JobState
from dispatcher.core.lifecycle import JobPhase, LifecycleError
from dispatcher.store.contract import JobFilter, Store
from protocol.errors import StoreError
from tests.conformance.store.builders import (
    FULL,
    NOW,
    assign,
    claim,
    claimed_names,
    create,
    create_job,
    dispatch,
    job,
    one,
    succeed,
)

pytestmark = pytest.mark.anyio


async def test_a_new_dispatch_is_created_with_its_jobs(store: Store) -> None:
    result = one(await store.commit([create("1", jobs=2)], NOW), DispatchCreated)
    assert result == DispatchCreated(1, "AD_1", created=True)
    stored = await store.get_dispatch("project", "AD_1")
    assert stored is not None
    assert [each.job.id for each in stored.jobs] == ["AJ_1", "AJ_1b"]


async def test_a_dispatch_comes_back_with_every_field(store: Store) -> None:
    await store.commit([create("1")], NOW)
    stored = await store.get_dispatch("project", "AD_1")
    assert stored is not None
    assert stored.dispatch == dispatch("1")


async def test_a_job_and_its_state_come_back_with_every_field(store: Store) -> None:
    of = dispatch("1")
    await store.commit([CreateDispatch(1, of, ((job("1", of=of), FULL),))], NOW)
    stored = await store.get_job("project", "AJ_1")
    assert stored is not None
    assert stored.job == job("1", of=of)
    assert stored.state == FULL


async def test_the_same_dispatch_again_makes_nothing(store: Store) -> None:
    await store.commit([create("1")], NOW)
    again = replace(create("1"), jobs=((job("other", of=dispatch("1")), FULL),), request=2)
    result = one(await store.commit([again], NOW), DispatchCreated)
    assert result == DispatchCreated(2, "AD_1", created=False)
    assert [each.job.id for each in await store.list_jobs(JobFilter("project"), 9)] == ["AJ_1"]


async def test_the_same_dispatch_twice_in_one_batch_is_made_once(store: Store) -> None:
    first, second = await store.commit([create("1"), create("1")], NOW)
    assert isinstance(first, DispatchCreated)
    assert isinstance(second, DispatchCreated)
    assert (first.created, second.created) == (True, False)
    assert claimed_names(await store.commit([claim()], NOW)) == ["1"]


async def test_a_dispatch_without_jobs_is_kept(store: Store) -> None:
    await store.commit([create("1", jobs=0)], NOW)
    stored = await store.get_dispatch("project", "AD_1")
    assert stored is not None
    assert stored.jobs == ()


async def test_a_job_of_no_dispatch_comes_back_without_one(store: Store) -> None:
    await store.commit([create_job("1")], NOW)
    stored = await store.get_job("project", "AJ_1")
    assert stored is not None
    assert stored.job == job("1")


async def test_a_job_id_that_is_taken_refuses_the_whole_batch(store: Store) -> None:
    await store.commit([create_job("1")], NOW)
    with pytest.raises(StoreError):
        await store.commit([create_job("2"), create_job("1")], NOW)
    assert await store.get_job("project", "AJ_2") is None
    assert claimed_names(await store.commit([claim()], NOW)) == ["1"]


async def test_an_ended_jobs_id_stays_taken(store: Store) -> None:
    await store.commit([create_job("1", reserved=True), assign(), succeed()], NOW)
    with pytest.raises(StoreError):
        await store.commit([create_job("1")], NOW)
    stored = await store.get_job("project", "AJ_1")
    assert stored is not None
    assert stored.state.phase is JobPhase.SUCCEEDED


@pytest.mark.parametrize("phase", [JobPhase.SUCCEEDED, JobPhase.CANCELLED])
async def test_no_job_is_created_ended(store: Store, phase: JobPhase) -> None:
    with pytest.raises(LifecycleError):
        await store.commit([create("2"), create("1", state=JobState(phase))], NOW)
    assert await store.get_dispatch("project", "AD_1") is None
    assert await store.get_dispatch("project", "AD_2") is None
