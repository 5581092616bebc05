"""The worker: the one class that a program makes.

    worker = Worker(agent_name="greeter")

    @worker.job
    async def greet(ctx: JobContext) -> None: ...

    worker.run()

It puts the parts together and decides when it is over: `planner` decides what is said, `link` says
it, `job_tasks` runs the jobs, which outlive every connection.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import uuid
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import structlog
from anyio.abc import TaskStatus

from protocol import wire_pb2
from protocol.errors import ConfigError, WireError
from protocol.limits import DEFAULT_LIMITS, check_agent_name, check_text, validate_deployment
from worker_sdk.backoff import ReconnectBackoff
from worker_sdk.credentials import Credentials
from worker_sdk.executors.executor import Executor, WorkerProgram
from worker_sdk.executors.role import refuse_in_job_process
from worker_sdk.executors.task_executor import TaskExecutor
from worker_sdk.job import JobType
from worker_sdk.job_tasks import JobTasks
from worker_sdk.ledger import JobLedger
from worker_sdk.link import LoadFunction, RequestHandler, ServerLink
from worker_sdk.log_events import LogEvent
from worker_sdk.outbox import StatusOutbox
from worker_sdk.planner import Planner
from worker_sdk.records import RECORD_PATH_VARIABLE, JobRecords
from worker_sdk.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger

    from worker_sdk.execution import JobFunction, PrewarmFunction
    from worker_sdk.executors.executor import JobRunner, PoolCounts

__all__ = ["CAPACITY_DEFAULT", "Worker"]

# The dispatcher counts a tenth of a worker for a job that it knows nothing of.
CAPACITY_DEFAULT = 10
# What a worker that ends still waits for: receipts for the results of its last jobs.
RESULT_DELIVERY_SECONDS_MAX = 30.0
# The same for one that was told twice to end.
FORCED_DELIVERY_SECONDS_MAX = 5.0


class Worker:
    """Takes jobs of one agent name and runs a function for each.

    `url`, `api_key` and `api_secret` come from LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET
    where they are None. `capacity`: most jobs at once, never exceeded. `grace_seconds`: "back
    within this after a lost connection, or give my jobs to others". `load`: how busy this worker is,
    0 to 1; jobs by capacity where None. `executor`: how jobs run; as tasks of this event loop where
    None. `record_path` (or CALLBOARD_RECORD_PATH): a file for the
    worker's own record of what it ran (`records`). Raises ConfigError for a setting that cannot be
    used.
    """

    def __init__(
        self,
        agent_name: str = "",
        *,
        url: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        capacity: int = CAPACITY_DEFAULT,
        types: Sequence[JobType] = (JobType.ROOM,),
        deployment: str = "",
        namespace: str = "",
        grace_seconds: float = 3.0,
        load: LoadFunction | None = None,
        executor: Executor | None = None,
        instance_id: str | None = None,
        record_path: str | os.PathLike[str] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._credentials = Credentials.resolve(url, api_key, api_secret)
        self.agent_name = agent_name
        # Names this process over all its connections, so that a new one takes the old one over.
        self.instance_id = instance_id or str(uuid.uuid4())
        self._registration = _registration(
            agent_name=agent_name,
            capacity=capacity,
            types=tuple(types),
            deployment=deployment,
            namespace=namespace,
            grace_seconds=grace_seconds,
            instance_id=self.instance_id,
        )
        self._backoff = ReconnectBackoff(grace_seconds)
        self._load = load
        self._executor = executor or TaskExecutor()
        self._record_path = record_path or os.environ.get(RECORD_PATH_VARIABLE) or None
        self._rng = rng or random.SystemRandom()
        self._planner = Planner(JobLedger(capacity), StatusOutbox())
        self._log: FilteringBoundLogger = structlog.get_logger("callboard.worker").bind(
            agent_name=agent_name
        )
        self._job_function: JobFunction | None = None
        self._prewarm_function: PrewarmFunction | None = None
        self._request_handler: RequestHandler | None = None
        self._wakeup = Wakeup()
        # Set while it serves.
        self._link: ServerLink | None = None
        self._runner: JobRunner | None = None
        self._is_stop_forced = False

    def __repr__(self) -> str:
        return f"<Worker {self.agent_name!r} {self.worker_id or 'not connected'}>"

    # ---- what a program says ----

    def job(self, function: JobFunction) -> JobFunction:
        """Decorator: the async function that runs a job."""
        if self._job_function is not None:
            raise ConfigError("a worker has one job function; this is the second @worker.job")
        self._job_function = function
        return function

    def prewarm(self, function: PrewarmFunction) -> PrewarmFunction:
        """Decorator: the function that prepares a process for jobs, synchronous or not.

        It is called once, without arguments, in each process that runs jobs, before its first one:
        with the default executor in the worker itself, before it registers.
        """
        if self._prewarm_function is not None:
            raise ConfigError("a worker has one prewarm function; this is the second")
        self._prewarm_function = function
        return function

    def request(self, handler: RequestHandler) -> RequestHandler:
        """Decorator: the async function that accepts or refuses offers. Without it all are taken."""
        if self._request_handler is not None:
            raise ConfigError("a worker has one request handler; this is the second")
        self._request_handler = handler
        return handler

    def run(self) -> None:
        """Serve until told to end, blocking: the main program of a worker process.

        SIGTERM or SIGINT: take no more jobs, wait for those that run, end. A second one: cancel the
        jobs, give them to other workers, end.
        """
        refuse_in_job_process("worker.run()")
        uses_uvloop = sys.platform != "win32"
        anyio.run(
            self._serve_until_signalled,
            backend="asyncio",
            backend_options={"use_uvloop": uses_uvloop},
        )

    async def serve(self) -> None:
        """Serve inside a program's own event loop, until `drain` or `stop` have done their work.

        Cancelling it ends the worker at once: jobs are cancelled and not reported, and go to other
        workers after the grace time.
        """
        refuse_in_job_process("worker.serve()")
        if self._job_function is None:
            raise ConfigError("no job function: decorate one with @worker.job")
        if self._link is not None:
            raise ConfigError("this worker serves already; make another one")
        program = WorkerProgram(self._job_function, self._prewarm_function)
        self._executor.check(program)
        records = self._open_records()
        try:
            # Opened first, left last: what runs jobs outlives every job.
            async with (
                self._executor.open(program, self._log) as runner,
                anyio.create_task_group() as tasks,
            ):
                self._runner = runner
                link = ServerLink(
                    credentials=self._credentials,
                    registration=self._registration,
                    planner=self._planner,
                    wakeup=self._wakeup,
                    backoff=self._backoff,
                    rng=self._rng,
                    request_handler=self._request_handler,
                    load=self._load,
                    log=self._log,
                )
                link.jobs = JobTasks(
                    runner=runner,
                    planner=self._planner,
                    records=records,
                    tasks=tasks,
                    on_orders=link.carry_out,
                    log=self._log,
                )
                self._link = link
                tasks.start_soon(link.stay_connected)
                await self._until_drained(link)
                tasks.cancel_scope.cancel()
        finally:
            self._link = None
            self._runner = None
            records.close()

    def drain(self) -> None:
        """Take no more jobs, and end when those that run have ended and their results are told."""
        if not self._planner.ledger.is_draining:
            self._log.info(LogEvent.DRAIN_STARTED, jobs=self._planner.ledger.held_count)
        self._planner.ledger.is_draining = True
        self._wakeup.fire()

    def stop(self) -> None:
        """End now: cancel the jobs that run, and give them to other workers."""
        self._log.warning(LogEvent.STOP_FORCED, jobs=self._planner.ledger.active_count)
        self._is_stop_forced = True
        orders = self._planner.stop_all()
        if self._link is not None:
            self._link.carry_out(orders)
        self._wakeup.fire()

    # ---- what a program sees ----

    @property
    def worker_id(self) -> str | None:
        """The id that the server gave the present connection; None while there is none."""
        return None if self._link is None else self._link.worker_id

    @property
    def active_jobs(self) -> int:
        """Jobs that run here now."""
        return self._planner.ledger.active_count

    @property
    def pool(self) -> PoolCounts | None:
        """The processes that run jobs, while it serves; None where the executor has none."""
        return None if self._runner is None else self._runner.pool

    async def wait_registered(self) -> None:
        """Wait until the worker is connected and registered; call it while it serves."""
        while self.worker_id is None:
            await self._wakeup.wait()

    # ---- inside ----

    async def _until_drained(self, link: ServerLink) -> None:
        ledger, outbox = self._planner.ledger, self._planner.outbox
        while not ledger.is_draining:
            await self._wakeup.wait()
        # One that was told twice to end does not wait for what it was promised.
        while ledger.active_count if self._is_stop_forced else ledger.held_count:
            await self._wakeup.wait(1.0)
            ledger.expire_reservations(anyio.current_time())
        ended_at = anyio.current_time()
        while link.has_unwritten or len(outbox):
            bound = (
                FORCED_DELIVERY_SECONDS_MAX if self._is_stop_forced else RESULT_DELIVERY_SECONDS_MAX
            )
            left_seconds = ended_at + bound - anyio.current_time()
            if left_seconds <= 0:
                break
            await self._wakeup.wait(left_seconds)
        self._log.info(LogEvent.DRAIN_FINISHED, results_not_confirmed=len(outbox))

    async def _serve_until_signalled(self) -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._obey_signals)
            await self.serve()
            tasks.cancel_scope.cancel()

    async def _obey_signals(
        self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                if not self._planner.ledger.is_draining:
                    self.drain()
                elif not self._is_stop_forced:
                    self.stop()

    def _open_records(self) -> JobRecords:
        path = None if self._record_path is None else Path(self._record_path)
        try:
            return JobRecords(path, self.instance_id)
        except OSError as error:
            raise ConfigError(
                f"record_path ({RECORD_PATH_VARIABLE}) cannot be written: {error}"
            ) from None


def _registration(
    *,
    agent_name: str,
    capacity: int,
    types: tuple[JobType, ...],
    deployment: str,
    namespace: str,
    grace_seconds: float,
    instance_id: str,
) -> wire_pb2.RegisterWorkerRequest:
    limits = DEFAULT_LIMITS
    # A claim names all jobs in one message.
    if not 1 <= capacity <= limits.migrate_job_ids_max:
        raise ConfigError(f"capacity must be 1 to {limits.migrate_job_ids_max}, not {capacity}")
    if not types:
        raise ConfigError("types must name at least one JobType")
    if not 0 <= grace_seconds <= limits.grace_seconds_max:
        raise ConfigError(
            f"grace_seconds must be 0 to {limits.grace_seconds_max:g}, not {grace_seconds:g}"
        )
    try:
        check_agent_name("agent_name", agent_name, limits)
        validate_deployment(deployment, limits)
        check_text("namespace", namespace, limits.namespace_bytes_max)
        check_text("instance_id", instance_id, limits.label_bytes_max)
    except WireError as error:
        raise ConfigError(str(error)) from None
    return wire_pb2.RegisterWorkerRequest(
        type=f"JT_{types[0].name}",
        types=[f"JT_{job_type.name}" for job_type in types],
        version=f"callboard-{metadata.version('callboard')}",
        agent_name=agent_name,
        namespace=namespace or None,
        deployment=deployment,
        instance_id=instance_id,
        capacity=capacity,
        grace_milliseconds=round(grace_seconds * 1000),
    )
