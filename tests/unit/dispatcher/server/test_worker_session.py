"""One session without a socket: which events it makes, and that each comes exactly once."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import anyio
import pytest
import structlog

from dispatcher.config import ApiKey
from dispatcher.core.effects import DropReason, DropWorker, SendGoAway, SendOffer, SendRegistered
from dispatcher.core.events import (
    Answer,
    Event,
    OfferAnswered,
    WorkerDisconnected,
    WorkerPonged,
    WorkerRegistered,
    WorkerReported,
)
from dispatcher.core.jobs import Job, JobState, Lane
from dispatcher.core.lifecycle import JobPhase
from dispatcher.server.access import Access
from dispatcher.server.admission import Admitted
from dispatcher.server.connection import WorkerConnection
from dispatcher.server.limits import ServerLimits
from dispatcher.server.sessions import Sessions
from dispatcher.server.worker_messages import RoomAccess
from dispatcher.server.worker_session import WorkerSession
from dispatcher.server.worker_socket import WorkerSocket
from protocol import wire_pb2
from protocol.tokens import mint_api_token

SECRET = "a-secret-of-the-tests-that-is-long-enough"
HEADERS = [
    (
        b"authorization",
        b"Bearer " + mint_api_token("key", SECRET, now_ns=time.time_ns(), agent=True).encode(),
    )
]


class Recorder:
    """Takes the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def submit(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def now(self) -> int:
        """Tell the time."""
        return time.time_ns()


class PaperConnection:
    """Keeps what is written and closed, and has no socket."""

    def __init__(self) -> None:
        self.frames: list[bytes | str] = []
        self.closed_with: int | None = None
        self.closed = anyio.Event()
        self.ended_because = ""
        self.on_frame = self.on_pong = self.on_overflow = None

    def write_frame(self, frame: bytes | str) -> None:
        """Keep a frame."""
        self.frames.append(frame)

    def start_closing(self, code: int, _reason: str) -> None:
        """Keep the code."""
        self.closed_with = code
        self.closed.set()


def _sessions() -> tuple[Sessions, Recorder]:
    limits = ServerLimits(bad_start_hold_seconds=0.05)
    access = Access({"key": ApiKey(SECRET)}, limits.wire)
    sessions = Sessions(
        access,
        limits,
        wire_pb2.ServerInfo(),
        RoomAccess(),
        queue_time=1,
        clock=time.time_ns,
        soon=lambda call: call(),
    )
    recorder = Recorder()
    sessions.connect(recorder)
    return sessions, recorder


def _session(sessions: Sessions) -> tuple[WorkerSession, PaperConnection]:
    admitted = sessions.admission.ask("here", HEADERS, b"", time.time_ns(), draining=False)
    assert isinstance(admitted, Admitted)
    connection = PaperConnection()
    return WorkerSession(sessions, cast("WorkerConnection", connection), admitted), connection


def _say(session: WorkerSession, **message: Any) -> None:
    session.on_frame(wire_pb2.WorkerMessage(**message).SerializeToString())


def test_a_registration_and_its_end_are_one_event_each() -> None:
    sessions, recorder = _sessions()
    session, _ = _session(sessions)
    _say(session, register={"agent_name": "a"})
    session.on_disconnected()
    session.on_disconnected()
    registered, disconnected = recorder.events
    assert isinstance(registered, WorkerRegistered)
    assert disconnected == WorkerDisconnected(registered.worker_id, "dropped by the server")
    assert len(sessions) == 0


def test_who_never_registered_is_no_event() -> None:
    sessions, recorder = _sessions()
    session, _ = _session(sessions)
    session.on_disconnected()
    session.on_disconnected()
    assert recorder.events == []


@pytest.mark.anyio
async def test_who_is_refused_at_its_start_is_no_event() -> None:
    sessions, recorder = _sessions()
    session, _ = _session(sessions)
    session.on_frame(b"")
    _say(session, register={"agent_name": "too late"})
    session.on_register_timeout()
    session.on_disconnected()
    assert recorder.events == []


@pytest.mark.anyio
async def test_who_is_refused_at_its_start_is_held_and_then_closed() -> None:
    sessions, _ = _sessions()
    session, connection = _session(sessions)
    session.on_frame(b"")
    assert (connection.closed_with, len(sessions.tarpit)) == (None, 1)
    with anyio.fail_after(60):
        await connection.closed.wait()
    assert (connection.closed_with, len(sessions.tarpit)) == (1008, 0)


@pytest.mark.anyio
async def test_who_goes_while_it_is_held_is_forgotten() -> None:
    sessions, _ = _sessions()
    session, _ = _session(sessions)
    session.on_frame(b"")
    session.on_disconnected()
    assert len(sessions.tarpit) == 0


@pytest.mark.anyio
async def test_who_is_closed_for_unreadable_frames_ends_at_once_and_is_held() -> None:
    sessions, recorder = _sessions()
    session, connection = _session(sessions)
    _say(session, register={"agent_name": "a"})
    for _ in range(sessions.limits.unreadable_frames_max + 1):
        session.on_frame(b"\xff")
    assert isinstance(recorder.events[-1], WorkerDisconnected)
    assert (connection.closed_with, len(sessions.tarpit)) == (None, 1)
    session.on_disconnected()
    assert [type(event) for event in recorder.events] == [WorkerRegistered, WorkerDisconnected]


@pytest.mark.anyio
async def test_a_bad_start_is_logged_with_its_reason_the_first_second_and_fourth_time() -> None:
    sessions, _ = _sessions()
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            session, _ = _session(sessions)
            _say(session, register={"agent_name": "greeter", "deployment": "my_app"})
    refused = [entry for entry in logs if entry["event"] == "worker_start_refused"]
    assert [entry["count"] for entry in refused] == [1, 2, 4]
    assert refused[0]["agent_name"] == "greeter"
    assert "deployment" in refused[0]["reason"]


def test_a_text_frame_that_cannot_be_read_does_not_change_how_a_worker_is_answered() -> None:
    sessions, _ = _sessions()
    session, connection = _session(sessions)
    _say(session, register={"agent_name": "a"})
    _say(session, ping={"timestamp": 1})
    session.on_frame("no JSON")
    sessions.deliver(SendRegistered(session.worker_id))
    session.on_frame('{"ping": {"timestamp": 2}}')
    assert [type(frame) for frame in connection.frames] == [bytes, bytes, str]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"participant_name": "x" * 1000}, "participant_name has 1000 bytes"),
        ({"participant_metadata": "x" * 600_000}, "participant_metadata has 600000 bytes"),
        ({"participant_attributes": {"k": "x" * 100_000}}, "participant_attributes has 100001 "),
        ({"participant_identity": "x" * 1_000_000}, "participant_identity has 1000000 bytes"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_acceptance_over_a_limit_is_a_decline_whose_log_names_job_field_and_size(
    fields: dict[str, Any], wrong: str
) -> None:
    sessions, recorder = _sessions()
    session, _ = _session(sessions)
    _say(session, register={"agent_name": "a"})
    with structlog.testing.capture_logs() as logs:
        _say(session, availability={"job_id": "AJ_1", "available": True, **fields})
    answer = recorder.events[-1]
    assert isinstance(answer, OfferAnswered)
    assert answer.answer is Answer.DECLINED
    (entry,) = (entry for entry in logs if entry["event"] == "worker_message_ignored")
    assert entry["detail"].startswith(f"job AJ_1: {wrong}")


def test_a_worker_that_is_dropped_is_not_heard_and_ends_once() -> None:
    sessions, recorder = _sessions()
    session, connection = _session(sessions)
    _say(session, register={"agent_name": "a"})
    sessions.deliver(DropWorker(session.worker_id, DropReason.TAKEN_OVER))
    _say(session, update_worker={"load": 0.5})
    session.on_pong()
    session.on_disconnected()
    assert connection.closed_with == 1001
    assert [type(event) for event in recorder.events] == [WorkerRegistered, WorkerDisconnected]


def test_the_end_of_a_worker_is_logged_with_its_cause_and_agent() -> None:
    sessions, _ = _sessions()
    session, connection = _session(sessions)
    _say(session, register={"agent_name": "greeter"})
    connection.ended_because = "no answer to a ping within 20 s"
    with structlog.testing.capture_logs() as logs:
        session.on_disconnected()
    assert logs == [
        {
            "event": "worker_disconnected",
            "log_level": "info",
            "worker_id": session.worker_id,
            "agent_name": "greeter",
            "reason": "no answer to a ping within 20 s",
        }
    ]


def test_the_end_of_a_worker_says_what_was_ignored_and_that_it_was_sent_away() -> None:
    sessions, _ = _sessions()
    session, connection = _session(sessions)
    _say(session, register={"agent_name": "greeter"})
    session.on_frame("no JSON")
    sessions.deliver(SendGoAway(session.worker_id))
    connection.ended_because = "closed by the worker, code 1000"
    with structlog.testing.capture_logs() as logs:
        session.on_disconnected()
    (entry,) = logs
    assert entry["reason"] == "going away; closed by the worker, code 1000"
    assert entry["ignored"] == {"unreadable": 1}


def test_nothing_is_written_to_a_worker_that_is_gone() -> None:
    sessions, _ = _sessions()
    session, connection = _session(sessions)
    _say(session, register={"agent_name": "a"})
    session.on_disconnected()
    job = Job("AJ_1", "", Lane("p", "a"), "r", b"", 1)
    sessions.deliver(SendOffer(session.worker_id, job, JobState(JobPhase.QUEUED), False))
    assert connection.frames == []


def test_a_register_timeout_after_the_registration_does_nothing() -> None:
    sessions, _ = _sessions()
    session, connection = _session(sessions)
    _say(session, register={"agent_name": "a"})
    session.on_register_timeout()
    assert connection.closed_with is None


def test_a_pong_is_an_event_of_a_registered_worker() -> None:
    sessions, recorder = _sessions()
    session, _ = _session(sessions)
    session.on_pong()
    _say(session, register={"agent_name": "a"})
    session.on_pong()
    assert recorder.events[1:] == [WorkerPonged(session.worker_id)]


def test_a_status_without_a_status_keeps_the_last_one() -> None:
    sessions, recorder = _sessions()
    session, _ = _session(sessions)
    _say(session, register={"agent_name": "a"})
    _say(session, update_worker={"status": wire_pb2.WS_FULL})
    _say(session, update_worker={"load": 0.5})
    _say(session, update_worker={"status": wire_pb2.WS_AVAILABLE})
    reports = [event for event in recorder.events if isinstance(event, WorkerReported)]
    assert [report.full for report in reports] == [True, True, False]


@pytest.mark.anyio
async def test_a_cancelled_connection_ends_its_worker() -> None:
    sessions, recorder = _sessions()
    connection = PaperConnection()
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    register = wire_pb2.WorkerMessage(register={"agent_name": "a"}).SerializeToString()
    inbox.put_nowait({"type": "websocket.connect"})
    inbox.put_nowait({"type": "websocket.receive", "bytes": register})

    async def ignore(_message: Any) -> None:
        pass

    scope = {
        "type": "websocket",
        "path": "/agent",
        "query_string": b"",
        "headers": HEADERS,
        "client": ("here", 1),
        "extensions": {"callboard": connection},
    }
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(WorkerSocket(sessions, lambda: False), scope, inbox.get, ignore)
        await anyio.wait_all_tasks_blocked()
        assert len(sessions) == 1
        tasks.cancel_scope.cancel()
    assert [type(event) for event in recorder.events] == [WorkerRegistered, WorkerDisconnected]
