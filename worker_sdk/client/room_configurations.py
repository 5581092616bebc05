"""Calls of callboard.RoomConfigurationService: presets of rooms, with the agents of each."""

from __future__ import annotations

from protocol import api_pb2, wire_pb2
from worker_sdk.client.retries import Repeatable
from worker_sdk.client.transport import Call, Calls

__all__ = ["RoomConfigurationCalls"]

_SERVICE = "callboard.RoomConfigurationService"


class RoomConfigurationCalls(Calls):
    """Room configurations. Those of the server's file are `failed_precondition` to change."""

    async def create_room_configuration(
        self, configuration: wire_pb2.RoomConfiguration
    ) -> wire_pb2.RoomConfiguration:
        """Create one. TwirpError `already_exists` where there is another of its name.

        Just the same again changes nothing.
        """
        return await self._transport.call(
            Call(
                _SERVICE,
                "Create",
                api_pb2.CreateRoomConfigurationRequest(configuration=configuration),
                wire_pb2.RoomConfiguration,
            )
        )

    async def update_room_configuration(
        self, configuration: wire_pb2.RoomConfiguration
    ) -> wire_pb2.RoomConfiguration:
        """Replace one, whole. TwirpError `not_found` where there is none of its name.

        It overwrites what is there, and for that is not repeated when its answer was lost:
        ServerUnreachable with `may_have_happened`.
        """
        return await self._transport.call(
            Call(
                _SERVICE,
                "Update",
                api_pb2.UpdateRoomConfigurationRequest(configuration=configuration),
                wire_pb2.RoomConfiguration,
                Repeatable.NEVER,
            )
        )

    async def list_room_configurations(self) -> list[wire_pb2.RoomConfiguration]:
        """All room configurations by name, those of the server's file among them; no pages."""
        answer = await self._transport.call(
            Call(
                _SERVICE,
                "List",
                api_pb2.ListRoomConfigurationsRequest(),
                api_pb2.ListRoomConfigurationsResponse,
            )
        )
        return list(answer.configurations)

    async def delete_room_configuration(self, name: str) -> wire_pb2.RoomConfiguration:
        """Delete one, and return what it was. TwirpError `not_found` where there is none."""
        return await self._transport.call(
            Call(
                _SERVICE,
                "Delete",
                api_pb2.DeleteRoomConfigurationRequest(name=name),
                wire_pb2.RoomConfiguration,
                gone=wire_pb2.RoomConfiguration(name=name),
            )
        )
