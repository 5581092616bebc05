"""Many workers in one process: each speaks as a worker of ours does, and runs nothing.

`worker_sdk`'s own planner decides what is said (claim, results, statuses), the reconnecting backoff
when to come back; only the jobs are not there: a job that starts is held until the end. Each begins
with jobs that it runs already (`seeding`), which it claims. Commands come by stdin, one JSON object a
line; answers go to stdout in the same form:

    {"do": "count"}                 -> {"registered": n, "answered": n, "kept": n}: workers, and jobs
    {"do": "cut", "at_ns": T}       abort every socket at once, at that time of CLOCK_MONOTONIC
    {"do": "report"}                -> {"workers": [...], "assigned": {job_id: [ns, epoch]}}
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from protocol import wire_pb2
from protocol.codec import decode_server_message
from protocol.tokens import mint_api_token
from tests.faults.light_socket import LightSocket, SocketClosed
from tests.faults.seeding import job_id_of
from worker_sdk.backoff import ReconnectBackoff
from worker_sdk.ledger import JobLedger
from worker_sdk.outbox import StatusOutbox
from worker_sdk.planner import Consider, Order, Planner, Refuse, Send, Start, Stop

STATUS_INTERVAL_SECONDS = 2.5
OPEN_TIMEOUT_SECONDS = 5.0


@dataclass
class Measured:
    """What became of one worker since the sockets were cut. Times are of CLOCK_MONOTONIC, in ns."""

    claimed: int = 0
    registered_at_ns: int = 0
    answered_at_ns: int = 0
    kept: int = 0
    stopped: int = 0
    tries: int = 0


@dataclass
class StormWorker:
    """One worker: a planner, and one connection after the other."""

    agent_name: str
    capacity: int
    grace_seconds: float
    rng: random.Random
    instance_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    measured: Measured = field(default_factory=Measured)
    # when each job was assigned, and at which epoch
    assigned: dict[str, tuple[int, int]] = field(default_factory=dict)
    is_registered: bool = False
    socket: LightSocket | None = None

    def __post_init__(self) -> None:
        self.planner = Planner(JobLedger(self.capacity), StatusOutbox())

    def hold(self, job_ids: Iterable[str]) -> None:
        """Run these jobs from now on."""
        ledger = self.planner.ledger
        for job_id in job_ids:
            assert ledger.reserve(job_id, 0.0) is None
            ledger.admit(job_id)

    def cut(self) -> None:
        """Abort the socket, and measure from now on."""
        self.measured = Measured()
        if self.socket is not None:
            self.socket.abort()

    async def stay_connected(self) -> None:
        """Connect, and again whenever the connection ends; until cancelled."""
        backoff = ReconnectBackoff(self.grace_seconds)
        failures, lost_at = 0, anyio.current_time()
        while True:
            away_seconds = anyio.current_time() - lost_at
            await anyio.sleep(backoff.delay_seconds(failures, away_seconds, self.rng))
            self.measured.tries += 1
            try:
                self.socket = await self._connect()
                failures = 0
                await self._use(self.socket)
            except (OSError, TimeoutError):
                failures += 1
            if self.is_registered:
                failures, lost_at = 0, anyio.current_time()
            self.is_registered, self.socket = False, None

    async def _connect(self) -> LightSocket:
        key, secret = os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"]
        token = mint_api_token(key, secret, now_ns=time.time_ns(), agent=True)
        server = urlsplit(os.environ["LIVEKIT_URL"])
        host, port = server.hostname or "127.0.0.1", server.port or 80
        return await LightSocket.open(host, port, token, OPEN_TIMEOUT_SECONDS)

    async def _use(self, socket: LightSocket) -> None:
        register = wire_pb2.RegisterWorkerRequest(
            type=wire_pb2.JT_ROOM,
            types=[wire_pb2.JT_ROOM],
            version="callboard-storm",
            agent_name=self.agent_name,
            instance_id=self.instance_id,
            capacity=self.capacity,
            grace_milliseconds=round(self.grace_seconds * 1000),
        )
        self._send(socket, wire_pb2.WorkerMessage(register=register))
        answer = decode_server_message(await socket.receive())
        self.is_registered = True
        self.measured.registered_at_ns = time.monotonic_ns()
        for message in self.planner.registered(answer.register):
            self.measured.claimed = len(message.migrate_job.job_ids)
            self._send(socket, message)
        self._flush(socket)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell_status, socket)
            try:
                while True:
                    self._receive(socket, decode_server_message(await socket.receive()))
            except SocketClosed:
                tasks.cancel_scope.cancel()

    def _receive(self, socket: LightSocket, message: wire_pb2.ServerMessage) -> None:
        measured = self.measured
        for verdict in message.migrate_verdicts:
            is_kept = verdict.verdict == wire_pb2.MigrateVerdict.KEEP
            measured.kept += is_kept
            measured.stopped += not is_kept
        if message.migrate_verdicts and measured.kept + measured.stopped >= measured.claimed:
            measured.answered_at_ns = time.monotonic_ns()
        for order in self.planner.received(message, anyio.current_time()):
            self._carry_out(socket, order)
        self._flush(socket)

    def _carry_out(self, socket: LightSocket, order: Order) -> None:
        match order:
            case Send() | Refuse():
                self._send(socket, order.message)
            case Consider():
                order.request.accept()
                self._send(socket, self.planner.answer(order.request))
            case Start():
                self.assigned[order.job.id] = (time.monotonic_ns(), order.epoch or 0)
            case Stop():
                self.planner.ledger.end(order.job_id)

    def _flush(self, socket: LightSocket) -> None:
        outbox = self.planner.outbox
        while (report := outbox.next_unwritten()) is not None:
            self._send(socket, self.planner.job_status(report))
            outbox.written(report.sequence)

    async def _tell_status(self, socket: LightSocket) -> None:
        ledger = self.planner.ledger
        while True:
            load = ledger.active_count / ledger.capacity
            self._send(socket, self.planner.worker_status(load))
            # Not all in step: nothing makes real workers send at the same time.
            await anyio.sleep(self.rng.uniform(0.9, 1.1) * STATUS_INTERVAL_SECONDS)

    def _send(self, socket: LightSocket, message: wire_pb2.WorkerMessage) -> None:
        socket.send(message.SerializeToString())


async def serve(
    numbers: range, jobs: int, agent_name: str, capacity: int, grace_seconds: float, seed: int
) -> None:
    """Run the workers of these numbers, with so many jobs each; obey until stdin ends."""
    workers = [
        StormWorker(agent_name, capacity, grace_seconds, random.Random(f"{seed} {number}"))
        for number in numbers
    ]
    for number, worker in zip(numbers, workers, strict=True):
        worker.hold(job_id_of(number * jobs + one) for one in range(jobs))
    async with anyio.create_task_group() as tasks:
        for worker in workers:
            tasks.start_soon(worker.stay_connected)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            command = json.loads(line)
            match command["do"]:
                case "count":
                    registered = sum(worker.is_registered for worker in workers)
                    kept = sum(worker.measured.kept for worker in workers)
                    answered = sum(worker.measured.answered_at_ns > 0 for worker in workers)
                    _say({"registered": registered, "kept": kept, "answered": answered})
                case "cut":
                    # The loop's clock is CLOCK_MONOTONIC, too, but need not be.
                    wait_seconds = (command["at_ns"] - time.monotonic_ns()) / 1e9
                    await anyio.sleep(max(0.0, wait_seconds))
                    for worker in workers:
                        worker.cut()
                case "report":
                    _say(
                        {
                            "workers": [_plain(worker) for worker in workers],
                            "assigned": {
                                job_id: when
                                for worker in workers
                                for job_id, when in worker.assigned.items()
                            },
                        }
                    )
                case other:
                    raise ValueError(f"unknown command {other!r}")
        tasks.cancel_scope.cancel()


def _plain(worker: StormWorker) -> dict[str, int]:
    measured = worker.measured
    return {
        "claimed": measured.claimed,
        "registered_at_ns": measured.registered_at_ns,
        "answered_at_ns": measured.answered_at_ns,
        "kept": measured.kept,
        "stopped": measured.stopped,
        "tries": measured.tries,
    }


def _say(words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _first, _count, _jobs, _agent_name, _capacity, _grace, _seed = sys.argv[1:]
    anyio.run(
        serve,
        range(int(_first), int(_first) + int(_count)),
        int(_jobs),
        _agent_name,
        int(_capacity),
        float(_grace),
        int(_seed),
        backend_options={"use_uvloop": True},
    )
