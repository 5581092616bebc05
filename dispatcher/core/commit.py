"""Group commit: which store requests make the next batch, and which messages wait for it.

At most one commit is under way. What arrives meanwhile makes the next batch, so one sync serves
many jobs, and an idle server commits at once (there is no timer). A message that promises
something carries a mark, the number of requests that were made before it, and is released when so
many are durable.

Invariant: requests are committed in the order in which they were made; a batch that could not be
committed is tried again as it is before anything else (a commit that failed changed nothing).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import cast, get_args

from dispatcher.core.effects import SENT_AT_ONCE, Effect, Message, StoreRequest

_REQUESTS = frozenset(get_args(StoreRequest))
_AT_ONCE = frozenset(SENT_AT_ONCE)


class GroupCommit:
    """Puts effects in order for the store and for the wire."""

    __slots__ = ("_batch_max", "_durable", "_gated", "_made", "_underway", "_waiting")

    def __init__(self, batch_max: int = 4096) -> None:
        # most requests of one commit, so that none takes for ever
        self._batch_max = batch_max
        # requests that no batch has yet, and the batch under way; empty: no commit is under way
        self._waiting: list[StoreRequest] = []
        self._underway: list[StoreRequest] = []
        # how many requests were ever made, and how many of them are durable
        self._made = 0
        self._durable = 0
        # messages with the number of requests that must be durable before they go
        self._gated: deque[tuple[int, Message]] = deque()

    def __len__(self) -> int:
        """Return how many requests are not durable."""
        return self._made - self._durable

    def add(self, effects: Iterable[Effect]) -> list[Message]:
        """Take in the effects of a turn; return the messages that go out at once."""
        at_once: list[Message] = []
        for effect in effects:
            kind = type(effect)
            if kind in _REQUESTS:
                self._waiting.append(cast(StoreRequest, effect))
                self._made += 1
            elif kind in _AT_ONCE or self._made == self._durable:
                at_once.append(cast(Message, effect))
            else:
                self._gated.append((self._made, cast(Message, effect)))
        return at_once

    def take(self) -> list[StoreRequest]:
        """Return the batch to commit now: empty if one is under way, or there is nothing."""
        if self._underway:
            return []
        if len(self._waiting) <= self._batch_max:
            self._underway, self._waiting = self._waiting, []
        else:
            self._underway = self._waiting[: self._batch_max]
            del self._waiting[: self._batch_max]
        return self._underway

    def committed(self) -> list[Message]:
        """The batch under way is durable; return the messages that go out now."""
        self._durable += len(self._underway)
        self._underway = []
        released: list[Message] = []
        gated = self._gated
        while gated and gated[0][0] <= self._durable:
            released.append(gated.popleft()[1])
        return released

    def failed(self) -> None:
        """The batch under way changed nothing: it is the next to be taken again."""
        self._waiting[:0] = self._underway
        self._underway = []
