"""What the runtime did, as log events: the life of jobs, ignored words of workers, store trouble.

What goes as it should is logged at debug, so that a busy server's log is about what did not. When a
worker is lost, or back, all its jobs move at once: of several, each commit tells one line.
"""

from __future__ import annotations

import logging
from collections import Counter

import structlog

from dispatcher.core.commit import UNHURRIED
from dispatcher.core.effects import Ignored, NoteIgnored, RecordMove, SendAssignment
from dispatcher.core.jobs import Job, JobState, Nanoseconds
from dispatcher.core.lifecycle import JobTrigger
from protocol.errors import StoreError

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

# moves that happen to every job when all is well
_EXPECTED = frozenset(
    {
        JobTrigger.BECAME_DUE,
        JobTrigger.OFFER_ACCEPTED,
        JobTrigger.STARTED,
        JobTrigger.SUCCEEDED,
    }
)


class LogWitness:
    """The runtime's Witness that writes logs, and counts what was ignored."""

    def __init__(self) -> None:
        # how often each reason to ignore a worker's word occurred
        self.ignored_counts: Counter[Ignored] = Counter()
        # moves of one commit that may be many: how, and of which worker
        self._together: dict[tuple[JobTrigger, str], list[RecordMove]] = {}
        # asked once, for the answer costs more than all else that is done here
        self._tells_all = _log.is_enabled_for(logging.DEBUG)

    def created(self, job: Job, state: JobState) -> None:
        """A new job is durable."""
        if self._tells_all:
            _log.debug(
                "job_moved",
                kind=JobTrigger.CREATED.value,
                job_id=job.id,
                worker_id=state.worker_id,
                epoch=state.epoch,
                attempt=state.attempt,
                error="",
                detail=f"for room {job.room!r}, agent {job.lane.agent_name!r}",
            )

    def recorded(self, move: RecordMove) -> None:
        """A move of a job is durable."""
        if move.trigger in UNHURRIED:
            key = move.trigger, move.state.worker_id
            self._together.setdefault(key, []).append(move)
        elif move.trigger not in _EXPECTED:
            _log.info("job_moved", **self._told(move))
        elif self._tells_all:  # three times a job, and mostly not wanted
            _log.debug("job_moved", **self._told(move))

    def assigned(self, assignment: SendAssignment, now: Nanoseconds) -> None:
        """Nothing to say: the move has been told."""

    def committed(self, _requests: int, _seconds: float) -> None:
        """All moves of a commit have been told."""
        for (trigger, worker_id), moves in self._together.items():
            if len(moves) == 1:
                _log.info("job_moved", **self._told(moves[0]))
                continue
            _log.info(
                "jobs_moved",
                kind=trigger.value,
                worker_id=worker_id,
                jobs=len(moves),
                detail=moves[0].detail,
            )
            if _log.is_enabled_for(logging.DEBUG):
                for move in moves:
                    _log.debug("job_moved", **self._told(move))
        self._together.clear()

    def _told(self, move: RecordMove) -> dict[str, object]:
        state = move.state
        return {
            "kind": move.trigger.value,
            "job_id": move.job_id,
            "worker_id": state.worker_id,
            "epoch": state.epoch,
            "attempt": state.attempt,
            "error": state.error,
            "detail": move.detail,
        }

    def ignored(self, note: NoteIgnored) -> None:
        """Something that a worker said was of no consequence."""
        self.ignored_counts[note.why] += 1
        _log.debug(
            "worker_word_ignored",
            worker_id=note.worker_id,
            job_id=note.job_id,
            reason=note.why.value,
        )

    def engine_failed(self, error: Exception) -> None:
        """The engine raised, and the server ends."""
        _log.error("engine_failed", exc_info=error)

    def store_failing(self, error: StoreError) -> None:
        """A commit failed and will be tried again."""
        _log.error("store_cannot_write", error=str(error))

    def store_recovered(self) -> None:
        """A commit passed after one or more that failed."""
        _log.info("store_writes_again")
