"""callboard.RoomService: which rooms there are and who is in them, and events told without an SFU.

The engine knows the rooms; an event is answered when what follows from it is durable. The same id
again is the same event, here and in webhooks.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Collection, Mapping

from dispatcher.core.room_states import RoomKey, RoomState
from dispatcher.server.job_service import may_read
from dispatcher.server.limits import ServerLimits
from dispatcher.server.pages import page_size, place_after
from dispatcher.server.room_jobs import RoomJobs
from dispatcher.server.room_reports import RoomReports, Taken
from dispatcher.server.twirp import Call, Method, MethodTable
from dispatcher.server.wire_rooms import fill_participant, fill_room, read_report
from protocol import api_pb2
from protocol.errors import InvalidField, TwirpCode, TwirpError
from protocol.limits import check_room_name

SERVICE = "callboard.RoomService"

# A room's place in the list: when it started, and for those that started together a number.
_Place = tuple[int, int]
_PLACE_CHARACTERS_MAX = 20  # of each of the two


class RoomService:
    """Answers questions about rooms, and takes what is told of them."""

    def __init__(
        self,
        rooms: Callable[[], Mapping[RoomKey, RoomState]],
        reports: RoomReports,
        limits: ServerLimits,
        jobs: RoomJobs | None = None,
    ) -> None:
        self._rooms = rooms
        self._jobs = jobs
        self._reports = reports
        self._limits = limits.wire

    def methods(self) -> MethodTable:
        """Return the service's rows of the Twirp table."""
        return {
            SERVICE: {
                "ReportRoomEvent": Method(
                    api_pb2.ReportRoomEventRequest,
                    may_read,
                    self.report,
                    takes_unknown_names=True,
                ),
                "ListRooms": Method(api_pb2.ListRoomsRequest, may_read, self.list),
                "GetRoom": Method(api_pb2.GetRoomRequest, may_read, self.get),
            }
        }

    async def report(
        self, call: Call, request: api_pb2.ReportRoomEventRequest
    ) -> api_pb2.ReportRoomEventResponse:
        """Take an event in (LiveKit's webhook, without an SFU)."""
        event = read_report(request.event, call.project, self._limits)
        answer = await self._reports.report(event, request.event.id)
        if answer.taken is Taken.REFUSED:
            raise TwirpError(TwirpCode.RESOURCE_EXHAUSTED, answer.detail)
        return api_pb2.ReportRoomEventResponse(told_before=answer.taken is Taken.BEFORE)

    async def list(
        self, call: Call, request: api_pb2.ListRoomsRequest
    ) -> api_pb2.ListRoomsResponse:
        """List the rooms that are there, the one that started last first."""
        size = page_size(request.page_size, self._limits)
        after = _place_of(place_after(request.page_token, self._limits))
        places = (
            (_place(room), room)
            for (project, _), room in self._rooms().items()
            if project == call.project
        )
        rest = (entry for entry in places if after is None or entry[0] < after)
        found = heapq.nlargest(size + 1, rest, key=lambda entry: entry[0])
        response = api_pb2.ListRoomsResponse()
        for _, room in found[:size]:
            fill_room(response.rooms.add(), room)
        self._add_jobs(call.project, response.rooms)
        if len(found) > size:
            response.next_page_token = "{}-{}".format(*found[size - 1][0])
        return response

    async def get(self, call: Call, request: api_pb2.GetRoomRequest) -> api_pb2.RoomRecord:
        """Tell all of one room, with who is in it, by their identities."""
        check_room_name("name", request.name, self._limits)
        room = self._rooms().get((call.project, request.name))
        if room is None:
            raise TwirpError(TwirpCode.NOT_FOUND, "the room is not there")
        record = api_pb2.RoomRecord()
        fill_room(record, room)
        for member in sorted(room.members.values(), key=lambda each: each.participant.identity):
            fill_participant(record.participants.add(), member)
        self._add_jobs(call.project, [record])
        return record

    def _add_jobs(self, project: str, records: Collection[api_pb2.RoomRecord]) -> None:
        """Add the live jobs that a room's own record does not name."""
        if self._jobs is None or not records:
            return
        by_room = self._jobs.by_subject(project, [record.name for record in records])
        for record in records:
            people = {who.sid: who for who in record.participants if who.sid}
            named = {*record.job_ids, *(j for who in record.participants for j in who.job_ids)}
            for job_id, sid in sorted(by_room[record.name].items()):
                if job_id not in named:
                    (people.get(sid) or record).job_ids.append(job_id)


def _place(room: RoomState) -> _Place:
    return room.started_at, zlib.crc32(room.info.name.encode())


def _place_of(token: str) -> _Place | None:
    """Return the place that a page token names, None for the first page. Raises InvalidField."""
    if not token:
        return None
    numbers = token.split("-")
    if len(numbers) != 2 or not all(
        number.isascii() and number.isdecimal() and len(number) <= _PLACE_CHARACTERS_MAX
        for number in numbers
    ):
        raise InvalidField("page_token", "is not one that this server gave")
    return int(numbers[0]), int(numbers[1])
