"""Which rooms are there after events that come twice, late, in any order, or never."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import SECOND
from dispatcher.core.room_changes import MemberJoined, RoomClosed, RoomOpened, RoomsFull
from dispatcher.core.room_events import Participant, RoomInfo
from dispatcher.core.room_states import RoomLimits
from tests.support.room_words import PROJECT, ROOM, START, bare_person, bare_room, room_info
from tests.unit.dispatcher.core.told_rooms import FINISHED, JOINED, PUBLISHED, STARTED, Told, kinds


def test_a_room_that_starts_is_there() -> None:
    told = Told()
    assert kinds(told.starts()) == [RoomOpened]
    assert told.sessions == ["RM_room_1"]
    assert told.room.started_at == room_info().created_at


def test_a_doubled_start_changes_nothing() -> None:
    told = Told()
    told.starts()
    assert told.starts() == []


def test_somebody_who_joins_shows_a_room_whose_start_was_lost() -> None:
    told = Told()
    assert kinds(told.joins("ann")) == [RoomOpened, MemberJoined]


def test_a_room_that_finished_is_gone_with_everybody() -> None:
    told = Told()
    told.joins("ann")
    [change] = told.finishes()
    assert isinstance(change, RoomClosed)
    assert [member.participant.identity for member in change.room.members.values()] == ["ann"]
    assert told.sessions == []


def test_late_news_of_a_finished_session_opens_nothing() -> None:
    told = Told()
    told.starts()
    told.finishes()
    assert told.starts() == []
    assert told.joins("ann") == []
    assert told.publishes("ann") == []
    assert told.finishes() == []
    assert told.sessions == []


def test_an_end_before_its_start_leaves_no_room_behind() -> None:
    told = Told()
    assert told.finishes() == []
    assert told.starts() == []
    assert told.sessions == []


def test_a_late_end_of_the_session_before_does_not_end_the_room() -> None:
    told = Told()
    told.starts(session=2)
    assert told.finishes(session=1) == []
    assert told.starts(session=1) == []
    assert told.sessions == ["RM_room_2"]


def test_the_end_of_an_older_session_does_not_end_a_room_opened_by_a_track() -> None:
    told = Told()
    told.event(PUBLISHED, bare_room(session=5), bare_person("bob"), at=START + 6 * SECOND)
    assert told.finishes(session=2) == []
    assert told.event(FINISHED, bare_room(session=3), at=START + 4 * SECOND) == []
    assert told.sessions == ["RM_room_5"]


def test_a_new_session_ends_the_one_before_it() -> None:
    told = Told()
    told.joins("ann", session=1)
    changes = told.starts(session=2)
    assert kinds(changes) == [RoomClosed, RoomOpened]
    assert told.sessions == ["RM_room_2"]
    assert told.joins("bob", session=1) == []
    assert told.sids == []


def test_the_end_of_a_session_that_came_after_ends_the_room_too() -> None:
    told = Told()
    told.starts(session=1)
    assert kinds(told.finishes(session=2)) == [RoomClosed]
    assert told.starts(session=2) == []


def test_late_news_of_an_older_session_does_not_end_the_one_that_is_there() -> None:
    told = Told()
    told.joins("bob", session=2)
    assert told.joins("ann", session=1) == []
    assert told.sessions == ["RM_room_2"]
    assert told.starts(session=2) == []


def test_a_late_track_of_a_session_never_heard_of_does_not_end_the_one_that_is_there() -> None:
    # Events of tracks name a room by its sid alone: their own time tells which session is older.
    told = Told()
    told.joins("bob", session=5)
    late = told.event(PUBLISHED, bare_room(session=2), bare_person("ann"), at=START + 2 * SECOND)
    assert late == []
    assert told.sessions == ["RM_room_5"]
    assert kinds(told.joins("cyd", session=5)) == [MemberJoined]


def test_a_room_opened_by_a_track_is_not_ended_by_an_older_session() -> None:
    told = Told()
    told.event(PUBLISHED, bare_room(session=5), bare_person("bob"), at=START + 6 * SECOND)
    assert told.starts(session=2) == []
    assert told.sessions == ["RM_room_5"]


def test_a_room_opened_by_a_track_learns_when_it_began() -> None:
    told = Told()
    told.event(PUBLISHED, bare_room(session=5), bare_person("bob"), at=START + 60 * SECOND)
    told.joins("bob", session=5)
    assert told.room.info.created_at == room_info(session=5).created_at
    assert told.room.started_at == room_info(session=5).created_at


def test_a_track_in_a_new_session_ends_the_one_before_it() -> None:
    told = Told()
    told.starts(session=1)
    told.event(PUBLISHED, bare_room(session=5), bare_person("bob"), at=START + 6 * SECOND)
    assert told.sessions == ["RM_room_5"]


def test_metadata_that_is_told_later_is_a_change() -> None:
    told = Told()
    told.starts()
    info = room_info(metadata='{"tier":"gold"}')
    assert kinds(told.event(STARTED, info)) == [RoomOpened]
    assert told.room.info.metadata == '{"tier":"gold"}'
    assert told.starts() == []  # an event that does not say takes nothing away
    assert told.room.info.metadata == '{"tier":"gold"}'


def test_rooms_of_one_name_in_two_projects_are_two() -> None:
    told = Told()
    told.starts()
    told.event(STARTED, RoomInfo(ROOM, "RM_other"), project="other")
    told.finishes()
    assert list(told.rooms.rooms) == [("other", ROOM)]


def test_without_sids_the_name_tells_the_room_and_its_next_session() -> None:
    told = Told()
    ann = Participant("ann")
    told.event(JOINED, RoomInfo(ROOM), ann)
    assert kinds(told.event(FINISHED, RoomInfo(ROOM))) == [RoomClosed]
    assert kinds(told.event(JOINED, RoomInfo(ROOM), ann)) == [RoomOpened, MemberJoined]


def test_without_sids_an_end_older_than_the_room_is_late() -> None:
    told = Told()
    told.event(STARTED, RoomInfo(ROOM))
    assert told.event(FINISHED, RoomInfo(ROOM), at=START - SECOND) == []
    assert kinds(told.event(FINISHED, RoomInfo(ROOM), at=START + SECOND)) == [RoomClosed]


def test_a_session_that_is_over_is_remembered_for_as_long_as_news_may_come_late() -> None:
    told = Told()
    told.finishes()
    told.wait(599)
    assert told.rooms.forget_over(told.now) == []
    assert told.starts() == []
    told.wait(2)
    assert told.rooms.forget_over(told.now) == [(PROJECT, "RM_room_1")]


def test_the_oldest_sessions_that_are_over_are_forgotten_beyond_the_bound() -> None:
    told = Told(RoomLimits(over_max=2))
    for session in (1, 2, 3):
        told.finishes(session)
    assert told.rooms.forget_over(told.now) == [(PROJECT, "RM_room_1")]


# --- bounds ---


def test_no_more_rooms_than_the_bound_and_it_is_named() -> None:
    told = Told(RoomLimits(rooms_max=2))
    told.starts(room="a")
    told.starts(room="b")
    with pytest.raises(RoomsFull, match="2 rooms"):
        told.starts(room="c")
    told.finishes(room="a")
    assert kinds(told.starts(room="c")) == [RoomOpened]
