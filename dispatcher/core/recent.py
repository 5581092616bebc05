"""What was noted last, by key, in a number that is bounded: the rest is forgotten, oldest first.

A plain dict keeps that order too, but finds its oldest entry by walking over the places of all that
were deleted before it: at 100,000 entries that is 90 µs for each that is forgotten. Here it is as
quick at any size, and an entry costs some 50 bytes more.

Left to others: small bounds of which there are many (a participant's tracks), where a dict is
smaller, and entries whose end has to be told (`heard_events`, `membership`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `entries_max` entries, those that were noted last. To read one does not renew it."""

    __slots__ = ("_entries", "_entries_max")

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        # the first is forgotten next
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Return what was noted; None if nothing was, or it is forgotten."""
        return self._entries.get(key)

    def note(self, key: K, value: V) -> None:
        """Note it, anew if it was noted before, and forget the oldest if there are too many."""
        entries = self._entries
        entries[key] = value
        entries.move_to_end(key)
        if len(entries) > self._entries_max:
            entries.popitem(last=False)

    def pop(self, key: K, default: V) -> V:
        """Forget what was noted and return it; the default if nothing was."""
        return self._entries.pop(key, default)
