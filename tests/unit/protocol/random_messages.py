"""Random messages of any descriptor, from a seed.

Every field may be filled: scalars with edge values, enums with numbers they do not name, maps,
lists, nested messages, optional fields with their default (which must still count as present).
"""

from random import Random
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

DEPTH_MAX = 4

_INTEGERS: dict[int, tuple[int, int]] = {
    FieldDescriptor.TYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_SINT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_ENUM: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_SINT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_FIXED32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.TYPE_FIXED64: (0, (1 << 64) - 1),
}
_FLOATS = (0.0, -0.0, 0.25, 1.0, -3.5, float("inf"), float("-inf"), float("nan"))
_CHARACTERS = "aZ09 _-\n\x00\x7fé\u2028漢\U0001f600"


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map, which protobuf declares as a list of entries."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def random_message(descriptor: Descriptor, seed: int, density: float) -> Message:
    """A message of `descriptor`; `density` is the share of its fields that are set, 0 to 1."""
    message = GetMessageClass(descriptor)()
    _fill(message, Random(seed), density, DEPTH_MAX)
    return message


def _fill(message: Message, random: Random, density: float, depth: int) -> None:
    for field in cast("Descriptor", message.DESCRIPTOR).fields:
        if random.random() > density:
            continue
        target: Any = getattr(message, field.name)
        if is_map(field):
            assert field.message_type is not None
            entry = field.message_type.fields_by_name
            for _ in range(random.randint(1, 3)):
                key = _scalar(entry["key"], random)
                if entry["value"].message_type is None:
                    target[key] = _scalar(entry["value"], random)
                elif depth:
                    _fill(target[key], random, density, depth - 1)
        elif field.message_type is not None:
            if not depth:
                continue
            if field.is_repeated:
                for _ in range(random.randint(1, 2)):
                    _fill(target.add(), random, density, depth - 1)
            else:
                target.SetInParent()
                _fill(target, random, density, depth - 1)
        elif field.is_repeated:
            target.extend(_scalar(field, random) for _ in range(random.randint(1, 3)))
        else:
            setattr(message, field.name, _scalar(field, random))


def _scalar(field: FieldDescriptor, random: Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return "".join(random.choices(_CHARACTERS, k=random.randint(0, 6)))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random.randbytes(random.randint(0, 6))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return random.random() < 0.5
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return random.choice(_FLOATS)
    low, high = _INTEGERS[field.type]
    return random.choice((low, high, 0, 1, 2, random.randint(low, high)))
