"""The server that is measured: where it is, what is written to it first, and whose it is.

`look` makes one worker's connection, before any process is started: a wrong address or key is one
line then. What a server lists as extensions tells a Callboard from LiveKit's own server.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from protocol import wire_pb2
from protocol.errors import CallboardError, CloseCode, FrameError
from protocol.signing import sign
from protocol.tokens import mint_api_token
from worker_sdk.connection import ConnectionEnded, ServerConnection

if TYPE_CHECKING:
    from worker_sdk.credentials import Credentials

__all__ = ["ServerFound", "Target", "TargetUnusable", "look"]

VERSION = "callboard-loadtest"
TOKEN_LIFE_SECONDS = 600

# What a library's error begins with, and a person can do without.
_ERROR_NAME = re.compile(r"^\w+: (\[Errno -?\d+\] )?")


class TargetUnusable(CallboardError):
    """The server cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class ServerFound:
    """Whose server it is."""

    is_stock: bool
    version: str

    def __str__(self) -> str:
        return f"{'livekit-server' if self.is_stock else 'Callboard'} {self.version}".rstrip()


class Target:
    """Address and key, with all that is the same in every request made ready once."""

    def __init__(self, credentials: Credentials) -> None:
        api = urlsplit(credentials.api_url)
        self.host = api.hostname or "127.0.0.1"
        self.port = api.port or (443 if api.scheme == "https" else 80)
        self.tls = ssl.create_default_context() if api.scheme == "https" else None
        self._secret = credentials.api_secret
        self._api_key = credentials.api_key
        self._key_json = json.dumps(credentials.api_key)
        self._upgrade_head = (
            f"GET {urlsplit(credentials.worker_url).path} HTTP/1.1\r\nHost: {api.netloc}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Authorization: Bearer "
        )
        self._call_head = (
            f"POST {api.path}/twirp/livekit.AgentDispatchService/CreateDispatch HTTP/1.1\r\n"
            f"Host: {api.netloc}\r\nContent-Type: application/protobuf\r\nContent-Length: "
        )

    def upgrade_request(self) -> bytes:
        """The request of a worker's socket, with a fresh token."""
        token = mint_api_token(self._api_key, self._secret, now_ns=time.time_ns(), agent=True)
        return f"{self._upgrade_head}{token}\r\n\r\n".encode()

    def create_dispatch(self, room: str, agent_name: str, metadata: str) -> bytes:
        """The request that calls the agent into a room, whose name is plain ASCII.

        The token is one of this room alone, as API clients make them; written by hand, because the
        general way takes twice as long.
        """
        body = wire_pb2.CreateAgentDispatchRequest(
            agent_name=agent_name, room=room, metadata=metadata
        ).SerializeToString()
        now = int(time.time())
        claims = (
            f'{{"sub":"","video":{{"roomAdmin":true,"room":"{room}"}},"iss":{self._key_json},'
            f'"iat":{now},"nbf":{now},"exp":{now + TOKEN_LIFE_SECONDS}}}'
        )
        token = sign(claims.encode(), self._secret)
        head = (
            f"{self._call_head}{len(body)}\r\nX-Livekit-Request-Id: {room}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        )
        return head.encode() + body


async def look(credentials: Credentials, agent_name: str) -> ServerFound:
    """Register one worker, and leave again. Raises TargetUnusable, with what can be done about it."""
    registration = wire_pb2.RegisterWorkerRequest(
        type=wire_pb2.JT_ROOM, agent_name=agent_name, version=VERSION
    )
    try:
        connection = await ServerConnection.open(credentials, registration)
    except (ConnectionEnded, FrameError) as error:
        raise TargetUnusable(_sentence(credentials, error)) from None
    # Nobody is to be offered a job on it.
    full = wire_pb2.UpdateWorkerStatus(status=wire_pb2.WS_FULL, draining=True)
    try:
        await connection.send(wire_pb2.WorkerMessage(update_worker=full))
    except ConnectionEnded:
        pass
    await connection.close(CloseCode.NORMAL)
    answer = connection.response
    return ServerFound(is_stock=not answer.extensions, version=answer.server_info.version)


def _sentence(credentials: Credentials, error: ConnectionEnded | FrameError) -> str:
    where = credentials.api_url
    if isinstance(error, FrameError):
        return f"{where} is no server of LiveKit's protocol: {error}"
    if error.status == 401:
        return (
            f"{where} does not take this key: check --api-key and --api-secret"
            " (LIVEKIT_API_KEY, LIVEKIT_API_SECRET) against the server's keys, and both clocks"
        )
    if error.status == 404:
        return f"{where} has no worker socket (/agent): check --url (LIVEKIT_URL)"
    if error.status is not None:
        return f"{where} refuses workers with HTTP {error.status}"
    return f"no server answers at {where}: {_ERROR_NAME.sub('', error.cause)}"
