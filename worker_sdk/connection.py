"""One websocket connection to a server's `/agent`: opened, registered, read and written.

Foreign errors end here: whatever goes wrong with a connection becomes a `ConnectionEnded`, with the
remedy where a person has to act. What is said on it is left to the planner, when to open the next
to the worker.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

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

__all__ = ["ConnectionEnded", "ServerConnection"]

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


class ServerConnection:
    """A registered connection. `receive` and `send` raise ConnectionEnded when it is over."""

    def __init__(
        self, websocket: ClientConnection, response: wire_pb2.RegisterWorkerResponse
    ) -> None:
        self._websocket = websocket
        self.response = response

    @classmethod
    async def open(
        cls, credentials: Credentials, registration: wire_pb2.RegisterWorkerRequest
    ) -> ServerConnection:
        """Connect with a fresh token and register. Raises ConnectionEnded, and leaves nothing."""
        websocket = await _connect(credentials)
        try:
            register = wire_pb2.WorkerMessage(register=registration)
            with anyio.fail_after(REGISTER_TIMEOUT_SECONDS):
                await websocket.send(register.SerializeToString())
                answer = decode_server_message(await websocket.recv())
            if answer.WhichOneof("message") != "register":
                raise FrameError("the first message is no register response")
        except TimeoutError:
            await _close(websocket, CloseCode.POLICY_VIOLATION)
            raise ConnectionEnded(
                f"no answer to the registration in {REGISTER_TIMEOUT_SECONDS:g} s"
            ) from None
        except ConnectionClosed as error:
            await _close(websocket)
            raise ConnectionEnded(f"closed while registering: {error}") from None
        except FrameError as error:
            await _close(websocket, error.close_code)
            raise
        except anyio.get_cancelled_exc_class():
            await _close(websocket)
            raise
        return cls(websocket, answer.register)

    async def receive(self) -> wire_pb2.ServerMessage:
        """The server's next message. Raises FrameError for one that cannot be read."""
        try:
            return decode_server_message(await self._websocket.recv())
        except ConnectionClosed as error:
            raise ConnectionEnded(str(error)) from None

    async def send(self, message: wire_pb2.WorkerMessage) -> None:
        """Write one message; waits while the server does not read."""
        try:
            await self._websocket.send(message.SerializeToString())
        except ConnectionClosed as error:
            raise ConnectionEnded(str(error)) from None

    async def close(self, code: CloseCode = CloseCode.NORMAL) -> None:
        """Close, within a bound; also while being cancelled."""
        await _close(self._websocket, code)


async def _connect(credentials: Credentials) -> ClientConnection:
    token = mint_api_token(
        credentials.api_key, credentials.api_secret, now_ns=time.time_ns(), agent=True
    )
    try:
        return await connect(
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


async def _close(websocket: ClientConnection, code: CloseCode = CloseCode.NORMAL) -> None:
    with anyio.move_on_after(2 * CLOSE_TIMEOUT_SECONDS, shield=True):
        await websocket.close(code)
    websocket.transport.abort()
