"""The engine: the one door to the core.

`handle(event, now)` and `expire(now)` return effects; `next_deadline()` says when `expire` is due.
The engine never waits and never fails for what a peer does. It is single-threaded, and two engines
that are told the same events at the same times with the same randomness do the same.

Its parts, each on the shoulders of those before: `board` (memory), `offering` (from the queue to a
worker), `holding` (from the assignment to the end), `claiming` (who may speak for a job), `presence`
(who is here), `dispatching` (calls); `rooms` (who is where), `ordering` (what rules make of it),
`standing_dispatches` (what dispatches make of it), `calling_off`, `sightings` (what is seen of
agents), `silences` (what is not said) and `observing`, which tells them; `configurations` (how rooms are made). A peer's word
is checked against the board; a move is checked against `lifecycle`.

Cost: each event and each deadline is O(log n) in workers and jobs, or that for each job it names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from random import Random
from typing import Any

from dispatcher.core.board import Board, DeadlineKind, LaneQueue
from dispatcher.core.bridged import (
    AgentForgotten,
    AgentServed,
    BridgeDispatchEnded,
    BridgeDispatchesListed,
    BridgeOffered,
    Served,
)
from dispatcher.core.bridging import Bridging, Called
from dispatcher.core.calling_off import CallingOff
from dispatcher.core.claiming import Claiming
from dispatcher.core.configurations import ConfigurationKey, RoomConfigurations
from dispatcher.core.dispatching import Dispatching
from dispatcher.core.effects import Effect
from dispatcher.core.events import (
    AssignmentExpired,
    DispatchCreated,
    DispatchDeletionRecorded,
    DispatchDeletionRequested,
    DispatchesFound,
    DispatchRequested,
    DrainStarted,
    Event,
    JobReported,
    JobsCalledOff,
    JobsClaimed,
    JobsDue,
    JobsHandedOver,
    JobSimulated,
    JobsLookedUp,
    JobsMigrated,
    JobTerminationRequested,
    MoveRefused,
    OfferAnswered,
    RoomAnnounced,
    RoomAnnouncementWithdrawn,
    RoomConfigurationChangeRequested,
    RoomConfigurationCreationRequested,
    RoomConfigurationDeletionRequested,
    RoomEventReported,
    RoomsListed,
    RuleApplyRequested,
    RuleDeletionRequested,
    StoreRecovered,
    WorkerDisconnected,
    WorkerDrainRequested,
    WorkerPonged,
    WorkerRegistered,
    WorkerReported,
    WorkerUnreachable,
)
from dispatcher.core.holding import Holding
from dispatcher.core.jobs import JobType, Lane, Nanoseconds
from dispatcher.core.observing import Observing
from dispatcher.core.offering import Offering
from dispatcher.core.ordering import Ordering
from dispatcher.core.policy import Policy
from dispatcher.core.presence import Presence
from dispatcher.core.room_states import RoomKey, RoomLimits, RoomState
from dispatcher.core.rooms import Rooms
from dispatcher.core.rules import Rule
from dispatcher.core.served_agents import ServedAgents
from dispatcher.core.sightings import Sightings
from dispatcher.core.silences import Silences
from dispatcher.core.standing_dispatches import StandingDispatches
from dispatcher.core.tally import Tally
from dispatcher.core.workers import JobInHand, Worker


class Engine:
    """Decides which worker has which job. `random` is drawn from for placement and jitter."""

    def __init__(
        self, policy: Policy, random: Random, room_limits: RoomLimits | None = None
    ) -> None:
        self._board = board = Board(policy, random)
        offering = Offering(board)
        holding = Holding(board, offering)
        claiming = Claiming(board, offering, holding)
        presence = Presence(board, offering, holding, claiming)
        dispatching = Dispatching(board, offering, holding)
        calling_off = CallingOff(board, offering, holding)
        self._rooms = rooms = Rooms(room_limits)
        self._ordering = ordering = Ordering(board, rooms, offering, calling_off)
        self._standing = standing = StandingDispatches(
            board, rooms, offering, dispatching, calling_off
        )
        sightings = Sightings(board, holding)
        silences = Silences(board, holding, presence, rooms.rooms, sightings)
        self._observing = observing = Observing(board, rooms, ordering, standing, sightings)
        self._configurations = configurations = RoomConfigurations(board)
        self._bridging = bridging = Bridging(board, rooms, ordering, offering, calling_off)
        ordering.is_called = bridging.answers
        served_agents = ServedAgents(board, standing, bridging, ordering)

        def worker_registered(event: WorkerRegistered) -> None:
            presence.registered(event)
            served_agents.registered(event)
            said = event.registration
            if standing.worker_came(event) and not said.agent_name:
                ordering.unnamed_came(said.project, standing.types(said.project, ""))

        def called_off(event: JobsCalledOff) -> None:
            bridging.ended(event.cancelled)
            calling_off.called_off(event)
            ordering.ended(event.cancelled)

        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            WorkerRegistered: worker_registered,
            WorkerReported: _in_turn(presence.reported, silences.status_heard),
            WorkerDrainRequested: presence.drain_requested,
            WorkerPonged: claiming.ponged,
            WorkerUnreachable: presence.unreachable,
            WorkerDisconnected: _in_turn(presence.disconnected, served_agents.disconnected),
            OfferAnswered: offering.answered,
            JobReported: _in_turn(claiming.job_reported, silences.job_reported),
            JobsMigrated: claiming.migrated,
            JobsHandedOver: holding.handed_over,
            AssignmentExpired: holding.assignment_expired,
            JobSimulated: dispatching.simulated,
            JobTerminationRequested: calling_off.termination_requested,
            DispatchRequested: _in_turn(dispatching.requested, standing.requested),
            DispatchDeletionRequested: _in_turn(
                dispatching.deletion_requested, standing.deletion_requested
            ),
            DrainStarted: dispatching.drain_started,
            RoomEventReported: _in_turn(bridging.room_reported, observing.reported),
            RoomsListed: observing.listed,
            RoomAnnounced: observing.announced,
            RoomAnnouncementWithdrawn: observing.announcement_withdrawn,
            RoomConfigurationCreationRequested: configurations.creation_requested,
            RoomConfigurationChangeRequested: configurations.change_requested,
            RoomConfigurationDeletionRequested: configurations.deletion_requested,
            RuleApplyRequested: ordering.apply_requested,
            RuleDeletionRequested: ordering.deletion_requested,
            BridgeOffered: bridging.offered,
            BridgeDispatchesListed: bridging.listed,
            BridgeDispatchEnded: bridging.dispatch_ended,
            AgentServed: bridging.agent_served,
            AgentForgotten: served_agents.forgotten,
            StoreRecovered: _in_turn(
                configurations.recovered,
                bridging.recovered,
                dispatching.recovered,
                observing.recovered,
                bridging.call_off_again,
                served_agents.recovered,
            ),
            JobsCalledOff: called_off,
            DispatchCreated: _in_turn(dispatching.created, standing.created),
            DispatchesFound: standing.found,
            DispatchDeletionRecorded: dispatching.deletion_recorded,
            JobsClaimed: offering.claimed,
            JobsDue: dispatching.became_due,
            JobsLookedUp: claiming.looked_up,
            MoveRefused: holding.refused,
        }
        self._alarms: dict[DeadlineKind, Callable[..., None]] = {
            DeadlineKind.SETTLE: lambda worker_id, _: presence.settled(worker_id),
            DeadlineKind.BACKOFF: lambda worker_id, _: offering.backoff_ended(worker_id),
            DeadlineKind.OFFER: lambda job_id, _: offering.lapsed(job_id),
            DeadlineKind.LATE_ANSWER: lambda job_id, _: offering.late_answer_expired(job_id),
            DeadlineKind.GRACE: lambda job_id, _: holding.grace_due(job_id),
            DeadlineKind.STOP: holding.stop_timed_out,
            DeadlineKind.STATUS: lambda worker_id, _: silences.status_due(worker_id),
            DeadlineKind.UNCOUNTED: lambda worker_id, _: silences.count_due(worker_id),
            DeadlineKind.UNSTARTED: lambda _, __: silences.starts_due(),
            DeadlineKind.HAND_OVER: lambda worker_id, _: holding.hand_over_due(worker_id),
            DeadlineKind.YIELD: lambda worker_id, _: holding.yield_due(worker_id),
            DeadlineKind.TAKEOVER: claiming.takeover_due,
            DeadlineKind.DUE: lambda _, __: dispatching.due(),
            DeadlineKind.SWEEP: lambda _, __: ordering.sweep_due(),
            DeadlineKind.SUCCESSION: observing.succession_over,
            DeadlineKind.REOPENED: ordering.reopened_due,
            DeadlineKind.UNNAMED: lambda project, _: served_agents.memory_over(project),
            DeadlineKind.OVER: lambda _, __: observing.over_due(),
            DeadlineKind.PARTING: lambda job_id, _: sightings.parting_over(job_id),
        }

    def handle(self, event: Event, now: Nanoseconds) -> list[Effect]:
        """Take in what happened; return what is to be done, in order."""
        effects = self._board.begin(now)
        self._handlers[type(event)](event)
        if self._board.ended or self._rooms.touched:
            self._conclude()
        return effects

    def _conclude(self) -> None:
        """Jobs of orders ended, or were made: others have their turn, and it is written down."""
        board = self._board
        while board.ended:
            ended, board.ended = board.ended, []
            self._bridging.ended(ended)
            self._ordering.ended(ended)
        self._observing.write_down()

    def next_deadline(self) -> Nanoseconds | None:
        """Return when `expire` has something to do next, or None."""
        return self._board.deadlines.next_at()

    def expire(self, now: Nanoseconds) -> list[Effect]:
        """Let all deadlines pass that are due; return what is to be done."""
        effects = self._board.begin(now)
        deadlines = self._board.deadlines
        while (key := deadlines.pop_due(self._board.now)) is not None:
            kind, one, two = key
            self._alarms[kind](one, two)
        if self._board.ended or self._rooms.touched:
            self._conclude()
        return effects

    # --- views, not to be changed by those who look ---

    @property
    def policy(self) -> Policy:
        """The bounds and times that the engine keeps."""
        return self._board.policy

    @property
    def workers(self) -> Mapping[str, Worker]:
        """The connected workers by id."""
        return self._board.workers

    @property
    def jobs(self) -> Mapping[str, JobInHand]:
        """The jobs that are offered or held, by id."""
        return self._board.jobs

    @property
    def lanes(self) -> Mapping[Lane, LaneQueue]:
        """What waits in each lane that has something waiting."""
        return self._board.lanes

    @property
    def tally(self) -> Tally:
        """What has been counted since the start."""
        return self._board.tally

    @property
    def rooms(self) -> Mapping[RoomKey, RoomState]:
        """The rooms that are there, by project and name."""
        return self._rooms.rooms

    def job_types(self, project: str, agent_name: str) -> frozenset[JobType]:
        """The job types that a dispatch of this agent means: those of its workers, else ROOM."""
        return self._standing.types(project, agent_name)

    @property
    def agents(self) -> Mapping[tuple[str, str], frozenset[JobType]]:
        """The agents that workers are known to have served, by project, with their job types."""
        return self._standing.agents

    @property
    def calls(self) -> Mapping[tuple[str, str], Called]:
        """The SFU's calls that have their jobs, by project and the call's key."""
        return self._bridging.calls

    def calls_of_room(self, project: str, room: str) -> Collection[Called]:
        """The SFU's calls for a room."""
        return self._bridging.calls_of_room(project, room)

    @property
    def served(self) -> Mapping[tuple[str, Served], Nanoseconds]:
        """What workers are known to have served, by project, and when that was written down."""
        return self._bridging.served

    @property
    def rules(self) -> Mapping[tuple[str, str], Rule]:
        """The rules, by project and name."""
        return self._ordering.rules

    def live_jobs_of(self, project: str, order: str) -> Collection[str]:
        """The jobs of an order (`Job.order`) that have not ended."""
        return self._ordering.live_of((project, order))

    def holder_of(self, project: str, order: str, unique_key: str) -> str | None:
        """The live job of an order that has this unique key, None where none has."""
        return self._ordering.holder((project, order), unique_key)

    def automatic_types(self, project: str) -> frozenset[JobType] | None:
        """The job types that unnamed workers are called for; None: they are called for nothing."""
        if not self.policy.automatic_dispatch:
            return None
        return self._ordering.unnamed_types(project)

    @property
    def room_configurations(self) -> Mapping[ConfigurationKey, bytes]:
        """The serialised room configurations, by project and name."""
        return self._configurations.kept

    def none_since(self, lane: Lane) -> tuple[Nanoseconds, bool]:
        """Since when no worker of the lane is here, if none is; True: it is not known of before then."""
        left_at = self._board.departures.get(lane)
        return (self._board.opened_at, True) if left_at is None else (left_at, False)

    @property
    def has_offers(self) -> bool:
        """Is an offer waiting for its answer?"""
        return any(worker.offers for worker in self._board.workers.values())

    @property
    def has_held_jobs(self) -> bool:
        """Is there a job with a worker that is connected?"""
        return any(worker.jobs for worker in self._board.workers.values())

    @property
    def is_draining(self) -> bool:
        """Has this engine stopped to make offers?"""
        return self._board.is_draining


def _in_turn(*parts: Callable[[Any], None]) -> Callable[[Any], None]:
    """Tell these parts, one after the other."""

    def tell(event: Any) -> None:  # noqa: ANN401 (the table has the type)
        for part in parts:
            part(event)

    return tell
