"""Words for what happens in rooms and to rules, for tests that drive an engine.

A session of a room and a connection of a participant have numbers, from which their sids and times
are made: a later number is a later one. Left to others: the engine that is told (`engine_bench`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dispatcher.core.effects import Effect, Message, Outcome, Reply
from dispatcher.core.events import (
    Event,
    RoomEventReported,
    RoomsListed,
    RuleApplyRequested,
    RuleDeletionRequested,
)
from dispatcher.core.jobs import SECOND, JobType, Nanoseconds, RestartPolicy, seconds
from dispatcher.core.room_events import (
    DisconnectReason,
    Participant,
    ParticipantKind,
    RoomEvent,
    RoomEventKind,
    RoomInfo,
    RoomSeen,
)
from dispatcher.core.rules import Match, Rule
from dispatcher.store.contract import JobFilter, StoredJob
from tests.support.memory_store import MemoryDatabase

PROJECT = "project"
AGENT = "greeter"
ROOM = "room"
START: Nanoseconds = 1_000_000 * SECOND

ALL_TYPES = (JobType.ROOM, JobType.PUBLISHER, JobType.PARTICIPANT)
_NOTHING: Mapping[str, str] = {}


def room_info(name: str = ROOM, session: int = 1, *, metadata: str = "") -> RoomInfo:
    """Return a room as its own events name it."""
    return RoomInfo(name, f"RM_{name}_{session}", metadata, START + session * SECOND)


def bare_room(name: str = ROOM, session: int = 1) -> RoomInfo:
    """Return a room as the events of tracks name it."""
    return RoomInfo(name, f"RM_{name}_{session}")


def person(
    identity: str,
    connection: int = 1,
    *,
    kind: ParticipantKind = ParticipantKind.STANDARD,
    attributes: Mapping[str, str] = _NOTHING,
    metadata: str = "",
    is_agent: bool = False,
    is_recorder: bool = False,
) -> Participant:
    """Return a participant as its joining tells it."""
    return Participant(
        identity,
        f"PA_{identity}_{connection}",
        f"name of {identity}",
        kind,
        metadata,
        dict(attributes),
        START + connection * SECOND,
        is_agent,
        is_recorder,
    )


def bare_person(identity: str, connection: int = 1) -> Participant:
    """Return a participant as the events of tracks name it."""
    return Participant(identity, f"PA_{identity}_{connection}")


def seen(
    *people: Participant,
    room: str = ROOM,
    session: int = 1,
    publishers: Iterable[str] = (),
    metadata: str = "",
) -> RoomSeen:
    """Return a room as the SFU lists it; `publishers` are identities."""
    wanted = set(publishers)
    return RoomSeen(
        room_info(room, session, metadata=metadata),
        people,
        frozenset(who.sid for who in people if who.identity in wanted),
    )


class RoomWords:
    """Words for what happens in rooms and to rules. Each returns how it was answered, if it was."""

    now: Nanoseconds
    database: MemoryDatabase
    sent: list[Message]
    _requests: int

    def tell(self, event: Event) -> list[Effect]:
        """Tell the engine what happened."""
        raise NotImplementedError

    def tell_room(
        self,
        kind: RoomEventKind,
        room: RoomInfo,
        who: Participant | None = None,
        *,
        track: str = "",
        reason: DisconnectReason = DisconnectReason.UNKNOWN_REASON,
        project: str = PROJECT,
        at: Nanoseconds = 0,
        event_id: str = "",
    ) -> Reply | None:
        """Report an event of a room."""
        self._requests += 1
        event = RoomEvent(kind, project, room, who, track, reason, at)
        self.tell(RoomEventReported(self._requests, event, event_id))
        return self.reply(self._requests)

    def reply(self, request: int) -> Reply | None:
        """Return the answer to a call, None while there is none."""
        found = [m for m in self.sent if isinstance(m, Reply) and m.request == request]
        assert len(found) <= 1, f"call {request} was answered {len(found)} times"
        return found[0] if found else None

    # --- rooms ------------------------------------------------------------------------------

    def room_starts(
        self, room: str = ROOM, session: int = 1, *, metadata: str = "", project: str = PROJECT
    ) -> Reply | None:
        """A room is there."""
        info = room_info(room, session, metadata=metadata)
        return self.tell_room(RoomEventKind.ROOM_STARTED, info, project=project)

    def room_finishes(
        self, room: str = ROOM, session: int = 1, *, project: str = PROJECT
    ) -> Reply | None:
        """A room is over."""
        info = room_info(room, session)
        return self.tell_room(RoomEventKind.ROOM_FINISHED, info, project=project)

    def joins(
        self,
        who: str | Participant,
        connection: int = 1,
        *,
        room: str = ROOM,
        session: int = 1,
        project: str = PROJECT,
    ) -> Reply | None:
        """Somebody joins."""
        who = person(who, connection) if isinstance(who, str) else who
        info = room_info(room, session)
        return self.tell_room(RoomEventKind.PARTICIPANT_JOINED, info, who, project=project)

    def leaves(
        self,
        who: str | Participant,
        connection: int = 1,
        *,
        reason: DisconnectReason = DisconnectReason.CLIENT_INITIATED,
        room: str = ROOM,
        session: int = 1,
        project: str = PROJECT,
    ) -> Reply | None:
        """Somebody leaves."""
        who = person(who, connection) if isinstance(who, str) else who
        info = room_info(room, session)
        return self.tell_room(
            RoomEventKind.PARTICIPANT_LEFT, info, who, reason=reason, project=project
        )

    def publishes(
        self,
        who: str,
        connection: int = 1,
        *,
        track: str = "TR_1",
        room: str = ROOM,
        session: int = 1,
        project: str = PROJECT,
    ) -> Reply | None:
        """Somebody has a track."""
        return self.tell_room(
            RoomEventKind.TRACK_PUBLISHED,
            bare_room(room, session),
            bare_person(who, connection),
            track=track,
            project=project,
        )

    def unpublishes(
        self,
        who: str,
        connection: int = 1,
        *,
        track: str = "TR_1",
        room: str = ROOM,
        session: int = 1,
        project: str = PROJECT,
    ) -> Reply | None:
        """Somebody has a track no longer."""
        return self.tell_room(
            RoomEventKind.TRACK_UNPUBLISHED,
            bare_room(room, session),
            bare_person(who, connection),
            track=track,
            project=project,
        )

    def lists_rooms(
        self,
        *rooms: RoomSeen,
        others_gone: bool = True,
        asked_at: Nanoseconds | None = None,
        project: str = PROJECT,
    ) -> None:
        """The SFU lists its rooms, asked just now (`asked_at`: at another time)."""
        at = self.now + 1 if asked_at is None else asked_at
        self.tell(RoomsListed(project, at, rooms, others_gone))

    # --- rules ------------------------------------------------------------------------------

    def rule(
        self,
        name: str = "rule",
        job_type: JobType = JobType.ROOM,
        *,
        project: str = PROJECT,
        agent: str = AGENT,
        match: Match | None = None,
        metadata: str = "",
        attributes: Mapping[str, str] = _NOTHING,
        priority: int = 0,
        queue_seconds: float = 0,
        unique: str = "",
        limit: int = 0,
        delay_seconds: float = 0,
        restart: RestartPolicy = RestartPolicy.ON_FAILURE,
        enabled: bool = True,
        version: int = 0,
    ) -> Reply | None:
        """A caller applies a rule."""
        rule = Rule(
            name,
            job_type,
            agent,
            match or Match(),
            metadata=metadata,
            attributes=dict(attributes),
            priority=priority,
            queue_time=seconds(queue_seconds),
            uniqueness_key=unique,
            concurrency_limit=limit,
            delay=seconds(delay_seconds),
            restart_policy=restart,
            enabled=enabled,
            version=version,
        )
        self._requests += 1
        self.tell(RuleApplyRequested(self._requests, project, rule))
        return self.reply(self._requests)

    def delete_rule(
        self, name: str = "rule", *, version: int = 0, project: str = PROJECT
    ) -> Reply | None:
        """A caller deletes a rule."""
        self._requests += 1
        self.tell(RuleDeletionRequested(self._requests, project, name, version))
        return self.reply(self._requests)

    def jobs_of(self, rule: str = "rule", *, project: str = PROJECT) -> list[str]:
        """Return all jobs that the rule ever made, oldest first."""
        return [stored.job.id for stored in self._stored_of(rule, project)]

    def live_jobs_of(self, rule: str = "rule", *, project: str = PROJECT) -> list[str]:
        """Return the jobs of the rule that have not ended, oldest first."""
        return [
            stored.job.id
            for stored in self._stored_of(rule, project)
            if not stored.state.phase.is_ended
        ]

    def job_of(self, rule: str = "rule", *, project: str = PROJECT) -> str:
        """Return the one job that the rule ever made."""
        jobs = self.jobs_of(rule, project=project)
        assert len(jobs) == 1, jobs
        return jobs[0]

    def _stored_of(self, rule: str, project: str) -> list[StoredJob]:
        found = self.database.list_jobs(JobFilter(project), 1_000_000)
        return [stored for stored in reversed(found) if stored.job.order == f"rule:{rule}"]


def outcome(reply: Reply | None) -> Outcome:
    """Return how a call was answered."""
    assert reply is not None, "the call was not answered"
    return reply.outcome
