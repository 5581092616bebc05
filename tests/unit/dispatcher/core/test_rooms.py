"""Rooms by themselves: what is known after events that come twice, late, in any order, or never."""

from __future__ import annotations

import itertools

import pytest

from dispatcher.core.events import RoomsListed
from dispatcher.core.jobs import SECOND, Nanoseconds
from dispatcher.core.room_events import (
    DisconnectReason,
    Participant,
    RoomEvent,
    RoomEventKind,
    RoomInfo,
    RoomSeen,
)
from dispatcher.core.rooms import (
    Change,
    Member,
    MemberJoined,
    MemberLeft,
    PublishingStarted,
    RoomClosed,
    RoomLimits,
    RoomOpened,
    Rooms,
    RoomsFull,
    RoomState,
)
from tests.support.room_words import (
    PROJECT,
    ROOM,
    START,
    bare_person,
    bare_room,
    person,
    room_info,
    seen,
)

STARTED, FINISHED = RoomEventKind.ROOM_STARTED, RoomEventKind.ROOM_FINISHED
JOINED, LEFT = RoomEventKind.PARTICIPANT_JOINED, RoomEventKind.PARTICIPANT_LEFT
PUBLISHED, UNPUBLISHED = RoomEventKind.TRACK_PUBLISHED, RoomEventKind.TRACK_UNPUBLISHED
CLIENT, DUPLICATE = DisconnectReason.CLIENT_INITIATED, DisconnectReason.DUPLICATE_IDENTITY


class Told:
    """Rooms, a clock, and what each piece of news changed."""

    def __init__(self, limits: RoomLimits | None = None) -> None:
        self.rooms = Rooms(limits)
        self.now: Nanoseconds = START

    def event(
        self,
        kind: RoomEventKind,
        room: RoomInfo,
        who: Participant | None = None,
        *,
        track: str = "TR_1",
        reason: DisconnectReason = CLIENT,
        at: Nanoseconds = 0,
        project: str = PROJECT,
    ) -> list[Change]:
        event = RoomEvent(kind, project, room, who, track, reason, at)
        return self.rooms.take(event, self.now)

    def starts(self, session: int = 1, room: str = ROOM) -> list[Change]:
        return self.event(STARTED, room_info(room, session))

    def finishes(self, session: int = 1, room: str = ROOM) -> list[Change]:
        return self.event(FINISHED, room_info(room, session))

    def joins(self, who: str | Participant, connection: int = 1, session: int = 1) -> list[Change]:
        who = person(who, connection) if isinstance(who, str) else who
        return self.event(JOINED, room_info(ROOM, session), who)

    def leaves(
        self,
        who: str,
        connection: int = 1,
        reason: DisconnectReason = CLIENT,
        session: int = 1,
    ) -> list[Change]:
        return self.event(LEFT, room_info(ROOM, session), person(who, connection), reason=reason)

    def publishes(
        self, who: str, connection: int = 1, track: str = "TR_1", session: int = 1
    ) -> list[Change]:
        who_ = bare_person(who, connection)
        return self.event(PUBLISHED, bare_room(ROOM, session), who_, track=track)

    def unpublishes(self, who: str, connection: int = 1, track: str = "TR_1") -> list[Change]:
        return self.event(UNPUBLISHED, bare_room(), bare_person(who, connection), track=track)

    def lists(
        self,
        *rooms: RoomSeen,
        others_gone: bool = True,
        asked_at: Nanoseconds | None = None,
        project: str = PROJECT,
    ) -> list[Change]:
        at = self.now + 1 if asked_at is None else asked_at
        return self.rooms.compare(RoomsListed(project, at, rooms, others_gone), self.now)

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    @property
    def room(self) -> RoomState:
        return self.rooms.rooms[PROJECT, ROOM]

    @property
    def sessions(self) -> list[str]:
        return sorted(room.info.sid for room in self.rooms.rooms.values())

    @property
    def sids(self) -> list[str]:
        return sorted(self.room.members)

    def member(self, who: str, connection: int = 1) -> Member:
        return self.room.members[f"PA_{who}_{connection}"]


def kinds(changes: list[Change]) -> list[type[Change]]:
    """What sorts of changes these are."""
    return [type(change) for change in changes]


# --- rooms ---


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


# --- who is in them ---


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
    assert kinds(told.leaves("ann")) == [RoomOpened]
    assert told.joins("ann") == []
    assert told.publishes("ann") == []
    assert told.sids == []


def test_a_late_leave_of_an_older_connection_does_not_take_the_newer_one() -> None:
    told = Told()
    told.joins("ann", 2)
    assert told.leaves("ann", 1) == []
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


def subject_of_one(told: Told, connection: int) -> str:
    """Return the subject of the one connection that is there, which has to be this one."""
    assert told.sids == [f"PA_ann_{connection}"]
    return told.member("ann", connection).subject


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


# --- the SFU's list ---


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


def test_no_more_rooms_than_the_bound_and_it_is_named() -> None:
    told = Told(RoomLimits(rooms_max=2))
    told.starts(room="a")
    told.starts(room="b")
    with pytest.raises(RoomsFull, match="2 rooms"):
        told.starts(room="c")
    told.finishes(room="a")
    assert kinds(told.starts(room="c")) == [RoomOpened]


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
