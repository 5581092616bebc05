"""Dispatches, jobs and states for the tests of stores: each with what the test says, no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from dispatcher.core.effects import ClaimJobs, CreateDispatch, CreateJob, RecordMove
from dispatcher.core.events import JobsClaimed, StoreResult
from dispatcher.core.jobs import (
    SECOND,
    AttemptReason,
    Dispatch,
    Job,
    JobState,
    JobStateReason,
    JobType,
    Lane,
    Nanoseconds,
    RestartPolicy,
)
from dispatcher.core.lifecycle import JobPhase, JobTrigger

LANE = Lane("project", "agent")
OTHER_LANE = Lane("project", "agent", "namespace", JobType.PUBLISHER, "blue")
NOW: Nanoseconds = 1_700_000_000 * SECOND

QUEUED = JobState(JobPhase.QUEUED, updated_at=NOW)
ASSIGNED = JobState(
    JobPhase.ASSIGNED,
    worker_id="AW_1",
    participant_identity="agent-1",
    grace=20 * SECOND,
    updated_at=NOW,
)
RUNNING = JobState(
    JobPhase.RUNNING,
    worker_id="AW_1",
    participant_identity="agent-1",
    grace=20 * SECOND,
    started_at=NOW,
    updated_at=NOW,
)
SUCCEEDED = JobState(
    JobPhase.SUCCEEDED, worker_id="AW_1", started_at=NOW, ended_at=NOW, updated_at=NOW
)
# every field has a value of its own
FULL = JobState(
    phase=JobPhase.ORPHANED,
    epoch=7,
    attempt=3,
    attempt_reason=AttemptReason.WORKER_LOST,
    until=NOW + 5,
    worker_id="AW_é",
    participant_identity="agent-\u2603",
    grace=12,
    reason=JobStateReason.RETRYING,
    error="it failed\nbadly",
    started_at=NOW + 1,
    ended_at=NOW + 2,
    updated_at=NOW + 3,
)

Result = TypeVar("Result")


def dispatch(name: str = "1", room: str = "room", project: str = "project") -> Dispatch:
    """A dispatch whose every field has a value."""
    return Dispatch(
        id=f"AD_{name}",
        project=project,
        room=room,
        agent_name="agent",
        deployment="blue",
        restart_policy=RestartPolicy.NEVER,
        config=b"\x00dispatch\xff" + name.encode(),
        created_at=NOW,
    )


def job(
    name: str = "1", *, of: Dispatch | None = None, lane: Lane = LANE, priority: int = 0
) -> Job:
    """A job whose every field has a value; without a dispatch if none is given."""
    return Job(
        id=f"AJ_{name}",
        dispatch_id=of.id if of is not None else "",
        lane=lane,
        room=of.room if of is not None else "room",
        config=b"\x00job\xff" + name.encode(),
        created_at=NOW + 1,
        restart_policy=RestartPolicy.NEVER,
        priority=priority,
        queue_time=60 * SECOND,
    )


def offered(state: JobState) -> JobState:
    """The state of a new job that is reserved for a worker."""
    return replace(state, phase=JobPhase.OFFERED, worker_id="AW_1", grace=3 * SECOND)


def create(
    name: str = "1",
    *,
    state: JobState = QUEUED,
    reserved: bool = False,
    room: str = "room",
    lane: Lane = LANE,
    jobs: int = 1,
) -> CreateDispatch:
    """Create a dispatch AD_<name> with jobs AJ_<name>, AJ_<name>b, AJ_<name>c ..."""
    of = dispatch(name, room)
    names = [name + "".join("bcdefgh"[number - 1 : number]) for number in range(jobs)]
    state = offered(state) if reserved else state
    made = tuple((job(each, of=of, lane=lane), state) for each in names)
    return CreateDispatch(1, of, made)


def create_job(
    name: str = "1",
    *,
    state: JobState = QUEUED,
    reserved: bool = False,
    lane: Lane = LANE,
    priority: int = 0,
) -> CreateJob:
    """Create a job AJ_<name> of no dispatch."""
    state = offered(state) if reserved else state
    return CreateJob(job(name, lane=lane, priority=priority), state)


def move(
    name: str, trigger: JobTrigger, state: JobState, epoch: int = 1, detail: str = ""
) -> RecordMove:
    """Move the job AJ_<name>."""
    return RecordMove(f"AJ_{name}", epoch, trigger, state, detail)


def assign(name: str = "1") -> RecordMove:
    """A worker accepted the job AJ_<name>."""
    return move(name, JobTrigger.OFFER_ACCEPTED, ASSIGNED)


def succeed(name: str = "1") -> RecordMove:
    """The job AJ_<name> succeeded."""
    return move(name, JobTrigger.SUCCEEDED, SUCCEEDED)


def claim(limit: int = 100, lane: Lane = LANE) -> ClaimJobs:
    """Claim jobs of the lane."""
    return ClaimJobs(lane, limit)


def one(results: Sequence[StoreResult], kind: type[Result]) -> Result:
    """Return the only result, which is of this kind."""
    (result,) = results
    assert isinstance(result, kind)
    return result


def claimed_names(results: Sequence[StoreResult]) -> list[str]:
    """Return the names of the jobs of the only result, a JobsClaimed."""
    return [each.id.removeprefix("AJ_") for each, _ in one(results, JobsClaimed).jobs]
