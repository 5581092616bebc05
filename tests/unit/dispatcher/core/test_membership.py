"""Who is in a room after events that come twice, late, in any order, or never."""

from __future__ import annotations

import itertools

import pytest

from dispatcher.core.room_changes import (
    LeftUnseen,
    MemberJoined,
    MemberLeft,
    PublishingStarted,
    RoomOpened,
    RoomsFull,
)
from dispatcher.core.room_events import DisconnectReason, Participant, RoomInfo
from dispatcher.core.room_states import RoomLimits, bytes_of
from tests.support.room_words import PROJECT, ROOM, bare_person, person, room_info
from tests.unit.dispatcher.core.told_rooms import (
    CLIENT,
    DUPLICATE,
    JOINED,
    LEFT,
    PUBLISHED,
    UNPUBLISHED,
    Told,
    kinds,
    subject_of_one,
)


def test_who_joined_is_there_until_it_leaves() -> None:
    told = Told()
    told.joins("ann")
    assert told.sids == ["PA_ann_1"]
    [change] = told.leaves("ann")
    assert isinstance(change, MemberLeft)
    assert (change.subject, change.reason) == ("PA_ann_1", CLIENT)
    assert told.sids == []


def test_a_doubled_join_changes_nothing() -> None:
    told = Told()
    told.joins("ann")
    assert told.joins("ann") == []


def test_a_doubled_leave_changes_nothing() -> None:
    told = Told()
    told.joins("ann")
    told.leaves("ann")
    assert told.leaves("ann") == []


def test_a_join_after_its_leave_is_late() -> None:
    told = Told()
    assert kinds(told.leaves("ann")) == [RoomOpened, LeftUnseen]
    assert told.leaves("ann") == []
    assert told.joins("ann") == []
    assert told.publishes("ann") == []
    assert told.sids == []


def test_a_late_leave_of_an_older_connection_does_not_take_the_newer_one() -> None:
    told = Told()
    told.joins("ann", 2)
    assert kinds(told.leaves("ann", 1)) == [LeftUnseen]
    assert told.sids == ["PA_ann_2"]


def test_who_joins_with_other_attributes_is_known_better() -> None:
    told = Told()
    told.joins("ann")
    gold = person("ann", attributes={"tier": "gold"})
    [change] = told.joins(gold)
    assert isinstance(change, MemberJoined)
    assert told.member("ann").participant == gold


def test_who_comes_again_after_it_left_is_another_subject() -> None:
    told = Told()
    told.joins("ann", 1)
    told.leaves("ann", 1)
    told.joins("ann", 2)
    assert told.member("ann", 2).subject == "PA_ann_2"


def test_a_participant_without_a_sid_may_come_again() -> None:
    told = Told()
    ann = Participant("ann")
    for _ in range(2):
        assert MemberJoined in kinds(told.event(JOINED, RoomInfo(ROOM), ann))
        assert kinds(told.event(LEFT, RoomInfo(ROOM), ann)) == [MemberLeft]


# --- one identity, one connection after another ---


def test_a_successor_takes_the_place_when_the_duplicate_is_told_first() -> None:
    told = Told()
    told.joins("ann", 1)
    told.room.members["PA_ann_1"].jobs["rule:a"] = "AJ_1"
    assert told.leaves("ann", 1, DUPLICATE) == []
    assert told.sids == ["PA_ann_1"]
    assert kinds(told.joins("ann", 2)) == [MemberJoined]
    assert subject_of_one(told, 2) == "PA_ann_1"
    assert told.member("ann", 2).jobs == {"rule:a": "AJ_1"}


def test_a_successor_takes_the_place_when_the_duplicate_is_told_last() -> None:
    told = Told()
    told.joins("ann", 1)
    assert kinds(told.joins("ann", 2)) == [MemberJoined]
    assert told.leaves("ann", 1, DUPLICATE) == []
    assert subject_of_one(told, 2) == "PA_ann_1"


def test_a_successor_takes_the_place_when_the_duplicate_is_never_told() -> None:
    told = Told()
    told.joins("ann", 1)
    told.joins("ann", 2)
    assert subject_of_one(told, 2) == "PA_ann_1"


def test_a_successor_known_by_its_track_alone_takes_the_place_once_its_join_is_told() -> None:
    told = Told()
    told.joins("ann", 1)
    told.publishes("ann", 2)
    assert kinds(told.joins("ann", 2)) == [MemberJoined, PublishingStarted]
    assert subject_of_one(told, 2) == "PA_ann_1"
    assert told.leaves("ann", 1, DUPLICATE) == []


def test_an_older_connection_known_by_its_track_alone_does_not_come_back() -> None:
    told = Told()
    told.publishes("ann", 1)
    told.joins("ann", 2)
    told.joins("ann", 1)
    assert subject_of_one(told, 2) == "PA_ann_2"


def test_nobody_takes_the_place_and_it_has_left_when_the_time_is_over() -> None:
    told = Told()
    told.joins("ann", 1)
    told.leaves("ann", 1, DUPLICATE)
    [change] = told.rooms.succession_ended(PROJECT, ROOM, "PA_ann_1")
    assert isinstance(change, MemberLeft)
    assert change.reason is DUPLICATE
    assert told.sids == []


def test_the_end_of_the_time_takes_nothing_from_a_successor() -> None:
    told = Told()
    told.joins("ann", 1)
    told.leaves("ann", 1, DUPLICATE)
    told.joins("ann", 2)
    assert told.rooms.succession_ended(PROJECT, ROOM, "PA_ann_1") == []
    assert told.sids == ["PA_ann_2"]


@pytest.mark.parametrize("is_duplicate_told", [True, False])
def test_a_successor_that_left_before_its_join_is_told_takes_the_subject_with_it(
    is_duplicate_told: bool,
) -> None:
    told = Told()
    told.joins("ann", 1)
    told.member("ann", 1).jobs["rule:a"] = "AJ_1"
    if is_duplicate_told:
        told.leaves("ann", 1, DUPLICATE)
    [change] = told.leaves("ann", 2, CLIENT)
    assert isinstance(change, MemberLeft)
    assert (change.subject, change.jobs, change.reason) == ("PA_ann_1", {"rule:a": "AJ_1"}, CLIENT)
    assert told.joins("ann", 2) == []
    assert told.leaves("ann", 1, DUPLICATE) == []
    assert told.sids == []


def test_the_late_leave_of_an_older_connection_takes_nothing_from_who_is_there() -> None:
    told = Told()
    told.joins("ann", 2)
    told.leaves("ann", 1, CLIENT)
    assert told.sids == ["PA_ann_2"]


def test_in_every_order_of_a_short_succession_nobody_is_there_in_the_end() -> None:
    for order in itertools.permutations([(JOINED, 1), (LEFT, 1), (JOINED, 2), (LEFT, 2)]):
        told = Told()
        for kind, connection in order:
            reason = DUPLICATE if connection == 1 else CLIENT
            told.event(kind, room_info(), person("ann", connection), reason=reason)
        told.rooms.succession_ended(PROJECT, ROOM, "PA_ann_1")
        assert told.sids == [], order
        assert not told.room.identities, order


def test_a_join_that_is_older_than_who_is_there_is_late() -> None:
    told = Told()
    told.joins("ann", 2)
    assert told.joins("ann", 1) == []
    assert told.sids == ["PA_ann_2"]


def test_who_took_the_place_of_one_that_left_by_itself_is_another_subject() -> None:
    told = Told()
    told.joins("ann", 1)
    told.member("ann", 1).jobs["rule:a"] = "AJ_1"
    told.joins("ann", 2)
    left, joined = told.leaves("ann", 1, CLIENT)
    assert isinstance(left, MemberLeft)
    assert isinstance(joined, MemberJoined)
    assert (left.subject, left.jobs) == ("PA_ann_1", {"rule:a": "AJ_1"})
    assert subject_of_one(told, 2) == "PA_ann_2"
    assert told.member("ann", 2).jobs == {}
    assert told.leaves("ann", 1, CLIENT) == []


def test_a_subject_is_handed_on_through_many_connections() -> None:
    told = Told()
    for connection in range(1, 6):
        told.joins("ann", connection)
    for connection in range(1, 5):
        assert told.leaves("ann", connection, DUPLICATE) == []
    assert subject_of_one(told, 5) == "PA_ann_1"
    [change] = told.leaves("ann", 5)
    assert isinstance(change, MemberLeft)
    assert change.subject == "PA_ann_1"
    assert not told.room.successors
    assert not told.room.identities


def test_in_every_order_of_a_succession_one_is_there_in_the_end() -> None:
    events = [(JOINED, 1), (PUBLISHED, 1), (LEFT, 1), (JOINED, 2), (PUBLISHED, 2)]
    for reason in (DUPLICATE, CLIENT, DisconnectReason.SIGNAL_CLOSE):
        for order in itertools.permutations(events):
            told = Told()
            for kind, connection in order:
                who = (
                    bare_person("ann", connection)
                    if kind is PUBLISHED
                    else person("ann", connection)
                )
                told.event(kind, room_info(), who, reason=reason)
            told.rooms.succession_ended(PROJECT, ROOM, "PA_ann_1")
            assert told.sids == ["PA_ann_2"], order
            member = told.member("ann", 2)
            assert member.is_known, order
            assert member.is_publisher, order
            assert told.room.identities == {"ann": member}, order


def test_in_every_order_of_a_stay_nobody_is_there_in_the_end() -> None:
    events = [(JOINED, 1), (PUBLISHED, 1), (UNPUBLISHED, 1), (LEFT, 1)]
    for order in itertools.permutations(events):
        told = Told()
        for kind, connection in order:
            told.event(kind, room_info(), person("ann", connection))
        assert told.sids == [], order
        assert not told.room.identities, order


# --- tracks ---


def test_a_first_track_makes_a_publisher_and_a_second_is_no_news() -> None:
    told = Told()
    told.joins("ann")
    assert kinds(told.publishes("ann", track="TR_1")) == [PublishingStarted]
    assert told.publishes("ann", track="TR_2") == []
    assert told.publishes("ann", track="TR_1") == []
    assert told.member("ann").is_publisher


def test_a_track_before_its_join_waits_for_it() -> None:
    told = Told()
    told.starts()
    assert told.publishes("ann") == []
    assert kinds(told.joins("ann")) == [MemberJoined, PublishingStarted]


def test_a_track_that_was_taken_back_before_it_was_told_is_none() -> None:
    told = Told()
    told.joins("ann")
    told.unpublishes("ann", track="TR_1")
    assert told.publishes("ann", track="TR_1") == []
    assert not told.member("ann").is_publisher
    assert kinds(told.publishes("ann", track="TR_2")) == [PublishingStarted]


def test_who_takes_back_its_last_track_is_no_publisher_until_the_next() -> None:
    told = Told()
    told.joins("ann")
    told.publishes("ann", track="TR_1")
    told.publishes("ann", track="TR_2")
    told.unpublishes("ann", track="TR_1")
    assert told.member("ann").is_publisher
    told.unpublishes("ann", track="TR_2")
    assert not told.member("ann").is_publisher
    assert kinds(told.publishes("ann", track="TR_3")) == [PublishingStarted]


# --- bounds ---


def test_no_more_participants_than_the_bound_and_it_is_named() -> None:
    told = Told(RoomLimits(participants_max=2))
    told.joins("ann")
    told.joins("bob")
    with pytest.raises(RoomsFull, match="2 participants"):
        told.joins("cyd")
    with pytest.raises(RoomsFull, match="2 participants"):
        told.publishes("cyd")
    assert told.sids == ["PA_ann_1", "PA_bob_1"]
    told.leaves("ann")
    assert kinds(told.joins("cyd")) == [MemberJoined]


def _bulky(identity: str, connection: int = 1, kilobytes: int = 1) -> Participant:
    return person(identity, connection, metadata="m" * 1000 * kilobytes)


def test_no_more_bytes_of_participants_than_the_bound_and_it_is_named() -> None:
    told = Told(RoomLimits(bytes_max=3000))
    told.joins(_bulky("ann"))
    told.joins(_bulky("bob"))
    with pytest.raises(RoomsFull, match=r"over 3000 bytes .* \(rooms.bytes_max\)"):
        told.joins(_bulky("cyd"))
    assert told.sids == ["PA_ann_1", "PA_bob_1"]
    told.leaves("ann")
    assert kinds(told.joins(_bulky("cyd"))) == [MemberJoined]


def test_attributes_count_as_bytes_of_a_room() -> None:
    told = Told(RoomLimits(bytes_max=3000))
    with pytest.raises(RoomsFull, match="3000 bytes"):
        told.joins(person("ann", attributes={"a": "x" * 3000}))
    assert kinds(told.joins("ann")) == [MemberJoined]


def test_who_says_more_of_itself_than_the_room_may_hold_stays_as_it_was() -> None:
    told = Told(RoomLimits(bytes_max=3000))
    told.joins(_bulky("ann"))
    with pytest.raises(RoomsFull, match="3000 bytes"):
        told.joins(_bulky("ann", kilobytes=3))
    assert len(told.member("ann").participant.metadata) == 1000
    assert kinds(told.joins(_bulky("ann", kilobytes=2))) == [MemberJoined]


def test_the_bytes_of_who_is_replaced_are_free_for_who_comes() -> None:
    told = Told(RoomLimits(bytes_max=3000))
    told.joins(_bulky("ann", 1, kilobytes=2))
    told.joins(_bulky("ann", 2, kilobytes=2))
    assert told.sids == ["PA_ann_2"]
    with pytest.raises(RoomsFull, match="3000 bytes"):
        told.joins(_bulky("ann", 3, kilobytes=4))
    assert told.sids == ["PA_ann_2"]


def test_the_bytes_of_a_room_are_those_of_who_is_there() -> None:
    told = Told()
    told.publishes("bob")
    for connection in (1, 2):
        for who in ("ann", "bob"):
            told.joins(_bulky(who, connection, kilobytes=connection))
    told.leaves("ann", 2)
    there = [each.participant for each in told.room.members.values()]
    assert told.room.bytes_held == sum(bytes_of(each) for each in there) > 0
    told.leaves("bob", 2)
    assert (told.sids, told.room.bytes_held) == ([], 0)


def test_no_more_tracks_than_the_bound_of_one_participant() -> None:
    told = Told(RoomLimits(tracks_max=3))
    told.joins("ann")
    for number in range(10):
        told.publishes("ann", track=f"TR_{number}")
    assert len(told.member("ann").tracks) == 3
    for number in range(10, 20):
        told.unpublishes("ann", track=f"TR_{number}")
    assert len(told.member("ann").gone_tracks) == 3


def test_no_more_who_left_are_remembered_than_the_bound() -> None:
    told = Told(RoomLimits(gone_max=3))
    for number in range(10):
        told.joins(f"p{number}")
        told.leaves(f"p{number}")
    assert list(told.room.gone) == ["PA_p7_1", "PA_p8_1", "PA_p9_1"]
