"""Notes are kept as they are, and jobs of orders are told when the store is opened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.core.effects import (
    CallOffJobs,
    CreateJob,
    DeleteDispatch,
    DropNotes,
    FindDispatches,
    PutNote,
)
from dispatcher.core.events import DispatchesFound, JobsCalledOff, OrderedJob
from dispatcher.core.jobs import JobState, JobStateReason
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.notes import Note, NoteKind
from dispatcher.store.contract import Store
from tests.conformance.store.builders import (
    LANE,
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
from tests.conformance.store.subjects import Subject

pytestmark = pytest.mark.anyio


def note(scope: str = "room", key: str = "", text: str = "{}", project: str = "project") -> Note:
    """A note about a member."""
    return Note(NoteKind.MEMBER, project, scope, key, text)


async def kept(subject: Subject) -> set[Note]:
    """What is there after a crash."""
    await subject.crash()
    return set((await subject.start()).notes)


async def test_a_note_outlives_a_crash_and_replaces_the_one_of_its_name(subject: Subject) -> None:
    odd = note(scope="a\x00'b", key="ключ", text='{"a": "\U0001f600"}')
    batch = [PutNote(note()), PutNote(odd), PutNote(note(text="[1]")), PutNote(note(project="x"))]
    await subject.store.commit(batch, NOW)
    assert await kept(subject) == {note(text="[1]"), odd, note(project="x")}


async def test_one_note_is_dropped_or_all_of_a_scope(subject: Subject) -> None:
    made = [PutNote(note(scope, key)) for scope in ("red", "blue") for key in ("1", "2")]
    drops = [
        DropNotes(NoteKind.MEMBER, "project", "red", None),
        DropNotes(NoteKind.MEMBER, "project", "blue", "1"),
        DropNotes(NoteKind.ROOM, "project", "blue", None),
        DropNotes(NoteKind.MEMBER, "other", "blue", None),
    ]
    await subject.store.commit([*made, *drops], NOW)
    assert await kept(subject) == {note("blue", "2")}


async def test_jobs_of_orders_that_have_not_ended_are_told(subject: Subject) -> None:
    made = [
        CreateJob(
            replace(job(name), order=f"rule:{name}", unique_key="k"), JobState(JobPhase.QUEUED)
        )
        for name in "123"
    ]
    await subject.store.commit([*made, create_job("4"), assign("2"), succeed("3")], NOW)
    await subject.crash()
    recovered = await subject.start()
    assert set(recovered.ordered) == {
        OrderedJob("AJ_1", "project", "rule:1", "k"),
        OrderedJob("AJ_2", "project", "rule:2", "k"),
    }
    assert [(each.order, each.unique_key) for each in recovered.held] == [("rule:2", "k")]
    stored = await subject.store.get_job("project", "AJ_1")
    assert stored is not None
    assert (stored.job.order, stored.job.unique_key) == ("rule:1", "k")


async def test_calling_jobs_off_ends_those_that_wait_and_that_nobody_holds(store: Store) -> None:
    delayed = JobState(JobPhase.DELAYED, until=NOW + 5)
    made = [
        create_job("1"),
        create_job("2", state=delayed),
        create_job("3", reserved=True),
        create_job("4"),
        create_job("5"),
    ]
    await store.commit([*made, assign("4"), succeed("5")], NOW)
    asked = ("AJ_1", "AJ_2", "AJ_3", "AJ_4", "AJ_5", "AJ_nobody", "AJ_1")
    off = CallOffJobs(asked, JobStateReason.ROOM_CLOSED, "the room is over", NOW + 7)
    result = one(await store.commit([off], NOW + 8), JobsCalledOff)
    assert result == JobsCalledOff(asked, ("AJ_1", "AJ_2"), {LANE: 1})
    assert claimed_names(await store.commit([claim()], NOW)) == []
    stored = await store.get_job("project", "AJ_1")
    assert stored is not None
    assert stored.state.phase is JobPhase.CANCELLED
    assert stored.state.reason is JobStateReason.ROOM_CLOSED
    assert stored.state.ended_at == NOW + 7
    last = (await store.job_events("project", "AJ_1"))[-1]
    assert (last.trigger, last.detail) == (JobTrigger.CANCELLED, "the room is over")


async def test_the_dispatches_of_a_room_that_stand_are_found_in_order(store: Store) -> None:
    made = [create("2", room="red"), create("1", room="red"), create("3", room="blue")]
    await store.commit(
        [*made, create("4", room="red"), DeleteDispatch(7, "project", "red", "AD_4", NOW)], NOW
    )
    result = one(await store.commit([FindDispatches("project", "red")], NOW), DispatchesFound)
    assert [each.id for each in result.dispatches] == ["AD_2", "AD_1"]
    assert result.dispatches[0] == dispatch("2", "red")
    other = one(await store.commit([FindDispatches("other", "red")], NOW), DispatchesFound)
    assert other == DispatchesFound("other", "red", ())


async def test_a_job_may_be_added_to_a_dispatch_that_is_there(store: Store) -> None:
    await store.commit([create("1")], NOW)
    later = replace(job("later"), dispatch_id="AD_1")
    lost = replace(job("lost"), dispatch_id="AD_gone")
    waits = JobState(JobPhase.QUEUED)
    await store.commit([CreateJob(later, waits), CreateJob(lost, waits)], NOW)
    stored = await store.get_dispatch("project", "AD_1")
    assert stored is not None
    assert [each.job.id for each in stored.jobs] == ["AJ_1", "AJ_later"]
    alone = await store.get_job("project", "AJ_lost")
    assert alone is not None
    assert alone.job.dispatch_id == ""
