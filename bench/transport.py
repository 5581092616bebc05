"""The bare transport: the server's frames and HTTP answers on the packages' own stack, nothing else.

uvicorn, uvloop, httptools and websockets as they come, with the same messages parsed and built by the
same library. No token is read or made, nothing is stored, and nothing is decided: a job goes to the
next worker in turn, whatever that said. This is the denominator of the benchmark; nobody should run it.

    python -m bench.transport PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, cast

import uvicorn
import uvloop

from protocol import wire_pb2

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# As long as the token of an assignment is.
TOKEN = "x" * 420

_HEADERS_TYPE = (b"content-type", b"application/protobuf")


class BareTransport:
    """The ASGI application."""

    def __init__(self) -> None:
        # How each worker is sent to.
        self._workers: list[Send] = []
        # Whose turn it is to be offered a job.
        self._turn = 0
        self._jobs_count = 0
        # Jobs that were offered and not answered.
        self._offered: dict[str, wire_pb2.Job] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or one call."""
        if scope["type"] == "websocket":
            await self._serve_worker(receive, send)
        else:
            await self._answer_call(receive, send)

    async def _serve_worker(self, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        self._workers.append(send)
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                answer = self._answer_frame(cast("bytes", message["bytes"]))
                if answer is not None:
                    await _send_frame(send, answer)
        finally:
            self._workers.remove(send)

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
        await self._offer(job)
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

    async def _offer(self, job: wire_pb2.Job) -> None:
        self._turn = (self._turn + 1) % len(self._workers)
        self._offered[job.id] = job
        message = wire_pb2.ServerMessage(
            availability=wire_pb2.AvailabilityRequest(job=job, epoch=1, attempt=1)
        )
        await _send_frame(self._workers[self._turn], message)

    def _answer_frame(self, frame: bytes) -> wire_pb2.ServerMessage | None:
        message = wire_pb2.WorkerMessage.FromString(frame)
        match message.WhichOneof("message"):
            case "availability":
                job = self._offered.pop(message.availability.job_id)
                return wire_pb2.ServerMessage(
                    assignment=wire_pb2.JobAssignment(job=job, token=TOKEN, epoch=1, attempt=1)
                )
            case "update_job" if message.update_job.sequence:
                return wire_pb2.ServerMessage(
                    status_receipt=wire_pb2.StatusReceipt(sequence=message.update_job.sequence)
                )
            case "register":
                return wire_pb2.ServerMessage(
                    register=wire_pb2.RegisterWorkerResponse(worker_id="AW_1")
                )
            case _:
                return None


async def _send_frame(send: Send, message: wire_pb2.ServerMessage) -> None:
    await send({"type": "websocket.send", "bytes": message.SerializeToString()})


def main() -> None:
    """Serve on the loopback port that the command line names, until a signal."""
    settings = uvicorn.Config(
        BareTransport(),
        port=int(sys.argv[1]),
        http="httptools",
        ws="websockets-sansio",
        # It costs more than all the rest; the real server has it off, too.
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=60,
    )
    uvloop.run(_serve(uvicorn.Server(settings)))


async def _serve(server: uvicorn.Server) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    await server.serve()


if __name__ == "__main__":
    main()
