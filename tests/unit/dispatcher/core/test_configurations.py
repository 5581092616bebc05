"""Room configurations in the engine: what is kept, and what a caller is told of it."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import Outcome
from dispatcher.core.events import (
    RoomAnnounced,
    RoomAnnouncementWithdrawn,
    RoomConfigurationChangeRequested,
    RoomConfigurationCreationRequested,
    RoomConfigurationDeletionRequested,
)
from dispatcher.core.room_events import RoomEventKind
from tests.support.engine_bench import PROJECT, EngineBench
from tests.support.room_words import room_info

KEY = PROJECT, "big"


@pytest.fixture
def bench() -> EngineBench:
    return EngineBench()


def create(bench: EngineBench, request: int, config: bytes = b"one") -> Outcome | None:
    bench.tell(RoomConfigurationCreationRequested(request, *KEY, config))
    return bench.outcome(request)


def change(bench: EngineBench, request: int, config: bytes) -> Outcome | None:
    bench.tell(RoomConfigurationChangeRequested(request, *KEY, config))
    return bench.outcome(request)


def delete(bench: EngineBench, request: int) -> Outcome | None:
    bench.tell(RoomConfigurationDeletionRequested(request, *KEY))
    return bench.outcome(request)


def test_what_is_created_is_kept_over_a_crash(bench: EngineBench) -> None:
    assert create(bench, 1, b"\x00\xff") is Outcome.CREATED
    bench.restart()
    assert bench.engine.room_configurations == {KEY: b"\x00\xff"}


def test_the_answer_waits_until_it_is_durable(bench: EngineBench) -> None:
    bench.holds_commits = True
    assert create(bench, 1) is None
    bench.release_commits()
    assert bench.outcome(1) is Outcome.CREATED


def test_the_same_again_is_there_already_and_another_of_its_name_is_refused(
    bench: EngineBench,
) -> None:
    create(bench, 1)
    assert create(bench, 2) is Outcome.EXISTED
    assert create(bench, 3, b"two") is Outcome.REFUSED
    assert bench.engine.room_configurations == {KEY: b"one"}


def test_a_change_replaces_what_is_there(bench: EngineBench) -> None:
    assert change(bench, 1, b"two") is Outcome.NOT_FOUND
    create(bench, 2)
    assert change(bench, 3, b"two") is Outcome.CHANGED
    assert change(bench, 4, b"two") is Outcome.EXISTED
    bench.restart()
    assert bench.engine.room_configurations == {KEY: b"two"}


def test_what_is_deleted_does_not_come_back(bench: EngineBench) -> None:
    create(bench, 1)
    assert delete(bench, 2) is Outcome.DELETED
    assert delete(bench, 3) is Outcome.NOT_FOUND
    bench.restart()
    assert bench.engine.room_configurations == {}


def test_another_projects_configuration_of_that_name_is_another(bench: EngineBench) -> None:
    create(bench, 1)
    bench.tell(RoomConfigurationDeletionRequested(2, "other", "big"))
    assert bench.outcome(2) is Outcome.NOT_FOUND
    assert bench.engine.room_configurations == {KEY: b"one"}


@pytest.mark.parametrize("is_withdrawn", [False, True])
def test_an_announcement_holds_until_it_is_withdrawn(
    bench: EngineBench, is_withdrawn: bool
) -> None:
    bench.tell(RoomAnnounced(PROJECT, "lobby"))
    if is_withdrawn:
        bench.tell(RoomAnnouncementWithdrawn(PROJECT, "lobby"))
    bench.tell_room(RoomEventKind.ROOM_STARTED, room_info("lobby"))
    assert bench.engine.rooms[PROJECT, "lobby"].names_agents is not is_withdrawn


def test_an_announcement_is_for_the_next_session_where_the_end_of_the_last_comes_late(
    bench: EngineBench,
) -> None:
    bench.tell_room(RoomEventKind.ROOM_STARTED, room_info("lobby", 1))
    bench.tell(RoomAnnounced(PROJECT, "lobby"))
    assert not bench.engine.rooms[PROJECT, "lobby"].names_agents
    bench.tell_room(RoomEventKind.ROOM_FINISHED, room_info("lobby", 1))
    bench.tell_room(RoomEventKind.ROOM_STARTED, room_info("lobby", 2))
    assert bench.engine.rooms[PROJECT, "lobby"].names_agents
