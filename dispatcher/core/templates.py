"""Texts of a rule that take values of the room and of the participant.

`{room.name}`, `{room.sid}`, `{room.metadata}`, `{room.metadata.PATH}`, `{participant.identity}`,
`{participant.sid}`, `{participant.name}`, `{participant.kind}`, `{participant.attributes.KEY}`,
`{participant.metadata}`, `{participant.metadata.PATH}`; `{{` and `}}` are braces. What is missing is
an empty text: no participant, no such attribute, no JSON, a path into nothing, null. A text in JSON
is taken as it is, anything else as JSON. What a template makes is bounded, because peers choose what
goes in: it is cut, at a character, at a number of bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from dispatcher.core.documents import NOTHING, Path, document, path, value_at
from dispatcher.core.room_events import Participant, RoomInfo
from dispatcher.core.rules import NotUnderstood

# LiveKit's limits of a job's metadata, and of attributes, names and values together.
FILLED_BYTES_MAX = 512 * 1024
FILLED_VALUES_BYTES_MAX = 64 * 1024

_FIELDS = {
    "room": ("name", "sid", "metadata"),
    "participant": ("identity", "sid", "name", "kind", "attributes", "metadata"),
}
_PIECE = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<place>[^{}]*)\}|(?P<alone>[{}])")
_REMEMBERED = 4096
_SHOWN_CHARACTERS_MAX = 60


@dataclass(frozen=True, slots=True)
class Place:
    """A value that a template takes: `root` is room or participant, `rest` a path or an attribute."""

    root: str
    field: str
    attribute: str = ""
    path: Path = ()

    def value(self, room: RoomInfo, participant: Participant | None) -> str:
        """Return what is there now, empty where nothing is."""
        if self.root == "room":
            if self.field == "metadata":
                return self._metadata(room.metadata)
            return room.name if self.field == "name" else room.sid
        if participant is None:
            return ""
        match self.field:
            case "metadata":
                return self._metadata(participant.metadata)
            case "attributes":
                return participant.attributes.get(self.attribute, "")
            case "kind":
                return participant.kind.name
            case "sid":
                return participant.sid
            case "name":
                return participant.name
            case _:
                return participant.identity

    def _metadata(self, metadata: str) -> str:
        if not self.path:
            return metadata
        found = value_at(document(metadata), self.path)
        if found is NOTHING or found is None:
            return ""
        if isinstance(found, str):
            return found
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Template:
    """A template, read: literal texts and places."""

    parts: tuple[str | Place, ...]

    @property
    def places(self) -> int:
        """How many values it takes."""
        return sum(isinstance(part, Place) for part in self.parts)

    def fill(self, room: RoomInfo, participant: Participant | None, bytes_max: int) -> str:
        """Return the text, cut at `bytes_max` bytes of UTF-8."""
        pieces: list[bytes] = []
        left = bytes_max
        for part in self.parts:
            text = part if isinstance(part, str) else part.value(room, participant)
            piece = text.encode("utf-8", "replace")
            pieces.append(piece[:left])
            left -= len(piece)
            if left < 0:
                break
        return b"".join(pieces).decode("utf-8", "ignore")


@lru_cache(maxsize=_REMEMBERED)
def template(text: str) -> Template:
    """Read a template. Raises NotUnderstood, which names what is wrong."""
    return Template(tuple(_parts(text)))


def fill(
    text: str,
    room: RoomInfo,
    participant: Participant | None,
    bytes_max: int = FILLED_BYTES_MAX,
) -> str:
    """Fill a template's text; it has been checked when its rule was made."""
    return template(text).fill(room, participant, bytes_max)


def fill_values(
    texts: Mapping[str, str],
    room: RoomInfo,
    participant: Participant | None,
    bytes_max: int = FILLED_VALUES_BYTES_MAX,
) -> dict[str, str]:
    """Fill the values of attributes; all of them, with their names, have at most `bytes_max` bytes.

    In the order of their names; those for which nothing is left are empty.
    """
    left = bytes_max - sum(len(name.encode("utf-8", "replace")) for name in texts)
    filled: dict[str, str] = {}
    for name in sorted(texts):
        filled[name] = fill(texts[name], room, participant, max(0, left))
        left -= len(filled[name].encode("utf-8", "replace"))
    return filled


def _parts(text: str) -> Iterator[str | Place]:
    literal: list[str] = []
    at = 0
    for piece in _PIECE.finditer(text):
        literal.append(text[at : piece.start()])
        at = piece.end()
        if piece["brace"]:
            literal.append(piece["brace"][0])
        elif piece["place"] is not None:
            if any(literal):
                yield "".join(literal)
                literal.clear()
            yield _place(piece["place"])
        else:
            brace = piece["alone"]
            raise NotUnderstood(
                f"has a '{brace}' that stands alone, at character {piece.start() + 1};"
                f" a brace as such is '{brace}{brace}'"
            )
    literal.append(text[at:])
    if any(literal):
        yield "".join(literal)


def _place(inside: str) -> Place:
    root, _, below = inside.partition(".")
    shown = "{" + inside[:_SHOWN_CHARACTERS_MAX] + "}"
    if root not in _FIELDS:
        raise NotUnderstood(
            f"has {shown}, which begins neither with room nor with participant;"
            " a brace as such is '{{' or '}}'"
        )
    # A path may begin with an index: {room.metadata[0]}
    field = re.split(r"[.\[]", below, maxsplit=1)[0]
    rest = below[len(field) :].removeprefix(".")
    if field not in _FIELDS[root]:
        raise NotUnderstood(f"has {shown}, but a {root} has only {', '.join(_FIELDS[root])}")
    if field == "attributes":
        if not rest:
            raise NotUnderstood(f"has {shown}, which names no attribute")
        return Place(root, field, attribute=rest)
    if field == "metadata":
        if below != field and not rest:
            raise NotUnderstood(f"has {shown}, which ends with a dot")
        return Place(root, field, path=path(rest) if rest else ())
    if below != field:
        raise NotUnderstood(f"has {shown}, but {root}.{field} has nothing below it")
    return Place(root, field)
