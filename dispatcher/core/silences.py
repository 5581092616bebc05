"""Silence, and what follows from it: nothing that a worker leaves unsaid is waited for without end.

- A worker's connection is alive, and its status comes no more, or never came: it is offered nothing,
  and after a while it is taken to hang. Its connection is ended; if it is well after all, it comes back and
  claims its jobs.
- A worker that counts its jobs says for a while that it has none: those that it was thought to have
  are lost. Where only others of its kind count theirs (same agent, same version of the SDK), those
  are of which it said that they run; an SDK that says neither (Node's) is no evidence.
- A job was assigned, and its worker does not say that it started. That is the way of some workers
  (Node's), so it is lost only on evidence: the workers of its agent are known to say so, or its
  agents are known to be seen in their rooms, and this one is not in its own. Where there is none it
  is looked at again, until `silence_time` ends it.

Left to others: agents that leave (`sightings`), connections that are dead (`server`).
"""

from __future__ import annotations

from collections.abc import Mapping

from dispatcher.core.board import Board, DeadlineKind
from dispatcher.core.effects import DropReason, DropWorker
from dispatcher.core.events import JobReported, WorkerReported
from dispatcher.core.holding import Holding
from dispatcher.core.jobs import JobStatus
from dispatcher.core.lifecycle import JobPhase, WorkerPhase, WorkerTrigger
from dispatcher.core.presence import Presence
from dispatcher.core.room_states import RoomKey, RoomState
from dispatcher.core.sightings import Sightings
from dispatcher.core.workers import JobInHand, Worker

# Agents, with the version of their workers' SDK, known to count their jobs; of more it is not learned.
COUNTING_MAX = 10_000


class Silences:
    """The part of the engine that notices what is not said."""

    def __init__(
        self,
        board: Board,
        holding: Holding,
        presence: Presence,
        rooms: Mapping[RoomKey, RoomState],
        sightings: Sightings,
    ) -> None:
        self._board = board
        self._holding = holding
        self._presence = presence
        self._rooms = rooms
        self._sightings = sightings
        # project, agent and version of workers that were heard to count jobs
        self._counting: set[tuple[str, str, str]] = set()

    # --- a worker's status ---

    def status_heard(self, event: WorkerReported) -> None:
        """A worker told its status, and how many jobs it has."""
        board = self._board
        worker = board.reachable(event.worker_id)
        if worker is None:
            return
        said = worker.registration
        if event.job_count:
            worker.uncounted_since = 0
            if not worker.counts_jobs and len(self._counting) < COUNTING_MAX:
                self._counting.add((said.project, said.agent_name, said.version))
            worker.counts_jobs = True
        elif worker.jobs and not worker.uncounted_since and self._counts_jobs(worker):
            self._watch_count(worker)

    def status_due(self, worker_id: str) -> None:
        """It is time for a worker to have told its status anew."""
        board = self._board
        worker = board.workers[worker_id]
        # What it said while this server was stopped has not been read.
        told_at = worker.reported_at or worker.connected_at
        heard_at = max(told_at, board.resumed_at)
        stale_at = heard_at + board.policy.status_stale_time
        over_at = heard_at + board.policy.status_timeout
        if board.now < stale_at:
            board.schedule(DeadlineKind.STATUS, stale_at, worker.id)
            return
        if board.now < over_at:
            if worker.phase is not WorkerPhase.STALE:
                worker.advance(WorkerTrigger.FELL_SILENT)
                board.pools.place(worker)
            board.schedule(DeadlineKind.STATUS, over_at, worker.id)
            return
        silent = (board.now - told_at) / 1e9
        self._presence.lose(worker, f"its worker hangs: no status for {silent:.0f} s")
        board.emit(DropWorker(worker.id, DropReason.STATUS_STALE))

    # --- a worker's count ---

    def _counts_jobs(self, worker: Worker) -> bool:
        """Does it, or another of its kind, count its jobs? Older SDKs do not: they say 0 always."""
        said = worker.registration
        kind = said.project, said.agent_name, said.version
        return worker.counts_jobs or kind in self._counting

    def _watch_count(self, worker: Worker) -> None:
        board = self._board
        worker.uncounted_since = board.now
        board.schedule(DeadlineKind.UNCOUNTED, board.now + board.policy.uncounted_time, worker.id)

    def count_due(self, worker_id: str) -> None:
        """A worker that has jobs said a while ago that it has none; perhaps it still does."""
        board = self._board
        worker = board.workers[worker_id]
        since = worker.uncounted_since
        if not since:
            return
        worker.uncounted_since = 0
        silent = (board.now - since) / 1e9
        for hand in list(worker.jobs.values()):
            is_counted = worker.counts_jobs or hand.phase is JobPhase.RUNNING
            if is_counted and hand.state.updated_at <= since:
                evidence = f"its worker has said for {silent:.0f} s that it runs no job"
                self._holding.left_uncleanly(hand, evidence)
        if worker.jobs:
            self._watch_count(worker)

    # --- a job's start ---

    def job_reported(self, event: JobReported) -> None:
        """A worker speaks of its jobs: so will the others of its agent."""
        worker = self._board.reachable(event.worker_id)
        if worker is not None and event.status is JobStatus.RUNNING:
            said = worker.registration
            self._sightings.note_report(said.project, said.agent_name)

    def starts_due(self) -> None:
        """Jobs were assigned a while ago: look at those that have not started."""
        board = self._board
        unstarted, timeout = board.unstarted, board.policy.start_timeout
        while unstarted:
            job_id, since = next(iter(unstarted.items()))
            if since + timeout > board.now:
                board.schedule(DeadlineKind.UNSTARTED, since + timeout, "")
                return
            del unstarted[job_id]
            hand = board.jobs.get(job_id)
            if hand is not None and hand.phase is JobPhase.ASSIGNED:
                self._look_at(hand)

    def _look_at(self, hand: JobInHand) -> None:
        board = self._board
        agent = hand.lane.project, hand.lane.agent_name
        silent = (board.now - hand.state.started_at) / 1e9
        room = self._rooms.get((hand.lane.project, hand.held.room))
        if hand.parting is not None:
            board.expect_start(hand)  # how its agent left is being settled
        elif self._sightings.has_reported(*agent):
            evidence = f"its worker did not start it within {silent:.0f} s"
            self._holding.left_uncleanly(hand, evidence)
        elif room is not None and hand.state.participant_identity in room.identities:
            board.expect_start(hand)
        elif room is not None and self._sightings.has_seen(*agent):
            evidence = f"its agent did not join the room within {silent:.0f} s"
            self._holding.left_uncleanly(hand, evidence)
        elif board.now - hand.state.started_at >= board.policy.silence_time:
            self._holding.end_unheard(hand, f"nothing was heard of it for {silent:.0f} s")
        else:
            board.expect_start(hand)
