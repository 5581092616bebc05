"""Peers that say exactly what a test wants: a worker on a raw websocket, and a caller of the API."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from protocol import wire_pb2
from tests.support.server import KEY, RunningServer, admin_token, room_token, worker_token

WAIT_SECONDS = 60.0
CREATE = "/twirp/livekit.AgentDispatchService/CreateDispatch"
LIST = "/twirp/livekit.AgentDispatchService/ListDispatch"
DELETE = "/twirp/livekit.AgentDispatchService/DeleteDispatch"
GET_JOB = "/twirp/callboard.JobService/GetJob"
LIST_JOBS = "/twirp/callboard.JobService/ListJobs"
LIST_WORKERS = "/twirp/callboard.WorkerService/ListWorkers"
GET_WORKER = "/twirp/callboard.WorkerService/GetWorker"

_names = itertools.count(1)


def fresh(prefix: str) -> str:
    """Return a name that no other test uses."""
    return f"{prefix}-{next(_names)}"


class RawWorker:
    """A worker that says only what it is told to say."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.worker_id = ""

    async def say(self, **message: Any) -> None:
        """Send one WorkerMessage, by the name of its field."""
        await self.socket.send(wire_pb2.WorkerMessage(**message).SerializeToString())

    async def hear(self) -> wire_pb2.ServerMessage:
        """Return the next message; it has to come in time."""
        with anyio.fail_after(WAIT_SECONDS):
            frame = await self.socket.recv()
        assert isinstance(frame, bytes)
        return wire_pb2.ServerMessage.FromString(frame)

    async def register(self, **fields: Any) -> None:
        """Register, report to be available, and remember the id."""
        await self.say(register=wire_pb2.RegisterWorkerRequest(version="raw", **fields))
        self.worker_id = (await self.hear()).register.worker_id
        assert self.worker_id
        await self.report()

    async def report(self, **fields: Any) -> None:
        """Send a status: idle and available, unless told otherwise."""
        await self.say(
            update_worker=wire_pb2.UpdateWorkerStatus(**{"status": wire_pb2.WS_AVAILABLE, **fields})
        )

    async def offered(self) -> wire_pb2.AvailabilityRequest:
        """Return the offer that comes next."""
        message = await self.hear()
        assert message.WhichOneof("message") == "availability", message
        return message.availability

    async def answer(self, job_id: str, **fields: Any) -> None:
        """Answer an offer: yes, unless told otherwise."""
        await self.say(
            availability=wire_pb2.AvailabilityResponse(
                **{"job_id": job_id, "available": True, **fields}
            )
        )

    async def assigned(self) -> wire_pb2.JobAssignment:
        """Return the assignment that comes next."""
        message = await self.hear()
        assert message.WhichOneof("message") == "assignment", message
        return message.assignment

    async def take_job(self) -> wire_pb2.JobAssignment:
        """Take the job that is offered next, and run it."""
        offer = await self.offered()
        await self.answer(offer.job.id, participant_identity=f"agent-{offer.job.id}")
        assignment = await self.assigned()
        await self.tell(offer.job.id, wire_pb2.JS_RUNNING)
        return assignment

    async def tell(self, job_id: str, status: int, **fields: Any) -> None:
        """Report on a job."""
        await self.say(update_job={"job_id": job_id, "status": status, **fields})

    async def is_answered(self) -> None:
        """Check that the server still hears this worker, and has said nothing since."""
        await self.say(ping=wire_pb2.WorkerPing(timestamp=17))
        message = await self.hear()
        assert message.WhichOneof("message") == "pong", message
        assert message.pong.last_timestamp == 17

    async def closed_with(self) -> int | None:
        """Return the code with which the server closes; it has to, in time."""
        with anyio.fail_after(WAIT_SECONDS):
            while True:
                try:
                    await self.socket.recv()
                except ConnectionClosed as closed:
                    return closed.rcvd.code if closed.rcvd else None


@asynccontextmanager
async def connected(
    server: RunningServer,
    *,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    url: str = "",
    **options: Any,
) -> AsyncIterator[RawWorker]:
    """Connect a worker that has not registered."""
    given = {"Authorization": f"Bearer {token or worker_token()}", **(headers or {})}
    # A client program of its own: what one test does is not held against another.
    options.setdefault("user_agent_header", fresh("program"))
    async with connect(
        url or server.agent_url,
        additional_headers=given,
        compression=None,
        ping_interval=None,
        # Some tests stop reading, and would wait for the server's close frame.
        close_timeout=0.2,
        **options,
    ) as socket:
        yield RawWorker(socket)


@asynccontextmanager
async def registered(
    server: RunningServer, agent_name: str, *, key: str = KEY, **fields: Any
) -> AsyncIterator[RawWorker]:
    """Connect a worker that takes jobs of this agent name."""
    async with connected(server, token=worker_token(key)) as worker:
        await worker.register(agent_name=agent_name, **fields)
        yield worker


async def refused(server: RunningServer, url: str = "", **headers: str) -> httpx2.Response:
    """Return the HTTP answer to an upgrade that the server must refuse."""
    try:
        async with connect(
            url or server.agent_url, additional_headers=headers, compression=None, proxy=None
        ):
            raise AssertionError("the upgrade was not refused")
    except InvalidStatus as error:
        response = error.response
        return httpx2.Response(
            response.status_code,
            headers=list(response.headers.raw_items()),
            content=bytes(response.body),
        )


async def refused_status(server: RunningServer, token: str, **headers: str) -> int:
    """Return the HTTP status that refuses a worker with this token."""
    response = await refused(server, Authorization=f"Bearer {token}", **headers)
    return response.status_code


async def refused_or_let_in(server: RunningServer) -> int:
    """Return the HTTP status that answers a worker with a good token: 101 if it is let in."""
    try:
        async with connected(server):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


class Caller:
    """Calls the API, in JSON unless told otherwise."""

    def __init__(self, server: RunningServer, client: httpx2.AsyncClient) -> None:
        self._server = server
        self._client = client

    async def post(
        self,
        path: str,
        body: object,
        *,
        token: str | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> httpx2.Response:
        """Make one call. `body` is sent as it is if it is bytes, else as JSON."""
        given = {"Content-Type": content_type, **(headers or {})}
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._client.request(
            method, self._server.http_url + path, content=content, headers=given
        )

    async def ask(self, path: str, body: object, token: str, **options: Any) -> dict[str, Any]:
        """Make a call that must succeed; return the answer."""
        response = await self.post(path, body, token=token, **options)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def dispatch(self, agent_name: str, room: str = "", **fields: Any) -> dict[str, Any]:
        """Create a dispatch, in a room of its own unless told otherwise."""
        room = room or fresh("room")
        body = {"agent_name": agent_name, "room": room, **fields}
        return await self.ask(CREATE, body, room_token(room))

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return all that is known of a job."""
        answer = await self.ask(GET_JOB, {"job_id": job_id}, admin_token())
        record: dict[str, Any] = answer["job"]
        return record

    async def worker(self, worker_id: str) -> dict[str, Any]:
        """Return all that is known of a connected worker."""
        answer = await self.ask(GET_WORKER, {"worker_id": worker_id}, admin_token())
        record: dict[str, Any] = answer["worker"]
        return record

    async def workers(self) -> set[str]:
        """Return the ids of the connected workers."""
        answer = await self.ask(LIST_WORKERS, {"page_size": 1000}, admin_token())
        return {worker["id"] for worker in answer["workers"]}

    async def job_becomes(self, job_id: str, phase: str) -> dict[str, Any]:
        """Wait until a job is in this phase; return it."""
        with anyio.fail_after(WAIT_SECONDS):
            while True:
                record = await self.job(job_id)
                if record["phase"] == phase:
                    return record
                await anyio.sleep(0.01)

    async def job_goes_to(self, job_id: str, worker_id: str) -> dict[str, Any]:
        """Wait until a job is this worker's; return it."""
        with anyio.fail_after(WAIT_SECONDS):
            while True:
                record = await self.job(job_id)
                if record["worker_id"] == worker_id:
                    return record
                await anyio.sleep(0.01)


def problem(response: httpx2.Response) -> tuple[int, str]:
    """Return status and Twirp code of an error; it must be one, in Twirp's form."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"code", "msg"}, body
    return response.status_code, body["code"]
