"""Deleting a dispatch: what waits unheld goes with it, what is held is the engine's."""

from dataclasses import replace

import pytest

from dispatcher.core.effects import DeleteDispatch, FinishDeletion
from dispatcher.core.events import DispatchDeletionRecorded
from dispatcher.core.jobs import JobState, JobStateReason
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.store.contract import EventRow, Store
from tests.conformance.store.builders import (
    FULL,
    LANE,
    NOW,
    QUEUED,
    assign,
    claim,
    claimed_names,
    create,
    one,
    succeed,
)
from tests.conformance.store.subjects import Subject

pytestmark = pytest.mark.anyio

LATER = NOW + 60


def delete(name: str = "1", room: str = "room", project: str = "project") -> DeleteDispatch:
    return DeleteDispatch(7, project, room, f"AD_{name}", LATER)


async def test_jobs_that_wait_unheld_are_cancelled(store: Store) -> None:
    state = replace(FULL, phase=JobPhase.QUEUED)
    await store.commit([create("1", jobs=2, state=state)], NOW)
    result = one(await store.commit([delete()], LATER), DispatchDeletionRecorded)
    assert result == DispatchDeletionRecorded(7, "AD_1", True, {LANE: 2})
    stored = await store.get_job("project", "AJ_1b")
    assert stored is not None
    assert stored.state == replace(
        state,
        phase=JobPhase.CANCELLED,
        until=0,
        reason=JobStateReason.DISPATCH_DELETED,
        ended_at=LATER,
        updated_at=LATER,
    )
    assert claimed_names(await store.commit([claim()], LATER)) == []


async def test_a_delayed_job_is_cancelled_and_not_counted(store: Store) -> None:
    await store.commit([create("1", state=JobState(JobPhase.DELAYED, until=LATER))], NOW)
    result = one(await store.commit([delete()], LATER), DispatchDeletionRecorded)
    assert result == DispatchDeletionRecorded(7, "AD_1", True, {})
    stored = await store.get_job("project", "AJ_1")
    assert stored is not None
    assert stored.state.phase is JobPhase.CANCELLED


async def test_each_cancelled_job_has_its_event(store: Store) -> None:
    await store.commit([create("1", state=replace(QUEUED, epoch=3, attempt=2))], NOW)
    await store.commit([delete()], LATER)
    assert (await store.job_events("project", "AJ_1"))[-1] == EventRow(
        sequence=2,
        at=LATER,
        project="project",
        job_id="AJ_1",
        dispatch_id="AD_1",
        trigger=JobTrigger.CANCELLED,
        phase=JobPhase.CANCELLED,
        epoch=3,
        attempt=2,
        worker_id="",
        reason="DISPATCH_DELETED",
        error="",
        detail="",
    )


async def test_reserved_held_and_ended_jobs_stay_as_they_are(store: Store) -> None:
    await store.commit([create("1", jobs=4, reserved=True)], NOW)
    await store.commit([assign("1"), assign("1b"), succeed("1b")], NOW)
    result = one(await store.commit([delete()], LATER), DispatchDeletionRecorded)
    assert result == DispatchDeletionRecorded(7, "AD_1", True, {})
    stored = await store.get_dispatch("project", "AD_1")
    assert stored is not None
    phases = [each.state.phase for each in stored.jobs]
    assert phases == [JobPhase.ASSIGNED, JobPhase.SUCCEEDED, JobPhase.OFFERED, JobPhase.OFFERED]


async def test_a_deleted_dispatch_tells_when_and_is_listed_no_longer(store: Store) -> None:
    await store.commit([create("1", reserved=True), delete()], LATER)
    stored = await store.get_dispatch("project", "AD_1")
    assert stored is not None
    assert (stored.dispatch.deletion_requested_at, stored.dispatch.deleted_at) == (LATER, 0)
    assert await store.list_dispatches("project", "room", 9) == []


@pytest.mark.parametrize(
    "wrong",
    [delete("2"), delete(room="other"), delete(project="other")],
    ids=["id", "room", "project"],
)
async def test_an_unknown_dispatch_is_not_found(store: Store, wrong: DeleteDispatch) -> None:
    await store.commit([create("1")], NOW)
    result = one(await store.commit([wrong], LATER), DispatchDeletionRecorded)
    assert (result.found, result.cancelled_by_lane) == (False, {})
    assert claimed_names(await store.commit([claim()], NOW)) == ["1"]


async def test_deleting_twice_is_not_found_the_second_time(store: Store) -> None:
    await store.commit([create("1", reserved=True)], NOW)
    first, second = await store.commit([delete(), delete()], LATER)
    assert isinstance(first, DispatchDeletionRecorded)
    assert isinstance(second, DispatchDeletionRecorded)
    assert (first.found, second.found) == (True, False)


async def test_a_deletion_that_is_finished_tells_when(store: Store) -> None:
    await store.commit([create("1"), delete(), FinishDeletion("AD_1", LATER + 1)], LATER)
    stored = await store.get_dispatch("project", "AD_1")
    assert stored is not None
    assert stored.dispatch.deleted_at == LATER + 1


async def test_finishing_counts_once_and_for_a_deleted_dispatch_alone(store: Store) -> None:
    await store.commit([create("1"), create("2"), delete("1")], LATER)
    finish = [FinishDeletion(id_, LATER + 1) for id_ in ("AD_1", "AD_2", "AD_3")]
    await store.commit([*finish, FinishDeletion("AD_1", LATER + 2)], LATER)
    first = await store.get_dispatch("project", "AD_1")
    second = await store.get_dispatch("project", "AD_2")
    assert first is not None
    assert second is not None
    assert (first.dispatch.deleted_at, second.dispatch.deleted_at) == (LATER + 1, 0)


async def test_unfinished_deletions_are_told_after_a_crash(subject: Subject) -> None:
    made = [create(name, reserved=True) for name in "123"]
    finished = FinishDeletion("AD_2", LATER)
    await subject.store.commit([*made, delete("1"), delete("2"), finished], LATER)
    await subject.crash()
    recovered = await subject.start()
    assert recovered.deletions == ("AD_1",)
