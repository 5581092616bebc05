"""Notes: what is written is what is read, also by the next version."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core import note_texts
from dispatcher.core.jobs import JobType, RestartPolicy
from dispatcher.core.notes import Note, NoteKind
from dispatcher.core.room_events import Participant, ParticipantKind, RoomInfo
from dispatcher.core.room_states import Member, RoomState
from dispatcher.core.rules import Match, Rule

TEXT = st.text(max_size=20)
TIMES = st.integers(0, 2**63 - 1)
TEXTS = st.dictionaries(TEXT, TEXT, max_size=3)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
INFOS = st.builds(RoomInfo, TEXT, TEXT, TEXT, TIMES)
PARTICIPANTS = st.builds(
    Participant,
    TEXT,
    TEXT,
    TEXT,
    st.sampled_from(ParticipantKind),
    TEXT,
    TEXTS,
    TIMES,
    st.booleans(),
    st.booleans(),
)
MATCHES = st.builds(
    Match,
    TEXT,
    st.dictionaries(TEXT, SCALARS, max_size=3),
    st.lists(TEXT, max_size=3).map(tuple),
    st.frozensets(st.sampled_from(ParticipantKind)),
    TEXTS,
    st.dictionaries(TEXT, SCALARS, max_size=3),
)
RULES = st.builds(
    Rule,
    TEXT,
    st.sampled_from(JobType),
    TEXT,
    MATCHES,
    attributes=TEXTS,
    metadata=TEXT,
    priority=st.integers(-100, 100),
    delay=TIMES,
    restart_policy=st.sampled_from(RestartPolicy),
    enabled=st.booleans(),
    version=st.integers(0, 1000),
)


def a_room(info: RoomInfo | None = None) -> RoomState:
    return RoomState("project", info or RoomInfo("room", "RM_1", "{}", 5), 5, 7)


def a_member(participant: Participant) -> Member:
    return Member(participant, 9, "PA_first")


def without(note: Note, field: str) -> Note:
    """Return the note as it was written before this field was known."""
    content = json.loads(note.text)
    del content[field]
    return replace(note, text=json.dumps(content))


@given(info=INFOS, jobs=TEXTS, names_agents=st.booleans())
def test_a_room_is_read_as_it_was_written(
    info: RoomInfo, jobs: dict[str, str], names_agents: bool
) -> None:
    room = a_room(info)
    room.jobs, room.names_agents = jobs, names_agents
    read = note_texts.room_of(note_texts.room_note(room))
    assert (read.key, read.info) == (room.key, info)
    assert (read.started_at, read.seen_at) == (5, 7)
    assert (read.jobs, read.names_agents) == (jobs, names_agents)
    assert not read.members


@given(who=PARTICIPANTS, tracks=st.sets(TEXT, max_size=3), jobs=TEXTS)
def test_who_is_in_a_room_is_read_as_it_was_written(
    who: Participant, tracks: set[str], jobs: dict[str, str]
) -> None:
    member = a_member(who)
    member.tracks, member.jobs, member.is_replaced = tracks, jobs, True
    note = note_texts.member_note(a_room(), member)
    assert (note.kind, note.project, note.scope) == (NoteKind.MEMBER, "project", "room")
    read = note_texts.member_of(note)
    assert read is not None
    assert read.participant == who
    assert isinstance(read.participant.kind, ParticipantKind)
    assert (read.tracks, read.jobs, read.subject) == (tracks, jobs, "PA_first")
    assert (read.is_known, read.is_replaced, read.seen_at) == (True, True, 9)


def test_who_left_is_read_as_nobody_under_the_same_key() -> None:
    member = a_member(Participant("ann", "PA_1"))
    note = note_texts.gone_note("project", "room", member.key)
    assert note_texts.member_of(note) is None
    assert note.key == note_texts.member_note(a_room(), member).key


@given(rule=RULES)
def test_a_rule_is_read_as_it_was_written(rule: Rule) -> None:
    note = note_texts.rule_note("project", rule)
    assert (note.kind, note.project, note.key) == (NoteKind.RULE, "project", rule.name)
    read = note_texts.rule_of(note)
    assert read == rule
    assert read.says_the_same(rule)
    assert isinstance(read.job_type, JobType)


def test_a_session_that_is_over_is_read_as_it_was_written() -> None:
    note = note_texts.over_note("project", "RM_1", 12)
    assert (note.project, note.key, note_texts.until_of(note)) == ("project", "RM_1", 12)


def test_an_agents_job_types_are_read_as_they_were_written() -> None:
    types = frozenset({JobType.ROOM, JobType.PARTICIPANT})
    assert note_texts.agent_types_of(note_texts.agent_note("project", "greeter", types)) == types


def test_two_notes_of_one_thing_have_one_name() -> None:
    one, two = (
        note_texts.rule_note("p", Rule("r", JobType.ROOM, "a")),
        note_texts.rule_note("p", Rule("r", JobType.ROOM, "b", version=4)),
    )
    assert (one.kind, one.project, one.scope, one.key) == (
        two.kind,
        two.project,
        two.scope,
        two.key,
    )


@pytest.mark.parametrize("field", ["jobs", "names_agents"])
def test_a_room_of_an_older_version_can_be_read(field: str) -> None:
    room = a_room()
    read = note_texts.room_of(without(note_texts.room_note(room), field))
    assert read.info == room.info


@pytest.mark.parametrize("field", ["is_known", "is_replaced", "tracks", "jobs"])
def test_a_member_of_an_older_version_can_be_read(field: str) -> None:
    member = a_member(Participant("ann", "PA_1"))
    read = note_texts.member_of(without(note_texts.member_note(a_room(), member), field))
    assert read is not None
    assert read.participant == member.participant
    assert read.is_known


@pytest.mark.parametrize("field", ["delay", "enabled", "restart_policy", "match", "version"])
def test_a_rule_of_an_older_version_can_be_read(field: str) -> None:
    rule = Rule("r", JobType.ROOM, "a")
    assert note_texts.rule_of(without(note_texts.rule_note("p", rule), field)) == rule


def test_a_condition_of_an_older_version_can_be_read() -> None:
    note = note_texts.rule_note("p", Rule("r", JobType.ROOM, "a", Match(room="call-*")))
    content = json.loads(note.text)
    content["match"] = {"room": "call-*"}
    read = note_texts.rule_of(replace(note, text=json.dumps(content)))
    assert read.match == Match(room="call-*")
