"""The reads, and the event log's promises: one row for each durable move, numbered for good."""

from dataclasses import replace

import pytest

from dispatcher.core.effects import StoreRequest
from dispatcher.core.jobs import JobStateReason
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.store.contract import EventRow, JobFilter, QueuePlace, Store
from protocol.errors import StoreError
from tests.conformance.store.builders import (
    FULL,
    LANE,
    NOW,
    RUNNING,
    assign,
    claim,
    create,
    create_job,
    dispatch,
    move,
    succeed,
)
from tests.conformance.store.subjects import Subject

pytestmark = pytest.mark.anyio

OTHER_AGENT = replace(LANE, agent_name="other")


async def listed(store: Store, where: JobFilter, limit: int = 99, before: int = 0) -> list[str]:
    found = await store.list_jobs(where, limit, before)
    return [each.job.id.removeprefix("AJ_") for each in found]


async def test_an_event_tells_what_the_move_wrote(store: Store) -> None:
    await store.commit([create("1")], NOW)
    await store.commit([move("1", JobTrigger.WORKER_LOST, FULL, detail="it hung")], NOW + 1)
    first, second = await store.job_events("project", "AJ_1")
    assert first == EventRow(
        sequence=1,
        at=NOW,
        project="project",
        job_id="AJ_1",
        dispatch_id="AD_1",
        trigger=JobTrigger.CREATED,
        phase=JobPhase.QUEUED,
        epoch=1,
        attempt=1,
        worker_id="",
        reason="",
        error="",
        detail="",
    )
    assert second == EventRow(
        sequence=2,
        at=NOW + 1,
        project="project",
        job_id="AJ_1",
        dispatch_id="AD_1",
        trigger=JobTrigger.WORKER_LOST,
        phase=JobPhase.ORPHANED,
        epoch=7,
        attempt=3,
        worker_id=FULL.worker_id,
        reason=JobStateReason.RETRYING.name,
        error=FULL.error,
        detail="it hung",
    )


async def test_every_move_has_one_event_and_the_rest_has_none(store: Store) -> None:
    await store.commit([create_job("1"), claim(), assign("1")], NOW)
    await store.commit([move("1", JobTrigger.STARTED, RUNNING), succeed("1")], NOW)
    await store.commit([claim(), create("1", jobs=0)], NOW)
    triggers = [event.trigger for event in await store.events_after(0, 99)]
    assert triggers == [
        JobTrigger.CREATED,
        JobTrigger.OFFER_ACCEPTED,
        JobTrigger.STARTED,
        JobTrigger.SUCCEEDED,
    ]


async def test_a_jobs_events_are_its_own(store: Store) -> None:
    batch: list[StoreRequest] = [create_job(name, reserved=True) for name in "123"]
    await store.commit([*batch, *(assign(name) for name in "312")], NOW)
    await store.commit([succeed("3"), succeed("2")], NOW)
    sequences = [event.sequence for event in await store.job_events("project", "AJ_2")]
    assert sequences == [2, 6, 8]


async def test_events_come_by_sequence_number_of_all_projects(store: Store) -> None:
    other = replace(LANE, project="other")
    await store.commit([create_job("1"), create_job("2", lane=other), create_job("3")], NOW)
    events = await store.events_after(1, 1)
    assert [(event.sequence, event.project) for event in events] == [(2, "other")]
    assert [event.sequence for event in await store.events_after(2, 99)] == [3]
    assert await store.events_after(3, 99) == []


async def test_numbers_go_on_after_a_crash(subject: Subject) -> None:
    await subject.store.commit([create_job("1"), create_job("2")], NOW)
    await subject.crash()
    await subject.start()
    await subject.store.commit([create_job("3")], NOW)
    assert [event.sequence for event in await subject.store.events_after(0, 9)] == [1, 2, 3]
    found = await subject.store.list_jobs(JobFilter("project"), 9)
    assert [each.number for each in found] == [3, 2, 1]


async def test_nothing_of_another_project_is_seen(store: Store) -> None:
    other = replace(LANE, project="other")
    await store.commit([create("1"), create_job("2", lane=other)], NOW)
    assert await store.get_dispatch("other", "AD_1") is None
    assert await store.get_job("other", "AJ_1") is None
    assert await store.job_events("other", "AJ_1") == []
    assert await store.list_dispatches("other", "room", 9) == []
    assert await listed(store, JobFilter("other")) == ["2"]


async def test_dispatches_of_a_room_come_oldest_first_up_to_the_limit(store: Store) -> None:
    await store.commit([create("3"), create("1", jobs=2), create("2", room="other")], NOW)
    await store.commit([create("0")], NOW)
    found = await store.list_dispatches("project", "room", 2)
    assert [each.dispatch for each in found] == [dispatch("3"), dispatch("1")]
    assert [[of.job.id for of in each.jobs] for each in found] == [["AJ_3"], ["AJ_1", "AJ_1b"]]
    assert await store.list_dispatches("project", "nowhere", 9) == []


async def test_jobs_come_newest_first_in_pages(store: Store) -> None:
    await store.commit([create_job(name) for name in "12345"], NOW)
    first = await store.list_jobs(JobFilter("project"), 2)
    assert [each.job.id for each in first] == ["AJ_5", "AJ_4"]
    assert await listed(store, JobFilter("project"), 2, first[-1].number) == ["3", "2"]


async def test_a_list_shows_what_its_filter_says(store: Store) -> None:
    made: list[StoreRequest] = [
        create("1", room="red", reserved=True),
        create("2", room="blue", jobs=2, reserved=True),
        create("3", room="blue", lane=OTHER_AGENT),
        create_job("4"),
    ]
    await store.commit([*made, assign("1"), assign("2"), succeed("2b")], NOW)
    phases = frozenset
    assert await listed(store, JobFilter("project")) == ["4", "3", "2b", "2", "1"]
    assert await listed(store, JobFilter("project", agent_name="other")) == ["3"]
    assert await listed(store, JobFilter("project", room="blue")) == ["3", "2b", "2"]
    assert await listed(store, JobFilter("project", worker_id="AW_1")) == ["2b", "2", "1"]
    assert await listed(store, JobFilter("project", dispatch_id="AD_2")) == ["2b", "2"]
    assert await listed(store, JobFilter("project", phases({JobPhase.QUEUED}))) == ["4", "3"]
    ended_or_held = phases({JobPhase.SUCCEEDED, JobPhase.ASSIGNED})
    assert await listed(store, JobFilter("project", ended_or_held)) == ["2b", "2", "1"]


async def test_a_jobs_place_in_its_lane_goes_by_priority_and_arrival(store: Store) -> None:
    await store.commit(
        [
            create_job("1"),
            create_job("2", lane=OTHER_AGENT),
            create_job("3"),
            create_job("4", priority=5),
            create_job("5"),
        ],
        NOW,
    )
    await store.commit([claim(1)], NOW)  # who is on offer keeps its place
    (stored,) = list(await store.list_jobs(JobFilter("project"), 1))
    assert await store.queue_place(stored, 5) == QueuePlace(before=3, of_higher_priority=1)
    assert await store.queue_place(stored, 4) is None


async def test_filters_add_up(store: Store) -> None:
    made: list[StoreRequest] = [
        create("1", room="red", reserved=True),
        create("2", room="red", jobs=2, reserved=True),
    ]
    await store.commit([*made, assign("1"), assign("2b")], NOW)
    held = frozenset({JobPhase.ASSIGNED})
    where = JobFilter("project", held, LANE.agent_name, "red", "AW_1", "AD_2")
    assert await listed(store, where) == ["2b"]
    assert await listed(store, replace(where, worker_id="AW_2")) == []
    assert await listed(store, replace(where, dispatch_id=""), 1) == ["2b"]
    assert await listed(store, replace(where, dispatch_id=""), 1, 3) == ["1"]


async def test_a_read_sees_what_was_committed_before_it(store: Store) -> None:
    for number in range(20):
        await store.commit([create_job(str(number))], NOW)
        assert await store.get_job("project", f"AJ_{number}") is not None


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreError):
        await store.commit([create_job("1")], NOW)
    with pytest.raises(StoreError):
        await store.get_job("project", "AJ_1")
