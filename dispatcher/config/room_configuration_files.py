"""Room configurations in YAML: a mapping from each name to its fields, as the configuration file has it.

    default:
      empty_timeout: 60
      agents:
        - {agent_name: greeter, restart_policy: never}

The fields are those of LiveKit's RoomConfiguration, by the names and kinds of our schema. Every error
is a ConfigError in one line, with its place; a name that no field has is answered with the nearest.

Left to others: what a configuration may be beyond its form (`room_configurations`), whose errors
name the field without a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from dispatcher.config import values
from dispatcher.config.values import Value
from dispatcher.room_configurations import RoomConfigurationLimits, check_configuration
from protocol import wire_pb2
from protocol.errors import ConfigError, InvalidField, LimitExceeded
from protocol.limits import DEFAULT_LIMITS, WireLimits

FILE_BYTES_MAX = 4 * 1024 * 1024

# The key under which a server's configuration file has them.
SECTION = "room_configurations"

_UINT32_MAX = (1 << 32) - 1
_WANTED = "a mapping from names to fields, such as {default: {empty_timeout: 60}}"

Configurations = Mapping[str, wire_pb2.RoomConfiguration]


def load_configurations(path: Path, limits: RoomConfigurationLimits) -> Configurations:
    """Read a file of configurations, or of a server's options. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    return parse_configurations(raw, str(path), limits)


def parse_configurations(
    raw: bytes, source: str, limits: RoomConfigurationLimits
) -> Configurations:
    """Read configurations from the bytes of a file; `source` is its name in errors."""
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"{source}: is larger than {FILE_BYTES_MAX} bytes")
    try:
        root = values.compose(raw.decode("utf-8-sig"), source, in_file=True)
    except UnicodeDecodeError:
        raise ConfigError(f"{source}: is not UTF-8 text") from None
    if root is None:
        raise ConfigError(f"{source}: has no room configuration in it")
    whole = Value(root, "", source, in_file=True)
    for name, inner in values.entries(whole, _WANTED):
        if name == SECTION:
            whole = inner
    found = read_configurations(whole)
    check_configurations(found, source, limits)
    return found


def read_configurations(value: Value) -> Configurations:
    """Read a mapping from names to fields. Raises ConfigError; bounds are not looked at."""
    found: dict[str, wire_pb2.RoomConfiguration] = {}
    for name, inner in values.entries(value, _WANTED):
        configuration = wire_pb2.RoomConfiguration()
        if not values.is_unset(inner):
            _read_message(inner, configuration, leave_out=("name", "egress"))
        configuration.name = name
        found[name] = configuration
    return found


def check_configurations(
    found: Configurations,
    source: str,
    limits: RoomConfigurationLimits,
    wire: WireLimits = DEFAULT_LIMITS,
) -> None:
    """Refuse configurations that break a bound. Raises ConfigError."""
    if len(found) > limits.configurations_max:
        raise ConfigError(
            f"{source}: there are {len(found)} room configurations,"
            f" the limit is {limits.configurations_max}"
        )
    for name, configuration in found.items():
        try:
            check_configuration(configuration, limits, wire)
        except (InvalidField, LimitExceeded) as error:
            raise ConfigError(f"{source}: {name[:60]!r}: {error}") from None


# ---- from nodes to messages ----


def _read_message(value: Value, message: Message, leave_out: tuple[str, ...] = ()) -> None:
    known = [field.name for field in message.DESCRIPTOR.fields if field.name not in leave_out]
    for name, inner in values.entries(value, "a mapping of fields"):
        if name == "egress":
            raise ConfigError(
                f"{inner.place}: {inner.name}: an egress can be set only by a call in protobuf"
            )
        if name not in known:
            error = str(values.unknown(inner, name, known))
            raise ConfigError(error.replace("unknown option", "unknown field", 1))
        if not values.is_unset(inner):
            _read_field(inner, message, name)


def _read_field(value: Value, message: Message, name: str) -> None:
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        texts = getattr(message, name)
        for key, inner in values.entries(value, "a mapping from texts to texts"):
            texts[key] = _text(inner)
    elif field.is_repeated:
        rows = getattr(message, name)
        for item in values.items(value, "a list"):
            _read_message(item, rows.add())
            if name == "agents":
                _check_agent_named(item)
    elif field.enum_type is not None:
        # JRP_ON_FAILURE is written on_failure.
        numbers = {
            each.name.partition("_")[2].lower(): each.number for each in field.enum_type.values
        }
        setattr(message, name, numbers[values.choice_of(value, numbers)])
    elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        setattr(message, name, values.switch_of(value))
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        setattr(message, name, _text(value))
    else:
        setattr(message, name, values.integer_of(value, 0, _UINT32_MAX))


def _check_agent_named(item: Value) -> None:
    """Refuse an agent whose name was left out: it would call the workers that have none."""
    names = [inner for name, inner in values.entries(item, "a mapping") if name == "agent_name"]
    if not names or values.is_unset(names[0]):
        place = names[0].place if names else item.place
        raise ConfigError(
            f"{place}: {item.name}.agent_name is missing; a worker without a name is called by ''"
        )


def _text(value: Value) -> str:
    if not isinstance(value.node, yaml.ScalarNode):
        value.fail("a text; JSON goes into quotes")
    return str(value.node.value)
