"""Notes: what the engine has to remember besides jobs, kept for it by the store as it is.

A note has a kind, a project, a scope and a key, which together name it, and a text that the store
does not read (`note_texts` does). A note that is put again replaces what was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from protocol.values import quick


class NoteKind(StrEnum):
    """What a note is about; beside it, its scope and its key."""

    ROOM = "room"  # room name, ""
    MEMBER = "member"  # room name, what the connection is known by
    OVER = "over"  # "", sid of a session
    HEARD = "heard"  # "", id of an event that has no sids
    RULE = "rule"  # "", name
    AGENT = "agent"  # "", agent name
    ROOM_CONFIGURATION = "room_configuration"  # "", name
    CALL = "call"  # room name, key of the SFU's call
    SERVED = "served"  # "", agent name, job type and deployment


@quick
@dataclass(frozen=True, slots=True)
class Note:
    """One note. `text` is JSON."""

    kind: NoteKind
    project: str
    scope: str
    key: str
    text: str
