"""Our messages are LiveKit's, number by number and byte for byte, in one process."""

import livekit.protocol.agent
import livekit.protocol.agent_dispatch
import livekit.protocol.agent_worker
import livekit.protocol.models
import livekit.protocol.room
import livekit.protocol.webhook  # noqa: F401  (each import registers its messages)
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import wire_pb2
from tests.unit.protocol.random_messages import is_map, random_message

EXTENSION_NUMBER_MIN = 100

# Ours alone.
EXTENSION_MESSAGES = {"HandOver", "MigrateVerdict", "StatusReceipt"}

# Declared without fields: carried, not read.
CARRIED = {
    "AgentHandoff",
    "ChatMessage",
    "DataTrackInfo",
    "EgressInfo",
    "FunctionCall",
    "FunctionCallOutput",
    "IngressInfo",
    "RoomEgress",
    "TrackInfo",
}
# Only the scope of enums and nested messages.
SCOPES = {"AgentHttp", "ClientInfo"}

PROMISED = """
    WorkerMessage ServerMessage Job JobState RegisterWorkerRequest RegisterWorkerResponse
    AvailabilityRequest AvailabilityResponse JobAssignment JobTermination UpdateJobStatus
    UpdateWorkerStatus MigrateJobRequest SimulateJobRequest WorkerPing WorkerPong ServerInfo
    ParticipantPermission Room ParticipantInfo CreateAgentDispatchRequest
    DeleteAgentDispatchRequest ListAgentDispatchRequest ListAgentDispatchResponse AgentDispatch
    AgentDispatchState RoomAgentDispatch RoomConfiguration CreateRoomRequest WebhookEvent
    TextMessageRequest TextMessageResponse TextMessageComplete TextMessageError AgentSessionState
""".split()  # noqa: SIM905  (a table reads better)

# Our extensions, which other programs rely on: message, field, number, type, repeated, presence.
EXTENSIONS = {
    ("RegisterWorkerRequest", "capacity", 100, FieldDescriptor.TYPE_UINT32, False, True),
    ("RegisterWorkerRequest", "types", 101, FieldDescriptor.TYPE_ENUM, True, False),
    ("RegisterWorkerRequest", "grace_milliseconds", 102, FieldDescriptor.TYPE_UINT32, False, True),
    ("RegisterWorkerResponse", "extensions", 100, FieldDescriptor.TYPE_STRING, True, False),
    ("AvailabilityRequest", "epoch", 100, FieldDescriptor.TYPE_UINT64, False, True),
    ("AvailabilityRequest", "attempt", 101, FieldDescriptor.TYPE_UINT32, False, False),
    ("AvailabilityRequest", "attempt_reason", 102, FieldDescriptor.TYPE_STRING, False, False),
    ("JobAssignment", "epoch", 100, FieldDescriptor.TYPE_UINT64, False, True),
    ("JobAssignment", "attempt", 101, FieldDescriptor.TYPE_UINT32, False, False),
    ("JobAssignment", "attempt_reason", 102, FieldDescriptor.TYPE_STRING, False, False),
    ("MigrateJobRequest", "epochs", 100, FieldDescriptor.TYPE_UINT64, True, False),
    ("UpdateJobStatus", "epoch", 100, FieldDescriptor.TYPE_UINT64, False, True),
    ("UpdateJobStatus", "sequence", 101, FieldDescriptor.TYPE_UINT64, False, True),
    ("WorkerMessage", "hand_over", 100, FieldDescriptor.TYPE_MESSAGE, False, True),
    ("ServerMessage", "migrate_verdicts", 100, FieldDescriptor.TYPE_MESSAGE, True, False),
    ("ServerMessage", "status_receipt", 101, FieldDescriptor.TYPE_MESSAGE, False, True),
}


def _own_messages(messages: dict[str, Descriptor]) -> dict[str, Descriptor]:
    """Messages by their name within the package, nested ones too, without map entries."""
    found: dict[str, Descriptor] = {}
    for descriptor in messages.values():
        if not descriptor.GetOptions().map_entry:
            found[descriptor.full_name.removeprefix("callboard.wire.")] = descriptor
            found |= _own_messages(dict(descriptor.nested_types_by_name))
    return found


OURS = _own_messages(dict(wire_pb2.DESCRIPTOR.message_types_by_name))
SHARED = sorted(set(OURS) - EXTENSION_MESSAGES)
READ = sorted(set(SHARED) - CARRIED - SCOPES)


def _theirs(name: str) -> Descriptor:
    pool = descriptor_pool.Default()
    for package in ("livekit", "livekit.agent"):
        try:
            return pool.FindMessageTypeByName(f"{package}.{name}")
        except KeyError:
            continue
    raise AssertionError(f"LiveKit has no message {name}")


def _local_name(full_name: str) -> str:
    for package in ("callboard.wire.", "livekit.agent.", "livekit."):
        if full_name.startswith(package):
            return full_name.removeprefix(package)
    raise AssertionError(full_name)


def _shape(field: FieldDescriptor) -> dict[str, object]:
    """Everything about a field that a peer can notice."""
    shape: dict[str, object] = {
        "name": field.name,
        "json_name": field.json_name,
        "type": field.type,
        "repeated": field.is_repeated,
        "packed": field.is_packed,
        "presence": field.has_presence,
        "oneof": field.containing_oneof.name if field.containing_oneof else None,
        "map": is_map(field),
    }
    if field.message_type is not None:
        shape["message"] = _local_name(field.message_type.full_name)
    if field.enum_type is not None:
        shape["enum"] = _local_name(field.enum_type.full_name)
        shape["values"] = {value.number: value.name for value in field.enum_type.values}
    return shape


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def test_every_promised_message_is_there() -> None:
    assert set(PROMISED) <= set(READ)


@pytest.mark.parametrize("name", READ)
def test_each_field_below_100_is_livekits(name: str) -> None:
    ours = {f.number: _shape(f) for f in OURS[name].fields if f.number < EXTENSION_NUMBER_MIN}
    theirs = {f.number: _shape(f) for f in _theirs(name).fields}

    assert ours == theirs


@pytest.mark.parametrize("name", sorted(CARRIED))
def test_a_carried_message_has_no_fields_of_ours(name: str) -> None:
    assert not OURS[name].fields
    assert _theirs(name).fields


def test_the_extensions_are_those_that_are_written_down() -> None:
    found = {
        (name, f.name, f.number, f.type, f.is_repeated, f.has_presence)
        for name in SHARED
        for f in OURS[name].fields
        if f.number >= EXTENSION_NUMBER_MIN
    }

    assert found == EXTENSIONS


def test_no_field_takes_a_number_that_livekit_retired() -> None:
    retired = {
        "RegisterWorkerRequest": {2, 4},
        "UpdateJobStatus": {4, 5},
        "UpdateWorkerStatus": {2},
        "MigrateJobRequest": {1},
    }

    for name, numbers in retired.items():
        assert not numbers & set(OURS[name].fields_by_number), name


@pytest.mark.parametrize("name", SHARED)
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), density=st.sampled_from((0.0, 0.1, 0.5, 1.0)))
def test_what_livekit_writes_comes_back_byte_for_byte(name: str, seed: int, density: float) -> None:
    theirs = random_message(_theirs(name), seed, density)

    ours = GetMessageClass(OURS[name]).FromString(_bytes(theirs))

    assert _bytes(ours) == _bytes(theirs)


@pytest.mark.parametrize("name", SHARED)
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), density=st.sampled_from((0.0, 0.1, 0.5, 1.0)))
def test_what_we_write_with_our_extensions_passes_through_livekit_byte_for_byte(
    name: str, seed: int, density: float
) -> None:
    ours = random_message(OURS[name], seed, density)

    theirs = GetMessageClass(_theirs(name)).FromString(_bytes(ours))

    assert _bytes(theirs) == _bytes(ours)


@pytest.mark.parametrize("name", READ)
def test_a_field_that_livekit_adds_later_survives(name: str) -> None:
    later = b"\xc2\x3e\x05later"  # field 1000, five bytes
    ours = random_message(OURS[name], 7, 0.5)

    again = GetMessageClass(OURS[name]).FromString(_bytes(ours) + later)

    assert _bytes(again) == _bytes(ours) + later


def test_an_optional_field_that_is_empty_is_still_there() -> None:
    request = wire_pb2.RegisterWorkerRequest(namespace="", capacity=0)

    again = wire_pb2.RegisterWorkerRequest.FromString(request.SerializeToString())

    assert again.HasField("namespace")
    assert again.HasField("capacity")
    assert not wire_pb2.RegisterWorkerRequest().HasField("capacity")
