"""What an outside observer knows, put in order for the checkers. No word of the engine's is used.

Jobs as they were asked for, the durable rows of each, what each connection declared, said, was
offered and was told, and which process really runs what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dispatcher.core.effects import (
    CreateJob,
    DropWorker,
    Message,
    Outcome,
    PutNote,
    Reply,
    SendAssignment,
    SendOffer,
    SendTermination,
    SendVerdicts,
    StoreRequest,
    Verdict,
)
from dispatcher.core.events import (
    Answer,
    AssignmentExpired,
    DispatchDeletionRequested,
    DispatchRequested,
    Event,
    JobReported,
    JobsHandedOver,
    JobSimulated,
    JobsMigrated,
    OfferAnswered,
    Registration,
    RoomEventReported,
    WorkerDisconnected,
    WorkerDrainRequested,
    WorkerRegistered,
    WorkerReported,
)
from dispatcher.core.jobs import Job, JobState, JobStatus, JobType, Lane, Nanoseconds
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.note_texts import agent_types_of
from dispatcher.core.notes import NoteKind
from dispatcher.core.room_events import DisconnectReason, RoomEventKind
from dispatcher.store.contract import EventRow
from tests.simulation.network import Link
from tests.simulation.scenario import PROJECT
from tests.simulation.trace import Watcher

if TYPE_CHECKING:
    from tests.simulation.simulator import World

FINAL = frozenset({JobStatus.SUCCESS, JobStatus.FAILED, JobStatus.CANCELLED})
GIVEN = frozenset({JobPhase.ASSIGNED, JobPhase.RUNNING})
# An agent that leaves so is done.
CLEAN = frozenset({DisconnectReason.CLIENT_INITIATED, DisconnectReason.PARTICIPANT_REMOVED})


@dataclass(slots=True, eq=False)
class Connection:
    """One registered connection, as seen from outside."""

    link: Link
    registration: Registration
    registered_at: Nanoseconds
    capacity: int | None
    lanes: frozenset[Lane]
    # its last word
    takes_jobs: bool = True
    reported_at: Nanoseconds = 0
    # jobs that it counted then and that it had not been given, for all that is known
    unclaimed: int = 0
    # offers sent and not answered, by job id: when
    offers: dict[str, Nanoseconds] = field(default_factory=dict)
    # jobs that it was told to stop and has not said to have ended: when
    stops: dict[str, Nanoseconds] = field(default_factory=dict)
    # until when a refusal or a silence may keep it from being asked
    left_alone_until: Nanoseconds = 0


@dataclass(slots=True, eq=False)
class JobFacts:
    """One job, as seen from outside."""

    job: Job
    rows: list[EventRow] = field(default_factory=list)
    # its last durable state
    state: JobState | None = None
    queued_at: Nanoseconds = 0
    # when it was last certain that somebody was being asked
    offered_at: Nanoseconds = 0
    # final reports that were heard: (epoch of the run that they are about, worker id, honest)
    results: list[tuple[int, str, bool]] = field(default_factory=list)
    # epochs of runs whose agent was heard to have left as one that is done
    left_cleanly: set[int] = field(default_factory=set)
    # and of those whose agent was heard to have left at all
    left: set[int] = field(default_factory=set)
    # epochs -> processes by name that were sent an assignment
    assigned: dict[int, set[str]] = field(default_factory=dict)
    # workers whose end of it, or hand-over, was heard since it was last given to one
    ended_by: set[str] = field(default_factory=set)
    # and those that may run it on: the agent that left was another run's, or may come back
    doubted_of: set[str] = field(default_factory=set)

    def told_ended(self, worker_id: str) -> None:
        """This worker has it no more, beyond doubt."""
        self.ended_by.add(worker_id)
        self.doubted_of.discard(worker_id)

    @property
    def last(self) -> EventRow | None:
        """Its last durable row."""
        return self.rows[-1] if self.rows else None

    @property
    def is_sent_ahead(self) -> bool:
        """Has the worker that it is reserved for its assignment, and the store not heard of it?"""
        last = self.last
        return last is not None and last.phase is JobPhase.OFFERED and last.epoch in self.assigned


class Facts(Watcher):
    """Everything that was observed. Watches first, before the checkers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.jobs: dict[str, JobFacts] = {}
        # those that are durable and have not ended, and those that a worker has of them
        self.open: dict[str, JobFacts] = {}
        self._given: dict[str, JobFacts] = {}
        self.connections: dict[str, Connection] = {}
        # dispatches whose deletion this server process was asked for, and any
        self.deletions_heard: set[str] = set()
        self.ever_deleted: set[str] = set()
        # jobs of calls, by request; and those whose call was refused: they never were
        self._asked: dict[int, list[str]] = {}
        self.refused: set[str] = set()
        # connections of workers that say nothing of who they are
        self.stock_ids: set[str] = set()
        self.running: dict[tuple[str, int], list[str]] = {}
        # processes that were taken out of service
        self.taken_out: set[str] = set()
        # job types that workers of an agent have named, those that a crash does not undo, and agents
        # that once had named none of rooms
        self._types: dict[str, set[JobType]] = {}
        self._types_kept: dict[str, frozenset[JobType]] = {}
        self.roomless: set[str] = set()

    @property
    def now(self) -> Nanoseconds:
        """The simulated time."""
        return self._world.timeline.now

    def jobs_given_to(self, worker_id: str, *, with_doubtful: bool = False) -> list[str]:
        """Jobs that the worker durably holds, or has been sent, and whose end nobody has told.

        Doubtful is a job whose agent was heard to have left, but not as one that is done with this
        run, and a job whose dispatch is to be deleted, until that is durable.
        """
        return [
            job_id
            for job_id, facts in self._given.items()
            if (last := facts.rows[-1]).worker_id == worker_id
            and (
                worker_id not in facts.ended_by or (with_doubtful and worker_id in facts.doubted_of)
            )
            and (with_doubtful or last.dispatch_id not in self.deletions_heard)
        ]

    def crashed(self) -> None:
        """No connection survives; nor does a deletion, or a job type, that was not durable."""
        self.connections = {}
        self.deletions_heard = set()
        self._types = {agent: set(types) for agent, types in self._types_kept.items()}

    def stood_still(self, lasts: Nanoseconds) -> None:
        """The server's machine was suspended for so long: to it, that time has not passed."""
        for connection in self.connections.values():
            connection.registered_at += lasts
            connection.reported_at += lasts
            connection.left_alone_until += lasts
            for job_id in connection.offers:
                connection.offers[job_id] += lasts
            for job_id in connection.stops:
                connection.stops[job_id] += lasts

    def heard(self, event: Event, link: Link | None, true_epoch: int) -> None:
        """Remember what was said."""
        if link is None:
            self._heard_caller(event)
            return
        if isinstance(event, WorkerRegistered):
            if event.worker_id not in self.connections:
                self._registered(event, link)
            return
        connection = self.connections.get(link.worker_id)
        if connection is None:
            return
        match event:
            case WorkerReported():
                connection.takes_jobs = not (event.full or event.draining)
                connection.reported_at = self.now
                known = len(self.jobs_given_to(event.worker_id)) + len(connection.stops)
                connection.unclaimed = max(event.job_count - known, 0)
            case OfferAnswered():
                self._answered(event, connection)
            case JobsMigrated():
                for job_id in event.job_ids:
                    self._taken_back(connection, job_id)
            case JobReported():
                if event.status is JobStatus.RUNNING:
                    self._taken_back(connection, event.job_id)
                if event.status in FINAL:
                    connection.stops.pop(event.job_id, None)
                    facts = self.jobs.get(event.job_id)
                    if facts is not None:
                        honest = link.process.is_honest
                        facts.results.append((true_epoch, link.worker_id, honest))
                        facts.told_ended(link.worker_id)
            case JobsHandedOver():
                for job_id in event.job_ids:
                    if job_id in self.jobs:
                        self.jobs[job_id].told_ended(link.worker_id)
            case AssignmentExpired():
                self.jobs[event.job_id].told_ended(link.worker_id)
            case JobSimulated():
                self.jobs[event.job.id] = JobFacts(event.job)
            case WorkerDisconnected():
                self._gone(connection)
            case _:
                pass

    def _heard_caller(self, event: Event) -> None:
        if isinstance(event, DispatchRequested):
            self._asked[event.request] = [job.id for job in event.jobs]
            for job in event.jobs:
                self.jobs[job.id] = JobFacts(job)
        elif isinstance(event, DispatchDeletionRequested):
            self.deletions_heard.add(event.dispatch_id)
            self.ever_deleted.add(event.dispatch_id)
        elif isinstance(event, WorkerDrainRequested):
            connection = self.connections.get(event.worker_id)
            if connection is not None:
                self.taken_out.add(connection.link.process.name)
        elif isinstance(event, RoomEventReported):
            told = event.event
            if told.kind is RoomEventKind.PARTICIPANT_LEFT and told.participant is not None:
                self._agent_left(told.participant.identity, told.participant.sid, told.reason)

    def _agent_left(self, identity: str, sid: str, reason: DisconnectReason) -> None:
        facts = self.jobs.get(identity.removeprefix("agent-"))
        sfu = self._world.sfu
        if facts is None or sfu is None:
            return
        facts.left.add(sfu.epochs[sid])
        if reason in CLEAN:
            facts.left_cleanly.add(sfu.epochs[sid])
        if facts.last is None:
            return
        worker_id = facts.last.worker_id
        if reason in CLEAN and sfu.epochs[sid] == facts.last.epoch:
            facts.told_ended(worker_id)
        elif worker_id not in facts.ended_by:
            facts.ended_by.add(worker_id)
            facts.doubted_of.add(worker_id)

    def _registered(self, event: WorkerRegistered, link: Link) -> None:
        said = event.registration
        if not said.instance_id:
            self.stock_ids.add(event.worker_id)
        types = self._types.setdefault(said.agent_name, set())
        types.update(said.types)
        if JobType.ROOM not in types:
            self.roomless.add(said.agent_name)
        capacities = [said.capacity, self._world.policy.agent(said.agent_name).capacity]
        self.connections[event.worker_id] = Connection(
            link=link,
            registration=said,
            registered_at=self.now,
            capacity=min((n for n in capacities if n is not None), default=None),
            lanes=frozenset(
                Lane(said.project, said.agent_name, said.namespace, type_, said.deployment)
                for type_ in said.types
            ),
        )

    def _answered(self, event: OfferAnswered, connection: Connection) -> None:
        policy = self._world.policy
        if connection.offers.pop(event.job_id, None) is None:
            return
        facts = self.jobs[event.job_id]
        facts.offered_at = self.now
        if event.answer is Answer.DECLINED:
            until = self.now + policy.decline_backoff_max
            connection.left_alone_until = max(connection.left_alone_until, until)

    def sent(self, message: Message, link: Link | None) -> None:
        """Remember what was sent."""
        if link is None:
            if isinstance(message, Reply):
                jobs = self._asked.pop(message.request, [])
                if message.outcome is Outcome.REFUSED:
                    self.refused.update(jobs)
            return
        connection = self.connections.get(link.worker_id)
        if connection is None:
            return
        match message:
            case SendOffer():
                for other in self.connections.values():
                    if message.job.id in other.offers:
                        # It lapsed there: nobody is asked by two offers at once.
                        self.lapse(other, message.job.id)
                connection.offers[message.job.id] = self.now
                facts = self.jobs.get(message.job.id)
                if facts is None and message.job.order:  # of a rule: nobody asked for it by its id
                    facts = self.jobs[message.job.id] = JobFacts(message.job)
                if facts is not None:
                    facts.offered_at = self.now
            case SendAssignment():
                facts = self.jobs.get(message.job.id)
                if facts is not None:
                    holders = facts.assigned.setdefault(message.state.epoch, set())
                    holders.add(link.process.name)
                    self._sort(facts)
            case DropWorker():
                self._gone(connection)
            case SendTermination():
                connection.stops[message.job_id] = self.now
            case SendVerdicts():
                for job_id, verdict in message.verdicts.items():
                    if verdict is not Verdict.KEEP:
                        connection.stops[job_id] = self.now
            case _:
                pass

    def _taken_back(self, connection: Connection, job_id: str) -> None:
        """It runs the job already: an offer of it is over."""
        if connection.offers.pop(job_id, None) is not None and job_id in self.jobs:
            self.jobs[job_id].offered_at = self.now

    def _gone(self, connection: Connection) -> None:
        del self.connections[connection.link.worker_id]
        for job_id in connection.offers:
            facts = self.jobs.get(job_id)
            if facts is not None:
                facts.offered_at = self.now

    def lapse(self, connection: Connection, job_id: str) -> None:
        """An offer is over, unanswered."""
        del connection.offers[job_id]
        facts = self.jobs.get(job_id)
        if facts is not None:
            facts.offered_at = self.now
        until = self.now + self._world.policy.silence_backoff_max
        connection.left_alone_until = max(connection.left_alone_until, until)

    def committed(self, batch: Sequence[StoreRequest], rows: Sequence[EventRow]) -> None:
        """Remember what is durable."""
        for request in batch:
            if isinstance(request, CreateJob) and request.job.order:
                self.jobs.setdefault(request.job.id, JobFacts(request.job))
            elif isinstance(request, PutNote) and request.note.kind is NoteKind.AGENT:
                self._types_kept[request.note.key] = agent_types_of(request.note)
        for row in rows:
            facts = self.jobs.get(row.job_id)
            if facts is not None:
                before = facts.last
                if row.phase is JobPhase.ASSIGNED and (
                    # Of a reserved job the assignment went out, or expired, before this row.
                    before is None or before.phase is not JobPhase.OFFERED
                ):
                    facts.ended_by, facts.doubted_of = set(), set()
                facts.rows.append(row)
                if row.phase is JobPhase.QUEUED:
                    facts.queued_at = self.now
                self._sort(facts)
        for job_id in dict.fromkeys(row.job_id for row in rows):
            facts = self.jobs.get(job_id)
            stored = self._world.database.get_job(PROJECT, job_id)
            if facts is not None and stored is not None:
                facts.state = stored.state

    def _sort(self, facts: JobFacts) -> None:
        last, job_id = facts.last, facts.job.id
        if last is None or last.phase.is_ended:
            self.open.pop(job_id, None)
        else:
            self.open[job_id] = facts
        if last is not None and (last.phase in GIVEN or facts.is_sent_ahead):
            self._given[job_id] = facts
        else:
            self._given.pop(job_id, None)

    def probe(self) -> None:
        """Offers that were not answered in time are over."""
        if self._world.server.stands_still:
            return
        timeout = self._world.policy.offer_timeout
        for connection in self.connections.values():
            for job_id, sent_at in list(connection.offers.items()):
                if self.now - sent_at > timeout:
                    self.lapse(connection, job_id)
