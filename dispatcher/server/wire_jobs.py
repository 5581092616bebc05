"""Jobs and dispatches between the wire's messages and the core's values.

A job's state is filled in here each time it crosses a wire; nowhere else does it meet the config.

Left to others: the jobs of rules and of dispatches (`dispatcher.core.drafting`).
"""

from __future__ import annotations

from dispatcher.core.events import JobSimulated
from dispatcher.core.jobs import (
    Dispatch,
    Job,
    JobState,
    JobType,
    Lane,
    Nanoseconds,
    RestartPolicy,
)
from dispatcher.store.contract import StoredDispatch
from protocol import wire_pb2
from protocol.errors import InvalidField
from protocol.limits import (
    WireLimits,
    check_attributes,
    check_identity,
    check_metadata,
    check_room_name,
)

# Attributes that tell stock workers, who can read nothing else, which try of a job this is. They
# are overlaid on the wire's copy; the job's config never has them.
EPOCH_ATTRIBUTE = "callboard.epoch"
ATTEMPT_ATTRIBUTE = "callboard.attempt"
ATTEMPT_REASON_ATTRIBUTE = "callboard.attempt_reason"


def job_type_of(value: int, field: str = "type") -> JobType:
    """Return the job type of a wire number. Raises InvalidField for one that nobody knows."""
    try:
        return JobType(value)
    except ValueError:
        raise InvalidField(field, "is not a job type") from None


def restart_policy_of(value: int) -> RestartPolicy:
    """Return the restart policy of a wire number. Raises InvalidField."""
    try:
        return RestartPolicy(value)
    except ValueError:
        raise InvalidField("restart_policy", "is not a restart policy") from None


# --- what is asked for ---


def new_dispatch(
    request: wire_pb2.CreateAgentDispatchRequest,
    project: str,
    dispatch_id: str,
    now: Nanoseconds,
) -> Dispatch:
    """Make the dispatch that a request asks for. The request has passed its limits."""
    restart_policy = restart_policy_of(request.restart_policy)
    # Set one by one: a constructor with keywords takes three times as long, for every dispatch.
    config = wire_pb2.AgentDispatch()
    config.id = dispatch_id
    config.agent_name = request.agent_name
    config.room = request.room
    config.metadata = request.metadata
    config.restart_policy = request.restart_policy
    config.deployment = request.deployment
    if request.attributes:
        config.attributes.update(request.attributes)
    return Dispatch(
        id=dispatch_id,
        project=project,
        room=request.room,
        agent_name=request.agent_name,
        deployment=request.deployment,
        restart_policy=restart_policy,
        config=config.SerializeToString(),
        created_at=now,
    )


def simulated_job(
    request: wire_pb2.SimulateJobRequest,
    worker_id: str,
    lane: Lane,
    job_id: str,
    now: Nanoseconds,
    queue_time: Nanoseconds,
    limits: WireLimits,
) -> JobSimulated:
    """Make the job that a worker asks for itself (A12); `lane` is the worker's, of any type."""
    job_type = job_type_of(request.type)
    if not request.room.name:
        raise InvalidField("room.name", "is missing")
    check_room_name("room.name", request.room.name, limits)
    check_metadata("room.metadata", request.room.metadata, limits)
    check_identity("participant.identity", request.participant.identity, limits)
    check_metadata("participant.metadata", request.participant.metadata, limits)
    check_attributes("participant.attributes", request.participant.attributes, limits)
    config = wire_pb2.Job(
        id=job_id,
        type=request.type,
        room=request.room,
        namespace=lane.namespace,
        agent_name=lane.agent_name,
        deployment=lane.deployment,
    )
    if request.HasField("participant"):
        config.participant.CopyFrom(request.participant)
    job = Job(
        id=job_id,
        dispatch_id="",
        lane=Lane(lane.project, lane.agent_name, lane.namespace, job_type, lane.deployment),
        room=request.room.name,
        config=config.SerializeToString(),
        created_at=now,
        queue_time=queue_time,
    )
    return JobSimulated(worker_id, job)


# --- what is told ---


def fill_job(target: wire_pb2.Job, job: Job, state: JobState) -> None:
    """Fill an empty wire job with its config and its state."""
    target.ParseFromString(job.config)
    _fill_state(target.state, state)


def fill_job_for_worker(target: wire_pb2.Job, job: Job, state: JobState) -> None:
    """Fill an empty wire job as a worker is to see it: with the reserved attributes on a retry."""
    fill_job(target, job, state)
    if state.epoch > 1 or state.attempt > 1:
        target.attributes[EPOCH_ATTRIBUTE] = str(state.epoch)
        target.attributes[ATTEMPT_ATTRIBUTE] = str(state.attempt)
        target.attributes[ATTEMPT_REASON_ATTRIBUTE] = state.attempt_reason


def dispatch_message(stored: StoredDispatch) -> wire_pb2.AgentDispatch:
    """Return a dispatch with its state and its jobs, as API callers see it."""
    message = wire_pb2.AgentDispatch.FromString(stored.dispatch.config)
    message.state.created_at = stored.dispatch.created_at
    message.state.deleted_at = stored.dispatch.deleted_at
    for entry in stored.jobs:
        fill_job(message.state.jobs.add(), entry.job, entry.state)
    return message


def _fill_state(target: wire_pb2.JobState, state: JobState) -> None:
    # The numbers are the same. What is empty is left alone: that is done three times for a job.
    target.status = state.wire_status  # type: ignore[assignment]
    target.updated_at = state.updated_at
    if state.reason:
        target.reason = state.reason  # type: ignore[assignment]
    if state.error:
        target.error = state.error
    if state.started_at:
        target.started_at = state.started_at
    if state.ended_at:
        target.ended_at = state.ended_at
    if state.worker_id:
        target.worker_id = state.worker_id
    if state.participant_identity:
        target.participant_identity = state.participant_identity
