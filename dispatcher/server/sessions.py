"""All workers that are connected here: whom a message goes to.

`Sessions` is the runtime's `Delivery`: `deliver` writes to the right connection at once, never
waits and never raises; what is for a worker that is gone is dropped, because the engine has been or
will be told. Every look-up is by key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any, Protocol

from dispatcher.core.effects import (
    DropReason,
    DropWorker,
    Message,
    NoteIgnored,
    PingWorker,
    Reply,
    SendAssignment,
    SendGoAway,
    SendOffer,
    SendRegistered,
    SendStatusReceipt,
    SendTermination,
    SendVerdicts,
    Verdict,
)
from dispatcher.core.events import Event
from dispatcher.core.jobs import Nanoseconds
from dispatcher.core.recent import Recent
from dispatcher.server import worker_messages
from dispatcher.server.access import Access
from dispatcher.server.admission import Admission
from dispatcher.server.limits import ServerLimits
from dispatcher.server.pacing import Pacer, Soon, next_turn
from dispatcher.server.tarpit import Tarpit
from dispatcher.server.worker_messages import RoomAccess
from dispatcher.server.worker_session import WorkerSession
from protocol import wire_pb2
from protocol.errors import CloseCode
from protocol.ids import new_job_id, new_worker_id

# Worker processes that are known again when they come back, to count that; the latest.
KNOWN_PROCESSES_MAX = 20_000


class EventSink(Protocol):
    """Where events go (`runtime.Runtime`)."""

    def submit(self, event: Event) -> None:
        """Take an event, now."""
        ...


def _write_nothing() -> None:
    """The worker is gone."""


class Sessions:
    """The connected workers, by worker id."""

    def __init__(
        self,
        access: Access,
        limits: ServerLimits,
        server_info: wire_pb2.ServerInfo,
        room: RoomAccess,
        queue_time: Nanoseconds,
        clock: Callable[[], Nanoseconds],
        soon: Soon = next_turn,
    ) -> None:
        self.limits = limits
        self._soon = soon
        self.admission = Admission(access, limits)
        self.tarpit = Tarpit(limits.held_sockets_max)
        self.queue_time = queue_time
        # messages that were of no consequence, by reason, of all workers since the start
        self.ignored: Counter[str] = Counter()
        # since the start: workers that registered and that were gone, first messages that were bad,
        # and the verdicts that claims had
        self.registrations = 0
        self.reconnects = 0
        self.disconnects = 0
        self.bad_starts = 0
        self.verdicts: Counter[Verdict] = Counter()
        # processes that registered, of those that say which they are
        self._known_processes: Recent[tuple[str, str], None] = Recent(KNOWN_PROCESSES_MAX)
        self._access = access
        self._server_info = server_info
        self._room = room
        self._clock = clock
        # Seeded by the system. Ids are no secrets, and a system call for each is dear.
        self._random = Random()
        self._pacer: Pacer | None = None
        self._by_worker: dict[str, WorkerSession] = {}
        self._deliver: Mapping[type[Any], Callable[[WorkerSession, Any], None]] = {
            SendRegistered: self._send_registered,
            SendOffer: WorkerSession.send_offer,
            SendTermination: lambda session, message: session.send(
                worker_messages.termination_message(message.job_id)
            ),
            SendVerdicts: self._send_verdicts,
            SendStatusReceipt: lambda session, message: session.send(
                worker_messages.receipt_message(message.sequence)
            ),
            PingWorker: lambda session, _message: session.ping(),
            SendGoAway: lambda session, _message: session.send_away("the server stops"),
            DropWorker: self._drop,
        }

    def connect(self, sink: EventSink) -> None:
        """Say where events go. Comes before the first connection."""
        limits = self.limits
        self._pacer = Pacer(
            sink.submit, limits.heavy_turn_seconds, limits.events_behind_max, self._soon
        )

    # --- the runtime's side ---

    def deliver(self, message: Message) -> None:
        """Write a message to its worker."""
        if isinstance(message, Reply | NoteIgnored):
            return  # for a caller, for the witness: the runtime's own affair
        session = self._by_worker.get(message.worker_id)
        if session is not None:
            self._deliver[type(message)](session, message)

    def prepare(self, assignment: SendAssignment) -> Callable[[], None]:
        """Make an assignment ready; return what writes it to its worker."""
        session = self._by_worker.get(assignment.worker_id)
        return session.prepare_assignment(assignment) if session is not None else _write_nothing

    # --- the sessions' side ---

    def submit(self, worker_id: str, event: Event) -> None:
        """Hand an event of this worker to the runtime, in its turn."""
        assert self._pacer is not None
        self._pacer.submit(worker_id, event)

    def now(self) -> Nanoseconds:
        """Tell the time."""
        return self._clock()

    def new_worker_id(self) -> str:
        """Draw an id for a connection."""
        return new_worker_id(self.now(), self._random)

    def new_job_id(self) -> str:
        """Draw an id for a job."""
        return new_job_id(self.now(), self._random)

    def remember(self, session: WorkerSession) -> None:
        """Take in a session that registered."""
        self.registrations += 1
        said = session.registration
        if said is not None and said.instance_id:
            process = said.project, said.instance_id
            self.reconnects += process in self._known_processes
            self._known_processes.note(process, None)
        self._by_worker[session.worker_id] = session

    def forget(self, session: WorkerSession) -> bool:
        """Let go of a session; return False if that was done before."""
        if self._by_worker.pop(session.worker_id, None) is None:
            return False
        self.disconnects += 1
        return True

    def room_access(self, api_key: str) -> RoomAccess:
        """Return the SFU's address, and the key that signs tokens for a worker of this API key."""
        if self._room.key:
            return self._room
        return RoomAccess(self._room.url, api_key, self._access.secret(api_key))

    # --- views ---

    def __len__(self) -> int:
        return len(self._by_worker)

    def __iter__(self) -> Iterator[WorkerSession]:
        return iter(self._by_worker.values())

    def get(self, worker_id: str) -> WorkerSession | None:
        """Return the session of a connected worker."""
        return self._by_worker.get(worker_id)

    def _send_registered(self, session: WorkerSession, message: SendRegistered) -> None:
        session.send(worker_messages.registered_message(message.worker_id, self._server_info))

    def _send_verdicts(self, session: WorkerSession, message: SendVerdicts) -> None:
        self.verdicts.update(message.verdicts.values())
        session.send_verdicts(message.verdicts)

    def _drop(self, session: WorkerSession, message: DropWorker) -> None:
        if message.reason is DropReason.INSTANCE_SHARED:
            session.note_shared_instance()
        session.close(CloseCode.GOING_AWAY, message.reason.value)
