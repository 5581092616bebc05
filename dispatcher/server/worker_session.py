"""One worker's connection: its frames become events, what is said to it becomes frames.

A session is new until the first message, which must register; then registered; then closed. One that
begins badly is held before its connection is closed (`tarpit`), and is not heard meanwhile.
It calls `submit` with exactly one WorkerRegistered and, after that, exactly one WorkerDisconnected,
however the connection ends; between the two, and only then, the worker's other events.

After registration nothing that a worker says closes its connection, but an abusive number of
frames that cannot be read, a frame over the limit, and text that is no UTF-8: a stock Python worker
that is closed comes back at once, for ever. Such messages are counted and otherwise ignored.

Left to others: whether it was let in (`admission`), the socket's bounds (`connection`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

import structlog

from dispatcher.core.effects import SendAssignment, SendOffer, Verdict
from dispatcher.core.events import (
    Event,
    Registration,
    WorkerDisconnected,
    WorkerPonged,
)
from dispatcher.core.events import WorkerRegistered as WorkerRegisteredEvent
from dispatcher.core.jobs import Lane, Nanoseconds
from dispatcher.server import worker_events, worker_messages
from dispatcher.server.admission import Admitted, is_milestone
from dispatcher.server.connection import WorkerConnection
from dispatcher.server.wire_jobs import simulated_job
from protocol import wire_pb2
from protocol.codec import (
    FrameFormat,
    decode_worker_message,
    encode_server_message,
    frame_format,
)
from protocol.errors import CloseCode, FrameError, InvalidField, WireError

if TYPE_CHECKING:
    from dispatcher.server.sessions import Sessions

log = structlog.get_logger()

_NAME_CHARACTERS_SHOWN = 64


class SessionPhase(Enum):
    """Where a connection is in its life."""

    NEW = "new"
    REGISTERED = "registered"
    CLOSED = "closed"


class WorkerSession:
    """A connection that was let in."""

    def __init__(
        self, sessions: Sessions, connection: WorkerConnection, admitted: Admitted
    ) -> None:
        self._sessions = sessions
        self._connection = connection
        self._limits = sessions.limits
        self.admitted = admitted
        self.phase = SessionPhase.NEW
        self.worker_id = ""
        self.connected_at: Nanoseconds = sessions.now()
        self.registration: Registration | None = None
        # a stock worker can read none of our extensions
        self.speaks_extensions = False
        self._permissions: wire_pb2.ParticipantPermission | None = None
        self._room_access = sessions.room_access(admitted.bearer.api_key)
        # a peer is answered as it speaks, in frames that can be read
        self._format = FrameFormat.BINARY
        self._was_full = False
        # was it told to connect elsewhere?
        self._is_sent_away = False
        # messages that were of no consequence, by reason
        self.ignored: Counter[str] = Counter()

    @property
    def address(self) -> str:
        """Where the worker connects from."""
        return self.admitted.address

    # --- what comes in ---

    def on_frame(self, frame: bytes | str) -> None:
        """Take one message of the worker."""
        if self.phase is SessionPhase.CLOSED:
            return
        if self.phase is SessionPhase.NEW:
            self._start(frame)
            return
        try:
            message = decode_worker_message(frame, self._limits.wire)
        except FrameError as error:
            self._ignore_unreadable(error)
            return
        self._format = frame_format(frame)
        read = _READERS.get(message.WhichOneof("message") or "")
        if read is None:
            self.note_ignored("unknown_message")
            return
        try:
            event = read(self, message)
        except WireError as error:
            self.note_ignored("refused", detail=str(error))
            return
        if event is not None:
            self._sessions.submit(self.worker_id, event)

    def on_pong(self) -> None:
        """The worker answered a ping of the core."""
        if self.phase is SessionPhase.REGISTERED:
            self._sessions.submit(self.worker_id, WorkerPonged(self.worker_id))

    def on_register_timeout(self) -> None:
        """The worker kept silent after its upgrade."""
        if self.phase is SessionPhase.NEW:
            self._fail_start("no registration in time", CloseCode.POLICY_VIOLATION)

    def on_overflow(self) -> None:
        """The worker does not read what it is sent, and is cut off."""
        log.warning("worker_cut_off", worker_id=self.worker_id, address=self.address)

    def on_disconnected(self) -> None:
        """The connection is gone. Idempotent."""
        was, self.phase = self.phase, SessionPhase.CLOSED
        self._sessions.tarpit.forget(self._connection)
        if was is SessionPhase.NEW:
            self._sessions.admission.note_start_ended(self.admitted)
        self._end(self._connection.ended_because or "dropped by the server")

    def _end(self, reason: str) -> None:
        """Tell that the worker is gone, once."""
        if self.worker_id and self._sessions.forget(self):
            registration = self.registration
            assert registration is not None
            log.info(
                "worker_disconnected",
                worker_id=self.worker_id,
                agent_name=registration.agent_name,
                reason=f"going away; {reason}" if self._is_sent_away else reason,
                **({"ignored": dict(self.ignored)} if self.ignored else {}),
            )
            self._sessions.submit(self.worker_id, WorkerDisconnected(self.worker_id, reason))

    def note_shared_instance(self) -> None:
        """Another connection with the same instance id takes this one's place, again and again."""
        registration = self.registration
        assert registration is not None
        log.warning(
            "instance_id_shared",
            worker_id=self.worker_id,
            agent_name=registration.agent_name,
            instance_id=registration.instance_id,
            address=self.address,
        )

    def note_ignored(self, reason: str, detail: str = "") -> None:
        """Count something that the worker said and that was of no consequence."""
        self.ignored[reason] += 1
        self._sessions.ignored[reason] += 1
        count = self.ignored[reason]
        # A peer that repeats itself does not fill the log.
        if is_milestone(count):
            log.warning(
                "worker_message_ignored",
                worker_id=self.worker_id,
                reason=reason,
                detail=detail or None,
                count=count,
            )

    # --- what goes out ---

    def send(self, message: wire_pb2.ServerMessage) -> None:
        """Write one message now. Does nothing when the connection is going."""
        self._connection.write_frame(self._frame(message))

    def _frame(self, message: wire_pb2.ServerMessage) -> bytes | str:
        if self._format is FrameFormat.BINARY:
            return message.SerializeToString()
        return encode_server_message(message, self._format)

    def send_offer(self, offer: SendOffer) -> None:
        """Ask the worker to take a job."""
        self.send(worker_messages.offer_message(offer))

    def prepare_assignment(self, assignment: SendAssignment) -> Callable[[], None]:
        """Make ready what gives the worker a job; return what writes it."""
        message = worker_messages.assignment_message(
            assignment,
            self._room_access,
            self._permissions,
            self._sessions.now(),
            self._limits.wire,
        )
        return partial(self._connection.write_frame, self._frame(message))

    def send_verdicts(self, verdicts: Mapping[str, Verdict]) -> None:
        """Answer a claim; a stock worker is told what to stop, and nothing else."""
        if self.speaks_extensions:
            self.send(worker_messages.verdicts_message(verdicts))
            return
        self._connection.write_frames(
            [
                encode_server_message(worker_messages.termination_message(job_id), self._format)
                for job_id, verdict in verdicts.items()
                if verdict is not Verdict.KEEP
            ]
        )

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._connection.ask_for_pong()

    def send_away(self, reason: str) -> None:
        """Ask the worker to connect elsewhere, with its jobs. A stock worker ignores it."""
        self._is_sent_away = True
        self.send(worker_messages.go_away_message(reason))

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the connection; what the worker still says is not heard."""
        self.phase = SessionPhase.CLOSED
        self._connection.start_closing(code, reason)

    # --- registration ---

    def _start(self, frame: bytes | str) -> None:
        sessions = self._sessions
        agent_name = ""
        try:
            message = decode_worker_message(frame, self._limits.wire)
            self._format = frame_format(frame)
            if message.WhichOneof("message") != "register":
                raise InvalidField("the first message", "must be register")
            request = message.register
            agent_name = request.agent_name
            registration = worker_events.registration(
                request, self.admitted.bearer.project, self._limits.wire
            )
        except WireError as error:
            self._fail_start(str(error), error.close_code, agent_name)
            return
        self.registration = registration
        self.worker_id = sessions.new_worker_id()
        self.speaks_extensions = worker_events.speaks_extensions(request)
        if request.HasField("allowed_permissions"):
            self._permissions = request.allowed_permissions
        self.phase = SessionPhase.REGISTERED
        sessions.admission.note_start_ended(self.admitted)
        sessions.remember(self)
        log.info(
            "worker_registered",
            worker_id=self.worker_id,
            agent_name=registration.agent_name,
            deployment=registration.deployment,
            address=self.address,
            version=registration.version,
        )
        event = WorkerRegisteredEvent(self.worker_id, registration)
        sessions.submit(self.worker_id, event)

    def _fail_start(self, reason: str, code: CloseCode, agent_name: str = "") -> None:
        admission = self._sessions.admission
        self._sessions.bad_starts += 1
        start = admission.note_bad_start(self.admitted, reason, self._sessions.now())
        if is_milestone(start.count):
            log.warning(
                "worker_start_refused",
                address=self.address,
                agent_name=agent_name[:_NAME_CHARACTERS_SHOWN] or None,
                reason=reason,
                count=start.count,
            )
        admission.note_start_ended(self.admitted)
        self._hold(start.hold_seconds, code, reason)

    def _hold(self, seconds: float, code: CloseCode, reason: str) -> None:
        """Close the connection after a while; what the worker still says is not heard."""
        self.phase = SessionPhase.CLOSED
        self._sessions.tarpit.hold(self._connection, seconds, code, reason[:120])

    # --- single messages ---

    def _read_answer(self, message: wire_pb2.WorkerMessage) -> Event:
        event, refusal = worker_events.answered(
            self.worker_id, message.availability, self._limits.wire
        )
        if refusal is not None:
            self.note_ignored("acceptance_over_limit", f"job {event.job_id}: {refusal}")
        return event

    def _read_job_status(self, message: wire_pb2.WorkerMessage) -> Event:
        return worker_events.job_reported(self.worker_id, message.update_job, self._limits.wire)

    def _read_status(self, message: wire_pb2.WorkerMessage) -> Event:
        event = worker_events.worker_reported(self.worker_id, message.update_worker, self._was_full)
        self._was_full = event.full
        return event

    def _read_claim(self, message: wire_pb2.WorkerMessage) -> Event:
        return worker_events.jobs_migrated(self.worker_id, message.migrate_job, self._limits.wire)

    def _read_hand_over(self, message: wire_pb2.WorkerMessage) -> Event:
        return worker_events.jobs_handed_over(self.worker_id, message.hand_over, self._limits.wire)

    def _read_simulation(self, message: wire_pb2.WorkerMessage) -> Event:
        registration = self.registration
        assert registration is not None
        lane = Lane(
            project=registration.project,
            agent_name=registration.agent_name,
            namespace=registration.namespace,
            deployment=registration.deployment,
        )
        return simulated_job(
            message.simulate_job,
            self.worker_id,
            lane,
            self._sessions.new_job_id(),
            self._sessions.now(),
            self._sessions.queue_time,
            self._limits.wire,
        )

    def _answer_ping(self, message: wire_pb2.WorkerMessage) -> None:
        self.send(worker_messages.pong_message(message.ping, self._sessions.now()))

    def _refuse_second_registration(self, _message: wire_pb2.WorkerMessage) -> None:
        self.note_ignored("registered_twice")

    def _ignore_unreadable(self, error: FrameError) -> None:
        self.note_ignored("unreadable", detail=error.reason)
        if self.ignored["unreadable"] > self._limits.unreadable_frames_max:
            self._end("dropped: too many frames that cannot be read")
            # It may have jobs to claim: not longer than this, however often.
            self._hold(
                self._limits.bad_start_hold_seconds,
                error.close_code,
                "too many frames that cannot be read",
            )


# By the name of the oneof's field. What has no entry is ignored and counted.
_READERS: Mapping[str, Callable[[WorkerSession, wire_pb2.WorkerMessage], Event | None]] = {
    "register": WorkerSession._refuse_second_registration,
    "availability": WorkerSession._read_answer,
    "update_worker": WorkerSession._read_status,
    "update_job": WorkerSession._read_job_status,
    "ping": WorkerSession._answer_ping,
    "simulate_job": WorkerSession._read_simulation,
    "migrate_job": WorkerSession._read_claim,
    "hand_over": WorkerSession._read_hand_over,
}
