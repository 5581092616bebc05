"""What a list of jobs says beside each."""

from __future__ import annotations

import time

import pytest

from dispatcher.cli.jobs import note
from protocol import api_pb2

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
