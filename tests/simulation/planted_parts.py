"""Bugs on purpose inside the engine's parts: each is a subclass of one part, put in its place.

Left to others: which checker has to find which (`planted_bugs`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from types import FunctionType, MethodType
from typing import Any

from dispatcher.core.board import DeadlineKind, StateChange
from dispatcher.core.claiming import Claiming
from dispatcher.core.engine import Engine
from dispatcher.core.events import (
    JobsLookedUp,
    StoreRecovered,
    WorkerPonged,
)
from dispatcher.core.holding import Holding
from dispatcher.core.jobs import AttemptReason, Nanoseconds
from dispatcher.core.lifecycle import JobTrigger
from dispatcher.core.offering import Offering
from dispatcher.core.ordering import Ordering
from dispatcher.core.policy import Policy
from dispatcher.core.presence import Presence
from dispatcher.core.room_events import DisconnectReason
from dispatcher.core.sightings import Sightings
from dispatcher.core.workers import JobInHand, Worker


def _part_of(engine: Engine, kind: type[Any]) -> Any:
    """Return the engine's part of this kind: looked for, since its parts know each other only."""
    seen: set[int] = set()
    todo: list[Any] = [vars(engine)]
    while todo:
        one = todo.pop()
        if type(one) is kind:
            return one
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, MethodType):
            todo.append(one.__self__)
        elif isinstance(one, FunctionType):
            todo += [cell.cell_contents for cell in one.__closure__ or ()]
        elif isinstance(one, tuple):
            todo += one
        elif type(one).__module__.startswith("dispatcher.core"):
            todo += getattr(one, "__dict__", {}).values()
    raise AssertionError(f"the engine has no {kind.__name__}")


class _Rebuilt(Engine):
    def rebuild(self, part: type[Any]) -> None:
        """Put it in the place of the part that it is a subclass of."""
        found = _part_of(self, part.__mro__[1])
        found.__class__ = part
        for event, handler in self._handlers.items():
            if isinstance(handler, MethodType) and handler.__self__ is found:
                self._handlers[event] = getattr(found, handler.__name__)


def with_part(part: type[Any]) -> Callable[[Policy, Random], Engine]:
    """Make engines that have this in place of the part that it is a subclass of."""

    def make(policy: Policy, random: Random) -> Engine:
        engine = _Rebuilt(policy, random)
        engine.rebuild(part)
        return engine

    return make


# --- offering ---------------------------------------------------------------------------------


class IgnoresWhatIsFull(Offering):
    """An accepted offer is honoured, whatever its worker claimed meanwhile."""

    def _is_refused(self, hand: JobInHand, worker: Worker) -> bool:
        return False


# --- holding ----------------------------------------------------------------------------------


class KeepsTheEpoch(Holding):
    """A job that is given up goes on at the same epoch."""

    def _next_attempt(
        self, hand: JobInHand, reason: AttemptReason, until: Nanoseconds, error: str = ""
    ) -> StateChange:
        change = super()._next_attempt(hand, reason, until, error)
        change["epoch"] = hand.state.epoch
        return change


class TriesForEver(Holding):
    """Any job is tried again, for ever."""

    def _may_retry(self, hand: JobInHand) -> bool:
        return True


class LosesHandedOver(Holding):
    """A job that is handed over is queued, and nobody is asked."""

    def _requeue(
        self, hand: JobInHand, trigger: JobTrigger, reason: AttemptReason, evidence: str = ""
    ) -> None:
        if reason is not AttemptReason.HANDED_OVER:
            super()._requeue(hand, trigger, reason, evidence)
            return
        board = self._board
        until = board.now + hand.held.queue_time
        board.move(hand, trigger, "", **self._next_attempt(hand, reason, until))
        board.let_go(hand)


# --- claiming ---------------------------------------------------------------------------------


class LetsPongsLose(Claiming):
    """Whoever answers the ping has lost its jobs to the claimant."""

    def ponged(self, event: WorkerPonged) -> None:
        worker = self._board.workers.get(event.worker_id)
        if worker is not None:
            for pair in [pair for pair in worker.contests if pair[0] == worker.id]:
                self._board.cancel(DeadlineKind.TAKEOVER, *pair)
                self.takeover_due(*pair)


class JudgesNobodyUnknown(Claiming):
    """A claim of a job that nobody has is never answered."""

    def looked_up(self, event: JobsLookedUp) -> None:
        """Say nothing."""


# --- presence ---------------------------------------------------------------------------------


class SetsNoGrace(Presence):
    """The jobs of a worker that is lost are held for ever."""

    def lose(self, worker: Worker, detail: str) -> None:
        """Set no deadline."""
        lost = list(worker.jobs)
        super().lose(worker, detail)
        for job_id in lost:
            self._board.cancel(DeadlineKind.GRACE, job_id)


# --- rooms, rules and what is seen of agents ----------------------------------------------------


class BelievesReplacedAgents(Sightings):
    """An agent that left for whatever reason is done."""

    def _settle(self, hand: JobInHand, reason: DisconnectReason) -> None:
        super()._settle(hand, DisconnectReason.CLIENT_INITIATED)


class ForgetsLimits(Ordering):
    """A rule's limit is not looked at."""

    def _is_at_limit(self, key: Any, rule: Any) -> bool:
        return False


class MakesAnotherEachTime(Ordering):
    """That a subject has its job is forgotten."""

    def _make(self, rule: Any, room: Any, member: Any) -> None:
        super()._make(rule, room, member)
        room.jobs.clear()
        if member is not None:
            member.jobs.clear()


class WaitsForWhoLeft(Ordering):
    """The jobs of who has left go on."""

    def changed(self, change: Any) -> None:
        if not hasattr(change, "reason"):
            super().changed(change)


class ForgetsDeletions(Engine):
    """A deletion that was under way when the server ended is not finished."""

    def handle(self, event: Any, now: Nanoseconds) -> Any:
        """Overlook it."""
        if isinstance(event, StoreRecovered):
            event = replace(event, deletions=())
        return super().handle(event, now)
