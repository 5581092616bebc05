"""Promises 3 and 5: who holds a waiting job, and the order of a queue."""

from dataclasses import replace

import pytest

from dispatcher.core.effects import ClaimDue, LookUpJobs, ReleaseJobs, StoreRequest
from dispatcher.core.events import HeldJob, JobsClaimed, JobsDue, JobsLookedUp
from dispatcher.core.jobs import SECOND, AttemptReason, JobState
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.store.contract import Store
from tests.conformance.store.builders import (
    ASSIGNED,
    LANE,
    NOW,
    OTHER_LANE,
    QUEUED,
    assign,
    claim,
    claimed_names,
    create,
    create_job,
    dispatch,
    job,
    move,
    offered,
    one,
)
from tests.conformance.store.subjects import Subject

pytestmark = pytest.mark.anyio


def waiting_until(until: int) -> JobState:
    return replace(QUEUED, until=until)


def delayed_until(until: int) -> JobState:
    return JobState(JobPhase.DELAYED, until=until)


def due_names(result: JobsDue) -> list[str]:
    return [each.id.removeprefix("AJ_") for each in result.jobs]


async def test_a_queue_goes_by_arrival(store: Store) -> None:
    await store.commit([create_job("1"), create_job("2")], NOW)
    await store.commit([create_job("3")], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == ["1", "2", "3"]


async def test_a_higher_priority_goes_first(store: Store) -> None:
    made = [
        create_job("1"),
        create_job("2", priority=5),
        create_job("3", priority=-1),
        create_job("4", priority=5),
    ]
    await store.commit(made, NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == ["2", "4", "1", "3"]


async def test_a_claim_takes_no_more_than_its_limit_and_counts_the_rest(store: Store) -> None:
    await store.commit([create_job("1"), create_job("2"), create_job("3")], NOW)
    result = one(await store.commit([claim(2)], NOW), JobsClaimed)
    assert [each.id for each, _ in result.jobs] == ["AJ_1", "AJ_2"]
    assert result.waiting == 1


async def test_a_claim_brings_the_job_and_its_state(store: Store) -> None:
    of = dispatch("1")
    state = replace(QUEUED, epoch=3, attempt=2, attempt_reason=AttemptReason.FAILED, until=NOW + 7)
    await store.commit([create("1", state=state)], NOW)
    result = one(await store.commit([claim()], NOW), JobsClaimed)
    assert result.jobs == ((job("1", of=of), state),)


async def test_a_claim_of_an_unknown_lane_brings_nothing(store: Store) -> None:
    result = one(await store.commit([claim(5, OTHER_LANE)], NOW), JobsClaimed)
    assert result == JobsClaimed(OTHER_LANE, (), 0)


@pytest.mark.parametrize(
    "lane",
    [
        replace(LANE, project="other"),
        replace(LANE, agent_name="other"),
        replace(LANE, namespace="other"),
        replace(LANE, job_type=OTHER_LANE.job_type),
        replace(LANE, deployment="other"),
    ],
)
async def test_a_claim_matches_every_field_of_its_lane(store: Store, lane: object) -> None:
    assert isinstance(lane, type(LANE))
    await store.commit([create_job("1", lane=lane)], NOW)
    assert claimed_names(await store.commit([claim(5, LANE)], NOW)) == []
    assert claimed_names(await store.commit([claim(5, lane)], NOW)) == ["1"]


async def test_a_claimed_job_is_not_claimed_again(store: Store) -> None:
    await store.commit([create_job("1"), create_job("2")], NOW)
    first = await store.commit([claim(1), claim(1)], NOW)
    assert [claimed_names([each]) for each in first] == [["1"], ["2"]]
    assert claimed_names(await store.commit([claim()], NOW)) == []


async def test_a_job_that_is_created_reserved_is_not_claimed(store: Store) -> None:
    await store.commit([create_job("1", reserved=True)], NOW)
    result = one(await store.commit([claim()], NOW), JobsClaimed)
    assert result == JobsClaimed(LANE, (), 0)


async def test_a_reserved_job_is_not_due(store: Store) -> None:
    state = waiting_until(NOW + 5)
    await store.commit([create_job("1", state=state, reserved=True)], NOW)
    result = one(await store.commit([ClaimDue(NOW + 10, 9)], NOW + 10), JobsDue)
    assert result == JobsDue((), None)


async def test_a_reserved_job_that_is_moved_to_the_queue_takes_its_place_there(
    store: Store,
) -> None:
    await store.commit([create_job("1", reserved=True), create_job("2")], NOW)
    await store.commit([move("1", JobTrigger.OFFER_WITHDRAWN, QUEUED)], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == ["1", "2"]


async def test_a_reserved_job_is_in_hand_when_the_store_is_opened_anew(subject: Subject) -> None:
    await subject.store.commit([create_job("1", reserved=True), create_job("2")], NOW)
    await subject.crash()
    recovered = await subject.start()
    assert recovered.waiting == {LANE: 1}
    assert [(each.id, each.state) for each in recovered.held] == [("AJ_1", offered(QUEUED))]
    assert claimed_names(await subject.store.commit([claim()], NOW)) == ["2"]


async def test_a_released_job_takes_its_old_place(store: Store) -> None:
    await store.commit([create_job("1"), create_job("2"), create_job("3")], NOW)
    await store.commit([claim(2)], NOW)
    await store.commit([ReleaseJobs(("AJ_1",))], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == ["1", "3"]


async def test_releasing_twice_or_what_is_not_held_changes_nothing(store: Store) -> None:
    await store.commit([create_job("1"), create_job("2"), create_job("3", reserved=True)], NOW)
    await store.commit([assign("3"), claim(1)], NOW)
    release = ReleaseJobs(("AJ_1", "AJ_1", "AJ_2", "AJ_3", "AJ_unknown"))
    await store.commit([release, release], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == ["1", "2"]


async def test_a_move_back_to_waiting_releases_the_job_to_its_old_place(store: Store) -> None:
    await store.commit([create_job("1", reserved=True), create_job("2"), assign("1")], NOW)
    again = move("1", JobTrigger.HANDED_OVER, replace(QUEUED, epoch=2))
    await store.commit([again], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == ["1", "2"]


async def test_a_job_that_moved_on_while_it_was_held_does_not_come_back(store: Store) -> None:
    await store.commit([create_job("1"), claim(), assign("1"), ReleaseJobs(("AJ_1",))], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == []


async def test_a_waiting_job_that_nobody_held_leaves_its_queue_with_its_move(store: Store) -> None:
    await store.commit([create_job("1", state=waiting_until(NOW)), create_job("2")], NOW)
    await store.commit([assign("1")], NOW)
    claimed, due = await store.commit([claim(), ClaimDue(NOW, 9)], NOW)
    assert claimed_names([claimed]) == ["2"]
    assert due == JobsDue((), None)


async def test_due_jobs_are_held_earliest_first(store: Store) -> None:
    made = [
        create_job("1", state=delayed_until(NOW + 30)),
        create_job("2", state=waiting_until(NOW + 10)),
        create_job("3", state=waiting_until(NOW + 20)),
        create_job("4", state=waiting_until(0)),
    ]
    await store.commit(made, NOW)
    first = one(await store.commit([ClaimDue(NOW + 30, 2)], NOW), JobsDue)
    assert (due_names(first), first.next_due) == (["2", "3"], NOW + 30)
    rest = one(await store.commit([ClaimDue(NOW + 30, 9)], NOW), JobsDue)
    assert (due_names(rest), rest.next_due) == (["1"], None)


async def test_a_deadline_that_is_not_over_is_told_and_not_claimed(store: Store) -> None:
    await store.commit([create_job("1", state=waiting_until(NOW + 10))], NOW)
    result = one(await store.commit([ClaimDue(NOW + 9, 9)], NOW), JobsDue)
    assert result == JobsDue((), NOW + 10)


async def test_a_due_job_comes_with_what_the_engine_must_know(store: Store) -> None:
    await store.commit([create("1", state=waiting_until(NOW + 10))], NOW)
    result = one(await store.commit([ClaimDue(NOW + 10, 9)], NOW), JobsDue)
    made = job("1", of=dispatch("1"))
    expected = HeldJob(
        id=made.id,
        dispatch_id="AD_1",
        room=made.room,
        lane=LANE,
        restart_policy=made.restart_policy,
        queue_time=made.queue_time,
        state=waiting_until(NOW + 10),
    )
    assert result.jobs == (expected,)


async def test_a_due_job_is_claimed_from_no_queue(store: Store) -> None:
    await store.commit([create_job("1", state=waiting_until(NOW))], NOW)
    due, claimed = await store.commit([ClaimDue(NOW, 9), claim()], NOW)
    assert isinstance(due, JobsDue)
    assert due_names(due) == ["1"]
    assert claimed_names([claimed]) == []


async def test_a_claimed_job_is_not_due(store: Store) -> None:
    await store.commit([create_job("1", state=waiting_until(NOW))], NOW)
    _, due = await store.commit([claim(), ClaimDue(NOW, 9)], NOW)
    assert due == JobsDue((), None)


async def test_a_released_job_is_due_again(store: Store) -> None:
    await store.commit([create_job("1", state=delayed_until(NOW))], NOW)
    await store.commit([ClaimDue(NOW, 9), ReleaseJobs(("AJ_1",))], NOW)
    result = one(await store.commit([ClaimDue(NOW, 9)], NOW), JobsDue)
    assert due_names(result) == ["1"]


async def test_a_delayed_job_is_in_no_queue_until_it_is_moved_there(store: Store) -> None:
    await store.commit([create_job("1", state=delayed_until(NOW))], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == []
    await store.commit([ClaimDue(NOW, 9), move("1", JobTrigger.BECAME_DUE, QUEUED)], NOW)
    assert claimed_names(await store.commit([claim()], NOW)) == ["1"]


async def test_a_new_deadline_takes_the_place_of_the_old(store: Store) -> None:
    await store.commit([create_job("1", state=waiting_until(NOW + 5), reserved=True)], NOW)
    await store.commit([move("1", JobTrigger.RETRIED, delayed_until(NOW + 50))], NOW)
    result = one(await store.commit([ClaimDue(NOW + 49, 9)], NOW), JobsDue)
    assert result == JobsDue((), NOW + 50)


async def test_what_was_held_and_waited_is_queued_again_after_a_crash(subject: Subject) -> None:
    made = [create_job("1"), create_job("2"), create_job("3", reserved=True)]
    await subject.store.commit([*made, claim(), assign("3")], NOW)
    await subject.crash()
    recovered = await subject.start()
    assert recovered.waiting == {LANE: 2}
    assert [each.id for each in recovered.held] == ["AJ_3"]
    assert claimed_names(await subject.store.commit([claim()], NOW)) == ["1", "2"]


async def test_a_lookup_tells_the_phases_of_this_projects_jobs(store: Store) -> None:
    other = replace(LANE, project="other")
    made = [create_job("1"), create_job("2", reserved=True), create_job("3", lane=other)]
    ended = move("4", JobTrigger.CANCELLED, JobState(JobPhase.CANCELLED))
    await store.commit([*made, create_job("4"), assign("2"), ended], NOW)
    ids = ("AJ_1", "AJ_2", "AJ_3", "AJ_4", "AJ_5")
    result = one(await store.commit([LookUpJobs("AW_9", "project", ids)], NOW), JobsLookedUp)
    phases = {
        "AJ_1": JobPhase.QUEUED,
        "AJ_2": JobPhase.ASSIGNED,
        "AJ_4": JobPhase.CANCELLED,
    }
    assert result == JobsLookedUp("AW_9", ids, phases)


async def test_a_batch_sees_what_it_did_before(store: Store) -> None:
    batch: list[StoreRequest] = [
        create_job("1"),
        create_job("2"),
        claim(1),
        assign("1"),
        LookUpJobs("AW_9", "project", ("AJ_1", "AJ_2")),
        move("1", JobTrigger.HANDED_OVER, replace(ASSIGNED, phase=JobPhase.QUEUED, epoch=2)),
        claim(),
    ]
    first, looked_up, second = await store.commit(batch, NOW)
    assert claimed_names([first]) == ["1"]
    assert isinstance(looked_up, JobsLookedUp)
    assert looked_up.phases == {"AJ_1": JobPhase.ASSIGNED, "AJ_2": JobPhase.QUEUED}
    assert claimed_names([second]) == ["1", "2"]


async def test_the_oldest_that_waits_is_told_by_lane_whatever_its_priority(store: Store) -> None:
    first, second = waiting_until(NOW + 60 * SECOND), waiting_until(NOW + 70 * SECOND)
    later = waiting_until(NOW + 75 * SECOND)
    await store.commit(
        [
            create_job("1", state=first),
            create_job("2", state=second, priority=5),
            create_job("3", state=later, lane=OTHER_LANE),
        ],
        NOW,
    )
    empty = replace(LANE, agent_name="nobody")
    asked = [LANE, OTHER_LANE, empty]
    assert await store.oldest_queued(asked) == {LANE: NOW, OTHER_LANE: NOW + 15 * SECOND}
    # The one of higher priority is held, and the oldest waits on.
    assert claimed_names(await store.commit([claim(limit=1)], NOW)) == ["2"]
    assert await store.oldest_queued([LANE]) == {LANE: NOW}


async def test_a_job_that_is_held_is_not_the_oldest_that_waits_until_it_is_given_back(
    subject: Subject,
) -> None:
    for number in range(3):
        until = waiting_until(NOW + (60 + number) * SECOND)
        await subject.store.commit([create_job(str(number), state=until)], NOW)
    await subject.store.commit([claim(limit=2)], NOW)
    assert await subject.store.oldest_queued([LANE]) == {LANE: NOW + 2 * SECOND}
    await subject.store.commit([ReleaseJobs(("AJ_1",))], NOW)
    assert await subject.store.oldest_queued([LANE]) == {LANE: NOW + 1 * SECOND}
    await subject.store.commit([ReleaseJobs(("AJ_0",))], NOW)
    assert await subject.store.oldest_queued([LANE]) == {LANE: NOW}
    await subject.crash()
    await subject.start()
    assert await subject.store.oldest_queued([LANE]) == {LANE: NOW}
