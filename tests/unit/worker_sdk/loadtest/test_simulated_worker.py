"""A simulated worker, against a server that says what the test tells it to."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from protocol import wire_pb2
from tests.support.scripted_server import ScriptedConnection, ScriptedServer
from worker_sdk.credentials import Credentials
from worker_sdk.loadtest.channel import unpack_numbers
from worker_sdk.loadtest.job_label import metadata_of
from worker_sdk.loadtest.profile import Profile
from worker_sdk.loadtest.simulated_worker import Crew, SimulatedWorker, Temper
from worker_sdk.loadtest.tally import Tally
from worker_sdk.loadtest.target import Target

pytestmark = pytest.mark.anyio

RUN = "abcd1234"
NUMBER = 3  # of the worker
DEADLINE_SECONDS = 60.0
VERDICTS = wire_pb2.MigrateVerdict


@dataclass
class Stage:
    """A worker on its server."""

    server: ScriptedServer
    connection: ScriptedConnection
    registration: wire_pb2.RegisterWorkerRequest
    worker: SimulatedWorker
    tally: Tally
    over: list[int] = field(default_factory=list)

    async def offer(self, job_id: str) -> wire_pb2.AvailabilityResponse:
        """Offer a job; the answer."""
        await self.connection.offer(job_id)
        return (await self.connection.expect("availability")).availability

    async def assign(self, job_id: str, number: int = 5, epoch: int = 1, reason: str = "") -> None:
        """Assign a job of the run, whose call was due a minute ago."""
        due_ns = time.monotonic_ns() - 60_000_000_000
        job = wire_pb2.Job(id=job_id, metadata=metadata_of(RUN, number, due_ns, 100))
        assignment = wire_pb2.JobAssignment(job=job, epoch=epoch, attempt_reason=reason)
        await self.connection.send(wire_pb2.ServerMessage(assignment=assignment))

    async def status(self) -> wire_pb2.UpdateJobStatus:
        """The next status of a job."""
        return (await self.connection.expect("update_job")).update_job

    async def run_to_its_end(self, job_id: str) -> None:
        """Confirm that it runs, and that it ended."""
        for status in (wire_pb2.JS_RUNNING, wire_pb2.JS_SUCCESS):
            told = await self.status()
            assert (told.job_id, told.status) == (job_id, status)
            await self.connection.receipt(told.sequence)

    async def until_held(self, count: int) -> None:
        """Wait until the worker has so many jobs."""
        with anyio.fail_after(DEADLINE_SECONDS):
            while self.worker.held_count != count:  # noqa: ASYNC110 - nothing tells of it
                await anyio.sleep(0.005)

    def jobs(self) -> dict[str, Sequence[int]]:
        """What was tallied of single jobs."""
        report: dict[str, Any] = self.tally.take()
        return {kind: list(unpack_numbers(told)) for kind, told in report["jobs"].items()}


@asynccontextmanager
async def staged(
    temper: Temper = Temper.WILLING,
    *,
    is_stock: bool = False,
    **changes: Any,
) -> AsyncIterator[Stage]:
    """A connected worker."""
    extensions = () if is_stock else ("status_receipt",)
    over: list[int] = []
    async with ScriptedServer(extensions) as server:
        tally = Tally()
        crew = Crew(
            target=Target(Credentials(server.url, "key", "secret")),
            profile=Profile(**changes),
            run=RUN,
            is_stock=is_stock,
            tally=tally,
            rng=random.Random(1),
            on_over=over.append,
        )
        worker = SimulatedWorker(crew, NUMBER, temper, "loadtest")
        task = asyncio.create_task(worker.stay_connected())
        try:
            connection, registration = await server.accept_registration()
            yield Stage(server, connection, registration, worker, tally, over)
        finally:
            task.cancel()


async def test_it_registers_with_what_the_profile_says() -> None:
    async with staged(capacity=7, grace_seconds=1.5) as stage:
        told = stage.registration
        assert (told.agent_name, told.capacity) == ("loadtest", 7)
        assert told.grace_milliseconds == 1500


async def test_a_job_is_taken_run_and_ended_each_step_behind_its_receipt() -> None:
    async with staged() as stage:
        assert (await stage.offer("AJ_1")).available
        await stage.assign("AJ_1")
        await stage.run_to_its_end("AJ_1")
        await stage.until_held(0)
        assert stage.over == [5]
        assert stage.jobs() == {"assigned": [5, 1, NUMBER], "ended": [5]}


async def test_a_latency_is_counted_from_when_the_call_was_due() -> None:
    async with staged() as stage:
        await stage.assign("AJ_1")
        await stage.run_to_its_end("AJ_1")
        await stage.until_held(0)
        metrics = stage.tally.take()["metrics"]
        (assigned,) = metrics["assign"].values()
        assert assigned[0] >= 60_000_000  # the call was due a minute ago
        (ended,) = metrics["end"].values()
        assert ended[0] < assigned[0]  # counted from the word to its receipt


@pytest.mark.parametrize(("reason", "counted"), [("", 1), ("not_delivered", 1), ("worker_lost", 0)])
async def test_only_the_first_assignment_is_a_latency_of_the_call(
    reason: str, counted: int
) -> None:
    async with staged() as stage:
        await stage.assign("AJ_1", reason=reason)
        await stage.status()
        metrics = stage.tally.take()["metrics"]
        assert len(metrics.get("assign", {})) == counted


async def test_an_assignment_that_comes_again_starts_nothing() -> None:
    async with staged(job_seconds=60.0) as stage:
        await stage.assign("AJ_1")
        await stage.status()
        await stage.assign("AJ_1")
        await stage.assign("AJ_2", number=6)
        assert (await stage.status()).job_id == "AJ_2"
        assert stage.jobs()["assigned"] == [5, 1, NUMBER, 6, 1, NUMBER]


async def test_a_job_of_another_run_is_ended_and_not_counted() -> None:
    async with staged() as stage:
        await stage.connection.give("AJ_old")
        assert stage.jobs() == {}
        assert stage.worker.held_count == 1


async def test_a_full_worker_declines_and_says_so() -> None:
    async with staged(capacity=1, job_seconds=60.0) as stage:
        assert (await stage.offer("AJ_1")).available
        assert not (await stage.offer("AJ_2")).available
        await stage.assign("AJ_1")
        await stage.connection.expect_status(status=wire_pb2.WS_FULL)


async def test_a_declining_worker_declines_at_once() -> None:
    async with staged(Temper.DECLINING) as stage:
        answer = await stage.offer("AJ_1")
        assert not answer.available
        assert not answer.terminate


async def test_a_silent_worker_says_nothing_of_offers_but_tells_its_status() -> None:
    async with staged(Temper.SILENT) as stage:
        await stage.connection.offer("AJ_1")
        stage.worker.report_status()
        await stage.connection.expect_status(status=wire_pb2.WS_AVAILABLE)
        # Messages come in order, so what would answer the offer were here.
        await stage.assign("AJ_2")
        assert (await stage.status()).job_id == "AJ_2"


async def test_a_slow_worker_answers_late() -> None:
    async with staged(Temper.SLOW, slow_answer_seconds=0.2) as stage:
        asked_at = time.monotonic()
        assert (await stage.offer("AJ_1")).available
        assert time.monotonic() - asked_at >= 0.19


async def test_after_a_cut_it_claims_what_it_has_and_tells_again_what_was_not_confirmed() -> None:
    async with staged(job_seconds=60.0) as stage:
        await stage.assign("AJ_1", epoch=4)
        first = await stage.status()
        stage.connection.cut()
        stage.connection = await stage.server.accept()
        claim = (await stage.connection.expect("migrate_job")).migrate_job
        assert (list(claim.job_ids), list(claim.epochs)) == (["AJ_1"], [4])
        again = await stage.status()
        assert again == first


async def test_a_job_that_was_given_to_another_is_dropped() -> None:
    async with staged(job_seconds=60.0) as stage:
        await stage.assign("AJ_1")
        await stage.status()
        stage.connection.cut()
        stage.connection = await stage.server.accept()
        await stage.connection.verdict("AJ_1", VERDICTS.STOP_REASSIGNED)
        await stage.until_held(0)
        assert "ended" not in stage.jobs()


async def test_a_job_whose_end_the_server_knew_has_ended() -> None:
    async with staged() as stage:
        await stage.assign("AJ_1")
        await stage.connection.receipt((await stage.status()).sequence)
        await stage.status()  # that it ended; its receipt is lost
        stage.connection.cut()
        stage.connection = await stage.server.accept()
        await stage.connection.verdict("AJ_1", VERDICTS.STOP_ENDED)
        await stage.until_held(0)
        # Another worker may have ended it, and has counted it then.
        assert stage.jobs() == {"assigned": [5, 1, NUMBER], "end_told": [5]}
        assert stage.over == [5]


@pytest.mark.parametrize(
    ("verdict", "ended"), [(VERDICTS.KEEP, [5]), (VERDICTS.STOP_REASSIGNED, None)]
)
async def test_an_end_that_is_confirmed_before_the_verdict_counts_if_the_job_is_ours(
    verdict: wire_pb2.MigrateVerdict.Verdict, ended: list[int] | None
) -> None:
    async with staged() as stage:
        await stage.assign("AJ_1")
        await stage.connection.receipt((await stage.status()).sequence)
        await stage.status()
        stage.connection.cut()
        stage.connection = await stage.server.accept()
        await stage.connection.expect("migrate_job")
        await stage.connection.receipt((await stage.status()).sequence)
        await stage.connection.verdict("AJ_1", verdict)
        await stage.until_held(0)
        assert stage.jobs().get("ended") == ended


async def test_who_leaves_gives_away_what_runs_and_waits_for_the_receipts_of_what_ended() -> None:
    async with staged() as stage:
        await stage.assign("AJ_runs", number=1)
        await stage.assign("AJ_ended", number=2)
        await stage.status()
        await stage.connection.receipt((await stage.status()).sequence)
        ended = await stage.status()
        leaving = asyncio.create_task(stage.worker.leave())
        handed = (await stage.connection.expect("hand_over")).hand_over
        assert list(handed.job_ids) == ["AJ_runs"]
        await stage.connection.receipt(ended.sequence)
        await leaving
        assert stage.jobs()["ended"] == [2]
        assert await stage.connection.expect_closed() == 1000


async def test_what_a_killed_worker_had_told_the_end_of_is_noted() -> None:
    async with staged() as stage:
        await stage.assign("AJ_runs", number=1)
        await stage.assign("AJ_ended", number=2)
        await stage.status()
        await stage.connection.receipt((await stage.status()).sequence)
        await stage.status()
        stage.worker.tell_what_is_left(is_killed=True)
        assert stage.jobs()["end_told"] == [2]
        stage.worker.tell_what_is_left(is_killed=False)
        assert sorted(stage.jobs()["held"]) == [1, 2]


async def test_on_stock_nothing_of_ours_is_said_and_what_was_written_counts() -> None:
    async with staged(is_stock=True) as stage:
        assert not stage.registration.HasField("capacity")
        await stage.assign("AJ_1")
        for status in (wire_pb2.JS_RUNNING, wire_pb2.JS_SUCCESS):
            told = await stage.status()
            assert told.status == status
            assert not told.HasField("epoch")
            assert not told.HasField("sequence")
        assert stage.jobs()["ended"] == [5]
