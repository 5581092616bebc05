"""From what LiveKit says of its jobs and dispatches to calls, and to jobs of ours.

A job's config is LiveKit's Job as it came, with our id and without what is LiveKit's own: its state,
and the room's TURN password. What its dispatch means for those in a room is spelled out here too,
as LiveKit itself does it when a room is made and when somebody joins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from dispatcher.core.bridged import Served, SfuCall
from dispatcher.core.jobs import Job, JobType, Lane, Nanoseconds, RestartPolicy
from dispatcher.server.wire_jobs import job_type_of
from dispatcher.server.wire_rooms import participant
from protocol import wire_pb2


def served_of(job: wire_pb2.Job) -> Served:
    """Return what serves this job. Raises InvalidField for a type that nobody knows."""
    return Served(job.agent_name, job_type_of(job.type), job.deployment)


def call_of(job: wire_pb2.Job, project: str) -> SfuCall:
    """Return the call that LiveKit's job is. Raises InvalidField as `served_of`."""
    served = served_of(job)
    is_of_room = served.job_type is JobType.ROOM
    return SfuCall(
        project,
        job.room.name,
        job.room.sid,
        job.dispatch_id,
        served,
        "" if is_of_room else job.participant.sid,
        "" if is_of_room else job.participant.identity,
    )


def job_for(
    call: SfuCall,
    offered: wire_pb2.Job,
    job_id: str,
    now: Nanoseconds,
    queue_time: Nanoseconds,
    restart_policy: RestartPolicy,
) -> Job:
    """Return our job for LiveKit's."""
    config = wire_pb2.Job()
    config.CopyFrom(offered)  # what we do not know of it goes along
    config.id = job_id
    config.ClearField("state")
    config.ClearField("namespace")
    config.room.ClearField("turn_password")
    served = call.served
    return Job(
        id=job_id,
        dispatch_id="",
        lane=Lane(call.project, served.agent_name, "", served.job_type, served.deployment),
        room=call.room,
        config=config.SerializeToString(),
        created_at=now,
        restart_policy=restart_policy,
        queue_time=queue_time,
        order=call.order,
        unique_key=call.key,
    )


def jobs_of(
    dispatch: wire_pb2.AgentDispatch,
    room: wire_pb2.Room,
    people: Iterable[wire_pb2.ParticipantInfo],
    job_type: JobType,
) -> list[wire_pb2.Job]:
    """Return the jobs of this type that a dispatch means in a room, as LiveKit offers them."""
    made = [
        info
        for info in people
        if job_type is not JobType.ROOM
        and info.state == wire_pb2.ParticipantInfo.ACTIVE
        and not participant(info).is_dependent
        and (job_type is JobType.PARTICIPANT or info.is_publisher or info.tracks)
    ]
    if job_type is JobType.ROOM:
        return [_job(dispatch, room, job_type)]
    jobs = [_job(dispatch, room, job_type) for _ in made]
    for job, info in zip(jobs, made, strict=True):
        job.participant.CopyFrom(info)
    return jobs


def _job(dispatch: wire_pb2.AgentDispatch, room: wire_pb2.Room, job_type: JobType) -> wire_pb2.Job:
    job = wire_pb2.Job(
        type=cast("wire_pb2.JobType", int(job_type)),
        room=room,
        dispatch_id=dispatch.id,
        agent_name=dispatch.agent_name,
        deployment=dispatch.deployment,
        metadata=dispatch.metadata,
    )
    job.attributes.update(dispatch.attributes)
    return job


def restart_policy_of(dispatch: wire_pb2.AgentDispatch) -> RestartPolicy:
    """Return a dispatch's restart policy; one that nobody knows is the default."""
    if dispatch.restart_policy == wire_pb2.JRP_NEVER:
        return RestartPolicy.NEVER
    return RestartPolicy.ON_FAILURE
