"""What a room configuration may be, which one is meant, and what it gives to a new room (A18).

Precedence, field by field: what the request says, then its preset, then the configuration named
"default". (LiveKit's own server knows the first two; its `applyNamedRoomConfiguration`.) A field
that is empty is not said. Configurations of the server's file hold for all projects, and stand
before one of the same name that came by API.

Left to others: keeping them (`core.configurations`), their files (`room_configuration_files`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from protocol import wire_pb2
from protocol.checks import check_create_dispatch
from protocol.errors import InvalidField, LimitExceeded, TwirpCode, TwirpError
from protocol.limits import (
    DEFAULT_LIMITS,
    KIB,
    WireLimits,
    check_attributes,
    check_count,
    check_metadata,
    check_text,
)

# Whose fields are given to each room that does not say otherwise.
DEFAULT = "default"

# Fields that a configuration and a CreateRoomRequest share, by name.
_SHARED = (
    "empty_timeout",
    "departure_timeout",
    "max_participants",
    "egress",
    "min_playout_delay",
    "max_playout_delay",
    "sync_streams",
    "metadata",
    "agents",
    "tags",
)
_NAMES_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class RoomConfigurationLimits:
    """The bounds of room configurations. Bounds of agent names and the like are `WireLimits`."""

    # Configurations of one project, and the same of the file.
    configurations_max: int = 100
    name_bytes_max: int = 128
    # One configuration as a message.
    configuration_bytes_max: int = 64 * KIB
    # Agents of one configuration, and of one CreateRoom.
    agents_max: int = 64


DEFAULT_CONFIGURATION_LIMITS = RoomConfigurationLimits()


def check_configuration(
    configuration: wire_pb2.RoomConfiguration,
    limits: RoomConfigurationLimits = DEFAULT_CONFIGURATION_LIMITS,
    wire: WireLimits = DEFAULT_LIMITS,
) -> None:
    """Refuse a configuration that breaks a bound: InvalidField or LimitExceeded."""
    check_configuration_name("name", configuration.name, limits)
    size, size_max = configuration.ByteSize(), limits.configuration_bytes_max
    if size > size_max:
        raise LimitExceeded("configuration", size, size_max)
    check_metadata("metadata", configuration.metadata, wire)
    check_attributes("tags", configuration.tags, wire)
    # Any room will do: it is not known yet.
    check_agents(configuration.agents, "room", limits, wire)


def check_configuration_name(field: str, name: str, limits: RoomConfigurationLimits) -> None:
    """Refuse a name that is missing, too long, or has what is not printed."""
    if not name:
        raise InvalidField(field, "is missing")
    check_text(field, name, limits.name_bytes_max)
    if not name.isprintable() or name != name.strip():
        raise InvalidField(field, "must not begin or end with a space, nor hold control characters")


def check_agents(
    agents: Iterable[wire_pb2.RoomAgentDispatch],
    room: str,
    limits: RoomConfigurationLimits,
    wire: WireLimits,
) -> None:
    """Refuse agents that cannot be dispatched to a room: InvalidField or LimitExceeded."""
    requests = [dispatch_request(agent, room) for agent in agents]
    check_count("agents", len(requests), limits.agents_max, "agents")
    for request in requests:
        check_create_dispatch(request, wire)
        if request.restart_policy not in wire_pb2.JobRestartPolicy.values():
            raise InvalidField("restart_policy", "is not a restart policy")


def dispatch_request(
    agent: wire_pb2.RoomAgentDispatch, room: str
) -> wire_pb2.CreateAgentDispatchRequest:
    """Return the call that dispatches an agent of a room's making."""
    request = wire_pb2.CreateAgentDispatchRequest()
    request.agent_name = agent.agent_name
    request.room = room
    request.metadata = agent.metadata
    request.restart_policy = agent.restart_policy
    request.deployment = agent.deployment
    request.attributes.update(agent.attributes)
    return request


class Presets:
    """All room configurations: those of the file, and those that the engine keeps."""

    def __init__(
        self,
        of_file: Mapping[str, wire_pb2.RoomConfiguration],
        kept: Callable[[], Mapping[tuple[str, str], bytes]],
    ) -> None:
        self._of_file = of_file
        self._kept = kept

    def is_of_file(self, name: str) -> bool:
        """Is one of this name in the server's file?"""
        return name in self._of_file

    def find(self, project: str, name: str) -> wire_pb2.RoomConfiguration | None:
        """Return the configuration of a name; it is not to be changed."""
        found = self._of_file.get(name)
        if found is not None:
            return found
        config = self._kept().get((project, name))
        return wire_pb2.RoomConfiguration.FromString(config) if config is not None else None

    def names(self, project: str) -> list[str]:
        """Return the names that a project has, sorted."""
        kept = {name for owner, name in self._kept() if owner == project}
        return sorted(kept | set(self._of_file))

    def resolve(
        self, project: str, request: wire_pb2.CreateRoomRequest, *, tells_names: bool = True
    ) -> wire_pb2.CreateRoomRequest:
        """Return what a request asks for, with what its preset and the default give to it.

        Its `room_preset` is empty: nobody else knows ours. Raises TwirpError `invalid_argument`
        for a preset that there is not, with those that there are if the caller may know.
        """
        wanted = wire_pb2.CreateRoomRequest()
        wanted.CopyFrom(request)
        wanted.ClearField("room_preset")
        if request.room_preset:
            preset = self.find(project, request.room_preset)
            if preset is None:
                raise self._unknown(project, request.room_preset, tells_names)
            _fill(wanted, preset)
        default = self.find(project, DEFAULT)
        if default is not None:
            _fill(wanted, default)
        return wanted

    def _unknown(self, project: str, name: str, tells_names: bool) -> TwirpError:
        text = f"room_preset {name[:200]!r} is unknown"
        if tells_names:
            names = self.names(project)
            shown = ", ".join(names[:_NAMES_SHOWN_MAX])
            if len(names) > _NAMES_SHOWN_MAX:
                shown += f" and {len(names) - _NAMES_SHOWN_MAX} more"
            text += f"; there are: {shown}" if names else "; there is none"
        return TwirpError(TwirpCode.INVALID_ARGUMENT, text)


def _fill(wanted: wire_pb2.CreateRoomRequest, given: wire_pb2.RoomConfiguration) -> None:
    """Give a request what it leaves open."""
    said = {field.name for field, _ in wanted.ListFields()}
    for name in _SHARED:
        if name in said:
            continue
        match name:
            case "egress":
                if given.HasField("egress"):
                    wanted.egress.CopyFrom(given.egress)
            case "agents":
                wanted.agents.extend(given.agents)
            case "tags":
                wanted.tags.update(given.tags)
            case _:
                setattr(wanted, name, getattr(given, name))
