"""Jobs that workers hold: from the assignment to the end, through everything that goes wrong.

A worker reports what became of its job. A worker whose connection is lost may be back in a moment:
its jobs are orphaned for its grace time, and kept if it claims them. After that, or when a job
fails, it is tried again with the next epoch, as its restart policy and the limit of attempts
allow. From then on nothing counts that the old holder says of it, and it is told to stop.

Left to others: how a job finds its worker (`offering`).
"""

from __future__ import annotations

from dataclasses import replace

from dispatcher.core.board import Board, DeadlineKind, StateChange
from dispatcher.core.effects import (
    DropReason,
    DropWorker,
    Ignored,
    LookUpJobs,
    PingWorker,
    SendRegistered,
    SendStatusReceipt,
    SendVerdicts,
    Verdict,
)
from dispatcher.core.events import (
    JobReported,
    JobsHandedOver,
    JobsLookedUp,
    JobsMigrated,
    MoveRefused,
    WorkerDisconnected,
    WorkerPonged,
    WorkerRegistered,
    WorkerReported,
)
from dispatcher.core.jobs import (
    AttemptReason,
    JobStateReason,
    JobStatus,
    Lane,
    Nanoseconds,
    RestartPolicy,
)
from dispatcher.core.lifecycle import JobPhase, JobTrigger, WorkerPhase, WorkerTrigger
from dispatcher.core.offering import Offering
from dispatcher.core.workers import JobInHand, Worker

# what a status that ends a job is as a trigger; FAILED depends on the restart policy
_ENDS = {
    JobStatus.SUCCESS: JobTrigger.SUCCEEDED,
    JobStatus.CANCELLED: JobTrigger.CANCELLED,
    JobStatus.FAILED: JobTrigger.FAILED,
}


class Holding:
    """The part of the engine that follows workers and the jobs that they hold."""

    def __init__(self, board: Board, offering: Offering) -> None:
        self._board = board
        self._offering = offering
        # the contests of all workers
        self._contests: dict[tuple[str, str], dict[str, JobReported | None]] = {}

    # --- workers come, report and go ---

    def registered(self, event: WorkerRegistered) -> None:
        """A connection became a worker."""
        board = self._board
        said = event.registration
        if event.worker_id in board.workers:
            board.ignore(event.worker_id, "", Ignored.REGISTERED_TWICE)
            return
        if said.instance_id:
            older = board.instances.get((said.project, said.instance_id))
            if older is not None:
                # The same process on a new connection: the old one is dead, whatever it looks like.
                self._lose(older, "the same worker process is back on a new connection")
                board.emit(DropWorker(older.id, DropReason.TAKEN_OVER))
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
        board.workers[worker.id] = worker
        if said.instance_id:
            board.instances[said.project, said.instance_id] = worker
        board.schedule(DeadlineKind.SETTLE, board.now + board.policy.settle_time, worker.id)
        board.emit(SendRegistered(worker.id))

    def settled(self, worker_id: str) -> None:
        """A new worker has had its time to claim."""
        worker = self._board.workers[worker_id]
        if worker.phase is WorkerPhase.SETTLING:
            worker.advance(WorkerTrigger.SETTLED)
            self._offering.refresh(worker)

    def reported(self, event: WorkerReported) -> None:
        """A worker told its status."""
        board = self._board
        worker = board.workers.get(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, "", Ignored.UNKNOWN_WORKER)
            return
        worker.reported_load = event.load
        worker.reported_jobs = event.job_count
        worker.reported_at = board.now
        worker.unreported_jobs /= 2
        if event.draining:
            worker.advance(WorkerTrigger.REPORTED_DRAINING)
        elif event.full:
            worker.advance(WorkerTrigger.REPORTED_FULL)
        else:
            worker.advance(WorkerTrigger.REPORTED_AVAILABLE)
        self._offering.refresh(worker)

    def disconnected(self, event: WorkerDisconnected) -> None:
        """A worker's connection ended."""
        worker = self._board.workers.get(event.worker_id)
        if worker is not None:
            self._lose(worker, "its worker's connection was lost")

    def _lose(self, worker: Worker, detail: str) -> None:
        board = self._board
        worker.advance(WorkerTrigger.DISCONNECTED)
        board.pools.remove(worker)
        del board.workers[worker.id]
        said = worker.registration
        if board.instances.get((said.project, said.instance_id)) is worker:
            del board.instances[said.project, said.instance_id]
        board.cancel(DeadlineKind.SETTLE, worker.id)
        board.cancel(DeadlineKind.BACKOFF, worker.id)
        for job_id in worker.stopping:
            board.cancel(DeadlineKind.STOP, worker.id, job_id)
        worker.stopping.clear()
        for hand in list(worker.offers.values()):
            self._offering.withdraw(hand, worker)
        for hand in worker.jobs.values():
            until = board.now + hand.state.grace
            board.move(hand, JobTrigger.WORKER_LOST, detail, until=until)
            hand.worker = None
            board.schedule(DeadlineKind.GRACE, until, hand.id)
        worker.jobs.clear()
        for pair in list(worker.contests):
            self._end_contest(pair)

    # --- a job's reports ---

    def job_reported(self, event: JobReported) -> None:
        """A worker told a job's status."""
        board = self._board
        worker = board.workers.get(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, event.job_id, Ignored.UNKNOWN_WORKER)
            return
        hand = board.jobs.get(event.job_id)
        if event.job_id in worker.stopping and (hand is None or hand.worker is not worker):
            if event.status in _ENDS:
                self._stopped(worker, event.job_id)
        elif hand is None:
            self._refuse_report(worker, event, Ignored.UNKNOWN_JOB)
        elif event.epoch and event.epoch != hand.state.epoch:
            if hand.id in worker.jobs and hand.instance_id is None:
                self._disown(hand, worker)
            self._refuse_report(worker, event, Ignored.STALE_EPOCH)
        elif hand.id in worker.jobs:
            if event.epoch:
                hand.instance_id = worker.registration.instance_id
            self._follow(hand, worker, event)
        elif self._may_adopt(hand, worker):
            self._adopt(hand, worker, "its worker reported it on a new connection")
            self._follow(hand, worker, event)
        elif hand.worker is not None and self._may_contest(hand, worker):
            # Stock workers report what they could not report before they claim.
            self._contest(hand, hand.worker, worker)[hand.id] = event
        else:
            self._refuse_report(worker, event, Ignored.NOT_HOLDER)
        if event.sequence:
            board.emit(SendStatusReceipt(worker.id, event.sequence))

    def _disown(self, hand: JobInHand, worker: Worker) -> None:
        """The worker claimed an orphan whose holder is not known, and speaks of another epoch."""
        board = self._board
        until = board.now + hand.state.grace
        board.move(hand, JobTrigger.WORKER_LOST, "its claimant ran an older epoch", until=until)
        del worker.jobs[hand.id]
        hand.worker = None
        board.schedule(DeadlineKind.GRACE, until, hand.id)
        self._offering.refresh(worker)

    def _refuse_report(self, worker: Worker, event: JobReported, why: Ignored) -> None:
        board = self._board
        board.ignore(worker.id, event.job_id, why)
        is_its_own = event.job_id in worker.offers or event.job_id in worker.jobs
        if event.status is JobStatus.RUNNING and not is_its_own:
            board.stop(worker, event.job_id)
            board.pools.place(worker)

    def _follow(self, hand: JobInHand, worker: Worker, event: JobReported) -> None:
        board = self._board
        if event.status is JobStatus.RUNNING:
            if hand.phase is JobPhase.ASSIGNED:
                board.move(hand, JobTrigger.STARTED)
        elif event.status is JobStatus.FAILED and self._may_retry(hand):
            self._retry(hand, event.error)
        elif event.status in _ENDS:
            board.move(
                hand,
                _ENDS[event.status],
                "reported by its worker",
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
            worker.reported_jobs = max(worker.reported_jobs - 1, 0)
            self._offering.refresh(worker)

    # --- trying again ---

    def _may_retry(self, hand: JobInHand) -> bool:
        return (
            hand.held.restart_policy is RestartPolicy.ON_FAILURE
            and hand.state.attempt < self._board.policy.attempts_max
            and not self._board.is_deleted(hand)
        )

    def _retry(self, hand: JobInHand, error: str) -> None:
        """The job failed and is tried again, after a pause."""
        board = self._board
        until = board.now + self._retry_pause(hand.state.attempt)
        board.move(
            hand,
            JobTrigger.RETRIED,
            f"failed on {hand.state.worker_id}",
            **self._next_attempt(hand, AttemptReason.FAILED, until, error),
        )
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
        another = 0 if reason is AttemptReason.HANDED_OVER else 1
        return {
            "epoch": hand.state.epoch + 1,
            "attempt": hand.state.attempt + another,
            "attempt_reason": reason,
            "until": until,
            "error": error,
            "reason": JobStateReason.RETRYING,
            "worker_id": "",
            "grace": 0,
            "started_at": 0,
        }

    def _requeue(self, hand: JobInHand, trigger: JobTrigger, reason: AttemptReason) -> None:
        """Give the job to another worker, from the queue."""
        board = self._board
        detail = f"was on {hand.state.worker_id}"
        until = board.now + hand.held.queue_time
        board.move(hand, trigger, detail, **self._next_attempt(hand, reason, until))
        board.let_go(hand)
        self._offering.enqueued(hand.lane, hand.state)
        self._offering.pull(hand.lane)

    def grace_expired(self, job_id: str) -> None:
        """An orphan's worker did not come back in time."""
        board = self._board
        hand = board.jobs[job_id]
        if self._may_retry(hand):
            self._requeue(hand, JobTrigger.GRACE_EXPIRED, AttemptReason.WORKER_LOST)
            return
        board.move(
            hand,
            JobTrigger.GAVE_UP_LOST,
            error=f"its worker {hand.state.worker_id} was lost and did not come back within"
            f" {hand.state.grace / 1e9:g} s",
            ended_at=board.now,
        )
        board.let_go(hand)

    def handed_over(self, event: JobsHandedOver) -> None:
        """A worker gives jobs up for another to resume."""
        board = self._board
        worker = board.workers.get(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, "", Ignored.UNKNOWN_WORKER)
            return
        for job_id in event.job_ids:
            hand = worker.jobs.get(job_id)
            if hand is None:
                board.ignore(worker.id, job_id, Ignored.NOT_HOLDER)
                continue
            self._requeue(hand, JobTrigger.HANDED_OVER, AttemptReason.HANDED_OVER)
            self._yield(hand, worker)

    def _yield(self, hand: JobInHand, worker: Worker) -> None:
        """Tell a worker to stop the job that was moved away from it: only once that is durable."""
        del worker.jobs[hand.id]
        if hand.worker is worker:
            hand.worker = None
        self._board.stop(worker, hand.id)
        self._board.pools.place(worker)

    def cancel(self, hand: JobInHand, reason: JobStateReason, detail: str) -> None:
        """Cancel a job that is held; its worker, if it has one, is told to stop."""
        board = self._board
        board.move(hand, JobTrigger.CANCELLED, detail, reason=reason, ended_at=board.now)
        board.cancel(DeadlineKind.GRACE, hand.id)
        if hand.worker is not None:
            self._yield(hand, hand.worker)
        board.let_go(hand)

    def stop_timed_out(self, worker_id: str, job_id: str) -> None:
        """A worker never said that a job which it was to stop has ended."""
        worker = self._board.workers[worker_id]
        self._stopped(worker, job_id)

    def _stopped(self, worker: Worker, job_id: str) -> None:
        worker.stopping.discard(job_id)
        self._board.cancel(DeadlineKind.STOP, worker.id, job_id)
        worker.reported_jobs = max(worker.reported_jobs - 1, 0)
        self._offering.refresh(worker)

    def refused(self, event: MoveRefused) -> None:
        """The store has another truth about a job: this engine does not hold it any longer."""
        board = self._board
        hand = board.jobs.get(event.job_id)
        if hand is None or not hand.phase.is_held:
            return
        board.cancel(DeadlineKind.GRACE, hand.id)
        if hand.worker is not None:
            self._yield(hand, hand.worker)
        board.let_go(hand)

    # --- claims ---

    def migrated(self, event: JobsMigrated) -> None:
        """A worker claims the jobs that it runs: a verdict for each."""
        board = self._board
        worker = board.workers.get(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, "", Ignored.UNKNOWN_WORKER)
            return
        project = worker.registration.project
        verdicts: dict[str, Verdict] = {}
        unknown: list[str] = []
        for job_id in dict.fromkeys(event.job_ids):
            hand = board.jobs.get(job_id)
            if hand is None or hand.lane.project != project:
                unknown.append(job_id)
            elif hand.id in worker.jobs:
                verdicts[job_id] = Verdict.KEEP
            elif self._may_adopt(hand, worker):
                self._adopt(hand, worker, "claimed by its worker")
                verdicts[job_id] = Verdict.KEEP
            elif hand.worker is not None and self._may_contest(hand, worker):
                self._contest(hand, hand.worker, worker).setdefault(job_id, None)
            else:
                verdicts[job_id] = Verdict.STOP_REASSIGNED
        self._pronounce(worker, verdicts)
        if unknown:
            # Meanwhile it runs them, so they are not to be offered to it.
            for job_id in unknown:
                board.expect_stop(worker, job_id)
            board.emit(LookUpJobs(worker.id, project, tuple(unknown)))
        self._offering.refresh(worker)

    def looked_up(self, event: JobsLookedUp) -> None:
        """The store told of claimed jobs that nobody holds here."""
        worker = self._board.workers.get(event.worker_id)
        if worker is None:
            return
        verdicts: dict[str, Verdict] = {}
        for job_id in event.job_ids:
            if job_id in worker.offers or job_id in worker.jobs:
                continue  # it said that its run had ended, and has been asked for the next one
            phase = event.phases.get(job_id)
            if phase is None:
                verdicts[job_id] = Verdict.STOP_UNKNOWN
            elif phase.is_ended:
                verdicts[job_id] = Verdict.STOP_ENDED
            else:
                verdicts[job_id] = Verdict.STOP_REASSIGNED
        # To be stopped they all are, and that has been expected since the claim.
        if verdicts:
            self._board.emit(SendVerdicts(worker.id, verdicts))

    def _pronounce(self, worker: Worker, verdicts: dict[str, Verdict]) -> None:
        if not verdicts:
            return
        for job_id, verdict in verdicts.items():
            if verdict is not Verdict.KEEP:
                self._board.expect_stop(worker, job_id)
        self._board.emit(SendVerdicts(worker.id, verdicts))
        self._board.pools.place(worker)

    def _may_adopt(self, hand: JobInHand, worker: Worker) -> bool:
        """Is the job an orphan that this worker may have been holding?"""
        return (
            hand.phase is JobPhase.ORPHANED
            and hand.lane in worker.lanes
            and self._may_be_same(hand, worker)
        )

    def _may_be_same(self, hand: JobInHand, worker: Worker) -> bool:
        """May the job's holder and this worker be one process?"""
        if hand.id in worker.stopping:
            return False  # it was told to stop: this is another try of the job
        mine = worker.registration.instance_id
        return hand.instance_id is None or hand.instance_id == mine

    def _adopt(self, hand: JobInHand, worker: Worker, detail: str) -> None:
        """The job's worker is back: it keeps the job, at the same epoch."""
        board = self._board
        board.move(
            hand, JobTrigger.CLAIMED, detail, worker_id=worker.id, grace=worker.grace, until=0
        )
        board.cancel(DeadlineKind.GRACE, hand.id)
        hand.worker = worker
        worker.jobs[hand.id] = hand
        board.pools.place(worker)

    # --- two live connections and one job ---

    def _may_contest(self, hand: JobInHand, worker: Worker) -> bool:
        return (
            hand.phase is not JobPhase.OFFERED
            and hand.lane in worker.lanes
            and self._may_be_same(hand, worker)
        )

    def _contest(
        self, hand: JobInHand, older: Worker, claimant: Worker
    ) -> dict[str, JobReported | None]:
        """Ask the older connection for a sign of life; without one the claimant wins."""
        board = self._board
        pair = (older.id, claimant.id)
        if pair not in self._contests:
            contest = self._contests[pair] = {}
            older.contests[pair] = claimant.contests[pair] = contest
            until = board.now + board.policy.takeover_silence
            board.schedule(DeadlineKind.TAKEOVER, until, *pair)
            board.emit(PingWorker(older.id))
        return self._contests[pair]

    def ponged(self, event: WorkerPonged) -> None:
        """The older connection lives: who claims its jobs is told to stop them."""
        worker = self._board.workers.get(event.worker_id)
        if worker is not None:
            for pair in [pair for pair in worker.contests if pair[0] == worker.id]:
                self._end_contest(pair)

    def takeover_due(self, older_id: str, claimant_id: str) -> None:
        """The older connection kept silent: the claimant has its jobs."""
        board = self._board
        older = board.workers[older_id]
        claimant = board.workers[claimant_id]
        won: list[JobInHand] = []
        contest = self._pop_contest((older_id, claimant_id))
        for job_id in contest:
            hand = older.jobs.get(job_id)
            if hand is not None and self._may_be_same(hand, claimant):
                self._adopt(hand, claimant, f"claimed, and {older_id} kept silent")
                self._yield(hand, older)
                won.append(hand)
        self._close_contest(claimant, contest, won)

    def _end_contest(self, pair: tuple[str, str]) -> None:
        """Decide a contest by what is known: the holder keeps what it holds."""
        board = self._board
        board.cancel(DeadlineKind.TAKEOVER, *pair)
        contest = self._pop_contest(pair)
        claimant = board.workers.get(pair[1])
        if claimant is None:
            return
        won: list[JobInHand] = []
        for job_id in contest:
            hand = board.jobs.get(job_id)
            if hand is not None and self._may_adopt(hand, claimant):
                self._adopt(hand, claimant, "claimed by its worker")
                won.append(hand)
        self._close_contest(claimant, contest, won)

    def _close_contest(
        self, claimant: Worker, contest: dict[str, JobReported | None], won: list[JobInHand]
    ) -> None:
        """Tell the claimant how it ended, and take in what it reported meanwhile."""
        kept = {hand.id for hand in won}
        verdicts: dict[str, Verdict] = {}
        for job_id, report in contest.items():
            if job_id in kept:
                verdicts[job_id] = Verdict.KEEP
            elif report is not None and report.status in _ENDS:
                self._board.ignore(claimant.id, job_id, Ignored.NOT_HOLDER)
            else:
                verdicts[job_id] = Verdict.STOP_REASSIGNED
        self._pronounce(claimant, verdicts)
        for hand in won:
            report = contest[hand.id]
            if report is not None:
                self._follow(hand, claimant, report)
        self._offering.refresh(claimant)

    def _pop_contest(self, pair: tuple[str, str]) -> dict[str, JobReported | None]:
        for worker_id in pair:
            worker = self._board.workers.get(worker_id)
            if worker is not None:
                worker.contests.pop(pair, None)
        return self._contests.pop(pair)

    # --- a server that starts ---

    def recovered(self, hand: JobInHand) -> None:
        """A job was held when the server ended: its worker has the grace time to claim it."""
        board = self._board
        hand.instance_id = None
        until = board.now + (hand.state.grace or board.policy.grace)
        if hand.phase is JobPhase.ORPHANED:
            # Nobody could come back while the server was away: the time starts anew.
            hand.state = replace(hand.state, until=until)
        else:
            board.move(hand, JobTrigger.WORKER_LOST, "the server was restarted", until=until)
        board.schedule(DeadlineKind.GRACE, until, hand.id)
