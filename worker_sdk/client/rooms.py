"""Calls of callboard.RoomService: rooms as the server knows them, and events told without an SFU."""

from __future__ import annotations

import uuid

from protocol import api_pb2
from worker_sdk.client.messages import ReportedRoomEvent
from worker_sdk.client.paging import Page, Rows
from worker_sdk.client.transport import Call, Calls

__all__ = ["RoomCalls"]

_SERVICE = "callboard.RoomService"


class RoomCalls(Calls):
    """Rooms, who is in them, and what happens there."""

    async def list_rooms(
        self, *, page_size: int = 0, page_token: str = ""
    ) -> api_pb2.ListRoomsResponse:
        """One page of the rooms that are there, newest first, without who is in them.

        `page_size` 0: the server's default. `next_page_token` of the answer leads to the next page.
        """
        request = api_pb2.ListRoomsRequest(page_size=page_size, page_token=page_token)
        return await self._transport.call(
            Call(_SERVICE, "ListRooms", request, api_pb2.ListRoomsResponse)
        )

    def iterate_rooms(self, *, page_size: int = 0) -> Rows[api_pb2.RoomRecord]:
        """All rooms that are there, over all pages, newest first."""

        async def fetch(page_token: str, /) -> Page[api_pb2.RoomRecord]:
            answer = await self.list_rooms(page_size=page_size, page_token=page_token)
            return Page(answer.rooms, answer.next_page_token)

        return Rows(fetch)

    async def get_room(self, name: str) -> api_pb2.RoomRecord:
        """One room with everybody in it. TwirpError `not_found` where there is none."""
        request = api_pb2.GetRoomRequest(name=name)
        return await self._transport.call(Call(_SERVICE, "GetRoom", request, api_pb2.RoomRecord))

    async def report_room_event(self, event: api_pb2.RoomEvent) -> ReportedRoomEvent:
        """Tell what happened in a room. When this returns, what follows is on the server's disk.

        `event.event` is one of LiveKit's names (room_started, participant_joined ...), `created_at` in
        seconds since the epoch. The same `event.id` again is the same event; an event without one is
        given its own, which is returned. TwirpError `invalid_argument`, and `resource_exhausted` over
        a bound of the server's.
        """
        request = api_pb2.ReportRoomEventRequest(event=event)
        request.event.id = event.id or f"EV_{uuid.uuid4().hex}"
        answer = await self._transport.call(
            Call(_SERVICE, "ReportRoomEvent", request, api_pb2.ReportRoomEventResponse)
        )
        return ReportedRoomEvent(request.event.id, answer.told_before)
