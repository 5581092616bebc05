"""The worker's side of the wire: one connection after the other, for ever.

Each connection: register, claim what is held, tell what is not confirmed, tell the status; then
read and write until it ends. Offers belong to the connection they came on; jobs, results and the
room that they take outlive it (`planner`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio

from protocol.errors import CloseCode, FrameError
from protocol.limits import bounded_load
from worker_sdk.connection import Connect, ConnectionEnded, ServerConnection
from worker_sdk.connection_failures import ConnectionFailures
from worker_sdk.job_request import JobRequest, RequestHandler, ask
from worker_sdk.load import JobsHeld, LoadMeasure
from worker_sdk.log_events import LogEvent
from worker_sdk.planner import Consider, Order, Planner, Refuse, Send, Start, Stop
from worker_sdk.reporting import StatusSchedule, WorkerSituation

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from anyio.abc import TaskGroup
    from structlog.typing import FilteringBoundLogger

    from protocol import wire_pb2
    from worker_sdk.backoff import ReconnectBackoff
    from worker_sdk.credentials import Credentials
    from worker_sdk.job_tasks import JobTasks
    from worker_sdk.wakeup import Wakeup

__all__ = ["ServerLink"]

# How often the load is looked at for a change that is worth a message.
LOAD_SAMPLE_INTERVAL_SECONDS = 0.5
# A connection that ended sooner after registering does not count as a success.
STABLE_CONNECTION_SECONDS = 1.0
# How long who was told to go elsewhere stays to answer what it was asked, and how often it looks.
LEAVE_SECONDS_MAX = 2.0
LEAVE_POLL_SECONDS = 0.1
# Messages that wait to be written; a server that reads none of so many is dead.
UNWRITTEN_MESSAGES_MAX = 20_000


class ServerLink:
    """Keeps a worker connected, and carries out the planner's orders."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        registration: wire_pb2.RegisterWorkerRequest,
        planner: Planner,
        wakeup: Wakeup,
        backoff: ReconnectBackoff,
        rng: random.Random,
        request_handler: RequestHandler | None,
        load: LoadMeasure,
        log: FilteringBoundLogger,
        connect: Connect | None = None,
    ) -> None:
        self._credentials = credentials
        # How connections are opened; None: as websockets.
        self._connect = connect
        self._registration = registration
        self._planner = planner
        self._wakeup = wakeup
        self._backoff = backoff
        self._rng = rng
        self._request_handler = request_handler
        self._load = load
        self._log = log
        # Set before the first connection: jobs and link need each other.
        self.jobs: JobTasks
        # The id that the server gave this connection; None while there is none.
        self.worker_id: str | None = None
        # Messages of this connection alone, lost with it: answers and hand-overs.
        self._unwritten: deque[wire_pb2.WorkerMessage] = deque()
        # The last load that was sampled.
        self.last_load = 0.0
        self._has_load_failed = False

    async def stay_connected(self) -> None:
        """Connect, and again whenever the connection ends; until cancelled."""
        failures = 0
        lost_at = anyio.current_time()
        was_connected = False
        failed = ConnectionFailures(self._credentials.worker_url, self._log)
        while True:
            away_seconds = anyio.current_time() - lost_at
            await anyio.sleep(self._backoff.delay_seconds(failures, away_seconds, self._rng))
            try:
                connection = await ServerConnection.open(
                    self._credentials, self._registration, self._connect
                )
            except (ConnectionEnded, FrameError) as error:
                failures += 1
                self._planner.counts.connection_failures += 1
                failed.failed(error)
                continue
            registered_at = anyio.current_time()
            if was_connected:
                self._planner.counts.reconnects += 1
                self._log.info(
                    LogEvent.CONNECTED_AGAIN,
                    away_seconds=round(registered_at - lost_at, 3),
                    failures=failed.total,
                )
            was_connected = True
            failed.forget()
            try:
                await self._use(connection)
            finally:
                self.worker_id = None
                self._unwritten.clear()
            lost_at = anyio.current_time()
            failures = 0 if lost_at - registered_at >= STABLE_CONNECTION_SECONDS else 1

    def carry_out(self, orders: Iterable[Order]) -> None:
        """Carry out what does not need this connection's own tasks. Ends with a wake-up."""
        for order in orders:
            match order:
                case Send():
                    self._write_soon(order.message)
                case Refuse():
                    self._log.info(
                        LogEvent.OFFER_REFUSED, job_id=order.job_id, reason=order.why.value
                    )
                    self._write_soon(order.message)
                case Start():
                    self.jobs.start(order)
                case Stop():
                    self.jobs.stop(order)
                case Consider():
                    raise AssertionError("an offer is considered where it came in")
        self._wakeup.fire()

    @property
    def has_unwritten(self) -> bool:
        """Is there a message that waits for this connection?"""
        return bool(self._unwritten)

    # ---- one connection ----

    async def _use(self, connection: ServerConnection) -> None:
        self.worker_id = connection.response.worker_id
        log = self._log.bind(worker_id=self.worker_id)
        log.info(LogEvent.WORKER_REGISTERED, server=connection.response.server_info.version)
        code = CloseCode.NORMAL
        for message in self._planner.registered(connection.response):
            self._write_soon(message)
        self._wakeup.fire()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write, connection)
                await self._read(connection, tasks)
        except* ConnectionEnded as group:
            log.warning(LogEvent.CONNECTION_LOST, cause=str(group.exceptions[0]))
        except* FrameError as group:
            error = group.exceptions[0]
            code = error.close_code if isinstance(error, FrameError) else CloseCode.PROTOCOL_ERROR
            log.warning(LogEvent.SERVER_FRAME_UNREADABLE, cause=str(error))
        finally:
            await connection.close(code)

    async def _read(self, connection: ServerConnection, tasks: TaskGroup) -> None:
        while True:
            message = await connection.receive()
            if message.WhichOneof("message") == "go_away":
                tasks.start_soon(self._leave, message.go_away.reason)
                continue
            orders = []
            for order in self._planner.received(message, anyio.current_time()):
                if not isinstance(order, Consider):
                    orders.append(order)
                elif self._request_handler is None:
                    order.request.accept()
                    orders.append(Send(self._planner.answer(order.request)))
                else:
                    tasks.start_soon(self._decide, self._request_handler, order.request)
            self.carry_out(orders)

    async def _leave(self, reason: str) -> None:
        """The server is going: end this connection, with what is to be written here first."""
        self._log.info(LogEvent.SERVER_GOES_AWAY, reason=reason)
        with anyio.move_on_after(LEAVE_SECONDS_MAX):
            while self._unwritten or self._planner.ledger.has_reservations:
                await self._wakeup.wait(LEAVE_POLL_SECONDS)
        raise ConnectionEnded(f"the server goes away: {reason}")

    async def _decide(self, handler: RequestHandler, request: JobRequest) -> None:
        is_answered = False
        try:
            await ask(handler, request, self._log)
            self.carry_out([Send(self._planner.answer(request))])
            is_answered = True
        finally:
            if not is_answered:
                self._planner.withdraw(request.job.id)

    async def _write(self, connection: ServerConnection) -> None:
        schedule = StatusSchedule()
        outbox = self._planner.outbox
        while True:
            # The claim comes first of all, and an answer before the status of its job.
            if self._unwritten:
                await connection.send(self._unwritten[0])
                self._unwritten.popleft()
                self._wakeup.fire()
            elif (report := outbox.next_unwritten()) is not None:
                await connection.send(self._planner.job_status(report))
                outbox.written(report.sequence)
                self._wakeup.fire()
            else:
                situation = self._situation()
                wait_seconds = schedule.due_at(situation) - anyio.current_time()
                if wait_seconds <= 0:
                    await connection.send(self._planner.worker_status(situation.load))
                    schedule.told(situation, anyio.current_time())
                else:
                    await self._wakeup.wait(min(wait_seconds, LOAD_SAMPLE_INTERVAL_SECONDS))

    def _write_soon(self, message: wire_pb2.WorkerMessage) -> None:
        # Nothing is lost for good: an offer without an answer is made again.
        if self.worker_id is not None and len(self._unwritten) < UNWRITTEN_MESSAGES_MAX:
            self._unwritten.append(message)

    def _situation(self) -> WorkerSituation:
        ledger = self._planner.ledger
        self._planner.is_able = self.jobs.is_able
        return WorkerSituation(
            accepts_jobs=self._planner.accepts_jobs,
            active_count=ledger.active_count,
            load=self._sample_load(JobsHeld(ledger.active_count, ledger.capacity)),
        )

    def _sample_load(self, jobs: JobsHeld) -> float:
        try:
            self.last_load = bounded_load(float(self._load.sample(jobs)))
            self._has_load_failed = False
        except Exception as error:  # noqa: BLE001 - a user's function: its last word stands
            if not self._has_load_failed:  # it is asked twice a second
                self._log.error(LogEvent.LOAD_FUNCTION_FAILED, exc_info=error)
            self._has_load_failed = True
        return self.last_load
