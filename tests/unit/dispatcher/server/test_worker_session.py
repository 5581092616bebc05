"""One session without a socket: which events it makes, and that each comes exactly once."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import anyio
import pytest

from dispatcher.config import ApiKey
from dispatcher.core.effects import DropReason, DropWorker, SendOffer
from dispatcher.core.events import (
    Event,
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
        self.on_frame = self.on_pong = self.on_overflow = None

    def write_frame(self, frame: bytes | str) -> None:
        """Keep a frame."""
        self.frames.append(frame)

    def start_closing(self, code: int, _reason: str) -> None:
        """Keep the code."""
        self.closed_with = code


def _sessions() -> tuple[Sessions, Recorder]:
    limits = ServerLimits()
    access = Access({"key": ApiKey(SECRET)}, limits.wire)
    sessions = Sessions(
        access, limits, wire_pb2.ServerInfo(), RoomAccess(), queue_time=1, clock=time.time_ns
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
    assert disconnected == WorkerDisconnected(registered.worker_id)
    assert len(sessions) == 0


def test_who_never_registered_is_no_event() -> None:
    sessions, recorder = _sessions()
    session, _ = _session(sessions)
    session.on_disconnected()
    session.on_disconnected()
    assert recorder.events == []


def test_who_is_refused_at_its_start_is_no_event() -> None:
    sessions, recorder = _sessions()
    session, connection = _session(sessions)
    session.on_frame(b"")
    _say(session, register={"agent_name": "too late"})
    session.on_register_timeout()
    session.on_disconnected()
    assert recorder.events == []
    assert connection.closed_with == 1008


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
