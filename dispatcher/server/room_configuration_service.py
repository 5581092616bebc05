"""callboard.RoomConfigurationService: presets of rooms are created, changed, listed and deleted (A18).

The engine keeps them; a change is answered when it is durable. Those of the server's configuration file
are listed with the others, and changed there alone.

Left to others: what a configuration may be, and who stands before whom (`room_configurations`).
"""

from __future__ import annotations

from google.protobuf.message import Message

from dispatcher.core.effects import Outcome
from dispatcher.core.events import (
    RoomConfigurationChangeRequested,
    RoomConfigurationCreationRequested,
    RoomConfigurationDeletionRequested,
)
from dispatcher.room_configurations import (
    Presets,
    RoomConfigurationLimits,
    check_configuration,
    check_configuration_name,
)
from dispatcher.runtime import Runtime
from dispatcher.server.job_service import may_read
from dispatcher.server.limits import ServerLimits
from dispatcher.server.twirp import Call, Method, MethodTable
from protocol import api_pb2, wire_pb2
from protocol.errors import InvalidField, TwirpCode, TwirpError

SERVICE = "callboard.RoomConfigurationService"

Given = api_pb2.CreateRoomConfigurationRequest | api_pb2.UpdateRoomConfigurationRequest


class RoomConfigurationService:
    """Answers calls about room configurations."""

    def __init__(
        self,
        runtime: Runtime,
        presets: Presets,
        limits: ServerLimits,
        configuration_limits: RoomConfigurationLimits,
    ) -> None:
        self._runtime = runtime
        self._presets = presets
        self._wire = limits.wire
        self._limits = configuration_limits

    def methods(self) -> MethodTable:
        """Return the service's rows of the Twirp table."""
        return {
            SERVICE: {
                "Create": Method(
                    api_pb2.CreateRoomConfigurationRequest,
                    may_read,
                    self.create,
                    takes_unknown=False,
                ),
                "Update": Method(
                    api_pb2.UpdateRoomConfigurationRequest,
                    may_read,
                    self.update,
                    takes_unknown=False,
                ),
                "List": Method(api_pb2.ListRoomConfigurationsRequest, may_read, self.list),
                "Delete": Method(api_pb2.DeleteRoomConfigurationRequest, may_read, self.delete),
            }
        }

    async def create(
        self, call: Call, request: api_pb2.CreateRoomConfigurationRequest
    ) -> wire_pb2.RoomConfiguration:
        """Create one; the same again changes nothing, another of that name is refused."""
        configuration = self._given(request)
        name, config = configuration.name, _config_of(configuration)
        self._check_place_for(call.project, name)
        reply = await self._runtime.ask(
            lambda number: RoomConfigurationCreationRequested(number, call.project, name, config)
        )
        if reply.outcome is Outcome.REFUSED:
            raise TwirpError(
                TwirpCode.ALREADY_EXISTS,
                f"there is another room configuration {name!r}; Update changes it",
            )
        return configuration

    async def update(
        self, call: Call, request: api_pb2.UpdateRoomConfigurationRequest
    ) -> wire_pb2.RoomConfiguration:
        """Put another one, whole, in the place of what has its name. Rooms that are there stay."""
        configuration = self._given(request)
        name, config = configuration.name, _config_of(configuration)
        reply = await self._runtime.ask(
            lambda number: RoomConfigurationChangeRequested(number, call.project, name, config)
        )
        if reply.outcome is Outcome.NOT_FOUND:
            raise _not_found(name)
        return configuration

    async def list(
        self, call: Call, _request: api_pb2.ListRoomConfigurationsRequest
    ) -> api_pb2.ListRoomConfigurationsResponse:
        """List all by name, those of the file among them."""
        response = api_pb2.ListRoomConfigurationsResponse()
        for name in self._presets.names(call.project):
            found = self._presets.find(call.project, name)
            if found is not None:
                response.configurations.append(found)
        return response

    async def delete(
        self, call: Call, request: api_pb2.DeleteRoomConfigurationRequest
    ) -> wire_pb2.RoomConfiguration:
        """Delete one, and answer with what it was."""
        name = request.name
        check_configuration_name("name", name, self._limits)
        self._check_not_of_file(name)
        before = self._presets.find(call.project, name)
        reply = await self._runtime.ask(
            lambda number: RoomConfigurationDeletionRequested(number, call.project, name)
        )
        if before is None or reply.outcome is Outcome.NOT_FOUND:
            raise _not_found(name)
        return before

    def _given(self, request: Given) -> wire_pb2.RoomConfiguration:
        """Return the configuration of a request, checked."""
        if not request.HasField("configuration"):
            raise InvalidField("configuration", "is missing")
        check_configuration(request.configuration, self._limits, self._wire)
        self._check_not_of_file(request.configuration.name)
        return request.configuration

    def _check_not_of_file(self, name: str) -> None:
        if self._presets.is_of_file(name):
            raise TwirpError(
                TwirpCode.FAILED_PRECONDITION,
                f"room configuration {name!r} is in the server's configuration file"
                " (room_configurations), and can be changed only there",
            )

    def _check_place_for(self, project: str, name: str) -> None:
        """Refuse a new one of a project that has as many as it may have."""
        kept, count_max = self._runtime.engine.room_configurations, self._limits.configurations_max
        if (project, name) in kept:
            return
        if sum(1 for owner, _ in kept if owner == project) >= count_max:
            raise TwirpError(
                TwirpCode.RESOURCE_EXHAUSTED,
                f"the project has {count_max} room configurations, which is the limit"
                " (room_configuration_limits.configurations_max)",
            )


def _config_of(configuration: Message) -> bytes:
    """Return the bytes that are kept: the same for the same content."""
    return configuration.SerializeToString(deterministic=True)


def _not_found(name: str) -> TwirpError:
    return TwirpError(TwirpCode.NOT_FOUND, f"there is no room configuration {name!r}")
