"""The runtime: nothing is promised before it is durable, and a store in trouble loses nothing.

The store's commits are held back until a test lets them pass, so each test sees both sides of one.
"""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from dispatcher.core.effects import (
    ClaimJobs,
    CreateDispatch,
    Outcome,
    PutNote,
    RecordMove,
    Reply,
    SendAssignment,
    SendOffer,
    SendStatusReceipt,
)
from dispatcher.core.events import (
    Event,
    JobReported,
    Registration,
    WorkerDisconnected,
    WorkerRegistered,
    WorkerReported,
)
from dispatcher.core.jobs import SECOND, JobStatus, JobType
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.policy import Policy
from dispatcher.runtime import EngineFailed, Overloaded, RuntimeLimits
from dispatcher.store.contract import JobFilter
from protocol.errors import CallboardError, StoreCorrupt, StoreError, StoreFull
from tests.support.runtime_bench import LIMITS, RETENTION, RuntimeBench, running

pytestmark = pytest.mark.anyio


# --- when a commit begins ---


def started(job: str, worker: str = "w") -> JobReported:
    return JobReported(worker, job, JobStatus.RUNNING, epoch=1, sequence=7)


async def test_what_a_worker_reports_is_committed_with_the_next_call() -> None:
    limits = replace(LIMITS, patience_seconds=3600)
    async with running(RuntimeBench(limits=limits)) as bench:
        job = await bench.held_order()
        bench.store.arrived.clear()
        bench.runtime.submit(started(job))
        await bench.quiet()
        assert bench.store.arrived == []
        bench.runtime.submit(bench.order()(999))
        await bench.until(lambda: bench.store.arrived)
        [batch] = bench.store.arrived
        # Nobody waited for the move to assigned either: the assignment had the job's creation.
        assert [type(request) for request in batch] == [RecordMove, RecordMove, CreateDispatch]


async def test_what_a_worker_reports_is_committed_when_no_call_comes() -> None:
    async with running(RuntimeBench()) as bench:
        job = await bench.held_order()
        bench.store.is_open_to_all = True
        bench.runtime.submit(started(job))
        assert bench.of(SendStatusReceipt) == []
        await bench.until(lambda: bench.of(SendStatusReceipt))


async def test_a_drain_waits_for_what_a_worker_reported() -> None:
    async with running(RuntimeBench()) as bench:
        job = await bench.held_order()
        bench.store.is_open_to_all = True
        bench.runtime.submit(replace(started(job), status=JobStatus.SUCCESS))
        await bench.runtime.drain()
        assert bench.recorded_moves[-1].trigger is JobTrigger.SUCCEEDED


# --- persist, then send ---


async def test_a_caller_is_answered_only_after_the_commit() -> None:
    async with running(RuntimeBench()) as bench, anyio.create_task_group() as tasks:
        replies: list[Reply] = []

        async def call() -> None:
            replies.append(await bench.ask())

        tasks.start_soon(call)
        await bench.until(lambda: bench.store.arrived)
        await bench.quiet()
        assert replies == []
        bench.store.let_pass()
        await bench.until(lambda: replies)
        assert replies[0].outcome is Outcome.CREATED


async def test_an_offer_goes_out_beside_the_commit() -> None:
    async with running(RuntimeBench()) as bench:
        bench.worker()
        bench.runtime.submit(bench.order()(999))
        assert len(bench.of(SendOffer)) == 1
        assert bench.store.passed == []


async def test_an_assignment_goes_out_only_after_the_commit() -> None:
    async with running(RuntimeBench()) as bench:
        bench.worker()
        bench.store.let_pass()  # what is learned of its agent
        await bench.until(lambda: bench.store.passed)
        bench.runtime.submit(bench.order()(999))
        bench.accept("AJ_1")
        await bench.until(lambda: len(bench.store.arrived) == 2)
        await bench.quiet()
        assert not bench.of(SendAssignment)
        bench.store.let_pass()
        await bench.until(lambda: bench.of(SendAssignment))


async def test_an_assignment_of_a_job_that_never_was_is_not_sent_and_not_kept() -> None:
    async with running(RuntimeBench()) as bench:
        job = await bench.held_order()
        bench.runtime.submit(bench.order("AD_1")(999))  # the call again, which makes another job
        bench.accept("AJ_2")
        bench.store.is_open_to_all = True
        await bench.quiet()
        assert len(bench.of(SendAssignment)) == 1
        assert [move.job_id for move in bench.recorded_moves] == [job]
        assert not bench.runtime._prepared


async def test_an_assignment_that_is_told_again_before_its_commit_goes_out_too() -> None:
    async with running(RuntimeBench()) as bench:
        said = Registration("p", "a", "", "", (JobType.ROOM,), instance_id="one process")
        bench.runtime.submit(WorkerRegistered("w", said))
        bench.runtime.submit(WorkerReported("w", 0.0, 0, False, False))
        bench.store.let_pass()  # what is learned of its agent
        await bench.until(lambda: bench.store.passed)
        bench.runtime.submit(bench.order()(999))
        bench.accept("AJ_1", "w")
        # Nothing is durable so far; its worker is cut off, and back at once without the job.
        bench.runtime.submit(WorkerDisconnected("w"))
        bench.runtime.submit(WorkerRegistered("w again", said))
        bench.runtime.submit(WorkerReported("w again", 0.0, 0, False, False))
        bench.store.is_open_to_all = True
        await bench.until(lambda: len(bench.of(SendAssignment)) == 2)
        sent = cast("list[SendAssignment]", bench.of(SendAssignment))
        assert [each.worker_id for each in sent] == ["w", "w again"]
        assert not bench.runtime._prepared


async def test_a_receipt_goes_out_only_after_the_commit() -> None:
    async with running(RuntimeBench()) as bench:
        job = await bench.held_order()
        bench.runtime.submit(JobReported("w", job, JobStatus.SUCCESS, sequence=5))
        await bench.quiet()
        assert not bench.of(SendStatusReceipt)
        bench.store.let_pass()
        await bench.until(lambda: bench.of(SendStatusReceipt))


async def test_a_move_is_witnessed_only_after_the_commit() -> None:
    async with running(RuntimeBench()) as bench:
        job = await bench.held_order()
        before = len(bench.recorded_moves)
        bench.runtime.submit(JobReported("w", job, JobStatus.SUCCESS))
        await bench.quiet()
        assert len(bench.recorded_moves) == before
        bench.store.let_pass()
        await bench.until(lambda: len(bench.recorded_moves) > before)
        assert bench.recorded_moves[-1].trigger is JobTrigger.SUCCEEDED


async def test_what_arrives_during_a_commit_makes_one_batch() -> None:
    async with running(RuntimeBench()) as bench:
        bench.runtime.submit(bench.order()(1))
        await bench.until(lambda: bench.store.arrived)
        for request in range(2, 12):
            bench.runtime.submit(bench.order()(request))
        bench.store.let_pass(2)
        await bench.until(lambda: len(bench.store.passed) == 2)
        assert [len(batch) for batch in bench.store.passed] == [1, 10]


async def test_a_result_of_the_store_goes_back_to_the_engine() -> None:
    async with running(RuntimeBench()) as bench:
        bench.runtime.submit(bench.order()(1))
        bench.store.is_open_to_all = True
        await bench.until(lambda: bench.store.passed)
        bench.worker()
        await bench.until(lambda: bench.of(SendOffer))
        assert any(isinstance(r, ClaimJobs) for batch in bench.store.passed for r in batch)


async def test_what_was_of_no_consequence_is_told_to_the_witness_and_to_nobody_else() -> None:
    async with running(RuntimeBench()) as bench:
        bench.accept("AJ_none")
        assert len(bench.ignored_notes) == 1
        assert bench.sent == []


# --- a store in trouble ---


def full() -> StoreFull:
    """Return what a store without space raises."""
    return StoreFull("no space left", "here", "make room")


async def test_callers_are_refused_with_a_retryable_error_while_the_store_is_full() -> None:
    async with running(RuntimeBench()) as bench:
        bench.store.error = full()
        bench.runtime.submit(bench.order()(999))
        await bench.until(lambda: bench.runtime.failing)
        with pytest.raises(StoreFull) as refused:
            await bench.ask()
        assert refused.value.retryable
        assert not bench.runtime.ready


async def test_workers_go_on_while_the_store_is_full_and_everything_flows_after() -> None:
    async with running(RuntimeBench()) as bench:
        job = await bench.held_order()
        bench.store.error = full()
        bench.runtime.submit(JobReported("w", job, JobStatus.SUCCESS, sequence=1))
        await bench.until(lambda: len(bench.failures) > 3)
        bench.worker("late")
        bench.runtime.submit(WorkerReported("w", 0.5, 1, False, False))
        assert bench.runtime.engine.workers.keys() == {"w", "late"}
        assert not bench.of(SendStatusReceipt)
        bench.store.error = None
        bench.store.is_open_to_all = True
        await bench.until(lambda: bench.of(SendStatusReceipt))
        assert bench.recoveries == 1
        assert bench.runtime.ready
        stored = bench.store.database.get_job("p", job)
        assert stored is not None
        assert stored.state.phase is JobPhase.SUCCEEDED
        assert (await bench.ask()).outcome is Outcome.CREATED


async def test_a_batch_that_failed_is_committed_once_and_in_order() -> None:
    async with running(RuntimeBench()) as bench:
        bench.store.error = full()
        for number in range(5):  # each worker's agent is learned, which is written down
            said = Registration("p", f"agent-{number}", "", "", (JobType.ROOM,))
            bench.runtime.submit(WorkerRegistered(f"w{number}", said))
            await bench.quiet()
        bench.store.error = None
        bench.store.is_open_to_all = True
        await bench.until(lambda: sum(map(len, bench.store.passed)) == 5)
        committed = [
            r.note.key for batch in bench.store.passed for r in batch if isinstance(r, PutNote)
        ]
        assert committed == [f"agent-{number}" for number in range(5)]


async def test_a_caller_that_waits_when_the_store_fills_up_is_refused_and_nothing_is_made() -> None:
    async with running(RuntimeBench()) as bench, anyio.create_task_group() as tasks:
        refusals: list[StoreError] = []
        bench.worker()

        async def call() -> None:
            try:
                await bench.ask()
            except StoreError as error:
                refusals.append(error)

        for _ in range(3):
            tasks.start_soon(call)
        await bench.until(lambda: len(bench.of(SendOffer)) == 3)
        bench.accept("AJ_1")
        bench.store.error = full()
        await bench.until(lambda: len(refusals) == 3)
        assert all(error.retryable for error in refusals)
        await bench.quiet()
        assert not bench.runtime.ready  # nothing waits, and it still cannot write
        assert bench.recoveries == 0
        bench.store.error = None
        bench.store.is_open_to_all = True
        await bench.until(lambda: bench.recoveries)
        await bench.quiet()
        assert bench.created_jobs == []
        assert await bench.store.list_jobs(JobFilter("p"), 9) == []
        assert not bench.of(SendAssignment)
        assert not bench.runtime.engine.jobs
        await bench.ask()
        assert bench.created_jobs == ["AJ_4"]


async def test_damage_that_a_reader_finds_ends_the_run_in_its_own_words() -> None:
    bench = RuntimeBench()
    bench.runtime.note_damage(StoreCorrupt("is damaged", "somewhere", "restore it"))
    with anyio.fail_after(60), pytest.raises(StoreCorrupt, match="is damaged"):
        await bench.runtime.run()
    assert bench.store.is_closed


async def test_refusing_ten_thousand_callers_gathers_no_memory() -> None:
    async with running(RuntimeBench()) as bench:
        bench.store.error = error = full()
        bench.runtime.submit(bench.order()(999))
        await bench.until(lambda: bench.runtime.failing)
        for _ in range(50):
            with pytest.raises(StoreFull):
                await bench.ask()
        assert len(traceback.extract_tb(error.__traceback__)) < 10


async def test_a_store_that_is_broken_ends_the_run_in_its_own_words() -> None:
    bench = RuntimeBench()
    bench.store.error = StoreCorrupt("is damaged", "here", "restore it")
    with anyio.fail_after(60):
        bench.runtime.submit(bench.order()(1))
        with pytest.raises(StoreCorrupt):
            await bench.runtime.run()
    assert bench.store.is_closed
    assert not bench.runtime.ready


async def test_an_engine_that_fails_ends_the_run_and_decides_nothing_more() -> None:
    bench = RuntimeBench()
    bench.store.is_open_to_all = True
    bench.runtime.submit(cast("Event", "no event that the engine knows"))
    sent = len(bench.sent)
    bench.worker()
    assert len(bench.sent) == sent
    with anyio.fail_after(60), pytest.raises(EngineFailed, match="start the server again"):
        await bench.runtime.run()
    assert len(bench.engine_errors) == 1
    assert bench.store.is_closed


async def test_a_caller_that_waits_when_the_store_breaks_is_told_at_once() -> None:
    bench = RuntimeBench()
    raised: list[CallboardError] = []

    async def run() -> None:
        try:
            await bench.runtime.run()
        except StoreError as error:
            raised.append(error)

    async def call() -> None:
        try:
            await bench.ask()
        except CallboardError as error:
            raised.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        tasks.start_soon(run)
        await bench.until(lambda: bench.store.arrived)
        bench.store.error = StoreCorrupt("is damaged", "here", "restore it")
        await bench.until(lambda: len(raised) == 2)
    assert sorted(error.retryable for error in raised) == [False, True]


async def test_a_store_that_cannot_be_opened_ends_the_run_in_its_own_words() -> None:
    bench = RuntimeBench()
    bench.store.opening_error = StoreCorrupt("is damaged", "here", "restore it")
    with pytest.raises(StoreCorrupt):
        await bench.runtime.run()
    assert not bench.runtime.ready


# --- retention ---


async def test_what_is_past_retention_is_deleted_while_it_runs() -> None:
    limits = replace(LIMITS, prune_interval_seconds=0.001)
    async with running(RuntimeBench(limits=limits)) as bench:
        job = await bench.held_order()
        bench.store.is_open_to_all = True
        bench.runtime.submit(replace(started(job), status=JobStatus.SUCCESS))
        await bench.until(lambda: bench.of(SendStatusReceipt))
        bench.time += RETENTION.ended_jobs_age + SECOND
        await bench.until(lambda: bench.store.database.get_job("p", job) is None)


# --- bounds ---


async def test_a_caller_whose_answer_does_not_come_in_time_gets_a_retryable_error() -> None:
    bench = RuntimeBench(limits=RuntimeLimits(ask_timeout_seconds=0.02, ask_poll_seconds=0.01))
    async with running(bench):
        with pytest.raises(Overloaded) as refused:
            await bench.ask()
        assert refused.value.retryable
        # what it asked for is carried out all the same, and its late answer harms nobody
        bench.store.is_open_to_all = True
        await bench.until(lambda: bench.store.passed)
        assert await bench.ask_until_answered() is Outcome.CREATED


async def test_callers_are_refused_when_too_much_waits_for_the_store() -> None:
    bench = RuntimeBench(limits=RuntimeLimits(backlog_max=3))
    async with running(bench):
        for request in range(100, 104):
            bench.runtime.submit(bench.order()(request))
        with pytest.raises(Overloaded, match="too many requests wait"):
            await bench.ask()
        bench.store.is_open_to_all = True
        await bench.until(lambda: len(bench.store.passed) > 0)
        await bench.quiet()
        assert (await bench.ask()).outcome is Outcome.CREATED


async def test_a_caller_that_goes_away_leaves_nothing_behind() -> None:
    async with running(RuntimeBench()) as bench:
        with anyio.move_on_after(0.01):
            await bench.ask()
        assert bench.runtime._callers == {}


# --- drain ---


async def test_a_drain_returns_when_offers_are_answered_and_all_is_durable() -> None:
    bench = RuntimeBench(limits=replace(LIMITS, drain_seconds=600))
    async with running(bench), anyio.create_task_group() as tasks:
        bench.worker()
        bench.runtime.submit(bench.order()(1))
        bench.store.let_pass()
        await bench.until(lambda: bench.store.passed)
        drained = anyio.Event()

        async def drain() -> None:
            await bench.runtime.drain()
            drained.set()

        tasks.start_soon(drain)
        await bench.until(lambda: bench.runtime.engine.is_draining)
        assert not bench.runtime.ready
        bench.accept("AJ_1")
        with anyio.move_on_after(0.02):  # many times as long as it looks away
            await drained.wait()
        assert not drained.is_set()
        bench.store.is_open_to_all = True
        await bench.until(lambda: bench.of(SendAssignment))
        assert not drained.is_set()
        bench.runtime.submit(JobReported("w", "AJ_1", JobStatus.SUCCESS))
        with anyio.fail_after(60):
            await drained.wait()
        assert len(bench.of(SendAssignment)) == 1


async def test_a_drain_waits_no_longer_than_its_bound() -> None:
    bench = RuntimeBench(limits=RuntimeLimits(drain_seconds=0.02, drain_poll_seconds=0.001))
    async with running(bench):
        bench.worker()
        bench.runtime.submit(bench.order()(1))
        with anyio.fail_after(60):
            await bench.runtime.drain()
        assert bench.runtime.engine.has_offers


# --- timers ---


async def test_a_deadline_fires_when_its_time_has_come() -> None:
    async with running(RuntimeBench(Policy(grace=SECOND, settle_time=SECOND // 1000))) as bench:
        job = await bench.held_order()
        bench.store.is_open_to_all = True
        bench.runtime.submit(WorkerDisconnected("w"))
        await bench.until(
            lambda: JobTrigger.WORKER_LOST in [move.trigger for move in bench.recorded_moves]
        )
        bench.time += 2 * SECOND
        bench.worker("b")  # any event sets the timer anew by the clock
        bench.runtime.submit(WorkerReported("b", 0.0, 0, False, False))
        await bench.until(
            lambda: any(
                isinstance(message, SendOffer) and message.state.epoch == 2
                for message in bench.sent
            )
        )
        assert job in bench.runtime.engine.jobs


async def test_a_deadline_on_the_real_clock_fires_by_itself() -> None:
    bench = RuntimeBench(Policy(settle_time=SECOND // 100))
    bench.runtime.now = lambda: int(anyio.current_time() * SECOND)
    async with running(bench):
        bench.store.is_open_to_all = True
        said = Registration("p", "a", "", "", (JobType.ROOM,))
        bench.runtime.submit(WorkerRegistered("silent", said))
        assert (await bench.ask()).outcome is Outcome.CREATED
        assert not bench.of(SendOffer)
        await bench.until(lambda: bench.of(SendOffer))
