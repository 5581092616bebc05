"""How notes are written and read: rooms and who is in them, sessions that are over, rules, agents.

A note is written in the batch of what follows from it, and read back when the store is opened. What
an older version wrote can be read: fields that are missing have their defaults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, IntEnum
from typing import Any

from dispatcher.core.bridged import Served, SfuCall
from dispatcher.core.jobs import JobType, RestartPolicy
from dispatcher.core.notes import Note, NoteKind
from dispatcher.core.room_events import Participant, ParticipantKind, RoomInfo
from dispatcher.core.room_states import Member, RoomState
from dispatcher.core.rules import Match, Rule


def room_note(room: RoomState) -> Note:
    """Write down a room, without who is in it."""
    content = {
        "info": _plain(room.info),
        "started_at": room.started_at,
        "seen_at": room.seen_at,
        "names_agents": room.names_agents,
        "is_reopened": room.is_reopened,
        "jobs": room.jobs,
    }
    return Note(NoteKind.ROOM, room.project, room.info.name, "", _text(content))


def member_note(room: RoomState, member: Member) -> Note:
    """Write down who is in a room."""
    content = {
        "participant": _plain(member.participant),
        "seen_at": member.seen_at,
        "subject": member.subject,
        "is_known": member.is_known,
        "is_replaced": member.is_replaced,
        "tracks": sorted(member.tracks),
        "jobs": member.jobs,
    }
    return Note(NoteKind.MEMBER, room.project, room.info.name, member.key, _text(content))


def gone_note(project: str, room_name: str, key: str) -> Note:
    """Write down that a connection has left."""
    return Note(NoteKind.MEMBER, project, room_name, key, _text({}))


def over_note(project: str, sid: str, until: int) -> Note:
    """Write down that a session is over."""
    return Note(NoteKind.OVER, project, "", sid, _text({"until": until}))


def heard_note(project: str, event_id: str, until: int) -> Note:
    """Write down that an event was taken."""
    return Note(NoteKind.HEARD, project, "", event_id, _text({"until": until}))


def rule_note(project: str, rule: Rule) -> Note:
    """Write down a rule."""
    return Note(NoteKind.RULE, project, "", rule.name, _text(_plain(rule)))


def agent_note(project: str, agent_name: str, types: frozenset[JobType]) -> Note:
    """Write down which job types an agent's workers have registered with."""
    content = {"types": sorted(int(each) for each in types)}
    return Note(NoteKind.AGENT, project, "", agent_name, _text(content))


# --- read back ----------------------------------------------------------------------------------


def room_of(note: Note) -> RoomState:
    """Return the room of a note."""
    content = json.loads(note.text)
    info = RoomInfo(**content.pop("info"))
    return RoomState(note.project, info, **content)


def member_of(note: Note) -> Member | None:
    """Return the connection of a note, None if it has left."""
    content = json.loads(note.text)
    if not content:
        return None
    said = content.pop("participant")
    said["kind"] = ParticipantKind(said["kind"])
    content["tracks"] = set(content.get("tracks", ()))
    return Member(Participant(**said), **content)


def until_of(note: Note) -> int:
    """Return until when a session that is over, or an event, is remembered."""
    until: int = json.loads(note.text)["until"]
    return until


def rule_of(note: Note) -> Rule:
    """Return the rule of a note."""
    content = json.loads(note.text)
    match = content.pop("match", {})
    match["identities"] = tuple(match.get("identities", ()))
    match["kinds"] = frozenset(ParticipantKind(kind) for kind in match.get("kinds", ()))
    content["job_type"] = JobType(content["job_type"])
    content["restart_policy"] = RestartPolicy(content.get("restart_policy", 0))
    return Rule(match=Match(**match), **content)


def agent_types_of(note: Note) -> frozenset[JobType]:
    """Return the job types of an agent's note."""
    return frozenset(JobType(each) for each in json.loads(note.text)["types"])


# --- the bridge -----------------------------------------------------------------------------------


def call_note(call: SfuCall, job_id: str, is_of_rule: bool, is_gone: bool) -> Note:
    """Write down a call of the SFU's and the job that answers it."""
    content = {
        "call": _plain(call),
        "job_id": job_id,
        "is_of_rule": is_of_rule,
        "is_gone": is_gone,
    }
    return Note(NoteKind.CALL, call.project, call.room, call.key, _text(content))


def call_of(note: Note) -> tuple[SfuCall, str, bool, bool]:
    """Return the call, its job, whether a rule made that, and whether nobody asks for it."""
    content = json.loads(note.text)
    said = content["call"]
    said["served"] = _served(said["served"])
    return SfuCall(**said), content["job_id"], content["is_of_rule"], content["is_gone"]


def served_note(project: str, served: Served, at: int) -> Note:
    """Write down what workers serve, and when that was true."""
    content = {"served": _plain(served), "at": at}
    key = json.dumps([served.agent_name, int(served.job_type), served.deployment])
    return Note(NoteKind.SERVED, project, "", key, _text(content))


def served_of(note: Note) -> tuple[Served, int]:
    """Return what workers served, and when."""
    content = json.loads(note.text)
    return _served(content["served"]), content["at"]


def _served(said: Mapping[str, Any]) -> Served:
    return Served(said["agent_name"], JobType(said["job_type"]), said["deployment"])


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def _plain(value: object) -> Any:  # noqa: ANN401 (what JSON can say)
    """Return what JSON can say of a value."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset | tuple):
        plain = [_plain(each) for each in value]
        return sorted(plain) if isinstance(value, frozenset) else plain
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value
