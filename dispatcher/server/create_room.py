"""CreateRoom without the bridge: what the SFU is asked for, when a room's agents are ours to dispatch.

For one agent that nobody serves: with an empty list LiveKit would dispatch by itself, to whoever is
registered there without a name. That agent's metadata is the mark of the agents that were asked for:
LiveKit keeps it with the room, and tells by it later with which agents a room was made, also after
an answer of its was lost. All else of the request goes on as it came, fields that our schema does not
know among it.

Left to others: what becomes of the agents, and which presets there are (`room_creation`), the way
there and back (`passthrough`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Protocol

from google.protobuf import json_format

from protocol import wire_pb2
from protocol.codec import BodyFormat
from protocol.errors import TwirpCode, TwirpError

# The agent that the SFU is asked for in place of those that we dispatch; no worker registers it.
NOBODY = "callboard.nobody"


class RoomMaking(Protocol):
    """Who dispatches the agents of a room that is made. All of it may raise a CallboardError."""

    def resolve(
        self, project: str, request: wire_pb2.CreateRoomRequest, *, tells_names: bool
    ) -> wire_pb2.CreateRoomRequest:
        """Return what is asked for, its preset resolved; never changes what it is given.

        `tells_names`: the caller is known, and may be told which presets there are.
        """
        ...

    def announce(self, project: str, wanted: wire_pb2.CreateRoomRequest) -> None:
        """The SFU is about to be asked for a room with agents."""
        ...

    def withdraw(self, project: str, wanted: wire_pb2.CreateRoomRequest) -> None:
        """The SFU has refused it."""
        ...

    async def created(
        self, project: str, wanted: wire_pb2.CreateRoomRequest, room: wire_pb2.Room
    ) -> None:
        """The SFU has made the room, or had it before; its caller is answered after this."""
        ...


def mark_of(agents: Iterable[wire_pb2.RoomAgentDispatch]) -> str:
    """Return the mark of these agents, in this order; empty where there are none."""
    digest = hashlib.sha256()
    count = 0
    for agent in agents:
        said = agent.SerializeToString(deterministic=True)
        digest.update(b"%d:" % len(said) + said)
        count += 1
    return digest.hexdigest() if count else ""


def without_agents(
    body: bytes,
    asked: wire_pb2.CreateRoomRequest,
    wanted: wire_pb2.CreateRoomRequest,
    form: BodyFormat,
) -> bytes:
    """Return the request for what is wanted, with NOBODY as its agent; all else is as it came."""
    for_sfu = wire_pb2.CreateRoomRequest()
    for_sfu.CopyFrom(wanted)
    del for_sfu.agents[:]
    for_sfu.agents.add(agent_name=NOBODY, metadata=mark_of(wanted.agents))
    if form is BodyFormat.PROTOBUF:
        return for_sfu.SerializeToString()
    if wanted.HasField("egress") and not asked.HasField("egress"):
        # Our schema carries egress without reading it, so that it cannot be written as JSON.
        raise TwirpError(
            TwirpCode.FAILED_PRECONDITION,
            "the room configuration has an egress, which a call in JSON cannot be given:"
            " name the egress in the call, or call in protobuf",
        )
    # Only what differs is written: of the rest our schema may not know all.
    content: dict[str, Any] = json.loads(body)
    before, after = _fields(asked), _fields(for_sfu)
    for field in wire_pb2.CreateRoomRequest.DESCRIPTOR.fields:
        if before.get(field.name) != after.get(field.name):
            content.pop(field.name, None)
            content.pop(field.json_name, None)
            if field.name in after:
                content[field.name] = after[field.name]
    return json.dumps(content).encode()


def _fields(request: wire_pb2.CreateRoomRequest) -> dict[str, Any]:
    return json_format.MessageToDict(request, preserving_proto_field_name=True)
