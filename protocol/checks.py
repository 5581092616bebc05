"""Which limit holds for which field of a message that a peer sent.

Each check takes one message as a whole and raises LimitExceeded or InvalidField for the first field
that breaks its bound; a message that passes may be kept and sent on. What a message means in the
state that the server is in (is this job yours?) is left to the core. An error text is never a
reason to refuse: cut it with `limits.truncate_error_text`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import InvalidField
from protocol.limits import (
    DEFAULT_LIMITS,
    WireLimits,
    check_agent_name,
    check_attributes,
    check_count,
    check_id,
    check_identity,
    check_metadata,
    check_room_name,
    check_text,
    validate_deployment,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocol.wire_pb2 import (
        AvailabilityResponse,
        CreateAgentDispatchRequest,
        DeleteAgentDispatchRequest,
        HandOver,
        ListAgentDispatchRequest,
        MigrateJobRequest,
        RegisterWorkerRequest,
        UpdateJobStatus,
    )

__all__ = [
    "check_availability_response",
    "check_create_dispatch",
    "check_delete_dispatch",
    "check_hand_over",
    "check_list_dispatch",
    "check_migrate",
    "check_register",
    "check_update_job",
]


def check_register(request: RegisterWorkerRequest, limits: WireLimits = DEFAULT_LIMITS) -> None:
    """The bounds of a worker's registration."""
    check_agent_name("agent_name", request.agent_name, limits)
    validate_deployment(request.deployment, limits)
    check_text("namespace", request.namespace, limits.namespace_bytes_max)
    check_text("version", request.version, limits.label_bytes_max)
    check_text("instance_id", request.instance_id, limits.label_bytes_max)
    check_count("endpoints", len(request.endpoints), limits.endpoints_max, "endpoints")
    check_count("types", len(request.types), limits.job_types_max, "job types")
    check_count("capacity", request.capacity, limits.capacity_max, "jobs")


def check_availability_response(
    response: AvailabilityResponse, limits: WireLimits = DEFAULT_LIMITS
) -> None:
    """The bounds of a worker's answer to an offer."""
    check_id("job_id", response.job_id, limits)
    check_identity("participant_identity", response.participant_identity, limits)
    check_text("participant_name", response.participant_name, limits.participant_name_bytes_max)
    check_metadata("participant_metadata", response.participant_metadata, limits)
    check_attributes("participant_attributes", response.participant_attributes, limits)


def check_update_job(update: UpdateJobStatus, limits: WireLimits = DEFAULT_LIMITS) -> None:
    """The bounds of a job's status; its error text may have any length here."""
    check_id("job_id", update.job_id, limits)


def check_migrate(request: MigrateJobRequest, limits: WireLimits = DEFAULT_LIMITS) -> None:
    """The bounds of a claim: how many jobs, and the ids of all of them."""
    _check_job_ids(request.job_ids, limits)
    check_count("jobs", len(request.jobs), limits.migrate_job_ids_max, "jobs")
    for job in request.jobs:
        check_id("jobs.id", job.id, limits)


def check_hand_over(request: HandOver, limits: WireLimits = DEFAULT_LIMITS) -> None:
    """The bounds of a hand-over: how many jobs, and the ids of all of them."""
    _check_job_ids(request.job_ids, limits)


def check_create_dispatch(
    request: CreateAgentDispatchRequest, limits: WireLimits = DEFAULT_LIMITS
) -> None:
    """The bounds of a new dispatch; it names its room."""
    _check_room(request.room, limits)
    check_agent_name("agent_name", request.agent_name, limits)
    validate_deployment(request.deployment, limits)
    check_metadata("metadata", request.metadata, limits)
    check_attributes("attributes", request.attributes, limits)


def check_delete_dispatch(
    request: DeleteAgentDispatchRequest, limits: WireLimits = DEFAULT_LIMITS
) -> None:
    """The bounds of a dispatch's deletion; no id is an unknown id, which is not our business."""
    check_text("dispatch_id", request.dispatch_id, limits.id_bytes_max)
    check_room_name("room", request.room, limits)


def check_list_dispatch(
    request: ListAgentDispatchRequest, limits: WireLimits = DEFAULT_LIMITS
) -> None:
    """The bounds of a list request; an empty id means all of the room."""
    check_text("dispatch_id", request.dispatch_id, limits.id_bytes_max)
    check_room_name("room", request.room, limits)


def _check_room(room: str, limits: WireLimits) -> None:
    if not room:
        raise InvalidField("room", "is missing")
    check_room_name("room", room, limits)


def _check_job_ids(job_ids: Sequence[str], limits: WireLimits) -> None:
    check_count("job_ids", len(job_ids), limits.migrate_job_ids_max, "jobs")
    for job_id in job_ids:
        check_id("job_ids", job_id, limits)
