"""What is seen of agents in their rooms: evidence of what became of jobs (B7).

An agent joins its room under its job's identity. That it left is no word of its worker's, but it is
evidence: of a worker that never reports a job's end (Node's), a clean leave is the end of it, and an
unclean one, after a while without a return, its loss. A worker that says that it runs the job is
believed until it has had time to say more. Who is replaced by its own next connection
(DUPLICATE_IDENTITY) has not left; that is never an end.

Left to others: who is in which room (`rooms`), what an end means (`holding`).
"""

from __future__ import annotations

from dispatcher.core.board import Board, DeadlineKind
from dispatcher.core.holding import Holding
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.room_changes import Change, MemberJoined, MemberLeft
from dispatcher.core.room_events import DisconnectReason
from dispatcher.core.workers import JobInHand

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


# Agents of which it is remembered how they make themselves known; of more it is not learned.
AGENTS_MAX = 10_000


class Sightings:
    """The part of the engine that watches for agents."""

    def __init__(self, board: Board, holding: Holding) -> None:
        self._board = board
        self._holding = holding
        # agents that were seen in a room at all, by project and name
        self._seen: set[tuple[str, str]] = set()

    def has_seen(self, project: str, agent_name: str) -> bool:
        """Was an agent of this name ever seen in a room? Then others of it will be."""
        return (project, agent_name) in self._seen

    def changed(self, change: Change) -> None:
        """Note an agent that came or went."""
        board = self._board
        if isinstance(change, MemberJoined):
            hand = self._job(
                change.room.project, change.room.info.name, change.member.participant.identity
            )
            if hand is None:
                return
            if len(self._seen) < AGENTS_MAX:
                self._seen.add((hand.lane.project, hand.lane.agent_name))
            if hand.parting is not None:
                hand.parting = None
                board.cancel(DeadlineKind.PARTING, hand.id)
        elif isinstance(change, MemberLeft):
            self._left(change)

    def _job(self, project: str, room: str, identity: str) -> JobInHand | None:
        job_id = self._board.identities.get((project, room, identity))
        return self._board.jobs.get(job_id) if job_id is not None else None

    def _left(self, change: MemberLeft) -> None:
        board = self._board
        hand = self._job(change.room.project, change.room.info.name, change.participant.identity)
        if hand is None or change.reason in NO_EVIDENCE:
            return
        if change.seen_at < hand.state.started_at:
            return  # the agent of an older attempt
        if hand.phase is JobPhase.ASSIGNED and change.reason in CLEAN:
            # Its worker has said nothing of the job, and perhaps never will.
            self._settle(hand, change.reason)
        elif hand.phase is JobPhase.ORPHANED:
            self._settle(hand, change.reason)
        else:
            hand.parting = change.reason
            board.schedule(DeadlineKind.PARTING, board.now + board.policy.parting_time, hand.id)

    def parting_over(self, job_id: str) -> None:
        """An agent has been gone for long enough."""
        hand = self._board.jobs[job_id]
        reason, hand.parting = hand.parting, None
        assert reason is not None, "an agent that is parting has left somehow"
        if hand.phase is JobPhase.RUNNING and hand.worker is not None and reason not in CLEAN:
            return  # its worker is here and says that it runs: it is believed
        self._settle(hand, reason)

    def _settle(self, hand: JobInHand, reason: DisconnectReason) -> None:
        if reason in CLEAN:
            self._holding.left_cleanly(hand, f"its agent left the room ({reason.name.lower()})")
        else:
            self._holding.left_uncleanly(hand, f"its agent was lost ({reason.name.lower()})")
