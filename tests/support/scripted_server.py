"""A dispatcher that says only what a test tells it to, on a real loopback websocket.

    async with ScriptedServer() as server:
        ...start a worker with url=server.url...
        connection = await server.accept()            # registered
        await connection.offer("AJ_1")
        answer = await connection.expect("availability")

Every wait has a deadline and fails with what did come instead. It has no opinion of its own: no
state, no checks, no answers beside the register response.
"""

from __future__ import annotations

import math
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

import anyio
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from protocol import wire_pb2

if TYPE_CHECKING:
    from types import TracebackType

    from websockets.http11 import Request, Response

__all__ = ["ScriptedConnection", "ScriptedServer"]

DEADLINE_SECONDS = 60.0


class ScriptedConnection:
    """One worker's connection, seen from the server."""

    def __init__(self, websocket: ServerConnection) -> None:
        self._websocket = websocket
        # What the worker sent and no `expect` has taken, oldest first.
        self.inbox: deque[wire_pb2.WorkerMessage] = deque()
        # The last worker status, which `expect` passes over.
        self.last_status: wire_pb2.UpdateWorkerStatus | None = None
        self.is_closed = anyio.Event()
        self.close_code: int | None = None
        self._arrived = anyio.Event()

    @property
    def authorization(self) -> str:
        """The Authorization header of the upgrade."""
        assert self._websocket.request is not None
        return self._websocket.request.headers["Authorization"]

    async def send(self, message: wire_pb2.ServerMessage) -> None:
        """Send any message."""
        await self._websocket.send(message.SerializeToString())

    async def send_raw(self, frame: bytes | str) -> None:
        """Send any frame."""
        await self._websocket.send(frame)

    async def offer(self, job_id: str, *, room: str = "lobby", resuming: bool = False) -> None:
        """Offer a job."""
        job = wire_pb2.Job(id=job_id, room=wire_pb2.Room(name=room), agent_name="greeter")
        await self.send(
            wire_pb2.ServerMessage(
                availability=wire_pb2.AvailabilityRequest(job=job, resuming=resuming, epoch=1)
            )
        )

    async def assign(
        self, job_id: str, *, room: str = "lobby", epoch: int | None = 1, attempt: int = 1
    ) -> None:
        """Assign a job."""
        job = wire_pb2.Job(id=job_id, room=wire_pb2.Room(name=room), agent_name="greeter")
        await self.send(
            wire_pb2.ServerMessage(
                assignment=wire_pb2.JobAssignment(
                    job=job,
                    url="ws://sfu.example",
                    token="room-token",
                    epoch=epoch,
                    attempt=attempt,
                )
            )
        )

    async def give(self, job_id: str, *, epoch: int | None = 1) -> None:
        """Offer a job, expect that it is accepted, assign it and expect that it runs."""
        await self.offer(job_id)
        assert (await self.expect("availability")).availability.available
        await self.assign(job_id, epoch=epoch)
        assert (await self.expect("update_job")).update_job.status == wire_pb2.JS_RUNNING

    async def terminate(self, job_id: str) -> None:
        """Tell the worker to stop a job."""
        await self.send(wire_pb2.ServerMessage(termination=wire_pb2.JobTermination(job_id=job_id)))

    async def receipt(self, sequence: int) -> None:
        """Confirm a status."""
        await self.send(
            wire_pb2.ServerMessage(status_receipt=wire_pb2.StatusReceipt(sequence=sequence))
        )

    async def verdict(self, job_id: str, verdict: wire_pb2.MigrateVerdict.Verdict) -> None:
        """Answer a claim."""
        await self.send(
            wire_pb2.ServerMessage(
                migrate_verdicts=[wire_pb2.MigrateVerdict(job_id=job_id, verdict=verdict)]
            )
        )

    async def expect(self, kind: str) -> wire_pb2.WorkerMessage:
        """The worker's next message, which must be of this kind. Worker statuses are passed over."""
        message = await self.next_message()
        assert message.WhichOneof("message") == kind, f"expected {kind}, got {message}"
        return message

    async def expect_final(self, job_id: str) -> wire_pb2.UpdateJobStatus:
        """The job's final status; that it runs may be told before, and need not be."""
        while True:
            report = (await self.expect("update_job")).update_job
            assert report.job_id == job_id
            if report.status != wire_pb2.JS_RUNNING:
                return report

    async def expect_status(
        self,
        *,
        job_count: int | None = None,
        status: wire_pb2.WorkerStatus | None = None,
        draining: bool | None = None,
        load: float | None = None,
    ) -> wire_pb2.UpdateWorkerStatus:
        """Wait for a worker status that says this."""
        with anyio.fail_after(DEADLINE_SECONDS):
            while True:
                told = self.last_status
                if (
                    told is not None
                    and job_count in (None, told.job_count)
                    and status in (None, told.status)
                    and draining in (None, told.draining)
                    and load in (None, told.load)
                ):
                    return told
                await self._arrived.wait()

    async def expect_closed(self) -> int | None:
        """Wait until the worker has closed the connection. Returns the close code."""
        with anyio.fail_after(DEADLINE_SECONDS):
            await self.is_closed.wait()
        return self.close_code

    def cut(self) -> None:
        """End the connection as a SIGKILL of the server would: without a word."""
        self._websocket.transport.abort()

    async def close(self, code: int = 1000) -> None:
        """Close the connection in good order."""
        await self._websocket.close(code)

    async def next_message(self) -> wire_pb2.WorkerMessage:
        """The worker's next message, of any kind but a worker status."""
        with anyio.fail_after(DEADLINE_SECONDS):
            while not self.inbox:
                assert not self.is_closed.is_set(), "the worker has closed the connection"
                await self._arrived.wait()
        return self.inbox.popleft()

    async def read_until_closed(self) -> None:
        """Collect what the worker sends; run by the server."""
        try:
            while True:
                frame = await self._websocket.recv(decode=False)
                message = wire_pb2.WorkerMessage.FromString(frame)
                if message.WhichOneof("message") == "update_worker":
                    self.last_status = message.update_worker
                else:
                    self.inbox.append(message)
                self._wake()
        except ConnectionClosed:
            pass
        finally:
            self.close_code = self._websocket.close_code
            self.is_closed.set()
            self._wake()

    def _wake(self) -> None:
        self._arrived.set()
        self._arrived = anyio.Event()


class ScriptedServer:
    """Listens on a free loopback port. `extensions` empty: a server of LiveKit's."""

    def __init__(self, extensions: tuple[str, ...] = ("status_receipt",)) -> None:
        self._extensions = extensions
        self._server: Server | None = None
        # The status with which upgrades are refused; None: they are taken.
        self.refusal: HTTPStatus | None = None
        self.refused_count = 0
        self._wake = anyio.Event()
        self._send_connection, self._receive_connection = anyio.create_memory_object_stream[
            ScriptedConnection
        ](math.inf)

    @property
    def url(self) -> str:
        """What a worker takes for LIVEKIT_URL."""
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def accept(self, deadline_seconds: float = DEADLINE_SECONDS) -> ScriptedConnection:
        """Wait for the next connection, and register its worker."""
        connection, _ = await self.accept_registration(deadline_seconds)
        return connection

    async def accept_registration(
        self, deadline_seconds: float = DEADLINE_SECONDS
    ) -> tuple[ScriptedConnection, wire_pb2.RegisterWorkerRequest]:
        """Wait for the next connection and register its worker. Returns what it registered as."""
        with anyio.fail_after(deadline_seconds):
            connection = await self._receive_connection.receive()
        registration = (await connection.expect("register")).register
        await connection.send(
            wire_pb2.ServerMessage(
                register=wire_pb2.RegisterWorkerResponse(
                    worker_id="AW_scripted", extensions=self._extensions
                )
            )
        )
        return connection, registration

    async def connected(self) -> ScriptedConnection:
        """Wait for the next connection, and say nothing."""
        with anyio.fail_after(DEADLINE_SECONDS):
            return await self._receive_connection.receive()

    async def expect_refusals(self, count: int) -> None:
        """Wait until so many upgrades have been refused."""
        with anyio.fail_after(DEADLINE_SECONDS):
            while self.refused_count < count:
                await self._wake.wait()

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._admit, compression=None
        )
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        for websocket in self._server.connections:
            websocket.transport.abort()
        self._server.close()
        await self._server.wait_closed()
        self._send_connection.close()
        self._receive_connection.close()

    def _admit(self, websocket: ServerConnection, _request: Request) -> Response | None:
        if self.refusal is None:
            return None
        self.refused_count += 1
        self._wake.set()
        self._wake = anyio.Event()
        return websocket.respond(self.refusal, "refused by the test\n")

    async def _serve(self, websocket: ServerConnection) -> None:
        connection = ScriptedConnection(websocket)
        self._send_connection.send_nowait(connection)
        await connection.read_until_closed()
