"""The queues in memory: their order, their bounded garbage, and going back."""

from dispatcher.core.lifecycle import JobPhase
from dispatcher.store.sqlite.pending import GARBAGE_MIN, LaneQueue, LiveJob, PendingIndex
from tests.conformance.store.builders import LANE, OTHER_LANE


def live(number: int, priority: int = 0, until: int = 0) -> LiveJob:
    return LiveJob(
        number,
        f"AJ_{number}",
        "",
        LANE,
        priority,
        JobPhase.QUEUED,
        epoch=1,
        until=until,
        last_event=1,
    )


def filled(count: int) -> tuple[PendingIndex, list[LiveJob]]:
    index = PendingIndex()
    jobs = [live(number, until=number) for number in range(1, count + 1)]
    for job in jobs:
        index.add(job, hold=False)
    index.keep()
    return index, jobs


def test_jobs_that_leave_early_leave_bounded_garbage() -> None:
    queue = LaneQueue()
    jobs = [live(number) for number in range(10_000)]
    for job in jobs:
        queue.add(job)
    for job in jobs[:-100]:
        queue.remove(job)
        assert len(queue) <= 2 * queue.waiting + GARBAGE_MIN
    assert len(queue) <= 2 * 100 + GARBAGE_MIN


def test_holding_and_releasing_without_end_does_not_grow_a_queue() -> None:
    queue = LaneQueue()
    jobs = [live(number) for number in range(100)]
    for job in jobs:
        queue.add(job)
    for _ in range(100):
        for job in jobs[50:]:
            queue.remove(job)
            queue.add(job)
    assert len(queue) == 100


def test_a_lane_without_jobs_leaves_nothing_behind() -> None:
    index, jobs = filled(3)
    for job in jobs:
        index.move(job, JobPhase.CANCELLED, 1, 0, 2)
    index.keep()
    assert dict(index.waiting()) == {}
    assert index.jobs == {}
    assert index.next_due() is None


def test_asking_about_an_unknown_lane_leaves_nothing_behind() -> None:
    index, _ = filled(1)
    assert index.claim_queued(OTHER_LANE, 5) == []
    assert index.waiting_in(OTHER_LANE) == 0
    assert dict(index.waiting()) == {LANE: 1}


def test_going_back_restores_queue_deadlines_and_fields() -> None:
    index, jobs = filled(4)
    index.claim_queued(LANE, 1)
    index.keep()
    index.release(jobs[0])
    index.claim_due(3, 1)
    index.move(jobs[1], JobPhase.RUNNING, 7, 9, 8)
    index.move(jobs[2], JobPhase.FAILED, 7, 9, 8)
    index.add(live(5, priority=9, until=1), hold=False)
    index.roll_back()
    assert index.jobs.keys() == {job.id for job in jobs}
    assert (jobs[1].phase, jobs[1].epoch, jobs[1].last_event) == (JobPhase.QUEUED, 1, 1)
    assert index.next_due() == 2
    assert index.claim_queued(LANE, 9) == jobs[1:]  # the first is still held


def test_going_back_and_trying_again_does_not_mix_up_numbers() -> None:
    index, jobs = filled(100)
    for _ in range(3):
        again = live(101, priority=1)
        index.add(again, hold=False)
        index.claim_queued(LANE, 50)
        index.roll_back()
    index.add(again := live(101, priority=1), hold=False)
    assert index.claim_queued(LANE, 2) == [again, jobs[0]]
