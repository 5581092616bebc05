"""What a job function is given, and what it says in words."""

from __future__ import annotations

import pytest
import structlog

from dispatcher.core.jobs import AttemptReason
from protocol import wire_pb2
from worker_sdk.execution import context_for
from worker_sdk.job import _ATTEMPT_REASONS, Job, JobContext, JobParticipant, NoFencingToken
from worker_sdk.planner import Start


def context(job: wire_pb2.Job | None = None, **values: object) -> JobContext:
    """The context of an assignment."""
    start: dict[str, object] = {
        "attempt": 1,
        "attempt_reason": "",
        "epoch": 1,
        "resuming": False,
        "url": "ws://sfu.example",
        "token": "room-token",
        **values,
    }
    message = wire_pb2.Job(id="AJ_1", room=wire_pb2.Room(name="lobby")) if job is None else job
    return context_for(
        Start(job=Job.from_message(message), **start),  # type: ignore[arg-type]
        structlog.get_logger().bind(job_id=message.id, room=message.room.name, attempt=1),
    )


def job_about_ann(job_type: wire_pb2.JobType = wire_pb2.JT_PARTICIPANT) -> wire_pb2.Job:
    """A job of a type that is about somebody."""
    ann = wire_pb2.ParticipantInfo(
        sid="PA_1", identity="ann", name="Ann", metadata="words", attributes={"tier": "vip"}
    )
    return wire_pb2.Job(id="AJ_1", type=job_type, room=wire_pb2.Room(name="lobby"), participant=ann)


@pytest.mark.parametrize("job_type", [wire_pb2.JT_PARTICIPANT, wire_pb2.JT_PUBLISHER])
def test_a_job_about_somebody_names_them(job_type: wire_pb2.JobType) -> None:
    assert context(job_about_ann(job_type)).participant == JobParticipant(
        sid="PA_1", identity="ann", name="Ann", metadata="words", attributes={"tier": "vip"}
    )


@pytest.mark.parametrize("job", [None, job_about_ann(wire_pb2.JT_ROOM)])
def test_a_job_of_a_whole_room_is_about_nobody(job: wire_pb2.Job | None) -> None:
    assert context(job).participant is None


def test_its_log_has_job_room_attempt_and_participant() -> None:
    with structlog.testing.capture_logs() as logged:
        context(job_about_ann()).log.info("hello")
        context().log.info("hello")
    ids = {"event": "hello", "log_level": "info", "job_id": "AJ_1", "room": "lobby", "attempt": 1}
    assert logged == [{**ids, "participant": "ann"}, ids]


def test_the_fencing_token_is_the_epoch() -> None:
    assert context(epoch=7).fencing_token == 7


def test_a_job_of_a_server_of_livekits_has_no_fencing_token_and_says_so() -> None:
    with pytest.raises(NoFencingToken, match=r"^there is no fencing token: .* LiveKit's"):
        _ = context(epoch=None).fencing_token


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("", "this is its first attempt"),
        ("worker_lost", "the worker that ran it was lost"),
        ("of_a_newer_server", "of a newer server"),
    ],
)
def test_why_it_is_tried_is_said_in_words(reason: str, text: str) -> None:
    assert context(attempt_reason=reason).attempt_reason_text == text


def test_every_reason_of_the_server_has_its_words() -> None:
    assert set(_ATTEMPT_REASONS) == {reason.value for reason in AttemptReason}


def test_a_job_that_is_resumed_for_no_known_reason_is_not_called_a_first_attempt() -> None:
    assert context(resuming=True).attempt_reason_text == "another worker had it before"


def test_nothing_that_is_printed_of_it_holds_the_token() -> None:
    assert "room-token" not in repr(context())
