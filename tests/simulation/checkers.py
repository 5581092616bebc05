"""The eight invariants of the architecture, each judged from outside by a class of its own.

(Of rooms and rules: `rule_checker`.)

A checker sees what a `Watcher` sees, and `Facts`; it uses no code of the engine's. It is sound
before it is complete: what cannot be told from outside is counted in the engine's favour, so that
each violation is a bug. `test_planted_bugs` shows of each that it finds what it is for.

Where time is judged, it counts only while the server is steady: up, not draining, its store well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatcher.core.effects import (
    DropNotes,
    Message,
    Outcome,
    PutNote,
    Reply,
    SendAssignment,
    SendOffer,
    SendStatusReceipt,
    SendTermination,
    SendVerdicts,
    StoreRequest,
    Verdict,
)
from dispatcher.core.events import (
    DispatchDeletionRequested,
    DispatchRequested,
    Event,
    JobReported,
    JobsMigrated,
    RoomEventReported,
    RuleApplyRequested,
    RuleDeletionRequested,
    WorkerDrainRequested,
)
from dispatcher.core.jobs import (
    MILLISECOND,
    SECOND,
    Dispatch,
    JobType,
    Lane,
    Nanoseconds,
    RestartPolicy,
)
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.notes import NoteKind
from dispatcher.core.room_events import DisconnectReason
from dispatcher.store.contract import EventRow, StoredDispatch
from tests.simulation.facts import FINAL, GIVEN, Connection, Facts, JobFacts
from tests.simulation.network import Link
from tests.simulation.rule_oracle import subject_of
from tests.simulation.scenario import PROJECT
from tests.simulation.trace import Watcher

if TYPE_CHECKING:
    from tests.simulation.processes import WorkerProcess
    from tests.simulation.simulator import World

# What has an answer.
CALLS = (
    DispatchRequested,
    DispatchDeletionRequested,
    RoomEventReported,
    RuleApplyRequested,
    RuleDeletionRequested,
    WorkerDrainRequested,
)
# What a steady server needs for anything that waits for nobody: a few commits.
PROMPT: Nanoseconds = 1500 * MILLISECOND
# A free worker is found for a waiting job within this: its next status at the latest.
OFFERED_WITHIN: Nanoseconds = 4 * SECOND


class Checker(Watcher):
    """Judges one invariant."""

    name: str

    def __init__(self, world: World, facts: Facts) -> None:
        self.world = world
        self.facts = facts

    def blame(self, what: str) -> None:
        """The invariant is broken."""
        self.world.trace.blame(self.name, what)

    @property
    def now(self) -> Nanoseconds:
        """The simulated time."""
        return self.world.timeline.now

    def stored_dispatch(self, dispatch_id: str) -> StoredDispatch | None:
        """What the store has of a dispatch."""
        return self.world.database.get_dispatch(PROJECT, dispatch_id)


class AcknowledgedIsKept(Checker):
    """1: an acknowledged dispatch is never lost, and in the end each of its jobs has ended."""

    name = "acknowledged is kept"

    def __init__(self, world: World, facts: Facts) -> None:
        super().__init__(world, facts)
        # acknowledged dispatches, with the jobs that each had then
        self._acknowledged: dict[str, frozenset[str]] = {}

    def sent(self, message: Message, link: Link | None) -> None:
        """Remember what is acknowledged."""
        if isinstance(message, Reply) and message.outcome in (Outcome.CREATED, Outcome.EXISTED):
            stored = self.stored_dispatch(message.dispatch_id)
            if stored is not None:  # else it was acknowledged too early: another's business
                # Those of whoever comes into the room later have an order.
                jobs = frozenset(job.job.id for job in stored.jobs if not job.job.order)
                self._acknowledged.setdefault(message.dispatch_id, jobs)

    def started(self, incarnation: int) -> None:
        """After a crash everything is still there."""
        self._look()

    def _look(self) -> None:
        for dispatch_id, jobs in self._acknowledged.items():
            stored = self.stored_dispatch(dispatch_id)
            if stored is None:
                self.blame(f"the acknowledged dispatch {dispatch_id} is gone")
            elif jobs != {job.job.id for job in stored.jobs if not job.job.order}:
                self.blame(f"the dispatch {dispatch_id} has other jobs than when acknowledged")

    def finished(self) -> None:
        """With everything healed, every job has come to its end."""
        self._look()
        for dispatch_id in self._acknowledged:
            stored = self.stored_dispatch(dispatch_id)
            for job in stored.jobs if stored is not None else ():
                if not self.world.has_come_to_its_end(job.job, job.state.phase):
                    self.blame(f"the acknowledged job {job.job.id} is {job.state.phase.value}")


class OneHolder(Checker):
    """2: at most one live holder for each job and epoch, and no result of an older epoch counts."""

    name = "one holder"

    def sent(self, message: Message, link: Link | None) -> None:
        """One epoch is given to one process."""
        if isinstance(message, SendAssignment):
            facts = self.facts.jobs.get(message.job.id)
            epoch = message.state.epoch
            if facts is not None and len(facts.assigned[epoch]) > 1:
                who = sorted(facts.assigned[epoch])
                self.blame(f"{message.job.id}, epoch {epoch}, was given to {' and '.join(who)}")

    def began(self, process: WorkerProcess, job_id: str, epoch: int) -> None:
        """One epoch runs once."""
        running = self.facts.running.setdefault((job_id, epoch), [])
        running.append(process.name)
        if len(running) > 1:
            self.blame(f"{job_id}, epoch {epoch}, runs in {' and in '.join(running)}")

    def ended(
        self, process: WorkerProcess, job_id: str, epoch: int, reason: DisconnectReason
    ) -> None:
        """It runs no longer."""
        self.facts.running[job_id, epoch].remove(process.name)

    def committed(self, batch: Sequence[StoreRequest], rows: Sequence[EventRow]) -> None:
        """A job ends, or is tried again, by the word of the current epoch's holder."""
        for row in rows:
            facts = self.facts.jobs.get(row.job_id)
            if facts is None:
                continue
            if row.trigger is JobTrigger.CLAIMED:
                self._claimed(facts, row)
            if row.trigger is JobTrigger.CANCELLED and not (
                facts.results
                or row.dispatch_id in self.facts.ever_deleted
                or self._is_over(facts, row.dispatch_id)
            ):
                self.blame(f"{row.job_id} is cancelled, and nobody called it off")
            by_evidence = row.trigger in (JobTrigger.SUCCEEDED, JobTrigger.LEFT)
            if by_evidence and (row.epoch in facts.left_cleanly or self._left_unheard(facts, row)):
                continue
            if row.error.startswith("nothing was heard"):
                if self._before(facts, row).phase is not JobPhase.ASSIGNED:
                    self.blame(f"{row.job_id} is given up though it had started")
                continue
            if row.trigger is JobTrigger.LEFT:
                self.blame(f"{row.job_id} is told to have left, and its agent did not")
            by_report = (
                row.trigger is JobTrigger.SUCCEEDED
                or (row.trigger is JobTrigger.RETRIED and not self._was_lost(facts, row))
                or (row.trigger is JobTrigger.FAILED and not row.error.startswith("its worker"))
            )
            if by_report:
                epoch = row.epoch - (row.trigger is JobTrigger.RETRIED)
                if not any(self._may_count(facts, epoch, *result) for result in facts.results):
                    heard = [result[:2] for result in facts.results]
                    self.blame(
                        f"{row.job_id} is {row.trigger.value} at epoch {epoch}, and nobody who"
                        f" held it said so; heard, by epoch and worker: {heard}"
                    )

    def _claimed(self, facts: JobFacts, row: EventRow) -> None:
        """Nobody takes a job from a holder that lives and can be heard."""
        before, world = self._before(facts, row), self.world
        if before.phase not in GIVEN or before.worker_id == row.worker_id or world.scenario.stalls:
            return
        connection = self.facts.connections.get(before.worker_id)
        window = world.policy.takeover_silence + SECOND
        if (
            connection is not None
            and connection.link.is_whole
            and connection.link.process.is_alive
            and connection.link.process.hung_until < self.now - window
            and self.now - connection.registered_at > window
            and world.server.is_steady(window)
        ):
            self.blame(f"{row.job_id} is taken from {connection.link}, which lives")

    def _left_unheard(self, facts: JobFacts, row: EventRow) -> bool:
        """Had its agent left, of which no news came, and nobody said that it started?"""
        sfu = self.world.sfu
        return (
            sfu is not None
            and (row.job_id, row.epoch) in sfu.agents_gone
            and row.epoch not in facts.left
            and self._before(facts, row).phase is JobPhase.ASSIGNED
        )

    def _was_lost(self, facts: JobFacts, row: EventRow) -> bool:
        """Had its worker been away for long enough, when it was tried again?"""
        return self._before(facts, row).phase is JobPhase.ORPHANED

    def _before(self, facts: JobFacts, row: EventRow) -> EventRow:
        return facts.rows[facts.rows.index(row) - 1]

    def _is_over(self, facts: JobFacts, dispatch_id: str) -> bool:
        """Is whatever it was made for over: its room, its participant, its rule, its agent's type?"""
        world, job = self.world, facts.job
        if world.sfu is None:
            return False
        if dispatch_id and (
            job.room in world.sfu.names_over
            or (job.lane.job_type is JobType.ROOM and job.lane.agent_name in self.facts.roomless)
        ):
            return True
        if not job.order:
            return False
        subject = subject_of(job)
        return (
            subject.room_sid in world.sfu.over
            or (subject.room_sid, subject.identity) in world.sfu.left
            or (
                world.rule_callers is not None
                and job.order.removeprefix("rule:") in world.rule_callers.revoked
            )
        )

    def _may_count(
        self, facts: JobFacts, epoch: int, true_epoch: int, worker_id: str, honest: bool
    ) -> bool:
        if honest and true_epoch == epoch:
            return True
        # A stock worker names neither itself nor an epoch: it is believed when it claims an orphan,
        # and is the holder from then on.
        if (worker_id, facts.job.id) in self.world.unclaimed:
            return True
        return worker_id in self.facts.stock_ids and any(
            row.worker_id == worker_id
            and row.epoch == epoch
            and (row.trigger is JobTrigger.CLAIMED or not honest)
            for row in facts.rows
        )


class CapKept(Checker):
    """3: what runs at a worker and what is reserved there never exceed its declared cap."""

    name = "cap kept"

    def sent(self, message: Message, link: Link | None) -> None:
        """Every offer and every assignment finds room."""
        if link is None or not isinstance(message, (SendOffer, SendAssignment)):
            return
        connection = self.facts.connections.get(link.worker_id)
        if connection is None or connection.capacity is None:
            return
        held = set(self.facts.jobs_given_to(link.worker_id))
        if isinstance(message, SendOffer):
            held |= connection.offers.keys() - self._void(connection)
        if len(held) > connection.capacity:
            self.blame(
                f"{link.process} has a cap of {connection.capacity} and is given {sorted(held)}"
            )

    def _void(self, connection: Connection) -> set[str]:
        """Offers that may be over though nobody answered: out of time, or never there."""
        timeout = self.world.policy.offer_timeout
        void: set[str] = set()
        for job_id, sent_at in connection.offers.items():
            facts = self.facts.jobs.get(job_id)
            if (
                self.now - sent_at >= timeout
                or facts is None
                or job_id in self.facts.refused
                or (not facts.rows and self.stored_dispatch(facts.job.dispatch_id) is not None)
                or ((last := facts.last) is not None and last.phase.is_ended)
            ):
                void.add(job_id)
        return void


class ConfigKept(Checker):
    """4: the config of a job never changes, from the caller's request to the last offer."""

    name = "config kept"

    def __init__(self, world: World, facts: Facts) -> None:
        super().__init__(world, facts)
        self._dispatches: dict[str, Dispatch] = {}

    def heard(self, event: Event, link: Link | None, true_epoch: int) -> None:
        """Remember what was asked for."""
        if isinstance(event, DispatchRequested):
            self._dispatches.setdefault(event.dispatch.id, event.dispatch)

    def sent(self, message: Message, link: Link | None) -> None:
        """Each offer and assignment carries what was asked for."""
        if isinstance(message, (SendOffer, SendAssignment)):
            facts = self.facts.jobs.get(message.job.id)
            if facts is None or facts.job != message.job:
                self.blame(f"{type(message).__name__} of {message.job.id} is not what was asked")
            elif link is not None and facts.job.lane not in self._lanes(link):
                self.blame(f"{message.job.id} goes to {link}, whose lane it is not")

    def committed(self, batch: Sequence[StoreRequest], rows: Sequence[EventRow]) -> None:
        """So does the store."""
        for row in rows:
            if row.trigger is JobTrigger.CREATED:
                self._look(row.job_id)
            elif row.attempt > 1:
                self._tried_again(row)

    def finished(self) -> None:
        """To the end."""
        for job_id in self.facts.jobs:
            self._look(job_id)
        for asked in self._dispatches.values():
            stored = self.stored_dispatch(asked.id)
            if stored is not None and stored.dispatch.config != asked.config:
                self.blame(f"the dispatch {asked.id} is not what was asked")

    def _tried_again(self, row: EventRow) -> None:
        facts, tries = self.facts.jobs.get(row.job_id), self.world.policy.attempts_max
        if facts is not None and facts.job.restart_policy is RestartPolicy.NEVER:
            self.blame(f"{row.job_id} is tried again, and was never to be")
        if row.attempt > tries:
            self.blame(f"{row.job_id} is at attempt {row.attempt} of {tries}")

    def _lanes(self, link: Link) -> frozenset[Lane]:
        connection = self.facts.connections.get(link.worker_id)
        return connection.lanes if connection is not None else frozenset()

    def _look(self, job_id: str) -> None:
        stored = self.world.database.get_job(PROJECT, job_id)
        facts = self.facts.jobs.get(job_id)
        if stored is not None and (facts is None or facts.job != stored.job):
            self.blame(f"the store's {job_id} is not what was asked")


class EndedStaysEnded(Checker):
    """5: ended states never change."""

    name = "ended stays ended"

    def __init__(self, world: World, facts: Facts) -> None:
        super().__init__(world, facts)
        self._ended: dict[str, object] = {}

    def committed(self, batch: Sequence[StoreRequest], rows: Sequence[EventRow]) -> None:
        """No row follows the one that ended the job, and its state stays as it is."""
        for row in rows:
            if row.job_id in self._ended:
                self.blame(f"{row.job_id} had ended, and is {row.trigger.value}")
            if row.phase.is_ended:
                facts = self.facts.jobs.get(row.job_id)
                self._ended[row.job_id] = facts and facts.state

    def started(self, incarnation: int) -> None:
        """Nor does a restart change it."""
        self.finished()

    def finished(self) -> None:
        """It stays as it is to the end."""
        for job_id, state in self._ended.items():
            stored = self.world.database.get_job(PROJECT, job_id)
            if state is not None and (stored is None or stored.state != state):
                self.blame(f"the ended state of {job_id} has changed")


class PromisesAreDurable(Checker):
    """6: nothing is acknowledged, assigned, judged, confirmed or stopped before it is durable."""

    name = "promises are durable"

    def __init__(self, world: World, facts: Facts) -> None:
        super().__init__(world, facts)
        # final reports by (worker id, sequence), until confirmed
        self._reports: dict[tuple[str, int], JobReported] = {}
        # names of rules
        self._rules: set[str] = set()

    def heard(self, event: Event, link: Link | None, true_epoch: int) -> None:
        """Remember what a receipt will be for."""
        if (
            isinstance(event, JobReported)
            and event.sequence
            and event.status in FINAL
            and link is not None
            and link.process.is_honest
        ):
            self._reports[event.worker_id, event.sequence] = event

    def sent(self, message: Message, link: Link | None) -> None:
        """Is it true in the store?"""
        match message:
            case Reply():
                self._acknowledged(message)
            case SendAssignment():
                facts = self.facts.jobs.get(message.job.id)
                given = (message.state.epoch, message.worker_id)
                rows = facts.rows if facts is not None else []
                # A new job may be durably reserved for the worker before it has answered.
                if not any(
                    row.phase in (JobPhase.OFFERED, JobPhase.ASSIGNED)
                    and (row.epoch, row.worker_id) == given
                    for row in rows
                ):
                    self.blame(f"{message.job.id} is assigned to {link} before it is durable")
            case SendVerdicts():
                for job_id, verdict in message.verdicts.items():
                    self._judged(message.worker_id, job_id, verdict)
            case SendTermination():
                if self._is_holder(message.worker_id, message.job_id):
                    self.blame(f"{message.job_id} is stopped before that is durable")
            case SendStatusReceipt():
                self._confirmed(message)
            case _:
                pass

    def committed(self, batch: Sequence[StoreRequest], rows: Sequence[EventRow]) -> None:
        """Remember which rules are durable."""
        for request in batch:
            if isinstance(request, PutNote) and request.note.kind is NoteKind.RULE:
                self._rules.add(request.note.key)
            elif isinstance(request, DropNotes) and request.kind is NoteKind.RULE:
                self._rules.discard(request.key or "")

    def _acknowledged(self, reply: Reply) -> None:
        if not reply.dispatch_id:
            self._acknowledged_rule(reply)
            return
        stored = self.stored_dispatch(reply.dispatch_id)
        if reply.outcome in (Outcome.CREATED, Outcome.EXISTED):
            if stored is None or not stored.jobs:
                self.blame(f"{reply.dispatch_id} is acknowledged before it is durable")
        elif reply.outcome is Outcome.DELETED and (
            stored is None or not stored.dispatch.deletion_requested_at
        ):
            self.blame(f"the deletion of {reply.dispatch_id} is acknowledged before it is durable")

    def _acknowledged_rule(self, reply: Reply) -> None:
        callers = self.world.rule_callers
        name = callers.name_of(reply.request) if callers is not None else None
        if name is None:
            return
        if reply.outcome in (Outcome.CREATED, Outcome.CHANGED) and name not in self._rules:
            self.blame(f"rule {name} is acknowledged before it is durable")
        if reply.outcome is Outcome.DELETED and name in self._rules:
            self.blame(f"the deletion of rule {name} is acknowledged before it is durable")

    def _last(self, job_id: str) -> EventRow | None:
        facts = self.facts.jobs.get(job_id)
        return facts.last if facts is not None else None

    def _is_holder(self, worker_id: str, job_id: str) -> bool:
        last = self._last(job_id)
        return last is not None and last.phase in GIVEN and last.worker_id == worker_id

    def _judged(self, worker_id: str, job_id: str, verdict: Verdict) -> None:
        last = self._last(job_id)
        facts = self.facts.jobs.get(job_id)
        is_true = False
        match verdict:
            case Verdict.KEEP:
                # It held the job durably; what became of it since may be durable already too.
                rows = facts.rows if facts is not None else []
                is_true = any(row.phase in GIVEN and row.worker_id == worker_id for row in rows)
            case Verdict.STOP_ENDED:
                is_true = last is not None and last.phase.is_ended
            case Verdict.STOP_UNKNOWN:
                is_true = last is None
            case Verdict.STOP_REASSIGNED:
                is_true = not self._is_holder(worker_id, job_id) or self._is_news(worker_id, job_id)
        if not is_true:
            self.blame(f"{verdict.name} of {job_id} for {worker_id} is not true in the store")

    def _is_news(self, worker_id: str, job_id: str) -> bool:
        """Is the job given to the worker anew, and its assignment still to be sent?"""
        facts, connection = self.facts.jobs[job_id], self.facts.connections.get(worker_id)
        last = facts.last
        return (
            last is not None
            and last.phase is JobPhase.ASSIGNED
            and connection is not None
            and connection.link.process.name not in facts.assigned.get(last.epoch, ())
        )

    def _confirmed(self, receipt: SendStatusReceipt) -> None:
        report = self._reports.pop((receipt.worker_id, receipt.sequence), None)
        last = self._last(report.job_id) if report is not None else None
        if (
            report is not None
            and last is not None
            and self._is_holder(receipt.worker_id, report.job_id)
            and report.epoch in (0, last.epoch)
        ):
            self.blame(f"the end of {report.job_id} is confirmed before it is durable")


class FreeWorkersAreAsked(Checker):
    """7: a queued job whose lane has a free worker is offered within a bound."""

    name = "free workers are asked"

    def __init__(self, world: World, facts: Facts) -> None:
        super().__init__(world, facts)
        # since when it has been free at every probe, by worker id
        self._free_since: dict[str, Nanoseconds] = {}

    def crashed(self) -> None:
        """Nobody is connected."""
        self._free_since = {}

    def probe(self) -> None:
        """Did a job and a worker wait for each other for too long?"""
        connections = self.facts.connections
        for worker_id in list(self._free_since):
            if worker_id not in connections:
                del self._free_since[worker_id]
        free: list[tuple[str, Connection]] = []
        for worker_id, connection in connections.items():
            if not self._is_free(worker_id, connection):
                self._free_since.pop(worker_id, None)
            elif self.now - self._free_since.setdefault(worker_id, self.now) >= OFFERED_WITHIN:
                free.append((worker_id, connection))
        if not free or not self.world.server.is_steady(OFFERED_WITHIN):
            return
        asked = {job_id for connection in connections.values() for job_id in connection.offers}
        for job_id, facts in self.facts.open.items():
            if facts.rows[-1].phase is not JobPhase.QUEUED or job_id in asked:
                continue
            if self.now - max(facts.queued_at, facts.offered_at) < OFFERED_WITHIN:
                continue
            for worker_id, connection in free:
                if (
                    facts.job.lane in connection.lanes
                    and job_id not in connection.stops
                    and job_id not in connection.link.process.executions
                ):
                    self.blame(
                        f"{job_id} is queued and {connection.link.process} ({worker_id}) is free,"
                        f" both for {OFFERED_WITHIN / 1e9:g} s, and it is not offered"
                    )
                    return

    def _is_free(self, worker_id: str, connection: Connection) -> bool:
        policy = self.world.policy
        process = connection.link.process
        if not (
            connection.link.is_whole
            and process.is_honest
            and process.hung_until <= self.now
            and process.name not in self.facts.taken_out
            and connection.takes_jobs
            and self.now - connection.reported_at < policy.status_stale_time
            and self.now >= connection.left_alone_until
            and self.now - connection.registered_at >= policy.settle_time
            and len(connection.offers) < policy.offers_in_flight_max
        ):
            return False
        if connection.capacity is None:
            return True
        held = len(self.facts.jobs_given_to(worker_id))
        stops = sum(self.now - at <= policy.stop_timeout for at in connection.stops.values())
        count = max(connection.job_count, held + stops)
        return count + len(connection.offers) < connection.capacity


class DeadlinesFire(Checker):
    """8: every offer, claim, orphan, retry and queue wait has a deadline, and it fires.

    Of an offer, the engine's own view is looked at: from outside it cannot be told from a job that
    waits.
    """

    name = "deadlines fire"

    def __init__(self, world: World, facts: Facts) -> None:
        super().__init__(world, facts)
        # claims without a verdict, by (worker id, job id), receipts by (worker id, sequence), and
        # calls without an answer, by request: since when
        self._claims: dict[tuple[str, str], Nanoseconds] = {}
        self._receipts: dict[tuple[str, int], Nanoseconds] = {}
        self._calls: dict[int, Nanoseconds] = {}
        self._started_at: Nanoseconds = 0

    def started(self, incarnation: int) -> None:
        """Nothing is owed by this process yet."""
        self._claims, self._receipts, self._calls = {}, {}, {}
        self._started_at = self._server_now

    @property
    def _server_now(self) -> Nanoseconds:
        """The time by the clock of the server: of a machine that is suspended it stands."""
        return self.world.server.now

    def heard(self, event: Event, link: Link | None, true_epoch: int) -> None:
        """Remember what is owed."""
        if isinstance(event, CALLS):
            self._calls[event.request] = self._server_now
        if link is None or link.worker_id not in self.facts.connections:
            return
        if isinstance(event, JobsMigrated):
            for job_id in event.job_ids:
                self._claims[link.worker_id, job_id] = self._server_now
        elif isinstance(event, JobReported):
            if event.sequence:
                self._receipts[link.worker_id, event.sequence] = self._server_now
            if event.status in FINAL:
                # What ended is claimed no longer; its result is counted or not.
                self._claims.pop((link.worker_id, event.job_id), None)

    def sent(self, message: Message, link: Link | None) -> None:
        """Forget what was owed."""
        if isinstance(message, SendVerdicts):
            for job_id in message.verdicts:
                self._claims.pop((message.worker_id, job_id), None)
        elif isinstance(message, SendTermination):
            self._claims.pop((message.worker_id, message.job_id), None)
        elif isinstance(message, SendStatusReceipt):
            self._receipts.pop((message.worker_id, message.sequence), None)
        elif isinstance(message, Reply):
            self._calls.pop(message.request, None)

    def probe(self) -> None:
        """Is anything overdue?"""
        server, policy = self.world.server, self.world.policy
        if not server.is_steady(PROMPT):
            return
        # Whoever was kept up by the world gets this much longer.
        steady = server.steady_since_by_its_clock + PROMPT
        for hand in server.engine.jobs.values():
            if hand.phase is JobPhase.OFFERED and self._is_past(
                max(hand.offered_at + policy.offer_timeout + PROMPT, steady)
            ):
                self.blame(f"the offer of {hand.id} has lasted since {hand.offered_at / 1e9:.3f}")
        self._probe_jobs(steady)
        connected = self.facts.connections
        for (worker_id, job_id), at in self._claims.items():
            if worker_id in connected and self._is_past(
                max(at + policy.takeover_silence + PROMPT, steady)
            ):
                self.blame(f"the claim of {job_id} by {worker_id} has no verdict")
        for (worker_id, sequence), at in self._receipts.items():
            if worker_id in connected and self._is_past(max(at + PROMPT, steady)):
                self.blame(f"status {sequence} of {worker_id} has no receipt")
        for request, at in self._calls.items():
            if self._is_past(max(at + PROMPT, steady)):
                self.blame(f"the call {request} has no answer")

    def _is_past(self, when: Nanoseconds) -> bool:
        return self._server_now > when

    def _probe_jobs(self, steady: Nanoseconds) -> None:
        policy = self.world.policy
        for job_id, facts in self.facts.open.items():
            phase, state = facts.rows[-1].phase, facts.state
            if phase in GIVEN or state is None:
                continue
            until = state.until
            if phase in (JobPhase.QUEUED, JobPhase.OFFERED):
                # It may be in an offer, made just before its time ran out.
                until += policy.offer_timeout
            elif phase is JobPhase.ORPHANED:
                # After a restart the grace time begins anew.
                until = max(until, self._started_at + state.grace)
            if not state.until:
                self.blame(f"{job_id} is {phase.value} without a deadline")
            elif self._is_past(max(until + PROMPT, steady)):
                self.blame(f"{job_id} has been {phase.value} past its deadline")

    def committed(self, batch: Sequence[StoreRequest], rows: Sequence[EventRow]) -> None:
        """Nor does a deadline fire early."""
        for row in rows:
            facts = self.facts.jobs.get(row.job_id)
            if (
                facts is not None
                and row.trigger is JobTrigger.QUEUE_DEADLINE_PASSED
                and self.now - facts.queued_at < facts.job.queue_time - SECOND // 100
                and not self._was_queued_before(facts)
            ):
                self.blame(f"{row.job_id} ended for lack of capacity before its time")

    def _was_queued_before(self, facts: JobFacts) -> bool:
        # The time is counted from when it was decided; it was durable up to a commit later.
        return facts.state is not None and facts.state.until <= self._server_now

    def finished(self) -> None:
        """Every deletion has come to its end."""
        for dispatch_id in self.world.callers.wishes:
            stored = self.stored_dispatch(dispatch_id)
            if stored is not None and (
                stored.dispatch.deletion_requested_at and not stored.dispatch.deleted_at
            ):
                self.blame(f"the deletion of {dispatch_id} is not finished")


INVARIANTS: tuple[type[Checker], ...] = (
    AcknowledgedIsKept,
    OneHolder,
    CapKept,
    ConfigKept,
    EndedStaysEnded,
    PromisesAreDurable,
    FreeWorkersAreAsked,
    DeadlinesFire,
)
