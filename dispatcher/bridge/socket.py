"""One socket to the SFU's /agent: registered under one name, job type and deployment, kept for ever.

It says WS_AVAILABLE with load 0, because a worker of load 0.7 or more is offered nothing: who has
room is decided here. Offers are answered side by side. What LiveKit knows of a socket's jobs ends
with the socket.

Left to others: what the answer is (`bridge`), which sockets there are (`bridge`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol, cast
from urllib.parse import urlsplit, urlunsplit

import anyio
import structlog
from anyio.abc import TaskGroup
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from dispatcher.bridge.limits import BridgeLimits
from dispatcher.core.bridged import Served
from dispatcher.core.bridging import CallKey
from dispatcher.sfu.access import SfuAccess
from protocol import wire_pb2
from protocol.codec import decode_server_message
from protocol.errors import CallboardError, FrameError
from protocol.limits import DEFAULT_LIMITS
from protocol.tokens import mint_api_token

log = structlog.get_logger()

_SOCKET_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}

# What opens a connection to an address with a token; a test gives another.
Connect = Callable[[str, str, BridgeLimits], Awaitable["Connection"]]


class SocketEnded(CallboardError):
    """The connection could not be made, or is over."""

    retryable = True


class Connection(Protocol):
    """A connection to the SFU. Both raise SocketEnded when it is over."""

    async def send(self, frame: bytes) -> None:
        """Write one frame."""
        ...

    async def receive(self) -> bytes | str:
        """Return the next frame."""
        ...

    async def close(self) -> None:
        """Close, within a bound; also while being cancelled."""
        ...


class Listener(Protocol):
    """Who is told of what comes over a socket."""

    def connected(self, socket: SfuSocket) -> None:
        """It is registered."""
        ...

    def lost(self, socket: SfuSocket, cause: str, *, was_connected: bool) -> None:
        """It was connected, or tried to be, and is not."""
        ...

    async def offered(self, socket: SfuSocket, job: wire_pb2.Job) -> wire_pb2.AvailabilityResponse:
        """LiveKit offers a job; return the answer, in time."""
        ...

    async def terminated(self, socket: SfuSocket, sfu_job_id: str) -> None:
        """LiveKit ends a job of this socket."""
        ...


class SfuSocket:
    """One registered socket, made again whenever it is lost."""

    def __init__(
        self,
        url: str,
        access: SfuAccess,
        served: Served,
        listener: Listener,
        limits: BridgeLimits,
        opener: Connect,
    ) -> None:
        self.url = url
        self.served = served
        # calls that were accepted on this connection, by LiveKit's job id
        self.accepted: dict[str, CallKey] = {}
        self.is_connected = False
        self._access = access
        self._listener = listener
        self._limits = limits
        self._open = opener
        self._random = Random()
        self._connection: Connection | None = None
        self._answering = 0

    async def run(self) -> None:
        """Connect, register and serve, for ever."""
        limits = self._limits
        pause = limits.retry_seconds_min
        while True:
            try:
                await self._serve()
            except* (SocketEnded, FrameError) as group:
                cause = str(group.exceptions[0])
                was_connected, self.is_connected = self.is_connected, False
                if was_connected:
                    pause = limits.retry_seconds_min
                self.accepted.clear()
                self._listener.lost(self, cause, was_connected=was_connected)
            await anyio.sleep(pause * self._random.uniform(0.5, 1.0))
            pause = min(pause * 2, limits.retry_seconds_max)

    async def _serve(self) -> None:
        token = mint_api_token(
            self._access.api_key, self._access.api_secret, now_ns=time.time_ns(), agent=True
        )
        connection = await self._open(socket_url(self.url), token, self._limits)
        try:
            await self._register(connection)
            self._connection = connection
            self.is_connected = True
            self._listener.connected(self)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tell_status, connection)
                while True:
                    self._take(connection, decode_server_message(await connection.receive()), tasks)
        finally:
            self._connection = None
            await connection.close()

    async def _register(self, connection: Connection) -> None:
        register = wire_pb2.WorkerMessage()
        register.register.type = cast("wire_pb2.JobType", int(self.served.job_type))
        register.register.agent_name = self.served.agent_name
        register.register.deployment = self.served.deployment
        register.register.version = "callboard"
        try:
            with anyio.fail_after(self._limits.register_timeout_seconds):
                await connection.send(register.SerializeToString())
                answer = decode_server_message(await connection.receive())
        except TimeoutError:
            raise SocketEnded("no answer to the registration") from None
        if answer.WhichOneof("message") != "register":
            raise SocketEnded("the first message is no answer to the registration")

    async def _tell_status(self, connection: Connection) -> None:
        status = wire_pb2.WorkerMessage()
        status.update_worker.status = wire_pb2.WS_AVAILABLE
        status.update_worker.load = 0.0
        frame = status.SerializeToString()
        while True:
            await connection.send(frame)
            await anyio.sleep(self._limits.status_seconds)

    def _take(
        self, connection: Connection, message: wire_pb2.ServerMessage, tasks: TaskGroup
    ) -> None:
        match message.WhichOneof("message"):
            case "availability":
                tasks.start_soon(self._answer, connection, message.availability.job)
            case "termination":
                job_id = message.termination.job_id
                tasks.start_soon(self._listener.terminated, self, job_id)
            case _:
                pass  # its assignment too: the worker's token is ours to make

    async def _answer(self, connection: Connection, job: wire_pb2.Job) -> None:
        answer = wire_pb2.AvailabilityResponse(available=False)
        if self._answering < self._limits.offers_max:
            self._answering += 1
            try:
                answer = await self._listener.offered(self, job)
            finally:
                self._answering -= 1
        answer.job_id = job.id
        message = wire_pb2.WorkerMessage(availability=answer)
        await connection.send(message.SerializeToString())

    async def report(self, sfu_job_id: str, status: wire_pb2.JobStatus, error: str) -> None:
        """Tell LiveKit how a job has ended, if it still knows of it: best effort."""
        connection = self._connection
        if connection is None:
            return
        message = wire_pb2.WorkerMessage()
        message.update_job.job_id = sfu_job_id
        message.update_job.status = status
        message.update_job.error = error
        try:
            await connection.send(message.SerializeToString())
        except SocketEnded:
            return  # and LiveKit forgets the job with the socket


def socket_url(url: str) -> str:
    """Return the address of the worker socket of a server's address."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + "/agent"
    return urlunsplit((_SOCKET_SCHEMES[parts.scheme], parts.netloc, path, "", ""))


class _WebSocket:
    """A Connection over a websocket."""

    def __init__(self, websocket: ClientConnection, limits: BridgeLimits) -> None:
        self._websocket = websocket
        self._limits = limits

    async def send(self, frame: bytes) -> None:
        try:
            await self._websocket.send(frame)
        except ConnectionClosed as error:
            raise SocketEnded(str(error)) from None

    async def receive(self) -> bytes | str:
        try:
            return await self._websocket.recv()
        except ConnectionClosed as error:
            raise SocketEnded(str(error)) from None

    async def close(self) -> None:
        with anyio.move_on_after(2 * self._limits.close_timeout_seconds, shield=True):
            await self._websocket.close()
        self._websocket.transport.abort()


async def open_websocket(url: str, token: str, limits: BridgeLimits) -> Connection:
    """Connect to the SFU. Raises SocketEnded, and leaves nothing."""
    try:
        websocket = await connect(
            url,
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            max_size=DEFAULT_LIMITS.frame_bytes_max,
            open_timeout=limits.open_timeout_seconds,
            close_timeout=limits.close_timeout_seconds,
            ping_interval=limits.ping_interval_seconds,
            ping_timeout=limits.ping_timeout_seconds,
        )
    except InvalidStatus as error:
        raise SocketEnded(f"refused with HTTP {error.response.status_code}") from None
    except TimeoutError:
        raise SocketEnded(f"no answer in {limits.open_timeout_seconds:g} s") from None
    except (OSError, WebSocketException, EOFError) as error:
        raise SocketEnded(f"{type(error).__name__}: {error}") from None
    return _WebSocket(websocket, limits)
