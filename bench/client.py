"""The load driver: many workers and callers on one event loop, as cheap as they can be.

Workers are raw websockets and callers raw keep-alive HTTP connections, both hand-written asyncio
protocols, so that the machine's time goes to the server. Both servers are driven by this same
code. A worker accepts every offer, says that the job runs, waits for the receipt, says that it
succeeded; it reports its status every 2.5 s as real workers do. Each job has a room, a token and a
request id of its own, as with a real API client.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from bench.servers import API_KEY, API_SECRET
from protocol import wire_pb2
from protocol.tokens import mint_api_token
from worker_sdk.loadtest.light_socket import masked_frame

if TYPE_CHECKING:
    from collections.abc import Callable

AGENT_NAME = "bench"
CAPACITY = 1000
STATUS_INTERVAL_SECONDS = 2.5
STATUS_TICK_SECONDS = 0.05
# Upgrades under way at once.
CONNECTS_AT_ONCE = 100
# For the whole fleet.
CONNECT_SECONDS_MAX = 120.0
# For one job, from the call to the end: longer means that it is lost.
JOB_SECONDS_MAX = 30.0
METADATA = '{"customer":"0123456789","language":"en"}'

_HEADERS_END = b"\r\n\r\n"
_STATUS = wire_pb2.WorkerMessage(
    update_worker=wire_pb2.UpdateWorkerStatus(status=wire_pb2.WS_AVAILABLE)
).SerializeToString()


_STATUS_FRAME = masked_frame(_STATUS)


@dataclass(slots=True)
class Load:
    """What has happened to the jobs of one driver; times are monotonic seconds."""

    called_at: dict[str, float] = field(default_factory=dict)
    assign_seconds: list[float] = field(default_factory=list)
    acknowledge_seconds: list[float] = field(default_factory=list)
    jobs_done: int = 0
    # Called with the room of each job that is over.
    on_done: Callable[[str], None] | None = None

    def clear(self) -> None:
        """Forget what was measured."""
        self.assign_seconds.clear()
        self.acknowledge_seconds.clear()
        self.jobs_done = 0


class WorkerSocket(asyncio.Protocol):
    """One worker."""

    __slots__ = ("_buffer", "_load", "_rooms", "_sequence", "_transport", "registered")

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._sequence = 0
        # By the sequence of the status that waits for its receipt: job id, room, is it the last.
        self._rooms: dict[int, tuple[str, str, bool]] = {}
        self._transport: asyncio.WriteTransport | None = None
        self.registered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not of asyncio's classes.
        self._transport = cast("asyncio.WriteTransport", transport)
        token = mint_api_token(API_KEY, API_SECRET, now_ns=time.time_ns(), agent=True)
        self._transport.write(
            (
                "GET /agent HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                f"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {token}\r\n\r\n"
            ).encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.registered.done():
            self.registered.set_exception(ConnectionError(f"worker socket closed: {exc}"))

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        start = 0
        if not self._sequence:
            start = data.find(_HEADERS_END) + len(_HEADERS_END)
            if start < len(_HEADERS_END):
                self._buffer = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(f"upgrade refused: {data[:80]!r}")
            self._sequence = 1
            self._register()
        size = len(data)
        while size - start >= 2:
            opcode = data[start] & 15
            payload_size = data[start + 1]
            payload_start = start + 2
            if payload_size == 126:
                payload_size = int.from_bytes(data[start + 2 : start + 4], "big")
                payload_start = start + 4
            end = payload_start + payload_size
            if end > size:
                break
            if opcode == 2:
                self._read(data[payload_start:end])
            elif opcode == 9:
                self._write(masked_frame(data[payload_start:end], opcode=10))
            start = end
        self._buffer = data[start:]

    def report_status(self) -> None:
        """Tell the worker's status."""
        self._write(_STATUS_FRAME)

    def close(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _register(self) -> None:
        self._send(
            wire_pb2.WorkerMessage(
                register=wire_pb2.RegisterWorkerRequest(
                    agent_name=AGENT_NAME,
                    version="bench",
                    capacity=CAPACITY,
                    grace_milliseconds=3000,
                    instance_id=os.urandom(8).hex(),
                )
            )
        )

    def _read(self, payload: bytes) -> None:
        message = wire_pb2.ServerMessage.FromString(payload)
        match message.WhichOneof("message"):
            case "availability":
                job_id = message.availability.job.id
                self._send(
                    wire_pb2.WorkerMessage(
                        availability=wire_pb2.AvailabilityResponse(
                            job_id=job_id, available=True, participant_identity=f"agent-{job_id}"
                        )
                    )
                )
            case "assignment":
                job = message.assignment.job
                room = job.room.name
                called_at = self._load.called_at.pop(room, None)
                if called_at is not None:  # None: assigned again, or not called from here
                    self._load.assign_seconds.append(time.perf_counter() - called_at)
                self._report_job(job.id, room, wire_pb2.JS_RUNNING, is_last=False)
            case "status_receipt":
                job_id, room, is_last = self._rooms.pop(message.status_receipt.sequence)
                if not is_last:
                    self._report_job(job_id, room, wire_pb2.JS_SUCCESS, is_last=True)
                    return
                self._load.jobs_done += 1
                if self._load.on_done is not None:
                    self._load.on_done(room)
            case "register":
                self.report_status()
                self.registered.set_result(None)
            case _:
                pass

    def _report_job(
        self, job_id: str, room: str, status: wire_pb2.JobStatus, *, is_last: bool
    ) -> None:
        self._sequence += 1
        self._rooms[self._sequence] = (job_id, room, is_last)
        self._send(
            wire_pb2.WorkerMessage(
                update_job=wire_pb2.UpdateJobStatus(
                    job_id=job_id, status=status, epoch=1, sequence=self._sequence
                )
            )
        )

    def _send(self, message: wire_pb2.WorkerMessage) -> None:
        self._write(masked_frame(message.SerializeToString()))

    def _write(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)


class CallerSocket(asyncio.Protocol):
    """One caller's keep-alive connection."""

    def __init__(self, load: Load, metadata: str = METADATA) -> None:
        self._load = load
        self._metadata = metadata
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None
        self._answered: asyncio.Future[None] | None = None
        self._called_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError(f"the server hung up: {exc}"))

    @property
    def is_connected(self) -> bool:
        """Can it call?"""
        return self._transport is not None

    def close(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    async def create_dispatch(self, room: str, due_at: float = 0.0) -> None:
        """Ask for an agent in this room; returns when the server has acknowledged it.

        The assignment's time counts from `due_at`, of time.perf_counter; 0: from now.
        """
        assert self._transport is not None
        body = wire_pb2.CreateAgentDispatchRequest(
            agent_name=AGENT_NAME, room=room, metadata=self._metadata
        ).SerializeToString()
        token = mint_api_token(
            API_KEY, API_SECRET, now_ns=time.time_ns(), room=room, room_admin=True
        )
        head = (
            "POST /twirp/livekit.AgentDispatchService/CreateDispatch HTTP/1.1\r\n"
            "Host: 127.0.0.1\r\nContent-Type: application/protobuf\r\n"
            f"Content-Length: {len(body)}\r\nX-Livekit-Request-Id: {room}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        )
        self._answered = asyncio.get_running_loop().create_future()
        self._called_at = time.perf_counter()
        self._load.called_at[room] = due_at or self._called_at
        self._transport.write(head.encode() + body)
        await self._answered

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(_HEADERS_END)
        if not separator:
            return
        lines = head.lower().split(b"\r\n")
        sizes = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        if len(body) < sizes[0]:
            return
        self._buffer = b""
        assert self._answered is not None
        if lines[0].startswith(b"http/1.1 200"):
            wire_pb2.AgentDispatch.FromString(body)
            self._load.acknowledge_seconds.append(time.perf_counter() - self._called_at)
            self._answered.set_result(None)
        else:
            self._answered.set_exception(ConnectionError(f"{lines[0]!r}: {body[:200]!r}"))


class Driver:
    """Workers and callers of one server. `worker_class` makes workers of another behaviour."""

    def __init__(
        self,
        port: int,
        *,
        metadata: str = METADATA,
        worker_class: Callable[[Load], WorkerSocket] = WorkerSocket,
    ) -> None:
        self._port = port
        self._metadata = metadata
        self._worker_class = worker_class
        self.load = Load()
        self._workers: list[WorkerSocket] = []
        self._callers: list[CallerSocket] = []
        self._callers_count = 0
        self._statuses: asyncio.Task[None] | None = None
        self._rooms = (f"bench-{os.getpid()}-{id(self):x}-{n}" for n in itertools.count())
        # Callers that wait for the end of their job, by its room.
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self.load.on_done = self._done

    async def connect(self, workers: int, callers: int) -> None:
        """Connect and register the workers, and connect the callers."""
        loop = asyncio.get_running_loop()
        gate = asyncio.Semaphore(CONNECTS_AT_ONCE)

        async def connect_worker() -> None:
            async with gate:
                _, worker = await loop.create_connection(
                    lambda: self._worker_class(self.load), "127.0.0.1", self._port
                )
                self._workers.append(worker)
                await worker.registered

        async with asyncio.timeout(CONNECT_SECONDS_MAX), asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(connect_worker())
        self._callers_count = callers
        await self._connect_callers()
        self._statuses = asyncio.create_task(self._report_statuses())

    async def close(self) -> None:
        """Cut all connections."""
        if self._statuses is not None:
            self._statuses.cancel()
        for worker in self._workers:
            worker.close()
        for caller in self._callers:
            caller.close()
        await asyncio.sleep(0)

    async def run_load(self, seconds: float) -> float:
        """A closed loop: each caller calls again when its last job is over. Returns the time."""
        await self._connect_callers()
        started_at = time.perf_counter()
        stop_at = started_at + seconds

        async def call_on(caller: CallerSocket) -> None:
            while time.perf_counter() < stop_at:
                await self._one_job(caller)

        async with asyncio.TaskGroup() as tasks:
            for caller in self._callers:
                tasks.create_task(call_on(caller))
        return time.perf_counter() - started_at

    async def run_single(self, jobs: int, pause_seconds: float) -> None:
        """One job after the other, with pauses in which the server is idle."""
        await self._connect_callers()
        for _ in range(jobs):
            await self._one_job(self._callers[0])
            await asyncio.sleep(pause_seconds)

    async def _connect_callers(self) -> None:
        """Connect the callers; those that the server has hung up on meanwhile, for idling, too."""
        self._callers = [caller for caller in self._callers if caller.is_connected]
        while len(self._callers) < self._callers_count:
            self._callers.append(await self.connect_caller())

    async def connect_caller(self) -> CallerSocket:
        """One more connection to call by, which is the asker's to close."""
        _, caller = await asyncio.get_running_loop().create_connection(
            lambda: CallerSocket(self.load, self._metadata), "127.0.0.1", self._port
        )
        return caller

    async def _one_job(self, caller: CallerSocket) -> None:
        room = next(self._rooms)
        over = self._waiting[room] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(JOB_SECONDS_MAX):
                await caller.create_dispatch(room)
                await over
        except TimeoutError:
            raise TimeoutError(f"the job of room {room} did not end") from None

    def _done(self, room: str) -> None:
        self._waiting.pop(room).set_result(None)

    async def _report_statuses(self) -> None:
        """Every worker reports once in each interval, spread evenly over it."""
        ticks = round(STATUS_INTERVAL_SECONDS / STATUS_TICK_SECONDS)
        queue: deque[WorkerSocket] = deque(self._workers)
        owed = 0.0
        next_at = time.perf_counter()
        while True:
            next_at += STATUS_TICK_SECONDS
            owed += len(queue) / ticks
            while owed >= 1.0:
                owed -= 1.0
                queue[0].report_status()
                queue.rotate(-1)
            await asyncio.sleep(max(0.0, next_at - time.perf_counter()))
