"""One simulated worker: it says what a worker says, and runs nothing.

It takes offers (late, never or not at all, where it is one of that kind), tells RUNNING and, when the
job's time is over, SUCCESS; each is told until its receipt is there, over as many connections as it
takes. A lost connection is made again as `worker_sdk` does it, and what is held is claimed by epoch.
LiveKit's own server gives neither receipts nor epochs nor verdicts: there what was written counts.

`worker_sdk`'s own planner says the same, but for thousands of workers it takes too much time.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from protocol import wire_pb2
from worker_sdk.backoff import ReconnectBackoff
from worker_sdk.loadtest.job_label import read_label
from worker_sdk.loadtest.light_socket import LightSocket
from worker_sdk.loadtest.tally import Count, Happening, Metric, Tally
from worker_sdk.loadtest.target import VERSION, Target

if TYPE_CHECKING:
    from worker_sdk.loadtest.profile import Profile

__all__ = ["Crew", "SimulatedWorker", "Temper"]

OPEN_SECONDS_MAX = 10.0
REGISTER_SECONDS_MAX = 10.0
# Upgrades of one process that are under way at once.
UPGRADES_AT_ONCE = 200
# A worker that leaves waits for its jobs to be taken from it for so long.
LEAVE_SECONDS_MAX = 5.0
LEAVE_POLL_SECONDS = 0.05
# An offer that was taken and not assigned after so long went to somebody else.
RESERVATION_SECONDS = 30.0
# Assignments with these reasons are the first that a worker hears of the job.
_FIRST_REASONS = ("", "not_delivered")


class Temper(Enum):
    """How a worker answers offers."""

    WILLING = "willing"
    SLOW = "slow"
    SILENT = "silent"
    DECLINING = "declining"


@dataclass
class Crew:
    """What the workers of one process share."""

    target: Target
    profile: Profile
    run: str
    is_stock: bool
    tally: Tally
    rng: random.Random
    # Told of each job that is over.
    on_over: Callable[[int], None]
    upgrades: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UPGRADES_AT_ONCE))

    def job_seconds(self) -> float:
        """How long the next job runs."""
        spread = self.profile.job_seconds_spread
        if not spread:
            return self.profile.job_seconds
        return self.profile.job_seconds * self.rng.uniform(1.0 - spread, 1.0 + spread)


@dataclass(slots=True)
class _Held:
    """A job that this worker has. `number` is -1 for one that is not of this run."""

    number: int
    epoch: int
    due_ns: int
    end_told_ns: int = 0
    # Of its last status, which is confirmed before the next one is told.
    sequence: int = 0
    # It was claimed, and there is no verdict so far.
    is_claimed: bool = False
    is_end_confirmed: bool = False
    timer: asyncio.TimerHandle | None = None


class SimulatedWorker:
    """One worker over all its connections. `number` is its own in the whole run."""

    def __init__(self, crew: Crew, number: int, temper: Temper, agent_name: str) -> None:
        self._crew = crew
        self._number = number
        self.temper = temper
        self._agent_name = agent_name
        self._instance_id = os.urandom(8).hex()
        self._socket: LightSocket | None = None
        self._registered: asyncio.Future[None] | None = None
        # None until the first connection was lost.
        self._lost_ns: int | None = None
        self._jobs: dict[str, _Held] = {}
        # Offers that were accepted, or will be, and not assigned so far; until when they count.
        self._reserved: dict[str, float] = {}
        self._sequences = itertools.count(1)
        # By its sequence, each status without a receipt: job and status.
        self._unconfirmed: dict[int, tuple[str, wire_pb2.JobStatus]] = {}
        self._verdicts_due = 0
        self._registered_ns = 0
        self._is_full = False
        self._is_leaving = False

    @property
    def is_connected(self) -> bool:
        """Is it registered?"""
        return (
            self._socket is not None
            and self._socket.is_open
            and self._registered is not None
            and self._registered.done()
        )

    @property
    def held_count(self) -> int:
        """Jobs that it has."""
        return len(self._jobs)

    def cut(self) -> None:
        """Cut its connection."""
        if self._socket is not None:
            self._socket.abort()

    def tell_what_is_left(self, *, is_killed: bool) -> None:
        """Tally the jobs that it has at the end."""
        for held in self._jobs.values():
            if held.number >= 0:
                if not is_killed:
                    self._crew.tally.job(Happening.HELD, held.number)
                elif held.end_told_ns:
                    self._crew.tally.job(Happening.END_TOLD, held.number)

    async def stay_connected(self) -> None:
        """Connect, and again whenever the connection ends, until it has left."""
        crew = self._crew
        backoff = ReconnectBackoff(crew.profile.grace_seconds)
        failures = 0
        while not self._is_leaving:
            now_ns = time.monotonic_ns()
            away_seconds = (now_ns - (self._lost_ns or now_ns)) / 1e9
            await asyncio.sleep(backoff.delay_seconds(failures, away_seconds, crew.rng))
            try:
                async with crew.upgrades:
                    await self._connect()
            except (OSError, TimeoutError):
                failures += 1
                crew.tally.sums["connection_failures"] += 1
                self.cut()
                continue
            failures = 0
            assert self._socket is not None
            await self._socket.closed
            self._reserved.clear()
            if not self._is_leaving:
                self._lost_ns = time.monotonic_ns()

    async def leave(self) -> None:
        """Go: take nothing more, give away what it has, and close."""
        if self._is_leaving:
            return
        self._is_leaving = True
        self.report_status()
        # What has ended is not given away: its receipt is on the way.
        going_on = [job_id for job_id, held in self._jobs.items() if not held.end_told_ns]
        if going_on and not self._crew.is_stock:
            self._send(wire_pb2.WorkerMessage(hand_over=wire_pb2.HandOver(job_ids=going_on)))
            for job_id in going_on:
                self._drop(job_id)
        until = time.monotonic() + LEAVE_SECONDS_MAX
        while (self._jobs or self._reserved) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(LEAVE_POLL_SECONDS)
        if self._socket is not None:
            self._socket.close()

    def report_status(self) -> None:
        """Tell load, jobs, and whether there is room."""
        now = time.monotonic()
        for job_id in [one for one, until in self._reserved.items() if until < now]:
            del self._reserved[job_id]
        held = len(self._jobs)
        capacity = self._crew.profile.capacity
        self._is_full = held + len(self._reserved) >= capacity
        is_closed = self._is_full or self._is_leaving
        status = wire_pb2.UpdateWorkerStatus(
            status=wire_pb2.WS_FULL if is_closed else wire_pb2.WS_AVAILABLE,
            load=0.0 if self._is_leaving else min(1.0, held / capacity),
            job_count=held,
            draining=self._is_leaving,
        )
        self._send(wire_pb2.WorkerMessage(update_worker=status))

    # ---- one connection ----

    async def _connect(self) -> None:
        """Connect and register. Raises OSError or TimeoutError."""
        crew = self._crew
        self._registered = asyncio.get_running_loop().create_future()
        self._socket = await LightSocket.open(crew.target, self._receive, OPEN_SECONDS_MAX)
        register = wire_pb2.RegisterWorkerRequest(
            type=wire_pb2.JT_ROOM,
            version=VERSION,
            agent_name=self._agent_name,
            instance_id=self._instance_id,
        )
        if not crew.is_stock:
            register.capacity = crew.profile.capacity
            register.grace_milliseconds = round(crew.profile.grace_seconds * 1000)
        self._send(wire_pb2.WorkerMessage(register=register))
        closed = self._socket.closed
        async with asyncio.timeout(REGISTER_SECONDS_MAX):
            await asyncio.wait((self._registered, closed), return_when=asyncio.FIRST_COMPLETED)
        if not self._registered.done():
            raise ConnectionError("the connection ended before it was registered")

    def _on_registered(self) -> None:
        assert self._registered is not None
        now_ns = self._registered_ns = time.monotonic_ns()
        if self._lost_ns is not None:
            self._crew.tally.time(Metric.RECONNECT, self._lost_ns, now_ns - self._lost_ns)
        if self._jobs:
            claim = wire_pb2.MigrateJobRequest(job_ids=list(self._jobs))
            if not self._crew.is_stock:
                claim.epochs.extend(held.epoch for held in self._jobs.values())
                self._verdicts_due = len(self._jobs)
                for held in self._jobs.values():
                    held.is_claimed = True
            self._send(wire_pb2.WorkerMessage(migrate_job=claim))
        for sequence, (job_id, status) in self._unconfirmed.items():
            self._write_job_status(job_id, self._jobs[job_id].epoch, status, sequence)
        self.report_status()
        self._registered.set_result(None)

    def _receive(self, payload: bytes) -> None:
        message = wire_pb2.ServerMessage.FromString(payload)
        match message.WhichOneof("message"):
            case "availability":
                self._offered(message.availability.job.id)
            case "assignment":
                self._assigned(message.assignment)
            case "status_receipt":
                self._confirmed(message.status_receipt.sequence)
            case "register":
                self._on_registered()
            case "termination":
                self._drop(message.termination.job_id)
            case "go_away":
                self.cut()
            case _:
                pass
        if message.migrate_verdicts:
            self._judged(message)

    # ---- offers ----

    def _offered(self, job_id: str) -> None:
        crew = self._crew
        has_room = len(self._jobs) + len(self._reserved) < crew.profile.capacity
        if self.temper is Temper.SILENT:
            crew.tally.count(Count.DECLINED, time.monotonic_ns())
            return
        if self.temper is Temper.DECLINING or self._is_leaving or not has_room:
            crew.tally.count(Count.DECLINED, time.monotonic_ns())
            refusal = wire_pb2.AvailabilityResponse(job_id=job_id, available=False)
            self._send(wire_pb2.WorkerMessage(availability=refusal))
            return
        self._reserved[job_id] = time.monotonic() + RESERVATION_SECONDS
        if self.temper is Temper.SLOW:
            loop = asyncio.get_running_loop()
            loop.call_later(crew.profile.slow_answer_seconds, self._accept, job_id, self._socket)
        else:
            self._accept(job_id, self._socket)

    def _accept(self, job_id: str, socket: LightSocket | None) -> None:
        # An answer belongs to the connection of its offer.
        if socket is not None and socket is self._socket:
            answer = wire_pb2.AvailabilityResponse(
                job_id=job_id, available=True, participant_identity=f"agent-{job_id}"
            )
            self._send(wire_pb2.WorkerMessage(availability=answer))

    # ---- jobs ----

    def _assigned(self, assignment: wire_pb2.JobAssignment) -> None:
        job = assignment.job
        job_id, epoch = job.id, assignment.epoch
        self._reserved.pop(job_id, None)
        before = self._jobs.get(job_id)
        if before is not None:
            if epoch <= before.epoch:
                return  # told again after a reconnect
            self._drop(job_id)
        crew, now_ns = self._crew, time.monotonic_ns()
        label = read_label(crew.run, job.metadata)
        if label is None:
            crew.tally.sums["foreign_jobs"] += 1
            held = _Held(-1, epoch, now_ns)
        else:
            held = _Held(label.number, epoch, label.due_ns)
            crew.tally.job(Happening.ASSIGNED, label.number, epoch, self._number)
            crew.tally.count(Count.ASSIGNED, now_ns)
            if assignment.attempt_reason in _FIRST_REASONS:
                crew.tally.time(Metric.ASSIGN, label.due_ns, now_ns - label.due_ns)
        self._jobs[job_id] = held
        self._report_job(job_id, held, wire_pb2.JS_RUNNING)
        if crew.is_stock:
            self._run(job_id, held)
        if not self._is_full and len(self._jobs) >= crew.profile.capacity:
            self.report_status()

    def _run(self, job_id: str, held: _Held) -> None:
        """The job's time begins."""
        seconds = self._crew.job_seconds()
        if seconds <= 0.0:
            self._end(job_id, held)
        else:
            loop = asyncio.get_running_loop()
            held.timer = loop.call_later(seconds, self._end, job_id, held)

    def _end(self, job_id: str, held: _Held) -> None:
        held.end_told_ns = time.monotonic_ns()
        self._report_job(job_id, held, wire_pb2.JS_SUCCESS)
        if self._crew.is_stock:
            self._over(job_id, held)

    def _confirmed(self, sequence: int) -> None:
        told = self._unconfirmed.pop(sequence, None)
        if told is None:
            return  # of a job that is no longer ours
        job_id, status = told
        held = self._jobs[job_id]
        now_ns = time.monotonic_ns()
        if status == wire_pb2.JS_RUNNING:
            if held.number >= 0 and held.epoch == 1:
                self._crew.tally.time(Metric.RUNNING, held.due_ns, now_ns - held.due_ns)
            self._run(job_id, held)
        else:
            if held.number >= 0:
                span_ns = now_ns - held.end_told_ns
                self._crew.tally.time(Metric.END, held.due_ns, span_ns)
            # The receipt of a claimed job may come before the verdict that it is another's.
            held.is_end_confirmed = True
            if not held.is_claimed:
                self._over(job_id, held)

    def _over(self, job_id: str, held: _Held) -> None:
        """The job has ended, and the server knows."""
        self._drop(job_id)
        if held.number >= 0:
            self._crew.tally.count(Count.ENDED, time.monotonic_ns())
            self._crew.tally.job(Happening.ENDED, held.number)
            self._crew.on_over(held.number)
        if self._is_full:
            self.report_status()

    def _judged(self, message: wire_pb2.ServerMessage) -> None:
        for verdict in message.migrate_verdicts:
            self._verdicts_due -= 1
            held = self._jobs.get(verdict.job_id)
            if held is None:
                continue
            if verdict.verdict == wire_pb2.MigrateVerdict.KEEP:
                held.is_claimed = False
                if held.is_end_confirmed:
                    self._over(verdict.job_id, held)
                continue
            self._drop(verdict.job_id)
            if verdict.verdict == wire_pb2.MigrateVerdict.STOP_ENDED and held.number >= 0:
                # By our word, whose receipt was lost, or by another's: that one counts it.
                self._crew.tally.job(Happening.END_TOLD, held.number)
                self._crew.on_over(held.number)
        if self._verdicts_due <= 0:
            span_ns = time.monotonic_ns() - self._registered_ns
            self._crew.tally.time(Metric.CLAIM, self._registered_ns, span_ns)

    def _drop(self, job_id: str) -> None:
        """Have nothing to do with it any more."""
        held = self._jobs.pop(job_id, None)
        if held is None:
            return
        if held.timer is not None:
            held.timer.cancel()
        self._unconfirmed.pop(held.sequence, None)

    def _report_job(self, job_id: str, held: _Held, status: wire_pb2.JobStatus) -> None:
        if self._crew.is_stock:
            update = wire_pb2.UpdateJobStatus(job_id=job_id, status=status)
            self._send(wire_pb2.WorkerMessage(update_job=update))
            return
        sequence = held.sequence = next(self._sequences)
        self._unconfirmed[sequence] = (job_id, status)
        self._write_job_status(job_id, held.epoch, status, sequence)

    def _write_job_status(
        self, job_id: str, epoch: int, status: wire_pb2.JobStatus, sequence: int
    ) -> None:
        update = wire_pb2.UpdateJobStatus(
            job_id=job_id, status=status, epoch=epoch, sequence=sequence
        )
        self._send(wire_pb2.WorkerMessage(update_job=update))

    def _send(self, message: wire_pb2.WorkerMessage) -> None:
        if self._socket is not None:
            self._socket.send(message.SerializeToString())
