"""callboard.RoomService on the wire: events without an SFU, and the rooms that come of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.server.peers import Caller, RawWorker, fresh, problem
from tests.integration.server.rooms import (
    GET_ROOM,
    LIST_ROOMS,
    REPORT,
    Life,
    Sfu,
    identities,
    room_of,
)
from tests.support.server import OTHER_PROJECT_KEY, admin_token, room_token, worker_token

pytestmark = pytest.mark.anyio


async def report(api: Caller, event: str, room: str, key: str = "", **fields: Any) -> bool:
    """Report an event that must be taken; return whether it was told before."""
    body = {"event": {"event": event, "room": {"name": room}, **fields}}
    answer = await api.ask(REPORT, body, admin_token(key) if key else admin_token())
    assert set(answer) == {"told_before"}
    return bool(answer["told_before"])


async def test_a_rooms_life_is_told_without_an_sfu(api: Caller) -> None:
    room, ann = fresh("room"), {"identity": "ann", "attributes": {"tier": "gold"}}
    await report(api, "participant_joined", room, participant=ann)
    await report(api, "track_published", room, participant={"identity": "ann"})
    record = await room_of(api, room)
    assert record is not None
    [who] = record["participants"]
    assert (who["identity"], who["attributes"], who["is_publisher"]) == (
        "ann",
        {"tier": "gold"},
        True,
    )
    await report(api, "participant_left", room, participant={"identity": "ann"})
    assert await identities(api, room) == []
    await report(api, "room_finished", room)
    assert await room_of(api, room) is None


async def test_a_room_may_come_again(api: Caller) -> None:
    room = fresh("room")
    for _ in range(2):
        await report(api, "room_started", room)
        assert await room_of(api, room) is not None
        await report(api, "room_finished", room)
        assert await room_of(api, room) is None


async def test_the_same_id_is_the_same_event(api: Caller) -> None:
    room = fresh("room")
    assert not await report(api, "room_started", room, id=f"{room}-1")
    assert not await report(api, "room_finished", room, id=f"{room}-2")
    assert await report(api, "room_started", room, id=f"{room}-1")
    assert await room_of(api, room) is None


async def test_a_webhook_and_a_report_of_the_same_id_are_the_same_event(api: Caller) -> None:
    life = Life()
    await Sfu(api).tell(life.started)
    who = {"identity": "ann"}
    await report(api, "participant_joined", life.room, id=life.started["id"], participant=who)
    assert await identities(api, life.room) == []


async def test_rooms_come_in_pages_newest_first(api: Caller) -> None:
    rooms = [fresh("paged") for _ in range(3)]
    for room in rooms:
        await report(api, "room_started", room)
    found: list[str] = []
    token = ""
    while True:
        body = {"page_size": 1, "page_token": token}
        answer = await api.ask(LIST_ROOMS, body, admin_token())
        assert len(answer["rooms"]) == 1
        found += [room["name"] for room in answer["rooms"] if room["name"] in rooms]
        token = answer["next_page_token"]
        if not token:
            break
    assert found == rooms[::-1]


async def test_nothing_of_one_project_is_visible_to_another(
    api: Caller, bystander: RawWorker
) -> None:
    room = fresh("room")
    await report(api, "room_started", room)
    theirs = admin_token(OTHER_PROJECT_KEY)
    assert problem(await api.post(GET_ROOM, {"name": room}, token=theirs)) == (404, "not_found")
    assert (await api.ask(LIST_ROOMS, {}, theirs))["rooms"] == []
    await report(api, "room_finished", room, OTHER_PROJECT_KEY)
    assert await room_of(api, room) is not None


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda: None, id="none"),
        pytest.param(lambda: room_token("r"), id="for a room"),
        pytest.param(worker_token, id="of a worker"),
    ],
)
@pytest.mark.parametrize("path", [REPORT, LIST_ROOMS, GET_ROOM])
async def test_the_grant_for_the_queue_is_asked(
    api: Caller, path: str, token: Callable[[], str | None]
) -> None:
    assert problem(await api.post(path, {}, token=token())) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({}, "event.event is not one of"),
        ({"event": "party", "room": {"name": "r"}}, "event.event is not one of"),
        ({"event": "room_started"}, "room.name is missing"),
        ({"event": "participant_joined", "room": {"name": "r"}}, "participant.identity is missing"),
        ({"event": "room_started", "room": {"name": "r" * 257}}, "room.name has 257 bytes"),
        ({"event": "room_started", "room": {"name": "r"}, "id": "i" * 257}, "event.id has 257"),
    ],
)
async def test_an_event_that_makes_no_sense_is_refused_by_name(
    api: Caller, bystander: RawWorker, event: dict[str, Any], why: str
) -> None:
    response = await api.post(REPORT, {"event": event}, token=admin_token())
    assert problem(response) == (400, "invalid_argument")
    assert response.json()["msg"].startswith(why)
