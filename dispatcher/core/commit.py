"""Group commit: which store requests make the next batch, and which messages wait for it.

At most one commit is under way. What arrives meanwhile makes the next batch, so one sync serves
many jobs, and an idle server commits at once. A message that promises something carries a mark, the
number of requests that were made before it, and is released when so many are durable. The assignment
of a job that is reserved for its worker promises no more than the creation of the job does: it is
released with that, whatever was asked for since.

A move that no message waits for, or only a worker's receipt, is in no hurry: it may wait for others, so
that the next call finds the store free.

That a worker was lost, or is back, moves all its jobs at once: after a cut of the network, or a
restart, those of all workers. Nobody waits for these unhurried moves but who claims, so they have a
line of their own, of which each batch takes a part; a thousand of them delay a new dispatch by one
batch. They leave a job held, so that nothing else in the store depends on them but the next move of
their job, before which they are put.

Invariants: requests are committed in the order in which they were made, those of one turn in one
batch (what belongs together is there after a crash, or is not), unhurried moves apart; the moves of
one job in their order; a batch that could not be committed is tried again as it is before anything
else (a commit that failed changed nothing). A job that the store did not create, or did not move,
is given to nobody: the engine was ahead of the store, and wrong.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any, get_args

from dispatcher.core.effects import (
    SENT_AT_ONCE,
    ClaimDue,
    ClaimJobs,
    CreateDispatch,
    CreateJob,
    Effect,
    FindDispatches,
    LookUpJobs,
    Message,
    RecordMove,
    ReleaseJobs,
    Reply,
    SendAssignment,
    SendStatusReceipt,
    SendTermination,
    SendVerdicts,
    StoreRequest,
    Verdict,
)
from dispatcher.core.events import DispatchCreated, MoveRefused, StoreResult
from dispatcher.core.lifecycle import JobTrigger

_REQUESTS = frozenset(get_args(StoreRequest))
_AT_ONCE = frozenset(SENT_AT_ONCE)
# Moves between phases in which a job is held.
UNHURRIED = frozenset({JobTrigger.WORKER_LOST, JobTrigger.CLAIMED})
# What may promise one of them. (A stop may promise one of its own job's.)
_BEHIND_UNHURRIED = frozenset({SendVerdicts, SendStatusReceipt})
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
                void.update(_created(request))
    return frozenset(void)


def _created(request: StoreRequest) -> Iterable[str]:
    """Return the jobs that the request creates."""
    if type(request) is CreateDispatch:
        return [job.id for job, _ in request.jobs]
    return (request.job.id,) if type(request) is CreateJob else ()


def _without(message: Message, void: frozenset[str]) -> Message | None:
    """Return what is true of the message when nobody was given these jobs; None for nothing."""
    if type(message) is SendAssignment:
        return None if message.job.id in void else message
    if type(message) is SendVerdicts and not void.isdisjoint(message.verdicts):
        stops = dict.fromkeys(void & message.verdicts.keys(), Verdict.STOP_REASSIGNED)
        return replace(message, verdicts={**message.verdicts, **stops})
    return message


def _stops_of(message: Message) -> list[tuple[str, str]]:
    """Return worker and job of each stop that the message tells."""
    if type(message) is not SendVerdicts:
        return []
    return [
        (message.worker_id, job_id)
        for job_id, verdict in message.verdicts.items()
        if verdict is not Verdict.KEEP
    ]


class GroupCommit:
    """Puts effects in order for the store and for the wire."""

    __slots__ = (
        "_batch_max",
        "_creating",
        "_durable",
        "_failed",
        "_gated",
        "_gated_behind_unhurried",
        "_is_urgent",
        "_made",
        "_numbers",
        "_open",
        "_open_jobs",
        "_overtaken",
        "_reserved",
        "_stops",
        "_turns",
        "_underway",
        "_underway_numbers",
        "_unhurried",
        "_unhurried_max",
        "_unhurried_of",
        "_waiting",
    )

    def __init__(self, batch_max: int = 4096, unhurried_max: int = 256) -> None:
        # most requests of one commit, so that none takes for ever; a turn may be larger
        self._batch_max = batch_max
        # and most unhurried moves
        self._unhurried_max = unhurried_max
        # requests that no batch has yet, and the batch under way; empty: no commit is under way
        self._waiting: list[StoreRequest] = []
        self._underway: list[StoreRequest] = []
        # is one of the former to be durable soon, for somebody waits for it
        self._is_urgent = False
        # the batch under way changed nothing, and is to be taken again
        self._failed = False
        # how many requests each turn made that no batch has yet: a turn is committed as a whole
        self._turns: deque[int] = deque()
        # how many requests were ever made, and how many of them are durable
        self._made = 0
        self._durable = 0
        # messages with the number of requests that must be durable before they go
        self._gated: deque[tuple[int, Message]] = deque()
        # jobs whose creation is not durable, and assignments that wait for that alone
        self._creating: set[str] = set()
        self._reserved: dict[str, SendAssignment] = {}
        # The line of unhurried moves: those that no batch has yet by number, their numbers by job,
        # the last number, the jobs of those that are not durable, by number and counted, and the
        # numbers in the batch under way.
        self._unhurried: dict[int, RecordMove] = {}
        self._unhurried_of: dict[str, list[int]] = {}
        self._numbers = 0
        self._open: dict[int, str] = {}
        self._open_jobs: Counter[str] = Counter()
        self._underway_numbers: list[int] = []
        # those that had to change the line, with how many requests are durable when they are
        self._overtaken: deque[tuple[int, int]] = deque()
        # messages with the requests, and the last unhurried move, that must be durable before
        self._gated_behind_unhurried: deque[tuple[int, int, Message]] = deque()
        # the stops in the verdicts among them, by worker and job: an assignment of the same job to
        # the same worker is a later one, and comes after
        self._stops: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        """Return how many requests are not durable."""
        return self.backlog + len(self._open) - len(self._overtaken)

    @property
    def backlog(self) -> int:
        """How many requests, unhurried ones apart, are not durable: what a new one waits for."""
        return self._made - self._durable

    @property
    def is_urgent(self) -> bool:
        """Does somebody wait for a commit of what waits, other than a worker for a receipt?

        Or is there something in it that is more than a move of a job.
        """
        return self._is_urgent

    @property
    def has_waiting(self) -> bool:
        """Is there something that no batch has yet?"""
        return bool(self._waiting or self._unhurried)

    def add(self, effects: Iterable[Effect]) -> list[Message]:
        """Take in the effects of a turn; return the messages that go out at once."""
        at_once: list[Message] = []
        before = self._made
        effect: Any  # of the kind that is asked for
        for effect in effects:
            kind = type(effect)
            if kind in _REQUESTS:
                if kind is not RecordMove:
                    self._is_urgent = True
                    self._creating.update(_created(effect))
                elif self._may_wait(effect):
                    continue
                self._waiting.append(effect)
                self._made += 1
            elif kind in _AT_ONCE or (kind is Reply and effect.is_durable):
                at_once.append(effect)
            elif kind is SendAssignment and effect.is_reserved:
                if effect.job.id in self._creating:
                    self._reserved[effect.job.id] = effect
                else:
                    at_once.append(effect)
            elif (self._open or self._stops) and self._may_promise_unhurried(effect):
                self._gated_behind_unhurried.append((self._made, self._numbers, effect))
                self._stops.update(_stops_of(effect))
            elif self._made == self._durable:
                at_once.append(effect)
            else:
                self._gated.append((self._made, effect))
                if kind is not SendStatusReceipt and self._waiting:
                    self._is_urgent = True
        if self._made > before:
            self._turns.append(self._made - before)
        return at_once

    def _may_wait(self, move: RecordMove) -> bool:
        """Put an unhurried move in its line. Any other has those of its job go before it."""
        if move.trigger in UNHURRIED:
            self._is_urgent = True
            self._numbers += 1
            self._unhurried[self._numbers] = move
            self._unhurried_of.setdefault(move.job_id, []).append(self._numbers)
            self._open[self._numbers] = move.job_id
            self._open_jobs[move.job_id] += 1
            return True
        for number in self._unhurried_of.pop(move.job_id, ()):
            self._waiting.append(self._unhurried.pop(number))
            self._made += 1
            self._overtaken.append((self._made, number))
        return False

    def _may_promise_unhurried(self, message: Message) -> bool:
        if type(message) is SendTermination:
            # Who lost the job to a claimant is told to stop once the claim is durable.
            return message.job_id in self._open_jobs
        if type(message) is SendAssignment:
            return self._stops[message.worker_id, message.job.id] > 0
        return type(message) in _BEHIND_UNHURRIED

    def _settled(self, number: int) -> None:
        job_id = self._open.pop(number)
        self._open_jobs[job_id] -= 1
        if not self._open_jobs[job_id]:
            del self._open_jobs[job_id]

    def take(self) -> list[StoreRequest]:
        """Return the batch to commit now: empty if one is under way, or there is nothing."""
        if self._underway:
            if not self._failed:
                return []
            self._failed = False
            return self._underway
        if len(self._waiting) <= self._batch_max:
            self._underway, self._waiting = self._waiting, []
            self._turns.clear()
            self._is_urgent = len(self._unhurried) > self._unhurried_max
            if self._unhurried:
                self._take_unhurried()
        else:  # and no unhurried move, which may be of a job that has one among those that wait
            size = 0
            while self._turns and (not size or size + self._turns[0] <= self._batch_max):
                size += self._turns.popleft()
            self._underway = self._waiting[:size]
            del self._waiting[:size]
        return self._underway

    def _take_unhurried(self) -> None:
        numbers = self._underway_numbers = list(islice(self._unhurried, self._unhurried_max))
        for number in numbers:
            move = self._unhurried.pop(number)
            self._underway.append(move)
            of_job = self._unhurried_of[move.job_id]
            of_job.remove(number)
            if not of_job:
                del self._unhurried_of[move.job_id]

    def committed(self, void: frozenset[str] = _NONE) -> list[Message]:
        """The batch under way is durable; return the messages that go out now.

        `void` are the jobs that it did not create or move (`void_jobs`).
        """
        self._durable += len(self._underway) - len(self._underway_numbers)
        if void:
            self._purge(void)  # all there will ever be: the engine learns of it with the results
        released: list[Message] = self._created_of(self._underway) if self._creating else []
        self._underway = []
        gated = self._gated
        while gated and gated[0][0] <= self._durable:
            released.append(gated.popleft()[1])
        if self._open or self._gated_behind_unhurried:
            self._release_unhurried(released)
        return released

    def _created_of(self, batch: Iterable[StoreRequest]) -> list[Message]:
        """Note that the jobs which the batch creates are there; return what waited for that alone."""
        released: list[Message] = []
        for request in batch:
            for job_id in _created(request):
                self._creating.discard(job_id)
                assignment = self._reserved.pop(job_id, None)
                if assignment is not None:
                    released.append(assignment)
        return released

    def _release_unhurried(self, released: list[Message]) -> None:
        for number in self._underway_numbers:
            self._settled(number)
        self._underway_numbers = []
        while self._overtaken and self._overtaken[0][0] <= self._durable:
            self._settled(self._overtaken.popleft()[1])
        oldest = next(iter(self._open), self._numbers + 1)
        gated = self._gated_behind_unhurried
        while gated and gated[0][0] <= self._durable and gated[0][1] < oldest:
            message = gated.popleft()[2]
            released.append(message)
            self._stops.subtract(_stops_of(message))
        if not gated:
            self._stops.clear()

    @property
    def has_changes(self) -> bool:
        """Would a commit of what waits write anything?"""
        return bool(self._unhurried) or is_writing((*self._underway, *self._waiting))

    def revoke_creations(self) -> list[CreateDispatch]:
        """Take back the dispatches that are not durable: their callers are refused, nothing is made.

        No commit may be under way, but one that failed.
        """
        revoked: list[CreateDispatch] = []
        for line in (self._underway, self._waiting):
            for place, request in enumerate(line):
                if type(request) is CreateDispatch:
                    revoked.append(request)
                    line[place] = _NOTHING  # in its place, because places are counted
        if revoked:
            self._purge(frozenset(job_id for request in revoked for job_id in _created(request)))
        return revoked

    def _purge(self, void: frozenset[str]) -> None:
        """Unsay what was promised of these jobs."""
        self._creating -= void
        for job_id in void:
            self._reserved.pop(job_id, None)
        self._gated = deque(
            (mark, true)
            for mark, message in self._gated
            if (true := _without(message, void)) is not None
        )
        self._gated_behind_unhurried = deque(
            (mark, number, true)
            for mark, number, message in self._gated_behind_unhurried
            if (true := _without(message, void)) is not None
        )
        self._stops = Counter(
            stop for *_, message in self._gated_behind_unhurried for stop in _stops_of(message)
        )

    def failed(self) -> None:
        """The batch under way changed nothing: it is the next to be taken, as it is."""
        self._failed = True
