"""One connection to a server's `/agent`: opened, registered, read and written.

What carries the frames is a `FrameSocket`, which a `Connect` opens: a websocket, but in tests of users'
programs (`worker_sdk.testing`). Foreign errors end here: whatever goes wrong with a connection becomes
a `ConnectionEnded`, with the remedy where a person has to act. What is said on it is left to the
planner, when to open the next to the worker.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from protocol import wire_pb2
from protocol.codec import decode_server_message
from protocol.errors import CallboardError, CloseCode, FrameError
from protocol.limits import DEFAULT_LIMITS
from protocol.tokens import mint_api_token

if TYPE_CHECKING:
    from worker_sdk.credentials import Credentials

__all__ = ["Connect", "ConnectionEnded", "FrameSocket", "ServerConnection", "connect_websocket"]

OPEN_TIMEOUT_SECONDS = 5.0
REGISTER_TIMEOUT_SECONDS = 10.0
CLOSE_TIMEOUT_SECONDS = 1.0
# A server that does not answer a ping in time is dead, whatever its socket says.
PING_INTERVAL_SECONDS = 5.0
PING_TIMEOUT_SECONDS = 5.0

_REMEDIES = {
    401: "check that LIVEKIT_API_KEY and LIVEKIT_API_SECRET are a pair that the server knows, "
    "and that both clocks agree",
    403: "the key may not register workers",
    404: "check that LIVEKIT_URL is the server's address, without /agent",
    429: "the server saw too many refused upgrades from this address; it will take them again",
    503: "the server is draining or starting; the worker tries again",
}


class ConnectionEnded(CallboardError):
    """A connection that could not be made, or is over; `status` is set if it was refused."""

    retryable = True

    def __init__(self, cause: str, status: int | None = None, remedy: str = "") -> None:
        super().__init__(cause, status, remedy)
        self.cause = cause
        self.status = status
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.cause}; {self.remedy}" if self.remedy else self.cause


class FrameSocket(Protocol):
    """What carries whole frames both ways. Raises ConnectionEnded when it is over."""

    async def send(self, frame: bytes) -> None:
        """Write a frame; waits while the peer does not read."""
        ...

    async def receive(self) -> bytes | str:
        """The peer's next frame, binary or text."""
        ...

    async def close(self, code: CloseCode = CloseCode.NORMAL) -> None:
        """Close, within a bound; also while being cancelled. Idempotent."""
        ...


# Opens a connection with a fresh token, or raises ConnectionEnded.
Connect = Callable[["Credentials"], Awaitable[FrameSocket]]


class ServerConnection:
    """A registered connection. `receive` and `send` raise ConnectionEnded when it is over."""

    def __init__(self, socket: FrameSocket, response: wire_pb2.RegisterWorkerResponse) -> None:
        self._socket = socket
        self.response = response

    @classmethod
    async def open(
        cls,
        credentials: Credentials,
        registration: wire_pb2.RegisterWorkerRequest,
        connect: Connect | None = None,
    ) -> ServerConnection:
        """Connect with a fresh token and register. Raises ConnectionEnded, and leaves nothing."""
        socket = await (connect or connect_websocket)(credentials)
        try:
            register = wire_pb2.WorkerMessage(register=registration)
            with anyio.fail_after(REGISTER_TIMEOUT_SECONDS):
                await socket.send(register.SerializeToString())
                answer = decode_server_message(await socket.receive())
            if answer.WhichOneof("message") != "register":
                raise FrameError("the first message is no register response")
        except TimeoutError:
            await socket.close(CloseCode.POLICY_VIOLATION)
            raise ConnectionEnded(
                f"no answer to the registration in {REGISTER_TIMEOUT_SECONDS:g} s"
            ) from None
        except ConnectionEnded as error:
            await socket.close()
            raise ConnectionEnded(f"closed while registering: {error}") from None
        except FrameError as error:
            await socket.close(error.close_code)
            raise
        except anyio.get_cancelled_exc_class():
            await socket.close()
            raise
        return cls(socket, answer.register)

    async def receive(self) -> wire_pb2.ServerMessage:
        """The server's next message. Raises FrameError for one that cannot be read."""
        return decode_server_message(await self._socket.receive())

    async def send(self, message: wire_pb2.WorkerMessage) -> None:
        """Write one message; waits while the server does not read."""
        await self._socket.send(message.SerializeToString())

    async def close(self, code: CloseCode = CloseCode.NORMAL) -> None:
        """Close, within a bound; also while being cancelled."""
        await self._socket.close(code)


class _Websocket:
    """A websocket as a FrameSocket."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket

    async def send(self, frame: bytes) -> None:
        """Write a frame."""
        try:
            await self._websocket.send(frame)
        except ConnectionClosed as error:
            raise ConnectionEnded(str(error)) from None

    async def receive(self) -> bytes | str:
        """The server's next frame."""
        try:
            return await self._websocket.recv()
        except ConnectionClosed as error:
            raise ConnectionEnded(str(error)) from None

    async def close(self, code: CloseCode = CloseCode.NORMAL) -> None:
        """Close, and cut the connection where the server does not answer."""
        with anyio.move_on_after(2 * CLOSE_TIMEOUT_SECONDS, shield=True):
            await self._websocket.close(code)
        self._websocket.transport.abort()


async def connect_websocket(credentials: Credentials) -> FrameSocket:
    """Open a websocket to the server's `/agent` with a fresh token. Raises ConnectionEnded."""
    token = mint_api_token(
        credentials.api_key, credentials.api_secret, now_ns=time.time_ns(), agent=True
    )
    try:
        websocket = await connect(
            credentials.worker_url,
            additional_headers={"Authorization": f"Bearer {token}"},
            # The server declines it: it triples the memory of a connection.
            compression=None,
            max_size=DEFAULT_LIMITS.frame_bytes_max,
            open_timeout=OPEN_TIMEOUT_SECONDS,
            close_timeout=CLOSE_TIMEOUT_SECONDS,
            ping_interval=PING_INTERVAL_SECONDS,
            ping_timeout=PING_TIMEOUT_SECONDS,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise ConnectionEnded(
            f"refused with HTTP {status}", status, _REMEDIES.get(status, "")
        ) from None
    except TimeoutError:
        raise ConnectionEnded(f"no answer in {OPEN_TIMEOUT_SECONDS:g} s") from None
    except (OSError, WebSocketException, EOFError) as error:
        raise ConnectionEnded(f"{type(error).__name__}: {error}") from None
    return _Websocket(websocket)
