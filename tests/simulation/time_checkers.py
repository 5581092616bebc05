"""What happens in time, judged from outside: offers within a bound, deadlines that fire (7 and 8).

Time counts only while the server is steady: up, not draining, its store well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatcher.core.effects import (
    Message,
    Reply,
    SendStatusReceipt,
    SendTermination,
    SendVerdicts,
    StoreRequest,
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
    Nanoseconds,
)
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.store.contract import EventRow
from tests.simulation.checkers import Checker
from tests.simulation.facts import FINAL, GIVEN, Connection, Facts, JobFacts
from tests.simulation.network import Link

if TYPE_CHECKING:
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
        held = self.facts.jobs_given_to(worker_id, with_doubtful=True)
        stops = [
            job_id
            for job_id, at in connection.stops.items()
            if self.now - at <= policy.stop_timeout
        ]
        count = connection.unclaimed + len({*held, *stops})
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
                # After a restart the grace time begins anew; workers that keep coming are waited for
                # for once more, and those of a server that was stopped until they can be heard.
                until = max(until, self._started_at + state.grace) + state.grace
                until += policy.resume_time
            if not state.until:
                self.blame(f"{job_id} is {phase.value} without a deadline")
            elif self._is_past(max(until + PROMPT, steady + policy.resume_time)):
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
