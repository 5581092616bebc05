"""What a worker says, from the wire's messages to the core's events.

Every limit of `protocol.limits` is applied here. Each function raises WireError for what is refused
as a whole; the socket counts it, and the worker's other messages go on. Left to others: frames
(`protocol.codec`), what an event means (`core`), pings, which the socket answers itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from dispatcher.core.events import (
    Acceptance,
    Answer,
    JobReported,
    JobsHandedOver,
    JobsMigrated,
    OfferAnswered,
    Registration,
    WorkerReported,
)
from dispatcher.core.jobs import JobStatus, seconds
from dispatcher.server.wire_jobs import job_type_of
from protocol import wire_pb2
from protocol.checks import check_availability_response, check_register, check_update_job
from protocol.errors import InvalidField, WireError
from protocol.limits import (
    WireLimits,
    bounded_load,
    check_count,
    check_id,
    truncate_error_text,
)

_NOBODY = Acceptance()
_JOB_STATUSES = {int(status): status for status in JobStatus}


def registration(
    request: wire_pb2.RegisterWorkerRequest, project: str, limits: WireLimits
) -> Registration:
    """What a worker says of itself. Raises WireError."""
    check_register(request, limits)
    types = tuple(dict.fromkeys(job_type_of(value, "types") for value in request.types))
    grace = None
    if request.HasField("grace_milliseconds"):
        grace_seconds = request.grace_milliseconds / 1000
        if grace_seconds > limits.grace_seconds_max:
            raise InvalidField(
                "grace_milliseconds", f"is over the limit of {limits.grace_seconds_max:g} s"
            )
        grace = seconds(grace_seconds)
    return Registration(
        project=project,
        agent_name=request.agent_name,
        namespace=request.namespace,
        deployment=request.deployment,
        types=types or (job_type_of(request.type),),
        capacity=request.capacity if request.HasField("capacity") else None,
        grace=grace,
        instance_id=request.instance_id,
        version=request.version,
    )


def speaks_extensions(request: wire_pb2.RegisterWorkerRequest) -> bool:
    """Did the worker send any field that stock workers do not know?"""
    return (
        request.HasField("capacity")
        or request.HasField("grace_milliseconds")
        or bool(request.types)
    )


def answered(
    worker_id: str, response: wire_pb2.AvailabilityResponse, limits: WireLimits
) -> tuple[OfferAnswered, WireError | None]:
    """A worker's answer to an offer, and what was wrong with it.

    An acceptance as somebody who is over a limit counts as declined: the job goes elsewhere at
    once, and need not wait for the offer to lapse. Raises WireError for a bad job id.
    """
    check_id("job_id", response.job_id, limits)
    if response.available:
        try:
            check_availability_response(response, limits)
        except WireError as error:
            return OfferAnswered(worker_id, response.job_id, Answer.DECLINED, _NOBODY), error
        acceptance = Acceptance(
            identity=response.participant_identity,
            name=response.participant_name,
            metadata=response.participant_metadata,
            attributes=dict(response.participant_attributes),
        )
        return OfferAnswered(worker_id, response.job_id, Answer.ACCEPTED, acceptance), None
    answer = Answer.TERMINATED if response.terminate else Answer.DECLINED
    return OfferAnswered(worker_id, response.job_id, answer, _NOBODY), None


def worker_reported(
    worker_id: str, status: wire_pb2.UpdateWorkerStatus, was_full: bool
) -> WorkerReported:
    """A worker's status; one that leaves `status` out keeps what it said before (`was_full`)."""
    full = was_full
    if status.HasField("status"):
        if status.status not in (wire_pb2.WS_AVAILABLE, wire_pb2.WS_FULL):
            raise InvalidField("status", "is not a worker status")
        full = status.status == wire_pb2.WS_FULL
    return WorkerReported(
        worker_id=worker_id,
        load=bounded_load(status.load),
        job_count=status.job_count,
        full=full,
        draining=status.draining,
    )


def job_reported(
    worker_id: str, update: wire_pb2.UpdateJobStatus, limits: WireLimits
) -> JobReported:
    """A worker's word on a job. Raises WireError."""
    check_update_job(update, limits)
    status = _JOB_STATUSES.get(update.status)
    if status is None:
        raise InvalidField("status", "is not a job status")
    return JobReported(
        worker_id=worker_id,
        job_id=update.job_id,
        status=status,
        error=truncate_error_text(update.error, limits),
        epoch=update.epoch,
        sequence=update.sequence,
    )


def jobs_migrated(
    worker_id: str, request: wire_pb2.MigrateJobRequest, limits: WireLimits
) -> JobsMigrated:
    """A worker's claim of its jobs, by ids or by whole jobs. Raises WireError for too many.

    An id that cannot be one of ours (empty, overlong) is left out: its job is unknown, and the
    others must not be lost for it.
    """
    check_count("job_ids", len(request.job_ids), limits.migrate_job_ids_max, "jobs")
    check_count("jobs", len(request.jobs), limits.migrate_job_ids_max, "jobs")
    check_count("epochs", len(request.epochs), len(request.job_ids), "epochs")
    ids = [*request.job_ids, *(job.id for job in request.jobs)]
    said = zip(request.job_ids, request.epochs, strict=False)
    epochs = {job_id: epoch for job_id, epoch in said if epoch}
    return JobsMigrated(worker_id, _possible_ids(ids, limits), epochs)


def jobs_handed_over(
    worker_id: str, request: wire_pb2.HandOver, limits: WireLimits
) -> JobsHandedOver:
    """The jobs that a worker gives up. Raises WireError for too many."""
    check_count("job_ids", len(request.job_ids), limits.migrate_job_ids_max, "jobs")
    job_ids = _possible_ids(request.job_ids, limits)
    return JobsHandedOver(worker_id, job_ids, when_room=request.when_another_has_room)


def _possible_ids(ids: Iterable[str], limits: WireLimits) -> tuple[str, ...]:
    # An id of n characters has at least n bytes, and ours are ASCII.
    return tuple(dict.fromkeys(id_ for id_ in ids if 0 < len(id_) <= limits.id_bytes_max))
