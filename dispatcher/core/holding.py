"""Jobs that workers hold: from the assignment to the end, through everything that goes wrong.

A worker that holds a job reports what became of it. When it fails, or its worker is lost for longer
than the grace time, it is tried again with the next epoch, as its restart policy and the limit of
attempts allow; a job that is taken from a live worker is one that this worker is told to stop, and
that occupies it until it has.

Left to others: how a job finds its worker (`offering`), who may speak for a job (`claiming`), the
coming and going of workers (`presence`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from dispatcher.core.board import Board, DeadlineKind, StateChange
from dispatcher.core.effects import Ignored, SendTermination
from dispatcher.core.events import AssignmentExpired, JobReported, JobsHandedOver, MoveRefused
from dispatcher.core.jobs import (
    MILLISECOND,
    AttemptReason,
    JobStateReason,
    JobStatus,
    Lane,
    Nanoseconds,
    RestartPolicy,
)
from dispatcher.core.lifecycle import JobPhase, JobTrigger, WorkerPhase
from dispatcher.core.offering import Offering
from dispatcher.core.workers import JobInHand, Worker

# the first pause between two looks for room
HAND_OVER_PACE: Nanoseconds = 200 * MILLISECOND

# what a status that ends a job is as a trigger; FAILED depends on the restart policy
ENDS = {
    JobStatus.SUCCESS: JobTrigger.SUCCEEDED,
    JobStatus.CANCELLED: JobTrigger.CANCELLED,
    JobStatus.FAILED: JobTrigger.FAILED,
}


class Holding:
    """The part of the engine that follows the jobs that workers hold."""

    def __init__(self, board: Board, offering: Offering) -> None:
        self._board = board
        self._offering = offering

    # --- held, and let go ---

    def adopt(self, hand: JobInHand, worker: Worker, detail: str) -> None:
        """The job's worker is back: it keeps the job, at the same epoch."""
        board = self._board
        state = hand.state
        board.move(
            hand,
            JobTrigger.CLAIMED,
            detail,
            worker_id=worker.id,
            grace=worker.grace,
            until=0,
            # Of a job that was only known to be offered it is learned here that it runs.
            participant_identity=state.participant_identity or f"agent-{hand.id}",
            started_at=state.started_at or board.now,
        )
        board.delivered(hand)
        self._take_back(hand, worker)

    def _take_back(self, hand: JobInHand, worker: Worker) -> None:
        board = self._board
        hand.is_excused = False
        board.cancel(DeadlineKind.GRACE, hand.id)
        board.expect_agent(hand)
        hand.worker = worker
        worker.jobs[hand.id] = hand
        worker.unclaimed_jobs = max(worker.unclaimed_jobs - 1, 0)
        board.pools.place(worker)

    def redeliver(self, worker: Worker) -> None:
        """A process that was away has claimed: assign it anew what it may never have got.

        It ignores what it has. One that has taken so many others since that it is full gets none of
        them: they go to others when their grace is over.
        """
        board = self._board
        undelivered = board.undelivered.get(worker.process, {})
        for hand in list(undelivered.values()):
            if worker.is_at_capacity:
                break
            assignment = hand.assignment
            if assignment is None or hand.lane not in worker.lanes or worker.may_run(hand.id):
                continue
            detail = "its worker is back, and may not have got it"
            change: StateChange = {"worker_id": worker.id, "grace": worker.grace, "until": 0}
            board.move(hand, JobTrigger.REDELIVERED, detail, **change)
            board.delivered(hand)
            self._take_back(hand, worker)
            expires_at = board.now + board.policy.assignment_time
            hand.assignment = replace(
                assignment,
                worker_id=worker.id,
                state=hand.state,
                expires_at=expires_at,
                is_reserved=False,
            )
            board.emit(hand.assignment)

    def follow(self, hand: JobInHand, worker: Worker, event: JobReported) -> None:
        """The worker that holds the job told its status."""
        board = self._board
        if event.status is JobStatus.RUNNING:
            if hand.phase is JobPhase.ASSIGNED:
                board.move(hand, JobTrigger.STARTED)
                board.unstarted.pop(hand.id, None)
                board.delivered(hand)
        elif event.status is JobStatus.FAILED and self._may_retry(hand):
            detail = f"failed on {hand.state.worker_id}"
            self._retry(hand, AttemptReason.FAILED, detail, event.error)
        elif event.status in ENDS:
            detail = "reported by its worker"
            if event.status is JobStatus.FAILED and self._is_last_attempt(hand):
                detail += self._attempts_told(hand)
            board.move(
                hand,
                ENDS[event.status],
                detail,
                error=event.error,
                ended_at=board.now,
            )
            self._release_slot(hand)
            board.let_go(hand)
        else:
            board.ignore(worker.id, hand.id, Ignored.STATUS_WITHOUT_MEANING)

    def _release_slot(self, hand: JobInHand) -> None:
        """The worker that holds the job, if one does, has room for another."""
        worker = hand.worker
        self._board.cancel(DeadlineKind.GRACE, hand.id)
        if worker is not None:
            hand.worker = None
            del worker.jobs[hand.id]
            self._offering.refresh(worker)

    def disown(self, hand: JobInHand, worker: Worker) -> None:
        """The worker claimed an orphan whose holder is not known, and speaks of another epoch."""
        board = self._board
        until = board.now + hand.state.grace
        board.move(hand, JobTrigger.WORKER_LOST, "its claimant ran an older epoch", until=until)
        del worker.jobs[hand.id]
        hand.worker = None
        board.schedule(DeadlineKind.GRACE, until, hand.id)
        self._offering.refresh(worker)

    def left_cleanly(self, hand: JobInHand, evidence: str) -> None:
        """The agent of a held job left its room as one that is done: the job succeeded."""
        board, worker = self._board, hand.worker
        is_reported = hand.phase is JobPhase.RUNNING
        if hand.phase is JobPhase.ORPHANED:
            board.move(hand, JobTrigger.LEFT, evidence, ended_at=board.now)
        else:
            board.move(hand, JobTrigger.SUCCEEDED, evidence, ended_at=board.now)
        if worker is not None and is_reported:
            self.give_up(hand, worker)  # which will say when it is over there, too
        else:
            self._release_slot(hand)
            if worker is not None:
                board.emit(SendTermination(worker.id, hand.id))
        board.let_go(hand)

    def left_uncleanly(self, hand: JobInHand, evidence: str) -> None:
        """The agent of a held job was lost, and its worker does not say otherwise: try again."""
        board = self._board
        worker = hand.worker
        if hand.phase is not JobPhase.ORPHANED:
            board.move(hand, JobTrigger.WORKER_LOST, evidence, until=board.now)
        board.cancel(DeadlineKind.GRACE, hand.id)
        self._lost_for_good(hand, evidence)
        if worker is not None and hand.id in worker.jobs:
            self.give_up(hand, worker)

    def end_unheard(self, hand: JobInHand, error: str) -> None:
        """Nobody ever said anything of a job that a worker was given: it ends."""
        board = self._board
        worker = hand.worker
        board.move(hand, JobTrigger.FAILED, error=error, ended_at=board.now)
        if worker is not None:
            self.give_up(hand, worker)
        board.let_go(hand)

    def cancel(self, hand: JobInHand, reason: JobStateReason, detail: str) -> None:
        """Cancel a job that is held; its worker, if it has one, is told to stop."""
        board = self._board
        board.move(hand, JobTrigger.CANCELLED, detail, reason=reason, ended_at=board.now)
        board.cancel(DeadlineKind.GRACE, hand.id)
        if hand.worker is not None:
            self.give_up(hand, hand.worker)
        board.let_go(hand)

    def give_up(self, hand: JobInHand, worker: Worker) -> None:
        """Tell a worker to stop the job that was moved away from it: only once that is durable."""
        del worker.jobs[hand.id]
        if hand.worker is worker:
            hand.worker = None
        self._board.stop(worker, hand.id)
        self._board.pools.place(worker)

    def stop_timed_out(self, worker_id: str, job_id: str) -> None:
        """A worker never said that a job which it was to stop has ended."""
        worker = self._board.workers[worker_id]
        self.stopped(worker, job_id)

    def stopped(self, worker: Worker, job_id: str) -> None:
        """A job that a worker was to stop occupies it no longer."""
        self._board.stop_is_over(worker, job_id)
        self._offering.refresh(worker)

    def refused(self, event: MoveRefused) -> None:
        """The store has another truth about a job: this engine does not hold it any longer."""
        board = self._board
        hand = board.jobs.get(event.job_id)
        if hand is None or not hand.phase.is_held:
            return
        board.cancel(DeadlineKind.GRACE, hand.id)
        if hand.worker is not None:
            self.give_up(hand, hand.worker)
        board.let_go(hand)

    # --- trying again ---

    def _may_retry(self, hand: JobInHand) -> bool:
        return (
            hand.held.restart_policy is RestartPolicy.ON_FAILURE
            and not self._is_last_attempt(hand)
            and not self._board.is_called_off(hand)
        )

    def _is_last_attempt(self, hand: JobInHand) -> bool:
        policy, attempt = self._board.policy, hand.state.attempt
        if attempt < policy.attempts_max:
            return False
        excused = self._board.excused.get(hand.id, 0)
        return attempt - excused >= policy.attempts_max or attempt >= policy.losses_max

    def _attempts_told(self, hand: JobInHand) -> str:
        limit = max(hand.state.attempt, self._board.policy.attempts_max)
        return f"; attempt {hand.state.attempt} of {limit}, the last"

    def _retry(self, hand: JobInHand, reason: AttemptReason, detail: str, error: str = "") -> None:
        """The job is tried again, after a pause."""
        board = self._board
        until = board.now + self._retry_pause(hand.state.attempt)
        change = self._next_attempt(hand, reason, until, error)
        board.move(hand, JobTrigger.RETRIED, detail, **change)
        self._release_slot(hand)
        board.let_go(hand)
        board.note_due(until)

    def _retry_pause(self, attempt: int) -> Nanoseconds:
        policy = self._board.policy
        pause = min(policy.retry_backoff_min << min(attempt - 1, 32), policy.retry_backoff_max)
        return pause // 2 + round(pause / 2 * self._board.random.random())

    def _next_attempt(
        self, hand: JobInHand, reason: AttemptReason, until: Nanoseconds, error: str = ""
    ) -> StateChange:
        """The fields of the state with which a job that was given up goes on."""
        return {
            "epoch": hand.state.epoch + 1,
            "attempt": hand.state.attempt + (1 if reason.counts else 0),
            "attempt_reason": reason,
            "until": until,
            "error": error,
            "reason": JobStateReason.RETRYING,
            "worker_id": "",
            "grace": 0,
            "started_at": 0,
        }

    def _requeue(
        self, hand: JobInHand, trigger: JobTrigger, reason: AttemptReason, evidence: str = ""
    ) -> None:
        """Give the job to another worker, from the queue."""
        board = self._board
        detail = f"was on {hand.state.worker_id}" + _with(evidence)
        until = board.now + hand.held.queue_time
        board.move(hand, trigger, detail, **self._next_attempt(hand, reason, until))
        board.let_go(hand)
        self._offering.enqueued(hand.lane, hand.state)
        self._offering.pull(hand.lane)

    def grace_due(self, job_id: str) -> None:
        """An orphan's worker did not come back in time."""
        board = self._board
        if board.is_draining:
            return  # its workers were sent away: where they come back is asked there
        hand = board.jobs[job_id]
        if self._may_be_coming(hand):
            board.schedule(DeadlineKind.GRACE, board.now + board.policy.settle_time, job_id)
            return
        heard_at = board.resumed_at + board.policy.resume_time
        if board.now < heard_at:
            board.schedule(DeadlineKind.GRACE, heard_at, job_id)
            return
        self._lost_for_good(hand)

    def _may_be_coming(self, hand: JobInHand) -> bool:
        """Is its worker back, and has not had its time to claim, or are many just coming?

        After a cut of the network all come at once, and may be knocking while this server is busy
        with the others. For one more grace time they are waited for, as long as they come.
        """
        board = self._board
        here = board.processes.get(hand.lane.process(hand.instance_id or ""))
        if here is not None and here.phase is WorkerPhase.SETTLING:
            return True
        came_at = board.arrivals.get(hand.lane)
        return (
            came_at is not None
            and board.now - came_at < board.policy.settle_time
            and board.now < hand.state.until + hand.state.grace
        )

    def _lost_for_good(self, hand: JobInHand, evidence: str = "") -> None:
        board = self._board
        if hand.is_excused:
            hand.is_excused = False
            board.excused[hand.id] += 1
        if not hand.state.participant_identity:
            # It was on offer when the server ended, and nobody says that it got it.
            self._requeue(hand, JobTrigger.GRACE_EXPIRED, AttemptReason.NOT_DELIVERED)
            return
        if self._may_retry(hand):
            if hand.state.attempt == 1:
                reason = AttemptReason.WORKER_LOST
                self._requeue(hand, JobTrigger.GRACE_EXPIRED, reason, evidence)
            else:  # a job that kills its workers shall not have them all at once
                detail = f"was lost with {hand.state.worker_id}" + _with(evidence)
                self._retry(hand, AttemptReason.WORKER_LOST, detail)
            return
        error = f"its worker {hand.state.worker_id} was lost"
        if hand.held.restart_policy is RestartPolicy.ON_FAILURE and self._is_last_attempt(hand):
            error += self._attempts_told(hand)
        board.move(hand, JobTrigger.GAVE_UP_LOST, evidence, error=error, ended_at=board.now)
        board.let_go(hand)

    def assignment_expired(self, event: AssignmentExpired) -> None:
        """A worker accepted, and was never given the job: the store took too long."""
        hand = self._board.jobs.get(event.job_id)
        if hand is None or hand.phase is not JobPhase.ASSIGNED or hand.state.epoch != event.epoch:
            return
        if hand.assignment is not None and hand.assignment.expires_at >= self._board.now:
            return  # it has been sent again meanwhile
        worker = hand.worker
        self._requeue(hand, JobTrigger.ASSIGNMENT_EXPIRED, AttemptReason.NOT_DELIVERED)
        if worker is not None:
            del worker.jobs[hand.id]
            self._offering.refresh(worker)

    def hand_over_due(self, worker_id: str) -> None:
        """A worker that was taken out of service still has jobs: others are to resume them."""
        board = self._board
        worker = board.workers[worker_id]
        pause = self._hand_over_where_room_is(worker, worker.jobs)
        if worker.jobs:
            board.schedule(DeadlineKind.HAND_OVER, board.now + pause, worker.id)

    def yield_due(self, worker_id: str) -> None:
        """A worker would give the jobs up that it named, as soon as others have room for them."""
        board = self._board
        worker = board.workers[worker_id]
        pause = self._hand_over_where_room_is(worker, worker.yielding)
        # One that it has claimed may be disputed yet.
        worker.yielding = {job_id for job_id in worker.yielding if worker.may_hold(job_id)}
        if worker.yielding:
            board.schedule(DeadlineKind.YIELD, board.now + pause, worker.id)
        else:
            board.cancel(DeadlineKind.YIELD, worker.id)

    def _hand_over_where_room_is(self, worker: Worker, job_ids: Collection[str]) -> Nanoseconds:
        """As many as others have room for: a job that runs is not stopped to wait in a queue.

        Returns the pause until it is looked again: short after some went, for who takes them may be
        offered only so many at once; then it doubles, up to its bound.
        """
        board = self._board
        if board.is_draining:
            return board.policy.hand_over_retry  # nothing is offered here any more
        own_room = worker.room(board.policy)  # that of one which has not said yet that it drains
        taken: Counter[Lane] = Counter()
        ready = []
        for hand in worker.jobs.values():
            if hand.id not in job_ids:
                continue
            waiting = board.lanes[hand.lane].waiting if hand.lane in board.lanes else 0
            if board.pools.room(hand.lane) - own_room - waiting > taken[hand.lane]:
                taken[hand.lane] += 1
                ready.append(hand)
        for hand in ready:
            self._hand_over(hand, worker)
        pause = HAND_OVER_PACE if ready else max(HAND_OVER_PACE, 2 * worker.hand_over_pause)
        worker.hand_over_pause = min(pause, board.policy.hand_over_retry)
        return worker.hand_over_pause

    def handed_over(self, event: JobsHandedOver) -> None:
        """A worker gives jobs up for another to resume."""
        board = self._board
        worker = board.reachable(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, "", Ignored.UNKNOWN_WORKER)
            return
        if event.when_room:
            worker.yielding = set(event.job_ids)
            self.yield_due(worker.id)
            return
        for job_id in event.job_ids:
            hand = worker.jobs.get(job_id)
            if hand is None:
                board.ignore(worker.id, job_id, Ignored.NOT_HOLDER)
                continue
            self._hand_over(hand, worker)

    def _hand_over(self, hand: JobInHand, worker: Worker) -> None:
        self._requeue(hand, JobTrigger.HANDED_OVER, AttemptReason.HANDED_OVER)
        self.give_up(hand, worker)

    # --- a server that starts ---

    def recovered(self, hand: JobInHand) -> None:
        """A job was held, or reserved, when the server ended: its worker has the grace to claim it."""
        board = self._board
        hand.instance_id = None
        until = board.now + (hand.state.grace or board.policy.grace)
        if hand.phase is JobPhase.ORPHANED:
            # Nobody could come back while the server was away: the time starts anew.
            hand.state = replace(hand.state, until=until)
        else:
            board.move(hand, JobTrigger.WORKER_LOST, "the server was restarted", until=until)
        board.expect_agent(hand)
        board.schedule(DeadlineKind.GRACE, until, hand.id)


def _with(evidence: str) -> str:
    return f"; {evidence}" if evidence else ""
