"""What is logged of moves: each one, but those of all jobs of a worker in one line."""

from __future__ import annotations

import structlog

from dispatcher.core.effects import RecordMove
from dispatcher.core.jobs import JobState
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.witness import LogWitness


def lost(job_id: str, worker_id: str = "AW_1") -> RecordMove:
    """Return the move of a job whose worker was lost."""
    state = JobState(JobPhase.ORPHANED, worker_id=worker_id)
    return RecordMove(job_id, 1, JobTrigger.WORKER_LOST, state, "its connection was lost")


def told(*moves: RecordMove) -> list[tuple[object, object, object]]:
    """Return what one commit of these logs at info: event, worker, and job or number of jobs."""
    witness = LogWitness()
    with structlog.testing.capture_logs() as lines:
        for move in moves:
            witness.recorded(move)
        witness.committed(2, 0.001)
    return [
        (line["event"], line["worker_id"], line.get("job_id") or line["jobs"])
        for line in lines
        if line["log_level"] == "info"
    ]


def test_the_jobs_of_a_lost_worker_are_one_line() -> None:
    moves = [lost("AJ_1"), lost("AJ_2"), lost("AJ_3", "AW_2"), lost("AJ_4")]
    assert told(*moves) == [("jobs_moved", "AW_1", 3), ("job_moved", "AW_2", "AJ_3")]


def test_what_was_told_is_not_told_again_with_the_next_commit() -> None:
    witness = LogWitness()
    witness.recorded(lost("AJ_1"))
    witness.committed(2, 0.001)
    with structlog.testing.capture_logs() as lines:
        witness.committed(2, 0.001)
    assert lines == []


def test_another_move_is_told_with_its_job() -> None:
    state = JobState(JobPhase.FAILED, worker_id="AW_1", error="broken")
    move = RecordMove("AJ_1", 1, JobTrigger.FAILED, state)
    assert told(move, move) == [("job_moved", "AW_1", "AJ_1")] * 2
