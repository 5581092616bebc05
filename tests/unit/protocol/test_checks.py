"""Checks of whole messages: a good one passes, and each bounded field is refused by its name."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from google.protobuf.message import Message

from protocol import checks
from protocol.errors import InvalidField, LimitExceeded
from protocol.wire_pb2 import (
    AvailabilityResponse,
    CreateAgentDispatchRequest,
    DeleteAgentDispatchRequest,
    HandOver,
    Job,
    JobType,
    ListAgentDispatchRequest,
    MigrateJobRequest,
    RegisterWorkerRequest,
    UpdateJobStatus,
)

Check = Callable[[Any], None]

LONG = "x" * 300
HUGE = "x" * (512 * 1024 + 1)
MANY_ATTRIBUTES = {str(n): "x" * 1024 for n in range(64)}

GOOD: list[tuple[Check, Message]] = [
    (checks.check_register, RegisterWorkerRequest()),
    (checks.check_register, RegisterWorkerRequest(agent_name="greeter", deployment="blue")),
    (checks.check_availability_response, AvailabilityResponse(job_id="AJ_x", available=True)),
    (checks.check_update_job, UpdateJobStatus(job_id="AJ_x", error=HUGE)),
    (checks.check_migrate, MigrateJobRequest()),
    (checks.check_migrate, MigrateJobRequest(job_ids=[f"AJ_{n}" for n in range(10_000)])),
    (checks.check_hand_over, HandOver(job_ids=["AJ_x"])),
    (checks.check_create_dispatch, CreateAgentDispatchRequest(room="lobby")),
    (checks.check_delete_dispatch, DeleteAgentDispatchRequest()),
    (checks.check_list_dispatch, ListAgentDispatchRequest()),
]

TOO_LARGE: list[tuple[Check, Message, str]] = [
    (checks.check_register, RegisterWorkerRequest(agent_name=LONG), "agent_name"),
    (checks.check_register, RegisterWorkerRequest(deployment=LONG), "deployment"),
    (checks.check_register, RegisterWorkerRequest(namespace=LONG), "namespace"),
    (checks.check_register, RegisterWorkerRequest(version=LONG), "version"),
    (checks.check_register, RegisterWorkerRequest(instance_id=LONG), "instance_id"),
    (checks.check_register, RegisterWorkerRequest(capacity=1_000_001), "capacity"),
    (checks.check_register, RegisterWorkerRequest(types=[JobType.JT_ROOM] * 17), "types"),
    (checks.check_availability_response, AvailabilityResponse(job_id=LONG), "job_id"),
    (
        checks.check_availability_response,
        AvailabilityResponse(job_id="AJ_x", participant_identity=LONG),
        "participant_identity",
    ),
    (
        checks.check_availability_response,
        AvailabilityResponse(job_id="AJ_x", participant_name=LONG),
        "participant_name",
    ),
    (
        checks.check_availability_response,
        AvailabilityResponse(job_id="AJ_x", participant_metadata=HUGE),
        "participant_metadata",
    ),
    (
        checks.check_availability_response,
        AvailabilityResponse(job_id="AJ_x", participant_attributes=MANY_ATTRIBUTES),
        "participant_attributes",
    ),
    (checks.check_update_job, UpdateJobStatus(job_id=LONG), "job_id"),
    (checks.check_migrate, MigrateJobRequest(job_ids=["AJ_x"] * 10_001), "job_ids"),
    (checks.check_migrate, MigrateJobRequest(job_ids=[LONG]), "job_ids"),
    (checks.check_migrate, MigrateJobRequest(jobs=[Job(id=LONG)]), "jobs.id"),
    (checks.check_hand_over, HandOver(job_ids=["AJ_x"] * 10_001), "job_ids"),
    (checks.check_create_dispatch, CreateAgentDispatchRequest(room=LONG), "room"),
    (
        checks.check_create_dispatch,
        CreateAgentDispatchRequest(room="r", agent_name=LONG),
        "agent_name",
    ),
    (checks.check_create_dispatch, CreateAgentDispatchRequest(room="r", metadata=HUGE), "metadata"),
    (
        checks.check_create_dispatch,
        CreateAgentDispatchRequest(room="r", deployment=LONG),
        "deployment",
    ),
    (
        checks.check_create_dispatch,
        CreateAgentDispatchRequest(room="r", attributes=MANY_ATTRIBUTES),
        "attributes",
    ),
    (checks.check_delete_dispatch, DeleteAgentDispatchRequest(dispatch_id=LONG), "dispatch_id"),
    (checks.check_delete_dispatch, DeleteAgentDispatchRequest(room=LONG), "room"),
    (checks.check_list_dispatch, ListAgentDispatchRequest(dispatch_id=LONG), "dispatch_id"),
    (checks.check_list_dispatch, ListAgentDispatchRequest(room=LONG), "room"),
]

INVALID: list[tuple[Check, Message, str]] = [
    (checks.check_register, RegisterWorkerRequest(deployment="a_b"), "deployment"),
    (checks.check_availability_response, AvailabilityResponse(), "job_id"),
    (checks.check_update_job, UpdateJobStatus(), "job_id"),
    (checks.check_migrate, MigrateJobRequest(job_ids=[""]), "job_ids"),
    (checks.check_hand_over, HandOver(job_ids=[""]), "job_ids"),
    (checks.check_create_dispatch, CreateAgentDispatchRequest(), "room"),
    (
        checks.check_create_dispatch,
        CreateAgentDispatchRequest(room="r", deployment=" "),
        "deployment",
    ),
]


def _names(cases: Sequence[tuple[Any, ...]]) -> list[str]:
    """A name for each case: its place, its message, and its field if it has one."""
    return ["-".join([str(n), type(case[1]).__name__, *case[2:]]) for n, case in enumerate(cases)]


@pytest.mark.parametrize(("check", "message"), GOOD, ids=_names(GOOD))
def test_a_message_within_its_limits_passes(check: Check, message: Message) -> None:
    check(message)


@pytest.mark.parametrize(("check", "message", "field"), TOO_LARGE, ids=_names(TOO_LARGE))
def test_a_field_over_its_limit_is_refused_by_name(
    check: Check, message: Message, field: str
) -> None:
    with pytest.raises(LimitExceeded) as raised:
        check(message)

    assert raised.value.field == field


@pytest.mark.parametrize(("check", "message", "field"), INVALID, ids=_names(INVALID))
def test_a_missing_or_bad_field_is_refused_by_name(
    check: Check, message: Message, field: str
) -> None:
    with pytest.raises(InvalidField) as raised:
        check(message)

    assert raised.value.field == field
