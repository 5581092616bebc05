"""CreateRoom without the bridge: what the SFU is asked for, when a room's agents are ours to dispatch.

For one agent that nobody serves: with an empty list LiveKit would dispatch by itself, to whoever is
registered there without a name. All else of the request goes on as it came, fields that our schema
does not know among it.

Left to others: what becomes of the agents (`OnCreateRoom`), which presets there are
(`ResolvePreset`), the way there and back (`passthrough`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf import json_format

from protocol import wire_pb2
from protocol.codec import BodyFormat

# The agent that the SFU is asked for in place of those that we dispatch; no worker registers it.
NOBODY = "callboard.nobody"

# Told that the SFU has made a room: for which project, and what was asked for, presets resolved.
OnCreateRoom = Callable[[str, wire_pb2.CreateRoomRequest], Awaitable[None]]
# Returns what a caller of a project asks for with its preset resolved, where that is ours: the SFU
# refuses a preset that it does not know. Raises WireError; never changes what it is given.
ResolvePreset = Callable[[str, wire_pb2.CreateRoomRequest], wire_pb2.CreateRoomRequest]


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
    for_sfu.agents.add(agent_name=NOBODY)
    if form is BodyFormat.PROTOBUF:
        return for_sfu.SerializeToString()
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
