"""Bugs on purpose, each of which breaks one invariant: they prove the checkers.

A bug is a subclass of the real engine, of one of its parts, of group commit or of the store in
memory, or alters what goes into it or comes out of it. Nothing of the source is patched. Those inside
the engine's parts are in `planted_parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

from dispatcher.core.board import DeadlineKind
from dispatcher.core.commit import GroupCommit
from dispatcher.core.effects import (
    ClaimJobs,
    CreateDispatch,
    DeleteDispatch,
    Effect,
    Message,
    Outcome,
    RecordMove,
    Reply,
    SendAssignment,
    SendOffer,
    SendStatusReceipt,
    SendTermination,
    SendVerdicts,
    StoreRequest,
)
from dispatcher.core.engine import Engine
from dispatcher.core.events import (
    Event,
    JobReported,
    StoreRecovered,
    StoreResult,
    WorkerRegistered,
)
from dispatcher.core.jobs import JobState, JobStatus, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.policy import Policy
from tests.simulation.facts import GIVEN
from tests.simulation.planted_parts import (
    BelievesReplacedAgents,
    ForgetsDeletions,
    ForgetsLimits,
    IgnoresWhatIsFull,
    JudgesNobodyUnknown,
    KeepsTheEpoch,
    LetsPongsLose,
    LosesHandedOver,
    MakesAnotherEachTime,
    SetsNoGrace,
    TriesForEver,
    WaitsForWhoLeft,
    with_part,
)
from tests.simulation.simulator import Parts
from tests.support.memory_store import MemoryDatabase


class AlteredEngine(Engine):
    """An engine whose ears and mouth can be tampered with."""

    def heard(self, event: Event) -> Event:
        """What the engine is told in place of this."""
        return event

    def said(self, effects: list[Effect]) -> list[Effect]:
        """What is done in place of these."""
        return effects

    def handle(self, event: Event, now: Nanoseconds) -> list[Effect]:
        """As the engine does, altered."""
        return self.said(super().handle(self.heard(event), now))

    def expire(self, now: Nanoseconds) -> list[Effect]:
        """As the engine does, altered."""
        return self.said(super().expire(now))


class ForgetsAHeldJob(AlteredEngine):
    """After a restart one job that a worker held is not looked after."""

    def heard(self, event: Event) -> Event:
        """Leave the first one out."""
        if isinstance(event, StoreRecovered):
            given = [job for job in event.held if job.state.phase in GIVEN]
            return replace(event, held=tuple(job for job in event.held if job not in given[:1]))
        return event


class BelievesOldResults(AlteredEngine):
    """A result counts whoever tells it, and of whichever epoch."""

    _receipts: Sequence[Effect] = ()

    def heard(self, event: Event) -> Event:
        """Put it in the holder's mouth."""
        if isinstance(event, JobReported) and event.status is not JobStatus.RUNNING:
            hand = self.jobs.get(event.job_id)
            if hand is not None and hand.worker is not None and hand.phase.is_held:
                if event.sequence:
                    self._receipts = (SendStatusReceipt(event.worker_id, event.sequence),)
                return replace(event, worker_id=hand.worker.id, epoch=0, sequence=0)
        return event

    def said(self, effects: list[Effect]) -> list[Effect]:
        """Confirm it to whoever told it."""
        receipts, self._receipts = self._receipts, ()
        return [*effects, *receipts]


class AssignsTwice(AlteredEngine):
    """An assignment goes to a second worker as well."""

    def said(self, effects: list[Effect]) -> list[Effect]:
        """Send it again, to another."""
        doubled = list(effects)
        for effect in effects:
            if isinstance(effect, SendAssignment):
                doubled += [
                    replace(effect, worker_id=worker.id)
                    for worker in self.workers.values()
                    if worker.id != effect.worker_id and effect.job.lane in worker.lanes
                ][:1]
        return doubled


class OverlooksCaps(AlteredEngine):
    """A declared cap is not taken in."""

    def heard(self, event: Event) -> Event:
        """Declare none."""
        if isinstance(event, WorkerRegistered):
            return replace(event, registration=replace(event.registration, capacity=None))
        return event


class WritesIntoTheConfig(AlteredEngine):
    """The number of the attempt is written into the config, where a worker would like to see it."""

    def said(self, effects: list[Effect]) -> list[Effect]:
        """Add it to each offer of a later attempt."""
        return [
            replace(effect, job=replace(effect.job, config=effect.job.config + b"2"))
            if isinstance(effect, SendOffer) and effect.state.attempt > 1
            else effect
            for effect in effects
        ]


class EndsJobsAgain(AlteredEngine):
    """A late report of a job that has ended is recorded all the same."""

    def __init__(self, policy: Policy, random: Random) -> None:
        super().__init__(policy, random)
        self._ended: dict[str, JobState] = {}
        self._late: list[Effect] = []

    def heard(self, event: Event) -> Event:
        """Record it."""
        if isinstance(event, JobReported) and event.job_id in self._ended:
            state = replace(self._ended[event.job_id], phase=JobPhase.FAILED)
            self._late.append(RecordMove(event.job_id, state.epoch, JobTrigger.FAILED, state))
        return event

    def said(self, effects: list[Effect]) -> list[Effect]:
        """Remember what ended."""
        late, self._late = self._late, []
        for effect in effects:
            if isinstance(effect, RecordMove) and effect.state.phase.is_ended:
                self._ended[effect.job_id] = effect.state
        return effects + late


class UnguardedDatabase(MemoryDatabase):
    """A store that lets an ended job move."""

    def _apply(self, request: StoreRequest, now: Nanoseconds, results: list[StoreResult]) -> None:
        if isinstance(request, RecordMove) and (entry := self._jobs.get(request.job_id)):
            self._move(entry, request.trigger, request.state, request.detail, now)
        else:
            super()._apply(request, now, results)


class AnswersTooEarly(AlteredEngine):
    """A caller is answered before the store has what it asked for."""

    def said(self, effects: list[Effect]) -> list[Effect]:
        """Answer creations and deletions at once."""
        early: list[Effect] = []
        for effect in effects:
            if isinstance(effect, CreateDispatch):
                early.append(Reply(effect.request, Outcome.CREATED, effect.dispatch.id))
            elif isinstance(effect, DeleteDispatch):
                early.append(Reply(effect.request, Outcome.DELETED, effect.dispatch_id))
        return effects + early


class LosesClaims(AlteredEngine):
    """Every third claim of waiting jobs never reaches the store."""

    _claims = 0

    def said(self, effects: list[Effect]) -> list[Effect]:
        """Lose it."""
        kept: list[Effect] = []
        for effect in effects:
            if isinstance(effect, ClaimJobs):
                self._claims += 1
                if self._claims % 3 == 0:
                    continue
            kept.append(effect)
        return kept


class EagerCommit(GroupCommit):
    """Messages of one kind do not wait until what they promise is durable."""

    __slots__ = ("_kind",)

    def __init__(self, batch_max: int, unhurried_max: int, kind: type[Message]) -> None:
        super().__init__(batch_max, unhurried_max)
        self._kind = kind

    def add(self, effects: Iterable[Effect]) -> list[Message]:
        """Let them go at once."""
        effects = list(effects)
        early = [effect for effect in effects if isinstance(effect, self._kind)]
        return super().add(effect for effect in effects if effect not in early) + early


class ForgetfulCommit(GroupCommit):
    """Of the receipts that a commit releases, every fifth is lost."""

    _released = 0

    def committed(self, void: frozenset[str] = frozenset()) -> list[Message]:
        """Lose it."""
        kept: list[Message] = []
        for message in super().committed(void):
            self._released += isinstance(message, SendStatusReceipt)
            if self._released % 5 or not isinstance(message, SendStatusReceipt):
                kept.append(message)
        return kept


class SplittingCommit(GroupCommit):
    """What belongs together is committed one by one."""

    def add(self, effects: Iterable[Effect]) -> list[Message]:
        """Take each effect for a turn of its own."""
        messages: list[Message] = []
        for effect in effects:
            messages += super().add([effect])
        return messages


class DroppingCommit(GroupCommit):
    """A batch that could not be committed is taken for one that was."""

    def failed(self) -> None:
        """Forget it."""
        self._underway.clear()
        super().failed()


class CredulousCommit(GroupCommit):
    """An assignment goes out though the store refused what it tells."""

    def committed(self, void: frozenset[str] = frozenset()) -> list[Message]:
        """Overlook it."""
        return super().committed()


class ForgetsReservations(MemoryDatabase):
    """What was reserved for a worker is anybody's after a crash, at the same epoch."""

    def open(self) -> StoreRecovered:
        """Queue it."""
        for entry in self._jobs.values():
            if entry.state.phase is JobPhase.OFFERED:
                entry.state = replace(entry.state, phase=JobPhase.QUEUED, worker_id="")
        return super().open()


def deaf_to(kind: DeadlineKind) -> Callable[[Policy, Random], Engine]:
    """Make an engine for which deadlines of this kind pass unheard."""

    def make(policy: Policy, random: Random) -> Engine:
        engine = _DeafEngine(policy, random)
        engine.plug(kind)
        return engine

    return make


class _DeafEngine(Engine):
    def plug(self, kind: DeadlineKind) -> None:
        """Hear no more deadlines of this kind."""
        self._alarms[kind] = lambda one, two: None


def eager(kind: type[Message]) -> Parts:
    """Release this kind of message too early."""
    return Parts(
        commits=lambda batch_max, unhurried_max: EagerCommit(batch_max, unhurried_max, kind)
    )


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """A bug, and the checker that has to find it. (Of bugs in parts others may be quicker.)"""

    name: str
    checker: str
    parts: Parts


PLANTED: Sequence[PlantedBug] = (
    PlantedBug("forgets a held job", "acknowledged is kept", Parts(engine=ForgetsAHeldJob)),
    PlantedBug("believes old results", "one holder", Parts(engine=BelievesOldResults)),
    PlantedBug("assigns twice", "one holder", Parts(engine=AssignsTwice)),
    PlantedBug("forgets reservations", "one holder", Parts(database=ForgetsReservations)),
    PlantedBug("overlooks caps", "cap kept", Parts(engine=OverlooksCaps)),
    PlantedBug("writes into the config", "config kept", Parts(engine=WritesIntoTheConfig)),
    PlantedBug(
        "ends jobs again",
        "ended stays ended",
        Parts(engine=EndsJobsAgain, database=UnguardedDatabase),
    ),
    PlantedBug("answers too early", "promises are durable", Parts(engine=AnswersTooEarly)),
    PlantedBug("assigns too early", "promises are durable", eager(SendAssignment)),
    PlantedBug("assigns what never was", "promises are durable", Parts(commits=CredulousCommit)),
    PlantedBug("judges too early", "promises are durable", eager(SendVerdicts)),
    PlantedBug("confirms too early", "promises are durable", eager(SendStatusReceipt)),
    PlantedBug("stops too early", "promises are durable", eager(SendTermination)),
    PlantedBug("loses claims", "free workers are asked", Parts(engine=LosesClaims)),
    PlantedBug(
        "hears no end of a backoff",
        "free workers are asked",
        Parts(engine=deaf_to(DeadlineKind.BACKOFF)),
    ),
    PlantedBug("loses receipts", "deadlines fire", Parts(commits=ForgetfulCommit)),
    PlantedBug("hears no lapse", "deadlines fire", Parts(engine=deaf_to(DeadlineKind.OFFER))),
    PlantedBug(
        "hears no end of grace", "deadlines fire", Parts(engine=deaf_to(DeadlineKind.GRACE))
    ),
    PlantedBug("hears nothing due", "deadlines fire", Parts(engine=deaf_to(DeadlineKind.DUE))),
    PlantedBug(
        "hears no end of a contest",
        "deadlines fire",
        Parts(engine=deaf_to(DeadlineKind.TAKEOVER)),
    ),
    PlantedBug("hears no sweep", "rules are kept", Parts(engine=deaf_to(DeadlineKind.SWEEP))),
    PlantedBug(
        "splits turns",
        "rules are kept",
        Parts(commits=SplittingCommit),
    ),
    PlantedBug("drops what failed", "promises are durable", Parts(commits=DroppingCommit)),
    PlantedBug("keeps the epoch", "one holder", Parts(engine=with_part(KeepsTheEpoch))),
    PlantedBug("tries for ever", "config kept", Parts(engine=with_part(TriesForEver))),
    PlantedBug(
        "loses what is handed over",
        "free workers are asked",
        Parts(engine=with_part(LosesHandedOver)),
    ),
    PlantedBug("ignores what is full", "cap kept", Parts(engine=with_part(IgnoresWhatIsFull))),
    PlantedBug("lets pongs lose", "one holder", Parts(engine=with_part(LetsPongsLose))),
    PlantedBug(
        "judges nobody unknown", "deadlines fire", Parts(engine=with_part(JudgesNobodyUnknown))
    ),
    PlantedBug(
        "sets no grace",
        "deadlines fire",
        Parts(engine=with_part(SetsNoGrace)),
    ),
    PlantedBug("forgets deletions", "deadlines fire", Parts(engine=ForgetsDeletions)),
    PlantedBug(
        "believes replaced agents", "one holder", Parts(engine=with_part(BelievesReplacedAgents))
    ),
    PlantedBug("forgets its limits", "rules are kept", Parts(engine=with_part(ForgetsLimits))),
    PlantedBug(
        "makes another each time",
        "rules are kept",
        Parts(engine=with_part(MakesAnotherEachTime)),
    ),
    PlantedBug("waits for who left", "rules are kept", Parts(engine=with_part(WaitsForWhoLeft))),
)

# Those that are inside a part of the engine or of its commits, not in what it is told or says.
IN_PARTS = frozenset(
    {
        "splits turns",
        "drops what failed",
        "keeps the epoch",
        "tries for ever",
        "loses what is handed over",
        "ignores what is full",
        "lets pongs lose",
        "judges nobody unknown",
        "sets no grace",
        "believes replaced agents",
        "forgets its limits",
        "makes another each time",
        "waits for who left",
    }
)
