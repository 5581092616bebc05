"""What is seen of agents in their rooms: evidence of what became of jobs (B7).

An agent joins its room under its job's identity. That it left is no word of its worker's, but it is
evidence: of a worker that never reports a job's end (Node's), a clean leave is the end of it, and an
unclean one, after a while without a return, its loss. An agent that was seen and that the SFU's list has
no longer, for such a while, is taken for one that is done, because the news of its leave was lost, and
that is how most leave; but only where nobody else speaks for its job. A worker that says that it runs the job is
believed until it has had time to say more. Who is replaced by its own next connection
(DUPLICATE_IDENTITY) has not left; that is never an end.

Left to others: who is in which room (`rooms`), what an end means (`holding`).
"""

from __future__ import annotations

from dispatcher.core.board import Board, DeadlineKind
from dispatcher.core.holding import Holding
from dispatcher.core.jobs import SECOND, Nanoseconds
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.room_changes import Change, LeftUnseen, MemberJoined, MemberLeft
from dispatcher.core.room_events import DisconnectReason, Participant
from dispatcher.core.room_states import RoomState
from dispatcher.core.workers import Absence, JobInHand

# The agent, or somebody on its behalf, ended its being there.
CLEAN = frozenset({DisconnectReason.CLIENT_INITIATED, DisconnectReason.PARTICIPANT_REMOVED})
# These say nothing of the agent: its room is over, which is told of the room, or it comes back.
NO_EVIDENCE = frozenset(
    {
        DisconnectReason.ROOM_DELETED,
        DisconnectReason.ROOM_CLOSED,
        DisconnectReason.SERVER_SHUTDOWN,
        DisconnectReason.MIGRATION,
        DisconnectReason.DUPLICATE_IDENTITY,
        DisconnectReason.UNKNOWN_REASON,
    }
)


# Stands for the reason of an agent that a list did not have.
MISSED = DisconnectReason.UNKNOWN_REASON

# Agents of which it is remembered how they make themselves known; of more it is not learned.
AGENTS_MAX = 10_000


class Sightings:
    """The part of the engine that watches for agents."""

    def __init__(self, board: Board, holding: Holding) -> None:
        self._board = board
        self._holding = holding
        # agents that were seen in a room at all, by project and name
        self._seen: set[tuple[str, str]] = set()
        # agents whose workers say that a job started
        self._reporting: set[tuple[str, str]] = set()

    def has_seen(self, project: str, agent_name: str) -> bool:
        """Was an agent of this name ever seen in a room? Then others of it will be."""
        return (project, agent_name) in self._seen

    def note_report(self, project: str, agent_name: str) -> None:
        """A worker of this agent said that a job started: so will the others."""
        if len(self._reporting) < AGENTS_MAX:
            self._reporting.add((project, agent_name))

    def has_reported(self, project: str, agent_name: str) -> bool:
        """Do the workers of this agent say that a job started?"""
        return (project, agent_name) in self._reporting

    def changed(self, change: Change) -> None:
        """Note an agent that came or went."""
        board = self._board
        if isinstance(change, MemberJoined):
            hand = self._job(change.room, change.member.participant)
            if hand is None:
                return
            self._note_seen(hand)
            hand.absence = None
            if hand.parting is not None:
                hand.parting = None
                board.cancel(DeadlineKind.PARTING, hand.id)
        elif isinstance(change, MemberLeft):
            hand = self._who_left(change.room, change.participant, change.seen_at)
            if hand is None:
                return
            if change.is_told:
                self._left(hand, change.reason)
            elif hand.phase is JobPhase.ASSIGNED and not self.has_reported(*_agent(hand)):
                self._await(hand, MISSED)
        elif isinstance(change, LeftUnseen):
            hand = self._who_left(change.room, change.participant, 0)
            if hand is not None:
                self._note_seen(hand)
                self._left(hand, change.reason)

    def _job(self, room: RoomState, participant: Participant) -> JobInHand | None:
        key = room.project, room.info.name, participant.identity
        job_id = self._board.identities.get(key)
        return self._board.jobs.get(job_id) if job_id is not None else None

    def _note_seen(self, hand: JobInHand) -> None:
        if len(self._seen) < AGENTS_MAX:
            self._seen.add(_agent(hand))

    def _who_left(
        self, room: RoomState, participant: Participant, seen_at: Nanoseconds
    ) -> JobInHand | None:
        """Return the job of which the present attempt's agent left, if it is that."""
        hand = self._job(room, participant)
        if hand is None or participant.identity in room.identities:
            return None  # or it is there, on another connection
        if hand.state.epoch == 1 and participant.identity == f"agent-{hand.id}":
            return hand  # there was no other attempt, and nobody else has that identity
        if hand.id in self._board.stopping:
            return None  # or it is that of an older run, which is being stopped
        if seen_at:
            return hand if seen_at >= hand.state.started_at else None
        # The SFU may tell the time in whole seconds, rounded down.
        return hand if participant.joined_at + SECOND > hand.state.started_at else None

    def _left(self, hand: JobInHand, reason: DisconnectReason) -> None:
        if reason in NO_EVIDENCE:
            return
        if hand.phase is JobPhase.ASSIGNED and reason in CLEAN:
            # Its worker has said nothing of the job, and perhaps never will.
            self._settle(hand, reason)
        elif hand.phase is JobPhase.ORPHANED:
            self._settle(hand, reason)
        else:
            self._await(hand, reason)

    def _await(self, hand: JobInHand, reason: DisconnectReason) -> None:
        """Give an agent time to come back, and its worker to say how it is."""
        board = self._board
        hand.parting = reason
        board.schedule(DeadlineKind.PARTING, board.now + board.policy.parting_time, hand.id)

    def parting_over(self, job_id: str) -> None:
        """An agent has been gone for long enough."""
        hand = self._board.jobs[job_id]
        reason, hand.parting = hand.parting, None
        assert reason is not None, "an agent that is parting has left somehow"
        if reason is MISSED:
            # A worker that spoke meanwhile is believed, and one that is lost may come back and speak.
            if hand.phase is JobPhase.ASSIGNED:
                evidence = "its agent is no longer in the room (the SFU's list)"
                self._holding.left_cleanly(hand, evidence)
            return
        worker = hand.worker
        if (
            hand.phase is JobPhase.RUNNING
            and worker is not None
            and not worker.uncounted_since
            and reason not in CLEAN
        ):
            # Its worker is here and says that it runs: it is believed, and who asks is told.
            hand.absence = Absence(self._board.now - self._board.policy.parting_time, reason)
            return
        self._settle(hand, reason)

    def _settle(self, hand: JobInHand, reason: DisconnectReason) -> None:
        if reason in CLEAN:
            self._holding.left_cleanly(hand, f"its agent left the room ({reason.name.lower()})")
        else:
            self._holding.left_uncleanly(hand, f"its agent was lost ({reason.name.lower()})")


def _agent(hand: JobInHand) -> tuple[str, str]:
    return hand.lane.project, hand.lane.agent_name
