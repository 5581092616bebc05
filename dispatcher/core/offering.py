"""Offers: from a waiting job to the worker that takes it.

A lane's waiting jobs are claimed from the store as its workers have room, and each is offered to
one worker at a time, with a deadline. Accepted, it is assigned; declined, lapsed, or its worker
lost, it is offered to the next at once, or goes back to its place in the queue until somebody has
room. A refusal is normal and passing: who declines is left alone for a moment, and is asked again.

Left to others: what becomes of an assigned job (`holding`), where jobs come from (`dispatching`).
"""

from __future__ import annotations

from collections.abc import Iterable

from dispatcher.core.board import Board, CutOffer, DeadlineKind
from dispatcher.core.effects import (
    ClaimJobs,
    CreateJob,
    Ignored,
    ReleaseJobs,
    SendAssignment,
    SendOffer,
)
from dispatcher.core.events import Acceptance, Answer, JobsClaimed, OfferAnswered
from dispatcher.core.jobs import Job, JobState, JobStateReason, Lane, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger, WorkerPhase, WorkerTrigger
from dispatcher.core.workers import JobInHand, Worker


def no_worker_of(lane: Lane) -> str:
    """Return the words for that there is none; they end where a comma is needed, with one."""
    told = f"no worker of agent {lane.agent_name!r}"
    if lane.namespace:
        told += f", namespace {lane.namespace!r}"
    if lane.deployment:
        told += f", deployment {lane.deployment!r}"
    return f"{told}," if lane.namespace or lane.deployment else told


class Offering:
    """The part of the engine that finds workers for jobs."""

    def __init__(self, board: Board) -> None:
        self._board = board

    # --- the queue ---

    def pull(self, lane: Lane, besides: int = 0) -> None:
        """Claim as many of the lane's waiting jobs as its workers have room for.

        `besides` are jobs at its head that may not go to who has room.
        """
        board = self._board
        queue = board.lanes.get(lane)
        if queue is None or queue.waiting <= 0 or queue.is_claiming or board.is_draining:
            return
        room = board.pools.room(lane)
        if room > 0:
            queue.is_claiming = True
            queue.enqueued_meanwhile = 0
            board.emit(ClaimJobs(lane, min(room + besides, board.policy.claim_max)))

    def claimed(self, event: JobsClaimed) -> None:
        """Offer the jobs that were claimed; give back those that nobody has room for."""
        board = self._board
        queue = board.queue(event.lane)
        queue.is_claiming = False
        # The answer does not know of those that came after the question.
        queue.waiting = event.waiting + queue.enqueued_meanwhile
        left: list[str] = []
        for job, state in event.jobs:
            hand = board.take(job, state)
            if not self._pass_on(hand):
                left.append(hand.id)
        if left:
            # Somebody has room, but not for these: wait for a change, rather than ask again.
            self.release(event.lane, left)
        elif event.jobs or queue.enqueued_meanwhile:
            self.pull(event.lane)
        board.tidy(event.lane)

    def enqueued(self, lane: Lane, state: JobState) -> None:
        """A job of the lane waits in the store from now on."""
        queue = self._board.queue(lane)
        queue.waiting += 1
        queue.enqueued_meanwhile += 1
        self._board.note_due(state.until)

    def release(self, lane: Lane, job_ids: list[str]) -> None:
        """Give jobs back to their lane's queue."""
        board = self._board
        for job_id in job_ids:
            hand = board.jobs[job_id]
            self.enqueued(lane, hand.state)
            board.let_go(hand)
        board.emit(ReleaseJobs(tuple(job_ids)))

    def _pass_on(self, hand: JobInHand) -> bool:
        """End the job, or offer it; return False if it is to wait on."""
        board = self._board
        if board.is_called_off(hand):
            self.cancel_waiting(hand, *board.why_called_off(hand))
            return True
        if hand.state.until <= board.now:
            self.fail_waiting(hand)
            return True
        return self._give_to_late(hand) or self.offer(hand)

    def fail_waiting(self, hand: JobInHand) -> None:
        """End a queued job at its deadline."""
        board = self._board
        lane = hand.lane
        board.move(
            hand,
            JobTrigger.QUEUE_DEADLINE_PASSED,
            reason=JobStateReason.NO_CAPACITY,
            error=f"{no_worker_of(lane)} took the job within {self._wait_told(hand)}",
            ended_at=board.now,
        )
        board.let_go(hand)

    def _wait_told(self, hand: JobInHand) -> str:
        """Say how long a job waited, and for how much of that this server was not there."""
        board = self._board
        queue_time = hand.held.queue_time
        queued_at = hand.state.until - queue_time
        if board.opened_at <= queued_at:
            return f"{queue_time / 1e9:g} s"
        waited, served = (round((board.now - at) / 1e9, 1) for at in (queued_at, board.opened_at))
        return f"{waited:g} s, and the server was started only {served:g} s before that was over"

    def cancel_waiting(self, hand: JobInHand, reason: JobStateReason, detail: str = "") -> None:
        """End a job that no worker holds and that was cancelled."""
        board = self._board
        board.move(hand, JobTrigger.CANCELLED, detail, reason=reason, ended_at=board.now)
        board.let_go(hand)

    # --- offers ---

    def offer(self, hand: JobInHand) -> bool:
        """Offer a queued job to the best worker; return False if there is none."""
        board = self._board
        if board.is_draining:
            return False
        worker = board.pools.draw(hand.lane, hand.id, board.random)
        if worker is None:
            return False
        self.offer_to(hand, worker)
        return True

    def offer_to(self, hand: JobInHand, worker: Worker) -> None:
        """Offer a queued job to this worker, which has room."""
        self._board.shift(hand, JobTrigger.OFFERED)
        self._send_offer(hand, worker)

    def reserve(self, job: Job, worker: Worker | None) -> JobState:
        """Return the state of a new job: offered to this worker, which has room, or queued."""
        board = self._board
        now = board.now
        until = now + job.queue_time
        if worker is None:
            return JobState(JobPhase.QUEUED, until=until, updated_at=now)
        state = JobState(
            JobPhase.OFFERED,
            until=until,
            worker_id=worker.id,
            grace=worker.grace,
            updated_at=now,
        )
        self._send_offer(board.take(job, state), worker)
        return state

    def draw_for_new(self, job: Job) -> Worker | None:
        """Choose a worker for a new job; None if it has to wait."""
        board = self._board
        queue = board.lanes.get(job.lane)
        if board.is_draining or (queue is not None and (queue.waiting > 0 or queue.is_claiming)):
            return None  # others wait before it
        return board.pools.draw(job.lane, job.id, board.random)

    def create(self, job: Job, worker: Worker | None) -> None:
        """Create a job outside of a call: reserved for this worker, which has room, or queued."""
        state = self.reserve(job, worker)
        self._board.emit(CreateJob(job, state))
        self.queue_new([(job, state)])

    def queue_new(self, jobs: Iterable[tuple[Job, JobState]]) -> None:
        """Count those that wait among new jobs, which the store has by now."""
        waiting = [(job, state) for job, state in jobs if state.phase is JobPhase.QUEUED]
        for job, state in waiting:
            self.enqueued(job.lane, state)
        for job, _ in waiting:
            self.pull(job.lane)

    def _send_offer(self, hand: JobInHand, worker: Worker) -> None:
        board = self._board
        assert hand.job is not None, "a job that is offered has its config in hand"
        hand.worker = worker
        hand.offered_at = board.now
        worker.offers[hand.id] = hand
        worker.unreported_jobs += 1
        board.tally.offers_made += 1
        board.pools.place(worker)
        board.schedule(DeadlineKind.OFFER, board.now + board.policy.offer_timeout, hand.id)
        resuming = hand.state.attempt_reason.is_resuming
        board.emit(SendOffer(worker.id, hand.job, hand.state, resuming))

    def answered(self, event: OfferAnswered) -> None:
        """A worker answered an offer."""
        board = self._board
        worker = board.reachable(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, event.job_id, Ignored.UNKNOWN_WORKER)
            return
        hand = worker.offers.get(event.job_id)
        if hand is None:
            if event.answer is Answer.ACCEPTED and self._may_answer_late(worker, event.job_id):
                self._accepted_late(worker, event)
            else:
                board.ignore(event.worker_id, event.job_id, Ignored.NOT_OFFERED)
            return
        if board.is_called_off(hand) and event.answer is not Answer.TERMINATED:
            self.withdraw(hand, worker)  # and no fault of the worker's
        elif event.answer is Answer.ACCEPTED and not self._is_refused(hand, worker):
            board.tally.offers_accepted += 1
            self._assign(hand, worker, event.acceptance, board.now)
        elif event.answer is Answer.TERMINATED:
            board.tally.offers_terminated += 1
            self._detach(hand, worker)
            board.move(hand, JobTrigger.OFFER_TERMINATED, "rejected", ended_at=board.now)
            board.let_go(hand)
        else:
            policy = board.policy
            board.tally.offers_declined += event.answer is not Answer.ACCEPTED
            self._back_off(worker, hand, policy.decline_backoff_min, policy.decline_backoff_max)
            worker.note_refusal(hand.id, is_answer=True)
            self.withdraw(hand, worker)
        self.refresh(worker)

    def _may_answer_late(self, worker: Worker, job_id: str) -> bool:
        """Was the worker offered the job, here or on a connection that was cut meanwhile?"""
        board = self._board
        if worker.lapsed.pop(job_id, False):
            return True
        cut = board.cut_offers.get(job_id)
        if cut is None or worker.lanes != cut.lanes or cut.until <= board.now:
            return False
        return cut.instance_id in ("", worker.registration.instance_id)

    def cut(self, worker: Worker) -> None:
        """The worker's connection was lost: its offers go to others; it may come back and accept."""
        board = self._board
        cuts = board.cut_offers
        while cuts and (
            next(iter(cuts.values())).until <= board.now
            or len(cuts) + len(worker.offers) > board.policy.cut_offers_max
        ):
            del cuts[next(iter(cuts))]
        until = board.now + board.policy.late_answer_time
        cut = CutOffer(worker.lanes, worker.registration.instance_id, until)
        for hand in list(worker.offers.values()):
            cuts.pop(hand.id, None)
            cuts[hand.id] = cut
            self.withdraw(hand, worker)

    def _accepted_late(self, worker: Worker, event: OfferAnswered) -> None:
        """A slow worker accepts a job after its offer lapsed: it gets it, if it still waits.

        Else a handler that always takes longer than an offer may would never get a job.
        """
        board = self._board
        board.late_answers[event.job_id] = (event, board.now)
        board.schedule(
            DeadlineKind.LATE_ANSWER, board.now + board.policy.late_answer_time, event.job_id
        )
        if worker.phase is WorkerPhase.BACKED_OFF:
            worker.advance(WorkerTrigger.BACKOFF_ENDED)  # it is not silent, only slow
        self.refresh(worker)

    def late_answer_expired(self, job_id: str) -> None:
        """A worker that accepted late waits for the job no longer."""
        del self._board.late_answers[job_id]

    def _give_to_late(self, hand: JobInHand) -> bool:
        """Assign the job to the worker that accepted it late, if there is one that can take it."""
        board = self._board
        found = board.late_answers.pop(hand.id, None)
        if found is None:
            return False
        event, answered_at = found
        board.cancel(DeadlineKind.LATE_ANSWER, hand.id)
        worker = board.reachable(event.worker_id)
        if worker is None or not worker.room(board.policy) or worker.may_run(hand.id):
            return False
        board.shift(hand, JobTrigger.OFFERED)
        hand.worker = worker
        worker.offers[hand.id] = hand
        self._assign(hand, worker, event.acceptance, answered_at)
        self.refresh(worker)
        return True

    def _is_refused(self, hand: JobInHand, worker: Worker) -> bool:
        """Is an accepted offer not to be honoured? What the worker claimed since may forbid it."""
        return worker.is_at_capacity or worker.may_run(hand.id)

    def _assign(
        self, hand: JobInHand, worker: Worker, acceptance: Acceptance, answered_at: Nanoseconds
    ) -> None:
        board = self._board
        job = hand.job
        assert job is not None, "a job that is offered has its config in hand"
        self._detach(hand, worker)
        # The participant keeps its identity through all attempts.
        identity = hand.state.participant_identity or acceptance.identity or f"agent-{hand.id}"
        is_reserved = hand.is_reserved
        board.move(
            hand,
            JobTrigger.OFFER_ACCEPTED,
            worker_id=worker.id,
            participant_identity=identity,
            grace=worker.grace,
            until=0,
            reason=JobStateReason.UNSPECIFIED,
            error="",
            started_at=board.now,
        )
        hand.worker = worker
        hand.job = None
        hand.instance_id = worker.registration.instance_id
        worker.jobs[hand.id] = hand
        worker.unreported_jobs += 1
        worker.refusals = 0
        expires_at = answered_at + board.policy.assignment_time
        # A job that is reserved for this worker is after a crash an orphan of this worker's, whether
        # the move is durable or not: so the assignment need not wait for one more commit.
        hand.assignment = SendAssignment(
            worker.id, job, hand.state, acceptance, expires_at, is_reserved
        )
        board.emit(hand.assignment)

    def _detach(self, hand: JobInHand, worker: Worker) -> None:
        """The offer is over."""
        del worker.offers[hand.id]
        worker.unreported_jobs = max(worker.unreported_jobs - 1, 0)
        hand.worker = None
        self._board.cancel(DeadlineKind.OFFER, hand.id)

    def withdraw(self, hand: JobInHand, worker: Worker) -> None:
        """End an offer without an assignment; the job goes to the next worker, or waits."""
        board = self._board
        board.tally.offers_over += 1
        self._detach(hand, worker)
        board.pools.place(worker)
        if hand.is_reserved:
            self._end_reservation(hand)
            return
        board.shift(hand, JobTrigger.OFFER_WITHDRAWN)
        if not self._pass_on(hand):
            self.release(hand.lane, [hand.id])

    def _end_reservation(self, hand: JobInHand) -> None:
        """Queue the job for anybody, durably: who had it on offer will not hold it."""
        board = self._board
        if board.is_called_off(hand):
            self.cancel_waiting(hand, *board.why_called_off(hand))
            return
        detail = f"was offered to {hand.state.worker_id}"
        board.move(hand, JobTrigger.OFFER_WITHDRAWN, detail, worker_id="", grace=0)
        board.let_go(hand)
        self.enqueued(hand.lane, hand.state)
        self.pull(hand.lane)

    def forget(self, hand: JobInHand) -> None:
        """The job in hand was never there: void its offer or its assignment, without a trace.

        The store refuses its moves, so nobody was told of them.
        """
        board = self._board
        worker = hand.worker
        if worker is not None and hand.id in worker.offers:
            board.tally.offers_over += 1
            self._detach(hand, worker)
        elif worker is not None:
            del worker.jobs[hand.id]
        board.cancel(DeadlineKind.GRACE, hand.id)
        board.let_go(hand)
        if worker is not None:
            self.refresh(worker)

    def lapsed(self, job_id: str) -> None:
        """An offer was not answered in time: it costs the job this offer, never the job."""
        board = self._board
        hand = board.jobs[job_id]
        worker = hand.worker
        assert worker is not None, "an offer that can lapse has a worker"
        policy = board.policy
        board.tally.offers_lapsed += 1
        self._back_off(worker, hand, policy.silence_backoff_min, policy.silence_backoff_max)
        worker.note_refusal(job_id, is_answer=False)
        worker.lapsed[job_id] = True
        while len(worker.lapsed) > policy.offers_in_flight_max:
            del worker.lapsed[next(iter(worker.lapsed))]
        self.withdraw(hand, worker)
        self.refresh(worker)

    # --- workers that refuse ---

    def _back_off(
        self, worker: Worker, hand: JobInHand, shortest: Nanoseconds, longest: Nanoseconds
    ) -> None:
        board = self._board
        if board.now - worker.backed_off_until > longest:
            worker.refusals = 0  # the last refusal is long ago
        # Refusals of offers that were made together count once.
        if worker.refusals == 0 or hand.offered_at > worker.backed_off_at:
            worker.refusals += 1
            worker.backed_off_at = board.now
        pause = min(shortest << min(worker.refusals - 1, 16), longest)
        worker.backed_off_until = max(worker.backed_off_until, worker.backed_off_at + pause)
        worker.advance(WorkerTrigger.DECLINED)
        board.schedule(DeadlineKind.BACKOFF, worker.backed_off_until, worker.id)
        board.pools.place(worker)

    def backoff_ended(self, worker_id: str) -> None:
        """A worker that refused may be asked again."""
        worker = self._board.workers[worker_id]
        if worker.phase is WorkerPhase.BACKED_OFF:
            worker.advance(WorkerTrigger.BACKOFF_ENDED)
            self.refresh(worker)

    def refresh(self, worker: Worker) -> None:
        """The worker has changed: it may have room for what waits."""
        board = self._board
        if worker.phase is WorkerPhase.GONE:
            return
        board.pools.place(worker)
        if worker.room(board.policy) > 0:
            for lane in worker.lanes:
                self.pull(lane, besides=len(worker.stopping))
