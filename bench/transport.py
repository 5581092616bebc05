"""The bare transport: the server's frames and HTTP answers on the server's stack, and nothing else.

The same uvicorn, event loop, HTTP parser, websocket class and settings as the real server, the same
messages parsed and built with the same library. No token is read or made, nothing is stored, and
nothing is decided: a job goes to the next worker in turn, whatever that said. This is the
denominator of the benchmark; nobody should run it.

    python -m bench.transport PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, cast

import uvicorn
import uvloop

from dispatcher.server.connection import EXTENSION, WorkerConnection
from dispatcher.server.limits import ServerLimits
from dispatcher.server.network import network_settings, open_listener
from protocol import wire_pb2

if TYPE_CHECKING:
    import socket

    from starlette.types import Receive, Scope, Send

# As long as the token of an assignment is.
TOKEN = "x" * 420

_HEADERS_TYPE = (b"content-type", b"application/protobuf")


class BareTransport:
    """The ASGI application."""

    def __init__(self) -> None:
        self._workers: list[WorkerConnection] = []
        # Whose turn it is to be offered a job.
        self._turn = 0
        self._jobs_count = 0
        # Jobs that were offered and not answered.
        self._offered: dict[str, wire_pb2.Job] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or one call."""
        if scope["type"] == "websocket":
            await self._serve_worker(scope, receive, send)
        else:
            await self._answer_call(receive, send)

    async def _serve_worker(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        connection = cast("WorkerConnection", scope["extensions"][EXTENSION])
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})

        def on_frame(frame: bytes | str) -> None:
            self._read(connection, cast("bytes", frame))

        connection.on_frame = on_frame
        self._workers.append(connection)
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            connection.on_frame = None
            self._workers.remove(connection)

    async def _answer_call(self, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        request = wire_pb2.CreateAgentDispatchRequest.FromString(body)
        self._jobs_count += 1
        dispatch_id = f"AD_{self._jobs_count:022d}"
        job = wire_pb2.Job(
            id=f"AJ_{self._jobs_count:022d}",
            room=wire_pb2.Room(name=request.room),
            agent_name=request.agent_name,
            metadata=request.metadata,
            dispatch_id=dispatch_id,
        )
        self._offer(job)
        answer = wire_pb2.AgentDispatch(
            id=dispatch_id,
            agent_name=request.agent_name,
            room=request.room,
            metadata=request.metadata,
            state=wire_pb2.AgentDispatchState(jobs=[job], created_at=1),
        ).SerializeToString()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [_HEADERS_TYPE, (b"content-length", b"%d" % len(answer))],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    def _offer(self, job: wire_pb2.Job) -> None:
        self._turn = (self._turn + 1) % len(self._workers)
        self._offered[job.id] = job
        message = wire_pb2.ServerMessage(
            availability=wire_pb2.AvailabilityRequest(job=job, epoch=1, attempt=1)
        )
        self._workers[self._turn].write_frame(message.SerializeToString())

    def _read(self, connection: WorkerConnection, frame: bytes) -> None:
        message = wire_pb2.WorkerMessage.FromString(frame)
        match message.WhichOneof("message"):
            case "availability":
                job = self._offered.pop(message.availability.job_id)
                answer = wire_pb2.ServerMessage(
                    assignment=wire_pb2.JobAssignment(job=job, token=TOKEN, epoch=1, attempt=1)
                )
            case "update_job":
                if not message.update_job.sequence:
                    return
                answer = wire_pb2.ServerMessage(
                    status_receipt=wire_pb2.StatusReceipt(sequence=message.update_job.sequence)
                )
            case "register":
                answer = wire_pb2.ServerMessage(
                    register=wire_pb2.RegisterWorkerResponse(worker_id="AW_1")
                )
            case _:
                return
        connection.write_frame(answer.SerializeToString())


def main() -> None:
    """Serve on the loopback port that the command line names, until a signal."""
    limits = ServerLimits()
    listener = open_listener("127.0.0.1", int(sys.argv[1]), limits.backlog_connections)
    server = uvicorn.Server(network_settings(limits, BareTransport()))
    uvloop.run(_serve(server, listener))


async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    main()
