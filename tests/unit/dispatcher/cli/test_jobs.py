"""What a list of jobs says beside each."""

from __future__ import annotations

import time

import pytest

from dispatcher.cli.jobs import end_told, made_by, note
from protocol import api_pb2, wire_pb2

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("phase", "in_seconds", "text"),
    [
        (api_pb2.ORPHANED, 18.9, "waits 18 s more for its worker"),
        (api_pb2.ORPHANED, -1, "its worker did not come back"),
        (api_pb2.DELAYED, 18.9, "queued in 18 s"),
        (api_pb2.DELAYED, -1, "queued now"),
        (api_pb2.QUEUED, 18.9, "-"),
    ],
)
def test_a_deadline_is_told_by_what_happens_then(
    phase: api_pb2.JobPhase, in_seconds: float, text: str
) -> None:
    until_at = time.time_ns() + int(in_seconds * SECOND)
    assert note(api_pb2.JobRecord(phase=phase, until_at=until_at)) == text


def test_what_went_wrong_comes_before_all_else() -> None:
    record = api_pb2.JobRecord(phase=api_pb2.ORPHANED, until_at=time.time_ns())
    record.job.state.error = "it broke"
    assert note(record) == "it broke"


def test_a_cancelled_job_says_why() -> None:
    record = api_pb2.JobRecord(phase=api_pb2.CANCELLED, detail="its rule 'a' was deleted")
    assert note(record) == "its rule 'a' was deleted"
    record.ClearField("detail")  # its events are pruned
    record.job.state.reason = wire_pb2.JSR_ROOM_CLOSED
    assert note(record) == "room closed"
    record.job.state.reason = wire_pb2.JSR_UNSPECIFIED
    assert note(record) == "cancelled"


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (api_pb2.JobRecord(made_by="rule", rule="greeter"), "rule greeter"),
        (api_pb2.JobRecord(made_by="automatic"), "automatic dispatch to unnamed workers"),
        (api_pb2.JobRecord(made_by="bridge", sfu_dispatch_id="AD_9"), "the SFU, dispatch AD_9"),
        (api_pb2.JobRecord(made_by="dispatch"), "dispatch"),
        (api_pb2.JobRecord(made_by="worker"), "a worker, for itself"),
    ],
)
def test_what_made_a_job_is_told(record: api_pb2.JobRecord, told: str) -> None:
    assert made_by(record) == told


def test_a_job_that_had_ended_by_itself_was_not_ended() -> None:
    record = api_pb2.JobRecord(phase=api_pb2.SUCCEEDED, job=wire_pb2.Job(id="AJ_1"))
    assert end_told(record) == "AJ_1 had ended before, succeeded"
    record.phase, record.job.state.error = api_pb2.FAILED, "it broke"
    assert end_told(record) == "AJ_1 had ended before, failed: it broke"
    record.phase, record.detail = api_pb2.CANCELLED, "terminated by an operator"
    record.job.state.error = ""
    assert end_told(record) == "AJ_1 cancelled: terminated by an operator"
