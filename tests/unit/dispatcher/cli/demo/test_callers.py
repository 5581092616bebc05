"""The callers: what they tell, in which order, and that they tell it until somebody answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import httpx2
import pytest

from dispatcher.cli.demo.callers import LATE_CALLS, Call, Callers, new_calls, new_rule
from dispatcher.cli.demo.scenario import new_scene
from dispatcher.core.matching import mismatch
from dispatcher.core.room_events import RoomInfo
from dispatcher.core.templates import fill
from dispatcher.rule_checks import DEFAULT_RULE_LIMITS
from dispatcher.server.wire_rules import read_rule
from protocol import api_pb2
from protocol.limits import DEFAULT_LIMITS
from worker_sdk import DispatchClient

pytestmark = pytest.mark.anyio

PROTOBUF = {"Content-Type": "application/protobuf"}


@dataclass(slots=True)
class Listener:
    """Hears reports as a server would. `is_deaf`: it takes an event and its answer is lost."""

    is_deaf: Callable[[api_pb2.RoomEvent, int], bool] = lambda _event, _times: False
    heard: list[api_pb2.RoomEvent] = field(default_factory=list)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        event = api_pb2.ReportRoomEventRequest.FromString(request.content).event
        self.heard.append(event)
        if self.is_deaf(event, sum(told.id == event.id for told in self.heard)):
            raise httpx2.RemoteProtocolError("killed", request=request)
        return httpx2.Response(200, headers=PROTOBUF)

    def told_of(self, room: str) -> list[str]:
        return [event.event for event in self.heard if event.room.name == room]


def some_calls() -> list[Call]:
    """Return the first of a run's calls, as if the last of them were late."""
    return new_calls()[: 2 + LATE_CALLS]


async def played(listener: Listener, retry_seconds_max: float = 5.0) -> Callers:
    """Play some calls to their end; every job has ended as soon as it is asked for."""
    calls = some_calls()
    scene = new_scene(calls)

    async def until(condition: Callable[[], bool]) -> None:
        for row in scene.rooms.values():
            row.phase = "succeeded"
        assert condition()

    transport = httpx2.MockTransport(listener.answer)
    async with DispatchClient(
        "ws://127.0.0.1:1",
        "key",
        "a-secret-that-is-long-enough-to-be-one",
        retry_seconds_max=retry_seconds_max,
        transport=transport,
    ) as client:
        callers = Callers(client, scene, calls, until)
        callers.rush.set()
        with anyio.fail_after(60):
            await callers.call()
    return callers


async def test_a_room_starts_people_join_and_of_some_it_ends() -> None:
    listener = Listener()
    callers = await played(listener)
    assert listener.told_of("call-02") == ["room_started", "participant_joined"]
    assert listener.told_of("call-01") == [
        "room_started",
        "participant_joined",
        "participant_left",
        "room_finished",
    ]
    assert listener.told_of("call-04").count("participant_joined") == 2
    assert callers.reported == {call.room for call in callers.calls}
    assert callers.are_done


async def test_events_without_an_answer_are_told_again_as_the_same_events() -> None:
    listener = Listener(is_deaf=lambda _event, times: times == 1)
    callers = await played(listener)
    told: dict[str, list[bytes]] = {}
    for event in listener.heard:
        told.setdefault(event.id, []).append(event.SerializeToString(deterministic=True))
    assert all(first == second for first, second in told.values())
    assert len(told) == callers.scene.reports
    assert callers.scene.unanswered == 0


async def test_a_room_whose_start_was_never_acknowledged_is_not_counted() -> None:
    listener = Listener(is_deaf=lambda event, _times: event.room.name == "call-01")
    callers = await played(listener, retry_seconds_max=0.0)
    assert "call-01" not in callers.reported
    assert not callers.are_done


def test_every_event_of_a_run_has_an_id_of_its_own() -> None:
    ids = [
        call.event(name, person).id
        for call in new_calls()
        for name in ("room_started", "participant_joined")
        for person in ("", *call.people)
    ]
    assert len(set(ids)) == len(ids)


def test_the_rule_matches_every_room_and_takes_the_jobs_metadata_from_it() -> None:
    rule = read_rule(new_rule(), DEFAULT_RULE_LIMITS, DEFAULT_LIMITS)
    for call in new_calls():
        told = call.event("room_started").room
        room = RoomInfo(told.name, told.sid, told.metadata)
        assert mismatch(rule, room, None) is None
        wanted = json.loads(fill(rule.metadata, room, None))
        assert wanted == {"seconds": round(call.seconds, 2)}
