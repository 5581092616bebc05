"""The simulated SFU: rooms, who is in them, and what is told of it: doubled, late, lost, and listed.

People come, publish, lose their connections, leave; rooms end and begin again; agents join while
their jobs run. Each of it is news to the server (LiveKit's webhooks), and every few seconds the
server asks for the whole list, as its reconciling shell does. The SFU itself knows what is so, and
what ever was: the checkers hold the server against that.

Left to others: which jobs follow (`rule_oracle`), who asks for rules (`rule_callers`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dispatcher.core.events import RoomEventReported, RoomsListed
from dispatcher.core.jobs import MILLISECOND, SECOND, Nanoseconds
from dispatcher.core.room_events import (
    DisconnectReason,
    Participant,
    ParticipantKind,
    RoomEvent,
    RoomEventKind,
    RoomInfo,
    RoomSeen,
)
from dispatcher.core.room_states import RoomLimits
from tests.simulation.sfu_plan import SfuPlan

if TYPE_CHECKING:
    from tests.simulation.processes import Execution
    from tests.simulation.simulator import World

PROJECT = "p"
PEOPLE = ("guest-1", "guest-2", "guest-3", "host-1", "host-2", "sip-1", "egress-1", "robot-1")
KINDS = {
    "sip": ParticipantKind.SIP,
    "egress": ParticipantKind.EGRESS,
    "robot": ParticipantKind.AGENT,
}
REASONS = (
    DisconnectReason.CLIENT_INITIATED,
    DisconnectReason.CLIENT_INITIATED,
    DisconnectReason.SIGNAL_CLOSE,
    DisconnectReason.CONNECTION_TIMEOUT,
    DisconnectReason.PARTICIPANT_REMOVED,
)
METADATA = ("", '{"tier": "gold"}', "no JSON {")
# How often the list is asked for when everything has healed.
HEALED_LISTS_EVERY: Nanoseconds = 3 * SECOND
SUCCESSION: Nanoseconds = RoomLimits().succession_time
# Two sessions of one room are further apart, because news tell the time in whole seconds.
BETWEEN_SESSIONS: Nanoseconds = 2 * SECOND


@dataclass(slots=True, eq=False)
class Guest:
    """One connection of somebody who is in a session; of an agent, what runs it."""

    participant: Participant
    tracks: list[str] = field(default_factory=list)
    execution: Execution | None = None


@dataclass(slots=True, eq=False)
class Session:
    """A session of a room, and who is in it, by identity."""

    info: RoomInfo
    guests: dict[str, Guest] = field(default_factory=dict)

    @property
    def has_people(self) -> bool:
        """Is anybody there who is not the agent of a job?"""
        return any(guest.execution is None for guest in self.guests.values())


class Sfu:
    """All rooms, by name."""

    def __init__(self, world: World, plan: SfuPlan) -> None:
        self._world = world
        self._plan = plan
        self.sessions: dict[str, Session] = {}
        # what ever was: sessions that are over, by sid; names of rooms that were over once; who left,
        # by session's sid and identity; the epoch of the run that an agent's connection was
        self.over: set[str] = set()
        self.names_over: set[str] = set()
        self.left: set[tuple[str, str]] = set()
        self.epochs: dict[str, int] = {}
        # runs whose agent was there and is not any more, by job and epoch
        self.agents_gone: set[tuple[str, int]] = set()
        self._over_at: dict[str, Nanoseconds] = {}
        # news of people that are on their way, and since when the server knows the truth
        self._on_the_way = 0
        self._settled: tuple[int, Nanoseconds] | None = None
        # when news of people came last
        self._last_news: Nanoseconds = 0
        # was somebody replaced whose next connection may not be told of, or too late?
        self._was_replaced = False

    def begin(self) -> None:
        """Rooms come to life, and the server asks for the list now and then."""
        self._live()
        if self._plan.lists_every:
            self._world.timeline.after(self._plan.lists_every, self._ask_for_list)

    def heal(self) -> None:
        """From now on nobody comes or goes but agents, and all news come."""
        for session in list(self.sessions.values()):
            if not session.has_people:
                self._finish(session)
        if not self._plan.lists_every:
            self._ask_for_list()

    @property
    def is_settled(self) -> bool:
        """Does the server that runs know the truth, and had it time to act on it?"""
        server = self._world.server
        if self._settled is None:
            return False
        # Who was replaced and whose next connection nobody told of is waited for.
        wait = SUCCESSION + 2 * SECOND
        is_recent = self._world.timeline.now - self._last_news < wait
        if self._was_replaced and (is_recent or not server.is_steady(wait)):
            return False
        incarnation, since = self._settled
        return incarnation == server.incarnation and self._world.timeline.now - since > 2 * SECOND

    # --- what happens -------------------------------------------------------------------------

    def _live(self) -> None:
        world, random = self._world, self._world.random
        if world.is_healed:
            return
        world.timeline.after(int(random.random() * 2 * self._plan.pace) + MILLISECOND, self._live)
        wanted = random.random()
        if not self.sessions or wanted < 0.08:
            self._start(random.choice(self._plan.rooms))
            return
        session = random.choice(list(self.sessions.values()))
        people = [guest for guest in session.guests.values() if guest.execution is None]
        if wanted < 0.13:
            self._finish(session)
        elif wanted < 0.5 or not people:
            self._come(session, random.choice(PEOPLE))
        else:
            guest = random.choice(people)
            if wanted < 0.68:
                self._leave(session, guest, random.choice(REASONS))
            elif wanted < 0.8:
                self._connect_again(session, guest)
            else:
                self._change_tracks(session, guest)

    def _start(self, name: str) -> Session | None:
        now = self._world.timeline.now
        if name in self.sessions or now < self._over_at.get(name, 0) + BETWEEN_SESSIONS:
            return None
        info = RoomInfo(
            name,
            self._world.new_id("RM"),
            self._world.random.choice(METADATA),
            now // MILLISECOND * MILLISECOND,
        )
        session = self.sessions[name] = Session(info)
        self._tell(RoomEventKind.ROOM_STARTED, session)
        return session

    def _finish(self, session: Session) -> None:
        for guest in list(session.guests.values()):
            self._leave(session, guest, DisconnectReason.ROOM_DELETED)
        name = session.info.name
        del self.sessions[name]
        self._over_at[name] = self._world.timeline.now
        self.over.add(session.info.sid)
        self.names_over.add(name)
        self._tell(RoomEventKind.ROOM_FINISHED, session)

    def _come(self, session: Session, identity: str) -> None:
        if identity in session.guests:
            return
        self._join(session, Guest(self._participant(session, identity)))
        # Who publishes once does so in each of its connections, save for a moment.
        if hash_of(session.info.sid, identity) % 10 < 6:
            self._publish(session, session.guests[identity])

    def _participant(self, session: Session, identity: str) -> Participant:
        kind = KINDS.get(identity.partition("-")[0], ParticipantKind.STANDARD)
        gold = hash_of(session.info.sid, identity) % 3 == 0
        return Participant(
            identity,
            self._world.new_id("PA"),
            kind=kind,
            attributes={"tier": "gold"} if gold else {},
            joined_at=self._world.timeline.now // MILLISECOND * MILLISECOND,
            is_agent=kind is ParticipantKind.AGENT,
        )

    def _join(self, session: Session, guest: Guest) -> None:
        session.guests[guest.participant.identity] = guest
        self._tell(RoomEventKind.PARTICIPANT_JOINED, session, guest)

    def _leave(self, session: Session, guest: Guest, reason: DisconnectReason) -> None:
        identity = guest.participant.identity
        del session.guests[identity]
        is_replaced = reason is DisconnectReason.DUPLICATE_IDENTITY
        # Who is replaced, and whose next connection nobody hears of in time, is taken for gone in a
        # while.
        if guest.execution is not None:
            self.agents_gone.add((guest.execution.job.id, guest.execution.epoch))
        may_miss_news = self._world.scenario.may_miss_news
        if is_replaced and guest.execution is None:
            self._was_replaced = True
        if not is_replaced or may_miss_news:
            self.left.add((session.info.sid, identity))
        self._tell(RoomEventKind.PARTICIPANT_LEFT, session, guest, reason=reason)

    def _connect_again(self, session: Session, guest: Guest) -> None:
        """Its connection is replaced by another of the same identity."""
        self._leave(session, guest, DisconnectReason.DUPLICATE_IDENTITY)
        self._come(session, guest.participant.identity)

    def _publish(self, session: Session, guest: Guest) -> None:
        track = self._world.new_id("TR")
        guest.tracks.append(track)
        self._tell(RoomEventKind.TRACK_PUBLISHED, session, guest, track)

    def _change_tracks(self, session: Session, guest: Guest) -> None:
        if guest.tracks and self._world.random.random() < 0.5:
            self._tell(RoomEventKind.TRACK_UNPUBLISHED, session, guest, guest.tracks.pop())
        elif len(guest.tracks) < 3:
            self._publish(session, guest)

    # --- agents -------------------------------------------------------------------------------

    def agent_joins(self, execution: Execution, identity: str) -> None:
        """A job's agent comes into its room, if there is one."""
        world = self._world
        session = self.sessions.get(execution.job.room)
        if session is None and not world.is_healed and world.random.random() < 0.1:
            session = self._start(execution.job.room)  # a token lets one join what is over
        if session is None:
            return
        older = session.guests.get(identity)
        if older is not None:
            self._leave(session, older, DisconnectReason.DUPLICATE_IDENTITY)
        who = Participant(
            identity,
            world.new_id("PA"),
            kind=ParticipantKind.AGENT,
            joined_at=world.timeline.now // MILLISECOND * MILLISECOND,
            is_agent=True,
        )
        self.epochs[who.sid] = execution.epoch
        self._join(session, Guest(who, execution=execution))

    def agent_leaves(self, execution: Execution, reason: DisconnectReason) -> None:
        """A job's agent is not there any more."""
        session = self.sessions.get(execution.job.room)
        if session is not None:
            for guest in session.guests.values():
                if guest.execution is execution:
                    self._leave(session, guest, reason)
                    if not session.guests and not self._world.is_healed:
                        self._finish(session)
                    return

    # --- what is told -------------------------------------------------------------------------

    def _tell(
        self,
        kind: RoomEventKind,
        session: Session,
        guest: Guest | None = None,
        track: str = "",
        reason: DisconnectReason = DisconnectReason.UNKNOWN_REASON,
    ) -> None:
        world, plan = self._world, self._plan
        random, timeline = world.random, world.timeline
        room, who = session.info, guest.participant if guest is not None else None
        if who is not None and track:  # all that LiveKit tells with a track
            room, who = RoomInfo(room.name, room.sid), Participant(who.identity, who.sid)
        at = timeline.now // SECOND * SECOND
        event = RoomEvent(kind, PROJECT, room, who, track, reason, at)
        execution = guest.execution if guest is not None else None
        if world.is_healed:
            self._send(0, event, execution)
            return
        if random.random() < plan.lost:
            return
        delay = 0
        if random.random() < plan.late:
            delay = int(random.random() * plan.late_max)
        self._send(delay, event, execution)
        if random.random() < plan.doubled:
            self._send(delay + int(random.random() * 5 * SECOND), event, execution)

    def _send(self, delay: Nanoseconds, event: RoomEvent, execution: Execution | None) -> None:
        world = self._world
        if execution is None:
            self._on_the_way += 1
        world.timeline.after(delay + world.latency(), self._arrive, event, execution)

    def _arrive(self, event: RoomEvent, execution: Execution | None) -> None:
        world = self._world
        if execution is None:
            self._on_the_way -= 1
            self._last_news = world.timeline.now
        if world.server.takes_calls:
            world.server.call(RoomEventReported(world.new_number(), event))

    # --- the list -----------------------------------------------------------------------------

    def _ask_for_list(self) -> None:
        world = self._world
        every = self._plan.lists_every
        if world.is_healed or not every:
            every = HEALED_LISTS_EVERY
        world.timeline.after(every, self._ask_for_list)
        server = world.server
        if server.takes_calls and not (world.is_healed and self.is_settled):
            is_last = world.is_healed and not (self._on_the_way or server.is_paused)
            world.timeline.after(
                world.latency(), self._make_list, server.now, server.incarnation, is_last
            )

    def _make_list(self, asked_at: Nanoseconds, incarnation: int, is_last: bool) -> None:
        rooms = tuple(
            RoomSeen(
                session.info,
                tuple(guest.participant for guest in session.guests.values()),
                frozenset(g.participant.sid for g in session.guests.values() if g.tracks),
            )
            for session in self.sessions.values()
        )
        event = RoomsListed(PROJECT, asked_at, rooms)
        world = self._world
        world.timeline.after(world.latency(), self._list_arrives, event, incarnation, is_last)

    def _list_arrives(self, event: RoomsListed, incarnation: int, is_last: bool) -> None:
        server = self._world.server
        if incarnation == server.incarnation and server.takes_calls:
            server.call(event)
            if is_last and not (server.is_draining or server.is_paused):
                self._settled = incarnation, self._world.timeline.now


def hash_of(sid: str, identity: str) -> int:
    """A number that is the same in every process (`hash` is not)."""
    number = 0
    for character in f"{sid} {identity}":
        number = (number * 31 + ord(character)) % 1_000_003
    return number
