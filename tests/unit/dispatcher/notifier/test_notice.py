"""What receivers of webhooks are told of a row, and which rows are told at all."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dispatcher.core.jobs import SECOND, Job, JobState, JobStateReason, Lane
from dispatcher.core.lifecycle import ENDED, JobPhase, JobTrigger
from dispatcher.notifier.notice import NoticeKind, kind_of, make_notice, starts
from dispatcher.store.contract import EventRow, StoredJob
from protocol import wire_pb2
from protocol.tokens import check_body, verify

AT = 1_700_000_000 * SECOND
ROW = EventRow(
    sequence=7,
    at=AT,
    project="p",
    job_id="AJ_1",
    dispatch_id="AD_1",
    trigger=JobTrigger.OFFER_ACCEPTED,
    phase=JobPhase.ASSIGNED,
    epoch=1,
    attempt=1,
    worker_id="AW_1",
    reason="",
    error="",
    detail="",
)
CONFIG = wire_pb2.Job(
    id="AJ_1", dispatch_id="AD_1", agent_name="agent", room=wire_pb2.Room(name="room", sid="RM_1")
)
JOB = Job("AJ_1", "AD_1", Lane("p", "agent"), "room", CONFIG.SerializeToString(), AT)
ENDED_STATE = JobState(
    JobPhase.FAILED,
    worker_id="AW_2",
    participant_identity="agent-2",
    reason=JobStateReason.NO_CAPACITY,
    error="it broke",
    started_at=AT + 1,
    ended_at=AT + 2,
    updated_at=AT + 2,
)


def body(row: EventRow, state: JobState, dropped: int = 0) -> dict[str, Any]:
    kind = kind_of(row)
    assert kind is not None
    told: dict[str, Any] = json.loads(
        make_notice(kind, row, StoredJob(1, JOB, state), dropped).body
    )
    return told


def test_ends_and_acceptances_are_told_and_claims_may_be() -> None:
    told = {
        (trigger, phase): kind_of(replace(ROW, trigger=trigger, phase=phase))
        for trigger in JobTrigger
        for phase in (JobPhase.QUEUED, JobPhase.ASSIGNED, JobPhase.RUNNING, *ENDED)
    }
    for (trigger, phase), kind in told.items():
        if phase in ENDED:
            assert kind is NoticeKind.ENDED
        elif trigger in (JobTrigger.OFFER_ACCEPTED, JobTrigger.CLAIMED):
            assert kind is NoticeKind.STARTED
        else:
            assert kind is None


@pytest.mark.parametrize(
    ("before", "is_start"),
    [
        ([], True),
        ([JobTrigger.CREATED, JobTrigger.WORKER_LOST], True),
        ([JobTrigger.OFFER_ACCEPTED, JobTrigger.STARTED, JobTrigger.WORKER_LOST], False),
        ([JobTrigger.WORKER_LOST, JobTrigger.CLAIMED, JobTrigger.WORKER_LOST], False),
    ],
)
def test_a_claim_is_a_start_only_where_none_was_before(
    before: list[JobTrigger], is_start: bool
) -> None:
    claim = replace(ROW, trigger=JobTrigger.CLAIMED, phase=JobPhase.RUNNING)
    timeline = [
        replace(ROW, sequence=number, trigger=trigger, phase=JobPhase.ORPHANED)
        for number, trigger in enumerate(before, 1)
    ]
    assert starts(claim, [*timeline, claim]) is is_start


def test_a_job_that_is_tried_again_starts_again() -> None:
    again = replace(ROW, sequence=9, epoch=2)
    assert starts(again, [ROW, again])


def test_a_body_is_a_webhook_event_in_camel_case() -> None:
    told = body(ROW, JobState(JobPhase.ASSIGNED, participant_identity="agent-1"), dropped=3)
    assert told == {
        "event": "agent_job_started",
        "id": "EV_1_7",
        "createdAt": "1700000000",
        "numDropped": 3,
        "room": {"name": "room", "sid": "RM_1"},
        "job": {
            "id": "AJ_1",
            "dispatchId": "AD_1",
            "agentName": "agent",
            "room": {"name": "room", "sid": "RM_1"},
            "state": {
                "status": "JS_RUNNING",
                "startedAt": str(AT),
                "updatedAt": str(AT),
                "workerId": "AW_1",
                "participantIdentity": "agent-1",
            },
        },
    }


def test_a_start_is_told_as_it_was_when_the_job_has_ended_since() -> None:
    state = body(ROW, ENDED_STATE)["job"]["state"]
    assert (state["status"], state["workerId"]) == ("JS_RUNNING", "AW_1")
    assert not {"endedAt", "error", "reason"} & state.keys()


def test_a_start_of_an_earlier_epoch_does_not_name_a_later_participant() -> None:
    state = body(ROW, replace(ENDED_STATE, epoch=2))["job"]["state"]
    assert "participantIdentity" not in state


def test_an_end_is_told_with_its_whole_state() -> None:
    row = replace(ROW, trigger=JobTrigger.FAILED, phase=JobPhase.FAILED)
    assert body(row, ENDED_STATE)["job"]["state"] == {
        "status": "JS_FAILED",
        "error": "it broke",
        "reason": "JSR_NO_CAPACITY",
        "startedAt": str(AT + 1),
        "endedAt": str(AT + 2),
        "updatedAt": str(AT + 2),
        "workerId": "AW_2",
        "participantIdentity": "agent-2",
    }


def test_a_retry_says_which_attempt_it_is() -> None:
    row = replace(ROW, epoch=3, attempt=2)
    attributes = body(row, replace(ENDED_STATE, epoch=3))["job"]["attributes"]
    assert (attributes["callboard.epoch"], attributes["callboard.attempt"]) == ("3", "2")


def test_of_a_job_that_was_pruned_the_row_is_told() -> None:
    row = replace(ROW, phase=JobPhase.FAILED, reason="NO_CAPACITY", error="full")
    told = json.loads(make_notice(NoticeKind.ENDED, row, None).body)
    assert told["job"]["id"] == "AJ_1"
    assert told["job"]["dispatchId"] == "AD_1"
    state = told["job"]["state"]
    assert (state["status"], state["reason"]) == ("JS_FAILED", "JSR_NO_CAPACITY")
    assert (state["error"], state["endedAt"]) == ("full", str(AT))


def test_the_same_row_has_the_same_id_each_time() -> None:
    first, second = (make_notice(NoticeKind.STARTED, ROW, None, dropped) for dropped in (0, 1))
    other = make_notice(NoticeKind.STARTED, replace(ROW, sequence=8), None)
    assert first.id == second.id != other.id


def test_the_token_is_of_this_body_and_short_lived() -> None:
    notice = make_notice(NoticeKind.STARTED, ROW, None)
    headers = notice.headers("key", "secret", AT)
    assert headers["Content-Type"] == "application/webhook+json"
    grants = verify(headers["Authorization"], {"key": "secret"}, AT)
    check_body(grants, notice.body)
    assert grants.expires_at_seconds == AT // SECOND + 300
