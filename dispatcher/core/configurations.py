"""Room configurations: named presets of what a room is created with, kept as they came (A18).

One is a message of the wire (LiveKit's RoomConfiguration) that the core does not read; the same bytes
are the same configuration. Each change is a note, written before its caller is answered.

Left to others: what one may be (`dispatcher.room_configurations`), those of the configuration file,
and what becomes of them when a room is created (`server.room_creation`).
"""

from __future__ import annotations

import base64
import json

from dispatcher.core.board import Board
from dispatcher.core.effects import DropNotes, Outcome, PutNote, Reply
from dispatcher.core.events import (
    RoomConfigurationChangeRequested,
    RoomConfigurationCreationRequested,
    RoomConfigurationDeletionRequested,
    StoreRecovered,
)
from dispatcher.core.notes import Note, NoteKind

ConfigurationKey = tuple[str, str]  # project, name


class RoomConfigurations:
    """The part of the engine that keeps room configurations."""

    def __init__(self, board: Board) -> None:
        self._board = board
        # the serialised message of each
        self.kept: dict[ConfigurationKey, bytes] = {}

    def creation_requested(self, event: RoomConfigurationCreationRequested) -> None:
        """A caller creates one; the same again is there already, another of its name is refused."""
        before = self.kept.get((event.project, event.name))
        if before is None:
            self._put(event.project, event.name, event.config)
            self._reply(event.request, Outcome.CREATED)
        elif before == event.config:
            self._reply(event.request, Outcome.EXISTED)
        else:
            self._reply(event.request, Outcome.REFUSED)

    def change_requested(self, event: RoomConfigurationChangeRequested) -> None:
        """A caller puts another one in the place of one that is there."""
        before = self.kept.get((event.project, event.name))
        if before is None:
            self._reply(event.request, Outcome.NOT_FOUND)
        elif before == event.config:
            self._reply(event.request, Outcome.EXISTED)
        else:
            self._put(event.project, event.name, event.config)
            self._reply(event.request, Outcome.CHANGED)

    def deletion_requested(self, event: RoomConfigurationDeletionRequested) -> None:
        """A caller deletes one; rooms that it has made stay as they are."""
        if self.kept.pop((event.project, event.name), None) is None:
            self._reply(event.request, Outcome.NOT_FOUND)
            return
        self._board.emit(DropNotes(NoteKind.ROOM_CONFIGURATION, event.project, "", event.name))
        self._reply(event.request, Outcome.DELETED)

    def recovered(self, event: StoreRecovered) -> None:
        """Read what was there when the server ended."""
        for note in event.notes:
            if note.kind is NoteKind.ROOM_CONFIGURATION:
                self.kept[note.project, note.key] = configuration_of(note)

    def _put(self, project: str, name: str, config: bytes) -> None:
        self.kept[project, name] = config
        self._board.emit(PutNote(configuration_note(project, name, config)))

    def _reply(self, request: int, outcome: Outcome) -> None:
        self._board.emit(Reply(request, outcome))


def configuration_note(project: str, name: str, config: bytes) -> Note:
    """Write down a room configuration."""
    text = json.dumps({"config": base64.b64encode(config).decode()})
    return Note(NoteKind.ROOM_CONFIGURATION, project, "", name, text)


def configuration_of(note: Note) -> bytes:
    """Return the room configuration of a note."""
    return base64.b64decode(json.loads(note.text)["config"])
