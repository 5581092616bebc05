"""A worker that is away for longer than its grace time, again and again, and tells old results then.

What a worker of ours never does, and another one may: it says how a job ended before it claims
anything, and says it once more when it is given the same job anew. Its server knows the epochs alone.
Its planner and its records are those of a worker of ours; each old result that it tells on purpose
is written down beside them (`OFFERED_PATH_VARIABLE`), as `{"job_id":..,"epoch":..,"at_ns":..}`, and
each verdict on a claim likewise, with `"kept"` and the time of the claim.
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from protocol import wire_pb2
from protocol.errors import FrameError
from tests.faults.jobs import Wish
from worker_sdk.connection import ConnectionEnded, ServerConnection
from worker_sdk.credentials import Credentials
from worker_sdk.execution import Outcome, OutcomeKind
from worker_sdk.ledger import JobLedger
from worker_sdk.outbox import ReportedStatus, StatusOutbox, StatusReport
from worker_sdk.planner import Consider, Order, Planner, Refuse, Send, Start, Stop
from worker_sdk.records import RECORD_PATH_VARIABLE, JobRecords, RecordEvent

__all__ = ["HABIT_VARIABLE", "OFFERED_PATH_VARIABLE", "LateWorker"]

OFFERED_PATH_VARIABLE = "FAULTS_OFFERED_PATH"
CAPACITY = 20
GRACE_SECONDS = 1.0
# How long each kind of worker is here, and away: longer than its grace time. One is alone, and so is
# given its jobs anew; of two that have longer jobs, one gets the other's, which come back with it.
HABIT_VARIABLE = "FAULTS_HABIT"
HABITS = {"late": ((2.5, 4.0), (1.8, 3.0)), "away": ((12.0, 24.0), (1.5, 1.9))}
TRY_AGAIN_SECONDS = 0.3
STATUS_INTERVAL_SECONDS = 1.0
REMEMBERED_MAX = 10_000


@dataclass(frozen=True)
class _Run:
    start: Start
    scope: anyio.CancelScope


@dataclass
class LateWorker:
    """One process under one id, on one connection after the other."""

    credentials: Credentials
    agent_name: str
    record_path: Path
    offered_path: Path
    habit: str
    rng: random.Random = field(default_factory=random.Random)
    connection: ServerConnection | None = None

    def __post_init__(self) -> None:
        self.instance_id = f"{self.habit}-{uuid.uuid4()}"
        self.planner = Planner(JobLedger(CAPACITY), StatusOutbox())
        self.records = JobRecords(self.record_path, self.instance_id)
        self._runs: dict[str, _Run] = {}
        # the newest success of each job
        self._successes: dict[str, StatusReport] = {}

    async def live(self) -> None:
        """Come and go; until cancelled."""
        here_seconds, away_seconds = HABITS[self.habit]
        registration = wire_pb2.RegisterWorkerRequest(
            type=wire_pb2.JT_ROOM,
            types=[wire_pb2.JT_ROOM],
            version="callboard-late",
            agent_name=self.agent_name,
            instance_id=self.instance_id,
            capacity=CAPACITY,
            grace_milliseconds=round(GRACE_SECONDS * 1000),
        )
        async with anyio.create_task_group() as runs:
            while True:
                try:
                    connection = await ServerConnection.open(self.credentials, registration)
                except (ConnectionEnded, FrameError):
                    await anyio.sleep(TRY_AGAIN_SECONDS)
                    continue
                try:
                    with anyio.move_on_after(self.rng.uniform(*here_seconds)):
                        await self._use(connection, runs)
                except* (ConnectionEnded, FrameError):
                    pass
                finally:
                    self.connection = None
                    await connection.close()
                await anyio.sleep(self.rng.uniform(*away_seconds))

    async def _use(self, connection: ServerConnection, runs: TaskGroup) -> None:
        planner = self.planner
        planner.registered(connection.response)  # what it would claim is not what is claimed here
        await self._tell_results(connection)
        running = planner.ledger.running_job_ids
        if running:
            epochs = [planner.ledger.epoch(job_id) for job_id in running]
            claim = wire_pb2.MigrateJobRequest(job_ids=running, epochs=epochs)
            claimed_ns = time.time_ns()
            await connection.send(wire_pb2.WorkerMessage(migrate_job=claim))
        else:
            claimed_ns, epochs = 0, []
        claimed = dict(zip(running, epochs, strict=True))
        self.connection = connection
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell_status, connection)
            while True:
                message = await connection.receive()
                if message.WhichOneof("message") == "go_away":
                    raise ConnectionEnded("the server goes away")
                for verdict in message.migrate_verdicts:
                    if verdict.job_id in claimed:
                        kept = verdict.verdict == wire_pb2.MigrateVerdict.KEEP
                        epoch = claimed[verdict.job_id]
                        self._write_down(verdict.job_id, epoch, claimed_ns, kept=kept)
                for order in planner.received(message, anyio.current_time()):
                    await self._carry_out(connection, order, runs)
                await self._tell_results(connection)

    async def _carry_out(self, connection: ServerConnection, order: Order, runs: TaskGroup) -> None:
        match order:
            case Send() | Refuse():
                await connection.send(order.message)
            case Consider():
                order.request.accept()
                await connection.send(self.planner.answer(order.request))
            case Start():
                await self._tell_again(connection, order)
                self._runs[order.job.id] = run = _Run(order, anyio.CancelScope())
                runs.start_soon(self._run, run)
            case Stop():
                run = self._runs[order.job_id]
                self._record("stop", run.start, reason=order.reason.value)
                run.scope.cancel()

    async def _tell_again(self, connection: ServerConnection, start: Start) -> None:
        """The job was run here before: say how that ended, although it is another run now."""
        old = self._successes.get(start.job.id)
        if old is None or not start.epoch or (old.epoch or 0) >= start.epoch:
            return
        self._write_down(old.job_id, old.epoch or 0, time.time_ns())
        await connection.send(self.planner.job_status(old))

    async def _run(self, run: _Run) -> None:
        start = run.start
        job_id = start.job.id
        self._record("start", start)
        _, seconds = Wish.told(start.job.metadata)
        outcome = Outcome(OutcomeKind.STOPPED)
        with run.scope:
            await anyio.sleep(seconds)
            outcome = Outcome(OutcomeKind.SUCCESS)
        self._record("end", start, outcome=outcome.kind.value)
        del self._runs[job_id]
        if outcome.kind is OutcomeKind.SUCCESS and len(self._successes) < REMEMBERED_MAX:
            # Without a number, it gets no receipt.
            report = StatusReport(0, job_id, start.epoch, ReportedStatus.SUCCESS)
            self._successes[job_id] = report
        orders = self.planner.ended(job_id, start.epoch, outcome)
        connection = self.connection
        if connection is not None:
            try:
                for order in orders:
                    if isinstance(order, Send):
                        await connection.send(order.message)
                await self._tell_results(connection)
            except ConnectionEnded:
                pass  # it is told on the next one

    async def _tell_results(self, connection: ServerConnection) -> None:
        outbox = self.planner.outbox
        while (report := outbox.next_unwritten()) is not None:
            outbox.written(report.sequence)
            await connection.send(self.planner.job_status(report))

    async def _tell_status(self, connection: ServerConnection) -> None:
        while True:
            ledger = self.planner.ledger
            load = ledger.active_count / ledger.capacity
            await connection.send(self.planner.worker_status(load))
            await anyio.sleep(STATUS_INTERVAL_SECONDS)

    def _write_down(self, job_id: str, epoch: int, at_ns: int, **more: bool) -> None:
        line = {"job_id": job_id, "epoch": epoch, "at_ns": at_ns, **more}
        with self.offered_path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _record(self, event: RecordEvent, start: Start, **details: str) -> None:
        self.records.write(
            event,
            job_id=start.job.id,
            epoch=start.epoch,
            attempt=start.attempt,
            room=start.job.room,
            **details,
        )


if __name__ == "__main__":
    anyio.run(
        LateWorker(
            Credentials.resolve(),
            os.environ["FAULTS_AGENT"],
            Path(os.environ[RECORD_PATH_VARIABLE]),
            Path(os.environ[OFFERED_PATH_VARIABLE]),
            os.environ[HABIT_VARIABLE],
        ).live
    )
