"""A witness of the runtime that counts: moves of jobs, how long they waited, commits.

Counted is what is durable, and time is that of the engine's clock. A job costs five of these calls,
each a few additions. Everything is passed on to the witness behind it.
"""

from __future__ import annotations

from collections.abc import Mapping

from dispatcher.core.effects import NoteIgnored, RecordMove, SendAssignment
from dispatcher.core.jobs import Job, JobState, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.workers import JobInHand
from dispatcher.metrics.histogram import QUICK_SECONDS, RUN_SECONDS, WAIT_SECONDS, Histogram
from dispatcher.runtime import Witness
from protocol.errors import StoreError

COMMIT_SECONDS = (0.00025, *QUICK_SECONDS)
COMMIT_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)

_PER_SECOND = 1e-9


class CountingWitness:
    """Counts since it was made. `jobs` are the engine's, to be read; `behind` is told everything."""

    def __init__(self, jobs: Mapping[str, JobInHand], behind: Witness) -> None:
        self._jobs = jobs
        self._behind = behind
        self.moves: dict[JobTrigger, int] = dict.fromkeys(JobTrigger, 0)
        # from being queued (created, due, or given back) to a worker's acceptance, and to the
        # assignment's being sent, which waits for the disk
        self.queue_seconds = Histogram(WAIT_SECONDS)
        self.dispatch_seconds = Histogram(WAIT_SECONDS)
        # from the acceptance to the worker's word that it runs, and on to the end
        self.start_seconds = Histogram(QUICK_SECONDS)
        self.run_seconds = Histogram(RUN_SECONDS)
        self.commit_seconds = Histogram(COMMIT_SECONDS)
        self.commit_requests = Histogram(COMMIT_REQUESTS)
        self.commit_failures = 0

    def created(self, job: Job, state: JobState) -> None:
        """A new job is durable."""
        self.moves[JobTrigger.CREATED] += 1
        self._behind.created(job, state)

    def recorded(self, move: RecordMove) -> None:
        """A move of a job is durable."""
        state, trigger = move.state, move.trigger
        self.moves[trigger] += 1
        if state.started_at:
            if trigger is JobTrigger.STARTED:
                waited = state.updated_at - state.started_at
                self.start_seconds.observe(waited * _PER_SECOND)
            elif state.ended_at:
                self.run_seconds.observe((state.ended_at - state.started_at) * _PER_SECOND)
        self._behind.recorded(move)

    def assigned(self, assignment: SendAssignment, now: Nanoseconds) -> None:
        """An assignment was sent to its worker."""
        state = assignment.state
        hand = self._jobs.get(assignment.job.id)
        # One that is sent again, to a worker that is back, was told the first time.
        if hand is not None and state.updated_at == state.started_at:
            before = hand.held.state  # as it was when it was taken from the queue
            if before.phase is JobPhase.QUEUED or before.phase is JobPhase.OFFERED:
                queued_at = before.until - hand.held.queue_time
                self.queue_seconds.observe((state.started_at - queued_at) * _PER_SECOND)
                self.dispatch_seconds.observe((now - queued_at) * _PER_SECOND)
        self._behind.assigned(assignment, now)

    def committed(self, requests: int, seconds: float) -> None:
        """A commit of so many requests took so long, and all that it made durable has been told."""
        self.commit_seconds.observe(seconds)
        self.commit_requests.observe(requests)
        self._behind.committed(requests, seconds)

    def ignored(self, note: NoteIgnored) -> None:
        """Something that a worker said was of no consequence."""
        self._behind.ignored(note)

    def engine_failed(self, error: Exception) -> None:
        """The engine raised, and the server ends."""
        self._behind.engine_failed(error)

    def store_failing(self, error: StoreError) -> None:
        """A commit failed and will be tried again."""
        self.commit_failures += 1
        self._behind.store_failing(error)

    def store_recovered(self) -> None:
        """A commit passed after one or more that failed."""
        self._behind.store_recovered()
