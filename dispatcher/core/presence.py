"""The coming and going of workers: registration, status, and the loss of a connection.

A worker that has just registered settles for a moment, because it may be about to claim its jobs. A
worker whose connection is lost may be back in a moment: its offers go to others at once, its jobs
are orphaned for its grace time. One process has one connection: when it registers again, the older
one is dead, whatever it looks like.

Left to others: its jobs' fate (`holding`), its claims (`claiming`).
"""

from __future__ import annotations

from dispatcher.core.board import Board, DeadlineKind
from dispatcher.core.claiming import Claiming
from dispatcher.core.effects import (
    DropReason,
    DropWorker,
    Ignored,
    Outcome,
    Reply,
    SendRegistered,
)
from dispatcher.core.events import (
    WorkerDisconnected,
    WorkerDrainRequested,
    WorkerRegistered,
    WorkerReported,
    WorkerUnreachable,
)
from dispatcher.core.holding import Holding
from dispatcher.core.jobs import SECOND, Lane, Nanoseconds
from dispatcher.core.lifecycle import JobTrigger, WorkerPhase, WorkerTrigger
from dispatcher.core.offering import Offering
from dispatcher.core.workers import JobInHand, Worker

# Deadlines that mean nothing when the connection has ended.
_OF_CONNECTION = (
    DeadlineKind.SETTLE,
    DeadlineKind.BACKOFF,
    DeadlineKind.STATUS,
    DeadlineKind.UNCOUNTED,
    DeadlineKind.HAND_OVER,
    DeadlineKind.YIELD,
)
# A process that takes its own place so often, each time sooner than this, is two with one instance id.
TAKE_OVERS_MAX = 3
TAKE_OVER_GAP = 10 * SECOND


class Presence:
    """The part of the engine that knows who is here."""

    def __init__(
        self, board: Board, offering: Offering, holding: Holding, claiming: Claiming
    ) -> None:
        self._board = board
        self._offering = offering
        self._holding = holding
        self._claiming = claiming

    def registered(self, event: WorkerRegistered) -> None:
        """A connection became a worker."""
        board = self._board
        said = event.registration
        if event.worker_id in board.workers:
            board.ignore(event.worker_id, "", Ignored.REGISTERED_TWICE)
            return
        agent = board.policy.agent(said.agent_name)
        capacities = [n for n in (said.capacity, agent.capacity) if n is not None]
        grace = next(g for g in (agent.grace, said.grace, board.policy.grace) if g is not None)
        worker = Worker(
            id=event.worker_id,
            registration=said,
            lanes=tuple(
                Lane(said.project, said.agent_name, said.namespace, job_type, said.deployment)
                for job_type in dict.fromkeys(said.types)
            ),
            capacity=min(capacities, default=None),
            grace=min(grace, board.policy.grace_max),
            connected_at=board.now,
        )
        if said.instance_id:
            self._take_over(worker)
        board.workers[worker.id] = worker
        for lane in worker.lanes:
            board.arrivals.note(lane, board.now)
        board.schedule(DeadlineKind.SETTLE, board.now + board.policy.settle_time, worker.id)
        board.schedule(DeadlineKind.STATUS, board.now + board.policy.status_stale_time, worker.id)
        board.emit(SendRegistered(worker.id))
        hand_over_at = board.out_of_service.get(worker.process)
        if hand_over_at is not None:
            self._take_out(worker, hand_over_at)

    def _take_over(self, worker: Worker) -> None:
        """A process is here on a new connection: its old one is dead, whatever it looks like."""
        board = self._board
        older = board.processes.get(worker.process)
        board.processes[worker.process] = worker
        if older is None:
            return
        if board.now - older.connected_at < TAKE_OVER_GAP:
            worker.takeovers = older.takeovers + 1
        reason = DropReason.TAKEN_OVER
        if worker.takeovers >= TAKE_OVERS_MAX:
            reason = DropReason.INSTANCE_SHARED
        self.lose(older, "the same worker process is back on a new connection")
        board.emit(DropWorker(older.id, reason))

    def drain_requested(self, event: WorkerDrainRequested) -> None:
        """An operator takes a worker out of service."""
        board = self._board
        worker = board.reachable(event.worker_id)
        if worker is None or worker.registration.project != event.project:
            board.emit(Reply(event.request, Outcome.NOT_FOUND))
            return
        if worker.registration.instance_id:  # else it is another worker when it comes back
            board.out_of_service.note(worker.process, event.hand_over_at)
        self._take_out(worker, event.hand_over_at)
        board.emit(Reply(event.request, Outcome.DONE, is_durable=True))

    def _take_out(self, worker: Worker, hand_over_at: Nanoseconds) -> None:
        board = self._board
        if worker.phase is not WorkerPhase.OUT_OF_SERVICE:
            worker.advance(WorkerTrigger.TAKEN_OUT)
        worker.hand_over_at = hand_over_at
        board.pools.place(worker)
        if hand_over_at:
            board.schedule(DeadlineKind.HAND_OVER, hand_over_at, worker.id)
        else:
            board.cancel(DeadlineKind.HAND_OVER, worker.id)

    def settled(self, worker_id: str) -> None:
        """A new worker has had its time to claim."""
        worker = self._board.workers[worker_id]
        if worker.phase is WorkerPhase.SETTLING:
            worker.advance(WorkerTrigger.SETTLED)
            self._offering.refresh(worker)

    def reported(self, event: WorkerReported) -> None:
        """A worker told its status."""
        board = self._board
        worker = board.reachable(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, "", Ignored.UNKNOWN_WORKER)
            return
        worker.reported_load = event.load
        worker.reported_jobs = event.job_count
        worker.unclaimed_jobs = max(event.job_count - len(worker.jobs) - len(worker.stopping), 0)
        worker.reported_at = board.now
        worker.unreported_jobs /= 2
        if event.draining:
            worker.advance(WorkerTrigger.REPORTED_DRAINING)
        elif event.full:
            worker.advance(WorkerTrigger.REPORTED_FULL)
        else:
            worker.advance(WorkerTrigger.REPORTED_AVAILABLE)
        self._holding.redeliver(worker)  # a status follows the claim
        self._offering.refresh(worker)

    def disconnected(self, event: WorkerDisconnected) -> None:
        """A worker's connection ended."""
        worker = self._board.workers.get(event.worker_id)
        if worker is not None:
            detail = f"its worker is gone: {event.reason or 'its connection was lost'}"
            if self._board.is_draining:
                detail = "its worker was sent elsewhere: the server stopped"
            self.lose(worker, detail)

    def unreachable(self, event: WorkerUnreachable) -> None:
        """A worker's connection ended: nothing more is asked of it."""
        worker = self._board.workers.get(event.worker_id)
        if worker is not None:
            self._part_with(worker)

    def _part_with(self, worker: Worker) -> None:
        board = self._board
        if worker.phase is WorkerPhase.GONE:
            return
        worker.advance(WorkerTrigger.DISCONNECTED)
        board.pools.remove(worker)
        worker.uncounted_since = 0
        for kind in _OF_CONNECTION:
            board.cancel(kind, worker.id)
        self._offering.cut(worker)

    def lose(self, worker: Worker, detail: str) -> None:
        """A worker is gone; `detail` says for people how."""
        board = self._board
        self._part_with(worker)
        del board.workers[worker.id]
        for lane in worker.lanes:
            board.departures.note(lane, board.now)
        if board.processes.get(worker.process) is worker:
            del board.processes[worker.process]
        for job_id in list(worker.stopping):
            board.stop_is_over(worker, job_id)
        undelivered: dict[str, JobInHand] = {}
        last_start = max((hand.state.started_at for hand in worker.jobs.values()), default=0)
        for hand in worker.jobs.values():
            hand.is_excused = hand.state.started_at < last_start
            if hand.assignment is not None and worker.registration.instance_id:
                undelivered[hand.id] = hand
            until = board.now + hand.state.grace
            board.move(hand, JobTrigger.WORKER_LOST, detail, until=until)
            hand.worker = None
            board.schedule(DeadlineKind.GRACE, until, hand.id)
            if hand.parting is not None:
                # Its agent had left the room, and who could have said more is gone, too.
                board.schedule(DeadlineKind.PARTING, board.now, hand.id)
        worker.jobs.clear()
        if undelivered:
            board.undelivered.setdefault(worker.process, {}).update(undelivered)
        self._claiming.end_contests(worker)
