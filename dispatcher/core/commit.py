"""Group commit: which store requests make the next batch, and which messages wait for it.

At most one commit is under way. What arrives meanwhile makes the next batch, so one sync serves
many jobs, and an idle server commits at once (there is no timer). A message that promises
something carries a mark, the number of requests that were made before it, and is released when so
many are durable.

Invariants: requests are committed in the order in which they were made, those of one turn in one
batch (what belongs together is there after a crash, or is not); a batch that could not be
committed is tried again as it is before anything else (a commit that failed changed nothing). A
job that the store did not create, or did not move, is given to nobody: the engine was ahead of the
store, and wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import cast, get_args

from dispatcher.core.effects import (
    SENT_AT_ONCE,
    ClaimDue,
    ClaimJobs,
    CreateDispatch,
    Effect,
    FindDispatches,
    LookUpJobs,
    Message,
    ReleaseJobs,
    Reply,
    SendAssignment,
    SendVerdicts,
    StoreRequest,
    Verdict,
)
from dispatcher.core.events import DispatchCreated, MoveRefused, StoreResult

_REQUESTS = frozenset(get_args(StoreRequest))
_AT_ONCE = frozenset(SENT_AT_ONCE)
_NONE: frozenset[str] = frozenset()
_NOTHING = ReleaseJobs(())
# What changes nothing that is durable.
_READS = frozenset({ReleaseJobs, ClaimJobs, ClaimDue, LookUpJobs, FindDispatches})


def is_writing(batch: Iterable[StoreRequest]) -> bool:
    """Would a commit of these write anything?"""
    return any(type(request) not in _READS for request in batch)


def void_jobs(batch: Iterable[StoreRequest], results: Iterable[StoreResult]) -> frozenset[str]:
    """Return the jobs that the batch did not create, because their dispatch existed, or move."""
    void: set[str] = set()
    existed: set[int] = set()
    for result in results:
        if type(result) is MoveRefused:
            void.add(result.job_id)
        elif type(result) is DispatchCreated and not result.created:
            existed.add(result.request)
    if existed:
        for request in batch:
            if type(request) is CreateDispatch and request.request in existed:
                void.update(job.id for job, _ in request.jobs)
    return frozenset(void)


def _without(message: Message, void: frozenset[str]) -> Message | None:
    """Return what is true of the message when nobody was given these jobs; None for nothing."""
    if type(message) is SendAssignment:
        return None if message.job.id in void else message
    if type(message) is SendVerdicts and not void.isdisjoint(message.verdicts):
        stops = dict.fromkeys(void & message.verdicts.keys(), Verdict.STOP_REASSIGNED)
        return replace(message, verdicts={**message.verdicts, **stops})
    return message


class GroupCommit:
    """Puts effects in order for the store and for the wire."""

    __slots__ = ("_batch_max", "_durable", "_gated", "_made", "_turns", "_underway", "_waiting")

    def __init__(self, batch_max: int = 4096) -> None:
        # most requests of one commit, so that none takes for ever; a turn may be larger
        self._batch_max = batch_max
        # requests that no batch has yet, and the batch under way; empty: no commit is under way
        self._waiting: list[StoreRequest] = []
        self._underway: list[StoreRequest] = []
        # how many requests each turn made that no batch has yet: a turn is committed as a whole
        self._turns: deque[int] = deque()
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
        before = self._made
        for effect in effects:
            kind = type(effect)
            if kind in _REQUESTS:
                self._waiting.append(cast(StoreRequest, effect))
                self._made += 1
            elif (
                kind in _AT_ONCE
                or self._made == self._durable
                or (kind is Reply and cast(Reply, effect).is_durable)
            ):
                at_once.append(cast(Message, effect))
            else:
                self._gated.append((self._made, cast(Message, effect)))
        if self._made > before:
            self._turns.append(self._made - before)
        return at_once

    def take(self) -> list[StoreRequest]:
        """Return the batch to commit now: empty if one is under way, or there is nothing."""
        if self._underway:
            return []
        if len(self._waiting) <= self._batch_max:
            self._underway, self._waiting = self._waiting, []
            self._turns.clear()
            return self._underway
        size = 0
        while self._turns and (not size or size + self._turns[0] <= self._batch_max):
            size += self._turns.popleft()
        self._underway = self._waiting[:size]
        del self._waiting[:size]
        return self._underway

    def committed(self, void: frozenset[str] = _NONE) -> list[Message]:
        """The batch under way is durable; return the messages that go out now.

        `void` are the jobs that it did not create or move (`void_jobs`).
        """
        self._durable += len(self._underway)
        self._underway = []
        if void:
            self._purge(void)  # all there will ever be: the engine learns of it with the results
        released: list[Message] = []
        gated = self._gated
        while gated and gated[0][0] <= self._durable:
            released.append(gated.popleft()[1])
        return released

    @property
    def has_changes(self) -> bool:
        """Would a commit of what waits write anything?"""
        return is_writing(self._waiting)

    def revoke_creations(self) -> list[CreateDispatch]:
        """Take back the dispatches that no batch has: their callers are refused, nothing is made."""
        revoked: list[CreateDispatch] = []
        for place, request in enumerate(self._waiting):
            if type(request) is CreateDispatch:
                revoked.append(request)
                self._waiting[place] = _NOTHING  # in its place, because places are counted
        if revoked:
            self._purge(frozenset(job.id for request in revoked for job, _ in request.jobs))
        return revoked

    def _purge(self, void: frozenset[str]) -> None:
        """Unsay what was promised of these jobs."""
        self._gated = deque(
            (mark, true)
            for mark, message in self._gated
            if (true := _without(message, void)) is not None
        )

    def failed(self) -> None:
        """The batch under way changed nothing: it is the next to be taken again."""
        self._waiting[:0] = self._underway
        self._turns.appendleft(len(self._underway))
        self._underway = []
