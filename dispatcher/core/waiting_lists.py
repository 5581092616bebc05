"""Who waits until there may be one more job of an order, in the order in which they came.

There is a list for an order that is at its concurrency limit, and one for each unique key of it that
a job has now, of those whom that job serves as well. Who leaves is not told: those who have left are
forgotten when a list grows, and when their turn comes.

Left to others: what is full (`live_jobs`), and what becomes of whose turn it is (`ordering`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from dispatcher.core.live_jobs import OrderKey
from dispatcher.core.room_states import Place

# Who has left is looked for when a list has more than this, or twice as many as were there then.
TIDIED_BEYOND = 256


@dataclass(slots=True)
class _List:
    # quick at its first entry, also where others were before it
    places: OrderedDict[Place, None] = field(default_factory=OrderedDict)
    tidied_beyond: int = TIDIED_BEYOND


class WaitingLists:
    """Who waits, by order and unique key: "" is the list of those who are over the limit.

    `is_there` tells of a place whether it is left.
    """

    def __init__(self, is_there: Callable[[Place], bool]) -> None:
        self._is_there = is_there
        self._lists: dict[OrderKey, dict[str, _List]] = {}

    def __len__(self) -> int:
        return sum(len(one.places) for lists in self._lists.values() for one in lists.values())

    def add(self, key: OrderKey, unique_key: str, place: Place) -> None:
        """Somebody waits, behind the others; who waits already stays where they are."""
        waiting = self._lists.setdefault(key, {}).setdefault(unique_key, _List())
        waiting.places[place] = None
        if len(waiting.places) > waiting.tidied_beyond:
            waiting.places = OrderedDict.fromkeys(filter(self._is_there, waiting.places))
            waiting.tidied_beyond = max(TIDIED_BEYOND, 2 * len(waiting.places))

    def of(self, key: OrderKey, unique_key: str) -> Collection[Place]:
        """Return all who are in a list, and leave them there."""
        waiting = self._lists.get(key, {}).get(unique_key)
        return waiting.places if waiting is not None else ()

    def take_first(self, key: OrderKey, unique_key: str) -> Place | None:
        """Return whose turn it is, who waits no longer; None: nobody does."""
        waiting = self._lists.get(key, {}).get(unique_key)
        if waiting is None:
            return None
        place = waiting.places.popitem(last=False)[0] if waiting.places else None
        if not waiting.places:
            del self._lists[key][unique_key]
            if not self._lists[key]:
                del self._lists[key]
        return place

    def take_all(self, key: OrderKey, unique_key: str) -> list[Place]:
        """Return all who are in a list, who wait no longer."""
        lists = self._lists.get(key, {})
        waiting = lists.pop(unique_key, None)
        if waiting is None:
            return []
        if not lists:
            del self._lists[key]
        return list(waiting.places)
