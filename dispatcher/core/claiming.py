"""Who may speak for a job: reports and claims, held against what this engine knows.

A worker speaks for the jobs that it holds, and for orphans that it may have held before its
connection was lost: those it keeps, at the same epoch. Who speaks for a job that another live
connection holds begins a contest: the older connection is pinged, and if it stays silent the
claimant has the job. Whoever else says that it runs a job is told to stop it, and until it says
that it has, it is not offered that job.

Left to others: what becomes of a job by what is said (`holding`).
"""

from __future__ import annotations

from dispatcher.core.board import Board, DeadlineKind
from dispatcher.core.effects import (
    Ignored,
    LookUpJobs,
    PingWorker,
    SendStatusReceipt,
    SendVerdicts,
    Verdict,
)
from dispatcher.core.events import JobReported, JobsLookedUp, JobsMigrated, WorkerPonged
from dispatcher.core.holding import ENDS, Holding
from dispatcher.core.jobs import JobStatus
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.offering import Offering
from dispatcher.core.workers import JobInHand, Worker


class Claiming:
    """The part of the engine that listens to workers about jobs."""

    def __init__(self, board: Board, offering: Offering, holding: Holding) -> None:
        self._board = board
        self._offering = offering
        self._holding = holding
        # the contests of all workers
        self._contests: dict[tuple[str, str], dict[str, JobReported | None]] = {}

    # --- reports ---

    def job_reported(self, event: JobReported) -> None:
        """A worker told a job's status."""
        board = self._board
        worker = board.reachable(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, event.job_id, Ignored.UNKNOWN_WORKER)
            return
        hand = board.jobs.get(event.job_id)
        if event.job_id in worker.stopping and (hand is None or hand.worker is not worker):
            if event.status in ENDS:
                self._holding.stopped(worker, event.job_id)
        elif hand is None:
            self._refuse_report(worker, event, Ignored.UNKNOWN_JOB)
        elif event.epoch and event.epoch != hand.state.epoch:
            if hand.id in worker.jobs and hand.instance_id is None:
                self._holding.disown(hand, worker)
            if event.status is not JobStatus.PENDING:  # which says nothing, and gets no answer
                self._drop_claim(worker, hand.id)
            self._refuse_report(worker, event, Ignored.STALE_EPOCH)
        elif hand.id in worker.jobs:
            if event.epoch:
                hand.instance_id = worker.registration.instance_id
            self._holding.follow(hand, worker, event)
        elif self._may_adopt(hand, worker):
            self._holding.adopt(hand, worker, "its worker reported it on a new connection")
            self._holding.follow(hand, worker, event)
        elif hand.worker is not None and self._may_contest(hand, worker):
            # Stock workers report what they could not report before they claim.
            self._contest(hand, hand.worker, worker)[hand.id] = event
        elif hand.worker is worker and event.status is JobStatus.RUNNING:
            # It is offered a job of which an older try was not yet up there when it claimed.
            board.ignore(worker.id, hand.id, Ignored.NOT_HOLDER)
            board.stop(worker, hand.id)
            self._offering.withdraw(hand, worker)
        else:
            self._refuse_report(worker, event, Ignored.NOT_HOLDER)
        if event.sequence:
            board.emit(SendStatusReceipt(worker.id, event.sequence))

    def _refuse_report(self, worker: Worker, event: JobReported, why: Ignored) -> None:
        board = self._board
        board.ignore(worker.id, event.job_id, why)
        is_its_own = event.job_id in worker.offers or event.job_id in worker.jobs
        if event.status is JobStatus.RUNNING and not is_its_own:
            board.stop(worker, event.job_id)
            board.pools.place(worker)

    # --- claims ---

    def migrated(self, event: JobsMigrated) -> None:
        """A worker claims the jobs that it runs: a verdict for each."""
        board = self._board
        worker = board.reachable(event.worker_id)
        if worker is None:
            board.ignore(event.worker_id, "", Ignored.UNKNOWN_WORKER)
            return
        project = worker.registration.project
        verdicts: dict[str, Verdict] = {}
        unknown: list[str] = []
        offered: list[JobInHand] = []
        for job_id in dict.fromkeys(event.job_ids):
            hand = board.jobs.get(job_id)
            if hand is None or hand.lane.project != project:
                unknown.append(job_id)
                continue
            is_current = event.epochs.get(job_id, hand.state.epoch) == hand.state.epoch
            if hand.id in worker.jobs:
                verdicts[job_id] = Verdict.KEEP
            elif is_current and self._may_adopt(hand, worker):
                self._holding.adopt(hand, worker, "claimed by its worker")
                verdicts[job_id] = Verdict.KEEP
            elif is_current and hand.worker is not None and self._may_contest(hand, worker):
                contest = self._contest(hand, hand.worker, worker)
                report = contest.setdefault(job_id, None)
                if report is not None and report.status in ENDS:
                    contest[job_id] = None  # its last word is that it has the job
            else:
                verdicts[job_id] = Verdict.STOP_REASSIGNED
                if hand.worker is worker:
                    offered.append(hand)
        self._pronounce(worker, verdicts)
        for hand in offered:
            # The claim was slow, and it was offered a job of which it still runs an older try.
            self._offering.withdraw(hand, worker)
        if unknown:
            # Meanwhile it runs them, so they are not to be offered to it.
            for job_id in unknown:
                board.expect_stop(worker, job_id)
            board.emit(LookUpJobs(worker.id, project, tuple(unknown)))
        self._offering.refresh(worker)

    def looked_up(self, event: JobsLookedUp) -> None:
        """The store told of claimed jobs that nobody holds here."""
        worker = self._board.reachable(event.worker_id)
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

    def _drop_claim(self, claimant: Worker, job_id: str) -> None:
        """The claimant named another epoch: whoever holds the job, it does not."""
        for pair, contest in claimant.contests.items():
            if pair[1] == claimant.id:
                contest.pop(job_id, None)

    def ponged(self, event: WorkerPonged) -> None:
        """The older connection lives: who claims its jobs is told to stop them."""
        worker = self._board.reachable(event.worker_id)
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
                self._holding.adopt(hand, claimant, f"claimed, and {older_id} kept silent")
                self._holding.give_up(hand, older)
                won.append(hand)
        self._close_contest(claimant, contest, won)

    def end_contests(self, worker: Worker) -> None:
        """A worker is gone: decide the contests that it is part of."""
        for pair in list(worker.contests):
            self._end_contest(pair)

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
                self._holding.adopt(hand, claimant, "claimed by its worker")
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
            elif report is not None and report.status in ENDS:
                self._board.ignore(claimant.id, job_id, Ignored.NOT_HOLDER)
            else:
                verdicts[job_id] = Verdict.STOP_REASSIGNED
        self._pronounce(claimant, verdicts)
        for hand in won:
            report = contest[hand.id]
            if report is not None:
                self._holding.follow(hand, claimant, report)
        self._offering.refresh(claimant)

    def _pop_contest(self, pair: tuple[str, str]) -> dict[str, JobReported | None]:
        for worker_id in pair:
            worker = self._board.workers.get(worker_id)
            if worker is not None:
                worker.contests.pop(pair, None)
        return self._contests.pop(pair)
