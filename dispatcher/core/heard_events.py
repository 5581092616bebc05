"""Ids of events that were taken, for those events that no sid protects, so that none counts twice.

An event whose room and participant have sids is old by what it says: of a session that is over, of a
connection that has left. Without sids only its id tells that it was sent again, also after a restart:
so it is a note for as long as a webhook may be sent again, in a number that is bounded.

Left to others: events that come again while the server runs (`dispatcher.server.room_reports`).
"""

from __future__ import annotations

from collections import OrderedDict

from dispatcher.core import note_texts
from dispatcher.core.board import Board
from dispatcher.core.effects import DropNotes, PutNote
from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.notes import Note, NoteKind
from dispatcher.core.room_events import RoomEvent
from dispatcher.core.room_states import RoomLimits


class HeardEvents:
    """The ids of events that were taken and have no sids, by project, the oldest first."""

    def __init__(self, board: Board, limits: RoomLimits) -> None:
        self._board = board
        self._limits = limits
        # until when each is remembered; quick at its first entry, also where others were before it
        self._until: OrderedDict[tuple[str, str], Nanoseconds] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def has(self, event: RoomEvent, event_id: str) -> bool:
        """Was this event taken before?"""
        return (event.project, event_id) in self._until

    def note(self, event: RoomEvent, event_id: str) -> None:
        """An event was taken, with what follows from it."""
        who = event.participant
        if not event_id or (event.room.sid and (who is None or who.sid)):
            return
        until = self._board.now + self._limits.heard_time
        self._until[event.project, event_id] = until
        self._board.emit(PutNote(note_texts.heard_note(event.project, event_id, until)))
        if len(self._until) > self._limits.heard_max:
            self._forget(next(iter(self._until)))

    def forget_old(self) -> None:
        """Forget those that nobody sends again any more."""
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] > self._board.now:
                return
            self._forget(oldest)

    def _forget(self, key: tuple[str, str]) -> None:
        del self._until[key]
        project, event_id = key
        self._board.emit(DropNotes(NoteKind.HEARD, project, "", event_id))

    def recovered(self, notes: list[Note]) -> None:
        """Read what was heard before the server was started."""
        found = [((note.project, note.key), note_texts.until_of(note)) for note in notes]
        self._until = OrderedDict(sorted(found, key=lambda entry: entry[1]))
