"""The invariants of the architecture, each judged from outside by a class of its own.

Here: 1 to 5, which are about what is so. 6, what may be said when, is in `promise_checker`; 7 and 8,
what happens in time, in `time_checkers`; rooms and rules in `rule_checker`.

A checker sees what a `Watcher` sees, and `Facts`; it uses no code of the engine's. It is sound
before it is complete: what cannot be told from outside is counted in the engine's favour, so that
each violation is a bug. `test_planted_bugs` shows of each that it finds what it is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatcher.core.effects import (
    Message,
    Outcome,
    Reply,
    SendAssignment,
    SendOffer,
    StoreRequest,
)
from dispatcher.core.events import (
    DispatchRequested,
    Event,
)
from dispatcher.core.jobs import (
    SECOND,
    Dispatch,
    JobType,
    Lane,
    Nanoseconds,
    RestartPolicy,
)
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.room_events import DisconnectReason
from dispatcher.store.contract import EventRow, StoredDispatch
from tests.simulation.facts import GIVEN, Connection, Facts, JobFacts
from tests.simulation.network import Link
from tests.simulation.rule_oracle import subject_of
from tests.simulation.scenario import PROJECT
from tests.simulation.trace import Watcher

if TYPE_CHECKING:
    from tests.simulation.processes import WorkerProcess
    from tests.simulation.simulator import World


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
            # Known weakness: an agent is known by its identity, which all runs of a job share. One of an
            # older run that joins after the next assignment is taken for that of the next one.
            left_cleanly = any(epoch <= row.epoch for epoch in facts.left_cleanly)
            if by_evidence and (left_cleanly or self._left_unheard(facts, row)):
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
        if job.order.startswith("automatic:"):
            return True  # for as long as there are workers without a name, which may have gone
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
    """3: what runs at a worker and what is reserved there never exceed its declared cap.

    An offer may be made in the place of a job that has ended there and whose end is not durable yet,
    however the server found that out: not all workers tell it.
    """

    name = "cap kept"

    def __init__(self, world: World, facts: Facts) -> None:
        super().__init__(world, facts)
        # jobs and epochs that a process, by its name, has run
        self._over: set[tuple[str, int, str]] = set()

    def ended(
        self, process: WorkerProcess, job_id: str, epoch: int, reason: DisconnectReason
    ) -> None:
        """Remember it: the process has room for another."""
        self._over.add((job_id, epoch, process.name))

    def sent(self, message: Message, link: Link | None) -> None:
        """Every offer and every assignment finds room."""
        if link is None or not isinstance(message, (SendOffer, SendAssignment)):
            return
        connection = self.facts.connections.get(link.worker_id)
        if connection is None or connection.capacity is None:
            return
        held = set(self.facts.jobs_given_to(link.worker_id))
        if isinstance(message, SendOffer):
            name = link.process.name
            held = {each for each in held if (each, self._epoch(each), name) not in self._over}
            held |= connection.offers.keys() - self._void(connection)
        if len(held) > connection.capacity:
            self.blame(
                f"{link.process} has a cap of {connection.capacity} and is given {sorted(held)}"
            )

    def _epoch(self, job_id: str) -> int:
        last = self.facts.jobs[job_id].last
        return last.epoch if last is not None else 0

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
        facts, policy = self.facts.jobs.get(row.job_id), self.world.policy
        tries = max(policy.attempts_max, policy.losses_max)
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
