"""Promises 1, 2 and 4 for moves: guarded by epoch, durable, final when they end a job."""

from dataclasses import replace

import pytest

from dispatcher.core.effects import StoreRequest
from dispatcher.core.events import HeldJob, MoveRefused
from dispatcher.core.jobs import JobState
from dispatcher.core.lifecycle import ENDED, JobPhase, JobTrigger, LifecycleError
from dispatcher.store.contract import JobFilter, Store
from tests.conformance.store.builders import (
    ASSIGNED,
    FULL,
    LANE,
    NOW,
    OTHER_LANE,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    assign,
    claim,
    claimed_names,
    create,
    create_job,
    dispatch,
    job,
    move,
    one,
    succeed,
)
from tests.conformance.store.subjects import Subject

pytestmark = pytest.mark.anyio


async def state_of(store: Store, name: str = "1") -> JobState:
    stored = await store.get_job("project", f"AJ_{name}")
    assert stored is not None
    return stored.state


async def test_a_move_writes_every_field_of_the_new_state(store: Store) -> None:
    await store.commit([create_job("1", reserved=True)], NOW)
    assert list(await store.commit([move("1", JobTrigger.OFFER_ACCEPTED, FULL)], NOW)) == []
    assert await state_of(store) == FULL


async def test_a_move_that_ends_a_job_writes_every_field(store: Store) -> None:
    ended = replace(FULL, phase=JobPhase.FAILED)
    await store.commit([create_job("1", reserved=True), move("1", JobTrigger.FAILED, ended)], NOW)
    assert await state_of(store) == ended


async def test_a_move_leaves_the_jobs_config_as_it_is(store: Store) -> None:
    await store.commit([create_job("1", reserved=True), assign(), succeed()], NOW)
    stored = await store.get_job("project", "AJ_1")
    assert stored is not None
    assert stored.job == job("1")


@pytest.mark.parametrize("epoch", [0, 1, 3])
async def test_a_move_of_another_epoch_is_refused_and_changes_nothing(
    store: Store, epoch: int
) -> None:
    state = replace(QUEUED, epoch=2)
    await store.commit([create_job("1", state=state)], NOW)
    refused = await store.commit([move("1", JobTrigger.OFFER_ACCEPTED, ASSIGNED, epoch)], NOW)
    assert one(refused, MoveRefused) == MoveRefused("AJ_1", 2)
    assert await state_of(store) == state
    assert len(await store.job_events("project", "AJ_1")) == 1


async def test_a_refused_move_keeps_the_job_held(store: Store) -> None:
    await store.commit([create_job("1", reserved=True)], NOW)
    await store.commit([move("1", JobTrigger.HANDED_OVER, QUEUED, epoch=9)], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == []


async def test_the_others_of_a_batch_go_on_after_a_refusal(store: Store) -> None:
    await store.commit([create_job("1", reserved=True), create_job("2", reserved=True)], NOW)
    stale = move("1", JobTrigger.OFFER_ACCEPTED, ASSIGNED, epoch=9)
    refused = await store.commit([stale, assign("2"), assign("1")], NOW)
    assert one(refused, MoveRefused) == MoveRefused("AJ_1", 1)
    assert await state_of(store, "1") == await state_of(store, "2") == ASSIGNED


async def test_a_move_of_an_unknown_job_is_refused(store: Store) -> None:
    assert one(await store.commit([assign("1")], NOW), MoveRefused) == MoveRefused("AJ_1", 0)


async def test_the_epoch_that_a_move_wrote_guards_the_next(store: Store) -> None:
    await store.commit([create_job("1", reserved=True), assign()], NOW)
    raised = replace(QUEUED, epoch=2)
    late = move("1", JobTrigger.SUCCEEDED, SUCCEEDED, epoch=1)
    refused = await store.commit([move("1", JobTrigger.GRACE_EXPIRED, raised), late], NOW)
    assert one(refused, MoveRefused) == MoveRefused("AJ_1", 2)
    assert await state_of(store) == raised


@pytest.mark.parametrize("phase", sorted(ENDED, key=str))
async def test_an_ended_state_never_changes(store: Store, phase: JobPhase) -> None:
    ended = replace(SUCCEEDED, phase=phase)
    await store.commit(
        [create_job("1", reserved=True), move("1", JobTrigger.CANCELLED, ended)], NOW
    )
    refused = await store.commit([move("1", JobTrigger.STARTED, RUNNING)], NOW)
    assert one(refused, MoveRefused) == MoveRefused("AJ_1", 1)
    assert await state_of(store) == ended
    assert len(await store.job_events("project", "AJ_1")) == 2


async def test_an_ended_state_never_changes_within_the_batch_that_ended_it(store: Store) -> None:
    batch: list[StoreRequest] = [
        create_job("1", reserved=True),
        assign(),
        succeed(),
        move("1", JobTrigger.FAILED, FULL),
    ]
    assert one(await store.commit(batch, NOW), MoveRefused) == MoveRefused("AJ_1", 1)
    assert await state_of(store) == SUCCEEDED


async def test_a_job_that_ended_is_claimed_by_nobody(store: Store) -> None:
    await store.commit([create_job("1"), succeed()], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == []


async def test_an_offer_is_not_stored_and_fails_the_whole_batch(store: Store) -> None:
    await store.commit([create_job("1"), create_job("2")], NOW)
    offer = move("1", JobTrigger.OFFERED, JobState(JobPhase.OFFERED))
    with pytest.raises(LifecycleError):
        await store.commit([claim(1), assign("2"), offer], NOW)
    assert await state_of(store, "2") == QUEUED
    assert claimed_names(await store.commit([claim()], NOW)) == ["1", "2"]


async def test_every_move_is_there_after_a_crash(subject: Subject) -> None:
    made: list[StoreRequest] = [
        create("1", jobs=2, lane=OTHER_LANE),
        create_job("2"),
        create_job("3", reserved=True),
    ]
    await subject.store.commit(made, NOW)
    await subject.store.commit([assign("3"), succeed("3"), move("1", JobTrigger.CLAIMED, FULL)], 1)
    before = await subject.store.list_jobs(JobFilter("project"), 9)
    events = await subject.store.events_after(0, 99)
    await subject.crash()
    await subject.start()
    assert await subject.store.list_jobs(JobFilter("project"), 9) == before
    assert await subject.store.events_after(0, 99) == events
    assert len(events) == 7


async def test_a_start_tells_what_was_there(subject: Subject) -> None:
    queued = replace(QUEUED, until=NOW + 9)
    delayed = JobState(JobPhase.DELAYED, until=NOW + 8)
    made: list[StoreRequest] = [
        create("1", reserved=True),
        create_job("2", state=queued),
        create_job("3", lane=OTHER_LANE),
        create_job("4", lane=OTHER_LANE),
        create_job("5", state=delayed),
        create_job("6", reserved=True),
    ]
    await subject.store.commit(made, NOW)
    await subject.store.commit([move("1", JobTrigger.OFFER_ACCEPTED, FULL), succeed("6")], NOW)
    await subject.crash()
    recovered = await subject.start()
    assert recovered.held == (
        HeldJob(
            id="AJ_1",
            dispatch_id="AD_1",
            room="room",
            lane=LANE,
            restart_policy=dispatch("1").restart_policy,
            queue_time=job("1").queue_time,
            state=FULL,
        ),
    )
    assert recovered.waiting == {LANE: 1, OTHER_LANE: 2}
    assert recovered.next_due == NOW + 8
    assert recovered.deletions == ()


async def test_guards_hold_after_a_crash(subject: Subject) -> None:
    await subject.store.commit(
        [create_job("1", reserved=True), create_job("2", reserved=True)], NOW
    )
    raised = replace(QUEUED, epoch=2)
    await subject.store.commit([move("1", JobTrigger.HANDED_OVER, raised), succeed("2")], NOW)
    await subject.crash()
    await subject.start()
    refused = await subject.store.commit([assign("1"), assign("2")], NOW)
    assert list(refused) == [MoveRefused("AJ_1", 2), MoveRefused("AJ_2", 1)]


async def test_a_store_that_was_closed_opens_again_with_everything(subject: Subject) -> None:
    await subject.store.commit([create("1"), create_job("2", reserved=True), assign("2")], NOW)
    await subject.store.close()
    await subject.store.close()
    recovered = await subject.start()
    assert recovered.waiting == {LANE: 1}
    assert [each.id for each in recovered.held] == ["AJ_2"]
