"""The calls about rooms, before rooms that we made up and an engine that we hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.events import RoomEventReported
from dispatcher.core.room_events import Participant, ParticipantKind, RoomEvent, RoomInfo
from dispatcher.core.room_states import Member, RoomKey, RoomState
from dispatcher.server.access import Bearer
from dispatcher.server.limits import ServerLimits
from dispatcher.server.room_reports import RoomReports
from dispatcher.server.room_service import RoomService
from dispatcher.server.twirp import Call
from protocol import api_pb2, wire_pb2
from protocol.errors import InvalidField, TwirpCode, TwirpError
from protocol.tokens import Grants

pytestmark = pytest.mark.anyio

CALL = Call(Bearer(Grants("key"), "p"), "")
THEIR_CALL = Call(Bearer(Grants("theirs"), "another"), "")


class Engine:
    """Answers as it is told to, and keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[RoomEvent] = []
        self.outcome = Outcome.DONE

    async def ask(self, make_event: Callable[[int], RoomEventReported], /) -> Reply:
        """Take an event in, and answer."""
        self.events.append(make_event(len(self.events)).event)
        return Reply(len(self.events), self.outcome, detail="there are 7 rooms, which is the limit")


class Rooms:
    """Rooms that are there, and the service that tells of them."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.rooms: dict[RoomKey, RoomState] = {}
        reports = RoomReports(self.engine, 10)
        self.service = RoomService(lambda: self.rooms, reports, ServerLimits())

    def add(self, name: str, started_at: int = 1, project: str = "p") -> RoomState:
        """Add a room."""
        room = RoomState(project, RoomInfo(name, f"RM_{name}", "m"), started_at, started_at)
        self.rooms[room.key] = room
        return room

    async def names(self, size: int, call: Call = CALL) -> list[list[str]]:
        """Return the names on each page of the list."""
        pages: list[list[str]] = []
        token = ""
        while True:
            request = api_pb2.ListRoomsRequest(page_size=size, page_token=token)
            answer = await self.service.list(call, request)
            pages.append([room.name for room in answer.rooms])
            token = answer.next_page_token
            if not token:
                return pages

    async def report(self, call: Call = CALL, event_id: str = "EV_1") -> None:
        """Report that a room has started."""
        event = api_pb2.RoomEvent(event="room_started", room=wire_pb2.Room(name="r"), id=event_id)
        await self.service.report(call, api_pb2.ReportRoomEventRequest(event=event))


@pytest.fixture
def rooms() -> Rooms:
    """No rooms so far."""
    return Rooms()


# --- the list ----------------------------------------------------------------------------------


async def test_rooms_come_in_pages_newest_first(rooms: Rooms) -> None:
    for number in range(5):
        rooms.add(f"r{number}", started_at=number + 1)
    assert await rooms.names(2) == [["r4", "r3"], ["r2", "r1"], ["r0"]]


async def test_a_page_that_is_just_full_is_the_last_one(rooms: Rooms) -> None:
    for number in range(2):
        rooms.add(f"r{number}", started_at=number + 1)
    assert await rooms.names(2) == [["r1", "r0"]]


async def test_rooms_that_started_together_are_all_listed_once(rooms: Rooms) -> None:
    names = {rooms.add(f"r{number}").info.name for number in range(50)}
    pages = await rooms.names(7)
    assert sorted(name for page in pages for name in page) == sorted(names)


async def test_a_room_that_starts_meanwhile_does_not_shift_the_pages(rooms: Rooms) -> None:
    for number in range(3):
        rooms.add(f"r{number}", started_at=number + 1)
    first = await rooms.service.list(CALL, api_pb2.ListRoomsRequest(page_size=1))
    rooms.add("newest", started_at=9)
    request = api_pb2.ListRoomsRequest(page_size=1, page_token=first.next_page_token)
    assert [room.name for room in (await rooms.service.list(CALL, request)).rooms] == ["r1"]


@pytest.mark.parametrize("token", ["x", "1", "1-", "1-2-3", "-1-2", "1-" + "9" * 21, "\u0661-1"])
async def test_a_page_token_that_is_none_is_refused(rooms: Rooms, token: str) -> None:
    with pytest.raises(InvalidField):
        await rooms.service.list(CALL, api_pb2.ListRoomsRequest(page_token=token))


async def test_rooms_of_another_project_are_not_there(rooms: Rooms) -> None:
    rooms.add("ours")
    assert await rooms.names(10, THEIR_CALL) == [[]]
    with pytest.raises(TwirpError) as refused:
        await rooms.service.get(THEIR_CALL, api_pb2.GetRoomRequest(name="ours"))
    assert refused.value.code is TwirpCode.NOT_FOUND


# --- one room ------------------------------------------------------------------------------------


async def test_a_room_is_told_with_everybody_in_it(rooms: Rooms) -> None:
    room = rooms.add("r", started_at=7)
    room.jobs["rule:greet"] = "AJ_1"
    ann = Participant("ann", "PA_1", "Ann", ParticipantKind.SIP, "m", {"tier": "gold"}, joined_at=8)
    bob = Participant("bob", "PA_2")
    room.members["PA_2"] = Member(bob, 9, "PA_2")
    room.members["PA_1"] = Member(
        ann, 9, "PA_1", tracks={"TR_1"}, jobs={"rule:b": "AJ_3", "rule:a": "AJ_2"}
    )
    assert await rooms.service.get(CALL, api_pb2.GetRoomRequest(name="r")) == api_pb2.RoomRecord(
        name="r",
        sid="RM_r",
        metadata="m",
        started_at=7,
        num_participants=2,
        job_ids=["AJ_1"],
        participants=[
            api_pb2.ParticipantRecord(
                sid="PA_1",
                identity="ann",
                name="Ann",
                kind="SIP",
                metadata="m",
                attributes={"tier": "gold"},
                joined_at=8,
                is_publisher=True,
                job_ids=["AJ_2", "AJ_3"],
            ),
            api_pb2.ParticipantRecord(sid="PA_2", identity="bob", kind="STANDARD"),
        ],
    )


async def test_the_list_counts_participants_and_names_none(rooms: Rooms) -> None:
    room = rooms.add("r")
    room.members["PA_1"] = Member(Participant("ann", "PA_1"), 9, "PA_1")
    [record] = (await rooms.service.list(CALL, api_pb2.ListRoomsRequest())).rooms
    assert (record.num_participants, len(record.participants)) == (1, 0)


# --- reports -------------------------------------------------------------------------------------


async def test_a_report_is_of_the_callers_project(rooms: Rooms) -> None:
    await rooms.report(THEIR_CALL)
    assert [event.project for event in rooms.engine.events] == ["another"]


async def test_the_same_id_is_the_same_event(rooms: Rooms) -> None:
    await rooms.report()
    await rooms.report()
    assert len(rooms.engine.events) == 1


async def test_reports_without_ids_are_events_each(rooms: Rooms) -> None:
    await rooms.report(event_id="")
    await rooms.report(event_id="")
    assert len(rooms.engine.events) == 2


async def test_what_is_over_a_bound_is_refused_by_name(rooms: Rooms) -> None:
    rooms.engine.outcome = Outcome.REFUSED
    with pytest.raises(TwirpError) as refused:
        await rooms.report()
    assert refused.value.code is TwirpCode.RESOURCE_EXHAUSTED
    assert refused.value.msg == "there are 7 rooms, which is the limit"
