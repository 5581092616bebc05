"""What the SFU's own list mends of what is known."""

from __future__ import annotations

from dispatcher.core.room_changes import (
    LeftUnseen,
    MemberJoined,
    MemberLeft,
    PublishingStarted,
    RoomClosed,
    RoomOpened,
)
from dispatcher.core.room_events import DisconnectReason
from dispatcher.core.room_states import RoomLimits
from tests.support.room_words import PROJECT, ROOM, person, seen
from tests.unit.dispatcher.core.told_rooms import DUPLICATE, Told, kinds, subject_of_one


def test_a_list_shows_what_no_event_told() -> None:
    told = Told()
    changes = told.lists(seen(person("ann"), person("bob"), publishers=["bob"]))
    assert kinds(changes) == [RoomOpened, MemberJoined, MemberJoined, PublishingStarted]
    assert told.member("bob").is_publisher
    assert not told.member("ann").is_publisher


def test_a_list_that_says_what_is_known_changes_nothing() -> None:
    told = Told()
    told.joins("ann")
    told.publishes("ann")
    told.wait(1)
    assert told.lists(seen(person("ann"), publishers=["ann"])) == []


def test_who_is_missing_from_a_list_has_left() -> None:
    told = Told()
    told.joins("ann")
    told.joins("bob")
    [change] = told.lists(seen(person("bob")))
    assert isinstance(change, MemberLeft)
    assert change.participant.identity == "ann"
    assert change.reason is DisconnectReason.UNKNOWN_REASON


def test_who_was_replaced_and_whose_successor_a_list_does_not_have_yet_is_waited_for() -> None:
    told = Told()
    told.joins("ann", 1)
    told.leaves("ann", 1, DUPLICATE)
    told.wait(12)
    assert told.lists(seen()) == []
    told.joins("ann", 2)
    assert subject_of_one(told, 2) == "PA_ann_1"


def test_a_leave_that_is_told_after_a_list_missed_it_is_told_on_once() -> None:
    told = Told()
    told.joins("ann")
    told.wait(1)
    [missed] = told.lists(seen())
    assert isinstance(missed, MemberLeft)
    assert not missed.is_told
    assert kinds(told.leaves("ann")) == [LeftUnseen]
    assert told.leaves("ann") == []


def test_who_joined_after_a_list_was_asked_for_is_not_missing_from_it() -> None:
    told = Told()
    told.starts()
    asked_at = told.now
    told.wait(1)
    told.joins("ann")
    assert told.lists(seen(), asked_at=asked_at) == []
    assert told.sids == ["PA_ann_1"]


def test_a_room_that_is_missing_from_the_list_of_all_is_over() -> None:
    told = Told()
    told.starts()
    assert kinds(told.lists()) == [RoomClosed]
    assert told.starts() == []


def test_a_room_that_is_missing_from_a_list_of_some_goes_on() -> None:
    told = Told()
    told.starts()
    assert told.lists(others_gone=False) == []
    assert told.sessions == ["RM_room_1"]


def test_a_room_that_was_seen_after_a_list_was_asked_for_is_not_missing_from_it() -> None:
    told = Told()
    asked_at = told.now
    told.wait(1)
    told.starts()
    assert told.lists(asked_at=asked_at) == []
    assert told.sessions == ["RM_room_1"]


def test_a_list_of_another_project_ends_nothing() -> None:
    told = Told()
    told.starts()
    assert told.lists(project="other") == []


def test_an_old_list_does_not_bring_back_who_left_or_what_is_over() -> None:
    told = Told()
    told.joins("ann")
    told.leaves("ann")
    assert told.lists(seen(person("ann"))) == []
    told.finishes()
    assert told.lists(seen(person("bob"))) == []


def test_who_was_missing_from_one_list_and_is_in_the_next_is_there_again() -> None:
    # An SFU of several nodes tells of a join a moment before its list has it.
    told = Told()
    told.joins("ann")
    told.lists(seen())
    assert told.joins("ann") == []  # told twice, and late
    told.wait(10)
    assert kinds(told.lists(seen(person("ann")))) == [MemberJoined]
    assert told.sids == ["PA_ann_1"]
    assert kinds(told.leaves("ann")) == [MemberLeft]
    told.wait(10)
    assert told.lists(seen(person("ann"))) == []


def test_who_was_missing_from_a_list_and_is_told_to_have_left_does_not_come_back() -> None:
    told = Told()
    told.joins("ann")
    told.lists(seen())
    told.leaves("ann")
    told.wait(10)
    assert told.lists(seen(person("ann"))) == []


def test_a_listed_successor_takes_the_place_of_one_whose_end_was_lost() -> None:
    told = Told()
    told.joins("ann", 1)
    told.wait(1)
    assert kinds(told.lists(seen(person("ann", 2)))) == [MemberJoined]
    assert subject_of_one(told, 2) == "PA_ann_1"


def test_a_list_with_another_session_ends_the_one_that_was_there() -> None:
    told = Told()
    told.joins("ann")
    told.wait(1)
    assert kinds(told.lists(seen(session=2)))[:2] == [RoomClosed, RoomOpened]


def test_who_is_known_by_its_track_alone_is_known_by_a_list() -> None:
    told = Told()
    told.publishes("ann")
    told.wait(1)
    changes = told.lists(seen(person("ann"), publishers=["ann"]))
    assert MemberJoined in kinds(changes)
    assert kinds(changes).count(PublishingStarted) == 1


def test_who_has_no_track_by_a_list_is_no_publisher_and_that_is_written_down() -> None:
    told = Told()
    told.joins("ann")
    told.publishes("ann")
    list(told.rooms.take_touched())
    told.wait(1)
    told.lists(seen(person("ann")))
    assert not told.member("ann").is_publisher
    assert (PROJECT, ROOM, "PA_ann_1") in list(told.rooms.take_touched())


# --- bounds ---


def test_a_list_beyond_the_bound_is_taken_as_far_as_it_goes() -> None:
    told = Told(RoomLimits(rooms_max=2, participants_max=2))
    people = [person(name) for name in ("ann", "bob", "cyd")]
    told.lists(seen(*people), seen(room="b"), seen(room="c"))
    assert told.sids == ["PA_ann_1", "PA_bob_1"]
    assert told.sessions == ["RM_b_1", "RM_room_1"]


def test_a_full_room_is_mended_by_a_list() -> None:
    told = Told(RoomLimits(participants_max=2))
    told.joins("ann")
    told.joins("bob")
    told.wait(1)
    told.lists(seen(person("bob"), person("cyd")))  # the leave of ann was lost
    told.lists(seen(person("bob"), person("cyd")))
    assert told.sids == ["PA_bob_1", "PA_cyd_1"]
