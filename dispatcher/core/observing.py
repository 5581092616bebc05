"""Events of rooms, from the news to what is durable of it.

What `rooms` makes of an event goes to those who draw conclusions, in order; then all rooms and
members that changed are written down, in the same turn as the jobs that follow, and only then is
the sender answered.

Left to others: what an event means (`rooms`), the conclusions (`ordering`, `standing_dispatches`,
`sightings`).
"""

from __future__ import annotations

from collections.abc import Iterable

from dispatcher.core import note_texts
from dispatcher.core.board import Board, DeadlineKind
from dispatcher.core.effects import DropNotes, Outcome, PutNote, Reply
from dispatcher.core.events import (
    RoomAnnounced,
    RoomAnnouncementWithdrawn,
    RoomEventReported,
    RoomsListed,
    StoreRecovered,
)
from dispatcher.core.heard_events import HeardEvents
from dispatcher.core.jobs import SECOND
from dispatcher.core.notes import Note, NoteKind
from dispatcher.core.ordering import Ordering
from dispatcher.core.room_changes import Change, RoomClosed, RoomsFull
from dispatcher.core.room_comparison import compare
from dispatcher.core.room_events import RoomEvent
from dispatcher.core.room_states import Member, RoomState, key_of
from dispatcher.core.rooms import Rooms
from dispatcher.core.rules import Rule
from dispatcher.core.sightings import Sightings
from dispatcher.core.standing_dispatches import StandingDispatches

OVER_INTERVAL = 60 * SECOND


class Observing:
    """The part of the engine that knows who is where."""

    def __init__(
        self,
        board: Board,
        rooms: Rooms,
        ordering: Ordering,
        standing: StandingDispatches,
        sightings: Sightings,
    ) -> None:
        self._board = board
        self._rooms = rooms
        self._ordering = ordering
        self._standing = standing
        self._sightings = sightings
        self._heard = HeardEvents(board, rooms.limits)

    def reported(self, event: RoomEventReported) -> None:
        """Something happened in a room."""
        board = self._board
        if self._heard.has(event.event, event.event_id):
            board.emit(Reply(event.request, Outcome.EXISTED))
            return
        try:
            changes = self._rooms.take(event.event, board.now)
        except RoomsFull as full:
            self._conclude(full.changes)
            self.write_down()
            board.emit(Reply(event.request, Outcome.REFUSED, detail=str(full)))
            return
        self._conclude(changes)
        self._await_successor(event.event)
        self._heard.note(event.event, event.event_id)
        if self._heard:
            self._schedule_over()
        self.write_down()
        board.emit(Reply(event.request, Outcome.DONE))

    def _await_successor(self, event: RoomEvent) -> None:
        room = self._rooms.rooms.get((event.project, event.room.name))
        if room is None or event.participant is None:
            return
        member = room.members.get(key_of(event.participant))
        if member is not None and member.is_replaced:
            self._schedule_succession(room, member)

    def _schedule_succession(self, room: RoomState, member: Member) -> None:
        self._board.schedule(
            DeadlineKind.SUCCESSION,
            self._board.now + self._rooms.limits.succession_time,
            "\0".join(room.key),
            member.key,
        )

    def announced(self, event: RoomAnnounced) -> None:
        """A room is about to be created that names its agents."""
        self._rooms.announce((event.project, event.name), self._board.now)

    def announcement_withdrawn(self, event: RoomAnnouncementWithdrawn) -> None:
        """It is not created."""
        self._rooms.announced.pop((event.project, event.name), 0)

    def listed(self, event: RoomsListed) -> None:
        """The SFU told what rooms there are."""
        self._conclude(compare(self._rooms, event, self._board.now))
        self.write_down()

    def succession_over(self, where: str, key: str) -> None:
        """Nobody took the place of a connection that was replaced."""
        project, _, name = where.partition("\0")
        self._conclude(self._rooms.succession_ended(project, name, key))
        self.write_down()

    def over_due(self) -> None:
        """Forget old sessions, and ids of old events."""
        self._heard.forget_old()
        for project, sid in self._rooms.forget_over(self._board.now):
            self._board.emit(DropNotes(NoteKind.OVER, project, "", sid))
        if self._rooms.over or self._heard:
            self._schedule_over()

    def _schedule_over(self) -> None:
        if not self._is_scheduled:
            self._board.schedule(DeadlineKind.OVER, self._board.now + OVER_INTERVAL, "")

    @property
    def _is_scheduled(self) -> bool:
        return (DeadlineKind.OVER, "", "") in self._board.deadlines

    def _conclude(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if isinstance(change, RoomClosed):
                project, name = change.room.key
                self._board.emit(DropNotes(NoteKind.MEMBER, project, name, None))
            self._sightings.changed(change)
            self._ordering.changed(change)
            self._standing.changed(change)

    def write_down(self) -> None:
        """Write down the rooms and members that changed."""
        board, rooms = self._board, self._rooms
        while rooms.newly_over:
            session = rooms.newly_over.pop()
            board.emit(PutNote(note_texts.over_note(*session, rooms.over[session])))
            self._schedule_over()
        for project, name, key in self._rooms.take_touched():
            room = self._rooms.rooms.get((project, name))
            if key is None:
                if room is not None:
                    board.emit(PutNote(note_texts.room_note(room)))
                else:
                    board.emit(DropNotes(NoteKind.ROOM, project, name, None))
            elif room is not None:
                member = room.members.get(key)
                if member is not None:
                    board.emit(PutNote(note_texts.member_note(room, member)))
                elif key in room.gone:
                    board.emit(PutNote(note_texts.gone_note(project, name, key)))
                else:
                    board.emit(DropNotes(NoteKind.MEMBER, project, name, key))

    # --- a server that starts -----------------------------------------------------------------

    def recovered(self, event: StoreRecovered) -> None:
        """Read all notes, and look at everything again."""
        rules: list[tuple[str, Rule]] = []
        members: list[Note] = []
        rooms = self._rooms
        now = self._board.now
        for note in event.notes:
            match note.kind:
                case NoteKind.ROOM:
                    room = note_texts.room_of(note)
                    # Before any list that is asked for now, though the clock was set back meanwhile.
                    room.seen_at = min(room.seen_at, now)
                    rooms.rooms[room.key] = room
                case NoteKind.MEMBER:
                    members.append(note)
                case NoteKind.OVER:
                    rooms.over[note.project, note.key] = note_texts.until_of(note)
                case NoteKind.RULE:
                    rules.append((note.project, note_texts.rule_of(note)))
                case NoteKind.AGENT:
                    self._standing.recovered(note)
                case _:
                    pass
        for note in members:
            found = rooms.rooms.get((note.project, note.scope))
            if found is None:
                continue
            member = note_texts.member_of(note)
            if member is None:
                found.gone[note.key] = None
                continue
            member.seen_at = min(member.seen_at, now)
            rooms.members.restore(found, member)
            if member.is_replaced:
                self._schedule_succession(found, member)
        rooms.over = dict(sorted(rooms.over.items(), key=lambda entry: entry[1]))
        self._heard.recovered([note for note in event.notes if note.kind is NoteKind.HEARD])
        if rooms.over or self._heard:
            self._schedule_over()
        self._ordering.recovered(sorted(rules, key=lambda entry: entry[1].name), event.ordered)
        for note in event.notes:
            if note.kind is NoteKind.AGENT and not note.key:
                self._ordering.unnamed_came(note.project, note_texts.agent_types_of(note))
