"""The jobs that rules and dispatches make: their config as workers read it, made once.

Left to others: dispatches, and the jobs that workers ask for themselves (`server.wire_jobs`); whether
a job is made (`ordering`, `standing_dispatches`).
"""

from __future__ import annotations

from random import Random
from typing import cast

from dispatcher.core.jobs import Dispatch, Job, JobType, Lane, Nanoseconds
from dispatcher.core.room_events import Participant, RoomInfo
from dispatcher.core.rules import Rule
from dispatcher.core.templates import fill, fill_values
from protocol import wire_pb2
from protocol.ids import new_job_id
from protocol.limits import DEFAULT_LIMITS

_LIMITS = DEFAULT_LIMITS
_NS_PER_MILLISECOND = 1_000_000
_NS_PER_SECOND = 1_000_000_000


# What `Job.order` begins with for a rule's job, for one of the built-in rule, and for a participant's
# job of a dispatch.
RULE_ORDER = "rule:"
AUTOMATIC_ORDER = "automatic:"
DISPATCH_ORDER = "dispatch:"


def order_of(rule: Rule) -> str:
    """Return what `Job.order` says of a job that this rule made; the built-in one has no name."""
    if not rule.name:
        return f"{AUTOMATIC_ORDER}{rule.job_type.name.lower()}"
    return f"{RULE_ORDER}{rule.name}"


def draft_job(
    rule: Rule,
    project: str,
    room: RoomInfo,
    participant: Participant | None,
    unique_key: str,
    now: Nanoseconds,
    random: Random,
    queue_time: Nanoseconds,
) -> Job:
    """Make the job of a rule that matched. `participant` is who it matched, None for a room alone."""
    job_id = new_job_id(now, random)
    config = wire_pb2.Job()
    config.id = job_id
    config.type = cast("wire_pb2.JobType", int(rule.job_type))
    fill_room(config.room, room)
    if participant is not None and rule.job_type is not JobType.ROOM:
        fill_participant(config.participant, participant)
    config.namespace = rule.namespace
    config.agent_name = rule.agent_name
    config.deployment = rule.deployment
    config.metadata = fill(rule.metadata, room, participant, _LIMITS.metadata_bytes_max)
    config.attributes.update(
        fill_values(rule.attributes, room, participant, _LIMITS.attributes_bytes_max)
    )
    return Job(
        id=job_id,
        dispatch_id="",
        lane=Lane(project, rule.agent_name, rule.namespace, rule.job_type, rule.deployment),
        room=room.name,
        config=config.SerializeToString(),
        created_at=now,
        restart_policy=rule.restart_policy,
        priority=rule.priority,
        queue_time=rule.queue_time or queue_time,
        order=order_of(rule),
        unique_key=unique_key,
    )


def draft_dispatched_job(
    dispatch: Dispatch,
    job_type: JobType,
    order: str,
    room: RoomInfo,
    participant: Participant | None,
    now: Nanoseconds,
    random: Random,
    queue_time: Nanoseconds,
) -> Job:
    """Make a job of a dispatch: for its room, or for a participant of it.

    `order` is "" for the job that a call for the dispatch itself makes.
    """
    asked = wire_pb2.AgentDispatch.FromString(dispatch.config)
    job_id = new_job_id(now, random)
    config = wire_pb2.Job()
    config.id = job_id
    config.type = cast("wire_pb2.JobType", int(job_type))
    fill_room(config.room, room)
    if participant is not None:
        fill_participant(config.participant, participant)
    config.metadata = asked.metadata
    config.agent_name = dispatch.agent_name
    config.dispatch_id = dispatch.id
    config.deployment = dispatch.deployment
    if asked.attributes:
        config.attributes.update(asked.attributes)
    return Job(
        id=job_id,
        dispatch_id=dispatch.id,
        lane=Lane(
            dispatch.project,
            dispatch.agent_name,
            job_type=job_type,
            deployment=dispatch.deployment,
        ),
        room=dispatch.room,
        config=config.SerializeToString(),
        created_at=now,
        restart_policy=dispatch.restart_policy,
        queue_time=queue_time,
        order=order,
    )


def fill_room(target: wire_pb2.Room, room: RoomInfo) -> None:
    """Fill an empty wire room."""
    target.name = room.name
    if not room.sid and not room.created_at and not room.metadata:
        return  # nothing is known of it, as of most rooms that a dispatch names
    target.sid = room.sid
    target.metadata = room.metadata
    target.creation_time = room.created_at // _NS_PER_SECOND
    target.creation_time_ms = room.created_at // _NS_PER_MILLISECOND


def fill_participant(target: wire_pb2.ParticipantInfo, participant: Participant) -> None:
    """Fill an empty wire participant."""
    target.sid = participant.sid
    target.identity = participant.identity
    target.name = participant.name
    target.kind = cast("wire_pb2.ParticipantInfo.Kind", int(participant.kind))
    target.metadata = participant.metadata
    target.attributes.update(participant.attributes)
    target.joined_at = participant.joined_at // _NS_PER_SECOND
    target.joined_at_ms = participant.joined_at // _NS_PER_MILLISECOND
    target.state = wire_pb2.ParticipantInfo.ACTIVE
