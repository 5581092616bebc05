"""What is said to a worker, from the core's messages to the wire's.

Left to others: frames (`protocol.codec`), whom it goes to and when (`sessions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dispatcher.core.effects import SendAssignment, SendOffer, Verdict
from dispatcher.core.jobs import Nanoseconds
from dispatcher.server.wire_jobs import fill_job_for_worker
from protocol import wire_pb2
from protocol.limits import WireLimits
from protocol.tokens import mint_assignment_token

# What a worker of ours finds in RegisterWorkerResponse.extensions.
EXTENSIONS = (
    "attempt",
    "capacity",
    "epoch",
    "grace",
    "hand_over",
    "hand_over_when_room",
    "migrate_verdicts",
    "status_receipt",
    "types",
)

_NS_PER_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class RoomAccess:
    """The SFU that agents join. Empty: the worker uses its own address and key."""

    url: str = ""
    key: str = ""
    secret: str = field(default="", repr=False)


def registered_message(worker_id: str, server_info: wire_pb2.ServerInfo) -> wire_pb2.ServerMessage:
    """Tell a worker that it is registered."""
    return wire_pb2.ServerMessage(
        register=wire_pb2.RegisterWorkerResponse(
            worker_id=worker_id, server_info=server_info, extensions=EXTENSIONS
        )
    )


def offer_message(offer: SendOffer) -> wire_pb2.ServerMessage:
    """Ask a worker to take a job; the job is whole, because user code sees this copy of it."""
    message = wire_pb2.ServerMessage()
    request = message.availability
    fill_job_for_worker(request.job, offer.job, offer.state)
    request.resuming = offer.resuming
    request.epoch = offer.state.epoch
    request.attempt = offer.state.attempt
    request.attempt_reason = offer.state.attempt_reason
    return message


def assignment_message(
    assignment: SendAssignment,
    access: RoomAccess,
    permissions: wire_pb2.ParticipantPermission | None,
    now: Nanoseconds,
    limits: WireLimits,
) -> wire_pb2.ServerMessage:
    """Give a worker its job, with a token that is minted now and signed with `access`'s key."""
    job, state, acceptance = assignment.job, assignment.state, assignment.acceptance
    message = wire_pb2.ServerMessage()
    target = message.assignment
    fill_job_for_worker(target.job, job, state)
    if access.url:
        target.url = access.url
    target.token = mint_assignment_token(
        access.key,
        access.secret,
        room=job.room,
        identity=state.participant_identity,
        now_ns=now,
        name=acceptance.name,
        metadata=acceptance.metadata,
        attributes=acceptance.attributes,
        agent_name=job.lane.agent_name,
        permissions=permissions,
        life_seconds=limits.token_life_seconds,
    )
    target.epoch = state.epoch
    target.attempt = state.attempt
    target.attempt_reason = state.attempt_reason
    return message


def termination_message(job_id: str) -> wire_pb2.ServerMessage:
    """Tell a worker to stop a job."""
    return wire_pb2.ServerMessage(termination=wire_pb2.JobTermination(job_id=job_id))


def verdicts_message(verdicts: Mapping[str, Verdict]) -> wire_pb2.ServerMessage:
    """Answer a claim of a worker that speaks our extensions."""
    message = wire_pb2.ServerMessage()
    for job_id, verdict in verdicts.items():
        message.migrate_verdicts.add(
            job_id=job_id, verdict=wire_pb2.MigrateVerdict.Verdict.ValueType(verdict.value)
        )
    return message


def receipt_message(sequence: int) -> wire_pb2.ServerMessage:
    """Confirm a job's status."""
    return wire_pb2.ServerMessage(status_receipt=wire_pb2.StatusReceipt(sequence=sequence))


def go_away_message(reason: str) -> wire_pb2.ServerMessage:
    """Tell a worker to connect elsewhere."""
    return wire_pb2.ServerMessage(go_away=wire_pb2.AgentHttp.GoAway(reason=reason))


def pong_message(ping: wire_pb2.WorkerPing, now: Nanoseconds) -> wire_pb2.ServerMessage:
    """Answer a worker's ping."""
    return wire_pb2.ServerMessage(
        pong=wire_pb2.WorkerPong(
            last_timestamp=ping.timestamp, timestamp=now // _NS_PER_MILLISECOND
        )
    )
