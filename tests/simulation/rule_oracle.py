"""An oracle of rules: which jobs have to live, and which may, when all that happened is known.

It knows the rules of `sfu_plan` as predicates of its own, by their names, and nothing of the engine's
matching. A subject is what a job is for: a session of a room, and who is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from dispatcher.core.jobs import Job, JobType
from protocol import wire_pb2

if TYPE_CHECKING:
    from tests.simulation.sfu import Guest, Session, Sfu


@dataclass(frozen=True, slots=True)
class Subject:
    """What a job was made for; `identity` is empty for a room's own."""

    order: str
    room_sid: str
    identity: str
    participant_sid: str = ""

    @property
    def person(self) -> Subject:
        """The same, whichever connection it was made for."""
        return Subject(self.order, self.room_sid, self.identity)


@lru_cache(1024)
def _subject_of(order: str, config: bytes) -> Subject:
    wire = wire_pb2.Job.FromString(config)
    return Subject(order, wire.room.sid, wire.participant.identity, wire.participant.sid)


def subject_of(job: Job) -> Subject:
    """Return what a job that has an order was made for."""
    return _subject_of(job.order, job.config)


def _is_somebody(guest: Guest) -> bool:
    """Is it nobody's agent, recorder or egress?"""
    return guest.participant.identity.partition("-")[0] in ("guest", "host", "sip")


def _named(guest: Guest, prefix: str) -> bool:
    return guest.participant.identity.startswith(prefix)


# Rules of rooms: must there be a job for this session now?
_ROOM_RULES: dict[str, Callable[[Session], bool]] = {
    "calls": lambda session: session.info.name.startswith("call-"),
    "gold-rooms": lambda session: '"gold"' in session.info.metadata,
    "hosts": lambda session: any(_named(guest, "host-") for guest in session.guests.values()),
    "later": lambda session: True,
    "nowhere": lambda session: False,
}
# Of those, rules that look at who is there: a job goes on when they have left.
_ONCE_MATCHED = frozenset({"hosts"})
# Rules of participants.
_GUEST_RULES: dict[str, Callable[[Guest], bool]] = {
    "everybody": _is_somebody,
    "phones": lambda guest: _named(guest, "sip-"),
    "robots": lambda guest: _named(guest, "robot-"),
    "gold": lambda guest: _is_somebody(guest) and bool(guest.participant.attributes),
    "one-a-room": _is_somebody,
    "two-at-once": _is_somebody,
    "publishers": _is_somebody,
    "guests": lambda guest: _named(guest, "guest-"),
}
PUBLISHER_RULES = frozenset({"publishers", "guests"})


def is_of(rule: str, job_type: JobType) -> bool:
    """Does this rule make jobs of this type?"""
    if rule in _ROOM_RULES:
        return job_type is JobType.ROOM
    return job_type is (JobType.PUBLISHER if rule in PUBLISHER_RULES else JobType.PARTICIPANT)


def required(sfu: Sfu, rule: str) -> Iterator[Subject]:
    """Yield every subject that this rule has to have made a job for, with who is there now."""
    for session, guest in _places(sfu, rule):
        if guest is None:
            # A room that an agent opened anew, or may have, waits for people.
            if _ROOM_RULES[rule](session) and any(map(_is_somebody, session.guests.values())):
                yield Subject(f"rule:{rule}", session.info.sid, "")
        elif _GUEST_RULES[rule](guest) and (rule not in PUBLISHER_RULES or guest.tracks):
            yield Subject(f"rule:{rule}", session.info.sid, guest.participant.identity)


def allowed(sfu: Sfu, rule: str) -> Iterator[Subject]:
    """Yield every subject that this rule may have a job for, with who is there now."""
    for session, guest in _places(sfu, rule):
        if guest is None:
            if rule in _ONCE_MATCHED or _ROOM_RULES[rule](session):
                yield Subject(f"rule:{rule}", session.info.sid, "")
        elif _GUEST_RULES[rule](guest):
            yield Subject(f"rule:{rule}", session.info.sid, guest.participant.identity)


def _places(sfu: Sfu, rule: str) -> Iterator[tuple[Session, Guest | None]]:
    for session in sfu.sessions.values():
        if rule in _ROOM_RULES:
            yield session, None
        else:
            for guest in session.guests.values():
                yield session, guest
