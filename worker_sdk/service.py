"""A worker at work: from the settings to the end of the last job, over any number of connections.

It puts the parts together and ends with them: `planner` decides what is said, `link` says it,
`job_tasks` runs the jobs, which outlive every connection, `health` is asked by others, `departure`
says when it is over. What a program says of its worker, and how it is started, is in `worker`.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import anyio
import structlog

from protocol import wire_pb2
from protocol.errors import ConfigError
from worker_sdk.backoff import ReconnectBackoff
from worker_sdk.departure import Departure
from worker_sdk.health import HealthServer, WorkerState
from worker_sdk.job_tasks import JobTasks
from worker_sdk.ledger import JobLedger
from worker_sdk.link import ServerLink
from worker_sdk.options import CAPACITY_DEFAULT
from worker_sdk.outbox import StatusOutbox
from worker_sdk.planner import Planner
from worker_sdk.records import RECORD_PATH_VARIABLE, JobRecords
from worker_sdk.wakeup import Wakeup

if TYPE_CHECKING:
    import random

    from structlog.typing import FilteringBoundLogger

    from worker_sdk.connection import Connect
    from worker_sdk.executors.executor import Executor, JobRunner, PoolCounts, WorkerProgram
    from worker_sdk.job_request import RequestHandler
    from worker_sdk.settings import Settings

__all__ = ["Service"]


class Service:
    """Serves: `run`, until `departure` is over."""

    def __init__(self) -> None:
        self.planner = Planner(JobLedger(CAPACITY_DEFAULT), StatusOutbox())
        # Fires when anything has changed that somebody here waits for.
        self.wakeup = Wakeup()
        self.departure = Departure(self.planner, self.wakeup)
        # The port of its health, once it listens.
        self.health_port: int | None = None
        self._log: FilteringBoundLogger = structlog.get_logger("callboard.worker")
        # Set while it serves.
        self._link: ServerLink | None = None
        self._runner: JobRunner | None = None

    @property
    def is_running(self) -> bool:
        """Does it serve now?"""
        return self._link is not None

    @property
    def worker_id(self) -> str | None:
        """The id that the server gave the present connection; None while there is none."""
        return None if self._link is None else self._link.worker_id

    @property
    def active_jobs(self) -> int:
        """Jobs that run here now."""
        return self.planner.ledger.active_count

    @property
    def pool(self) -> PoolCounts | None:
        """The processes that run jobs, while it serves; None where the executor has none."""
        return None if self._runner is None else self._runner.pool

    async def wait_registered(self) -> None:
        """Wait until it is connected and registered."""
        while self.worker_id is None:
            await self.wakeup.wait()

    def prepare(self, settings: Settings, log: FilteringBoundLogger) -> None:
        """Be as the settings say."""
        self._log = self.departure.log = log
        self.planner.ledger.capacity = settings.capacity
        self.planner.server_url = settings.url
        self.departure.drain.policy = settings.drain_policy
        self.departure.drain.seconds_max = settings.drain_seconds_max

    async def run(
        self,
        settings: Settings,
        program: WorkerProgram,
        executor: Executor,
        *,
        request_handler: RequestHandler | None,
        rng: random.Random,
        connect: Connect | None,
    ) -> None:
        """Serve as the settings say, until the departure is over. Raises ConfigError.

        `connect` opens connections; None: as websockets.
        """
        link = ServerLink(
            credentials=settings.credentials(),
            registration=_registration(settings),
            planner=self.planner,
            wakeup=self.wakeup,
            backoff=ReconnectBackoff(settings.grace_seconds),
            rng=rng,
            request_handler=request_handler,
            load=settings.load,
            log=self._log,
            connect=connect,
        )
        records = self._open_records(settings)
        try:
            async with anyio.create_task_group() as around:
                self._link = self.departure.link = link
                if settings.health_port is not None:
                    health = HealthServer(
                        settings.health_host,
                        settings.health_port,
                        lambda: self._state(settings.agent_name, link),
                        self._log,
                    )
                    self.health_port = await around.start(health.serve)
                await self._run_jobs(link, program, executor, records)
                around.cancel_scope.cancel()
        finally:
            self._link = self.departure.link = None
            self.health_port = None
            records.close()

    async def _run_jobs(
        self, link: ServerLink, program: WorkerProgram, executor: Executor, records: JobRecords
    ) -> None:
        # Opened first, left last: what runs jobs outlives every job.
        async with (
            executor.open(program, self._log) as runner,
            anyio.create_task_group() as tasks,
        ):
            link.jobs = JobTasks(
                runner=runner,
                planner=self.planner,
                records=records,
                tasks=tasks,
                on_orders=link.carry_out,
                log=self._log,
            )
            self._runner = runner
            try:
                tasks.start_soon(link.stay_connected)
                await self.departure.until_over(link)
                tasks.cancel_scope.cancel()
            finally:
                self._runner = None

    def _state(self, agent_name: str, link: ServerLink) -> WorkerState:
        ledger = self.planner.ledger
        return WorkerState(
            agent_name=agent_name,
            is_registered=link.worker_id is not None,
            is_draining=ledger.is_draining,
            jobs_running=ledger.active_count,
            jobs_reserved=ledger.held_count - ledger.active_count,
            capacity=ledger.capacity,
            results_unconfirmed=len(self.planner.outbox),
            load=link.last_load,
            counts=self.planner.counts,
            pool=self.pool,
        )

    def _open_records(self, settings: Settings) -> JobRecords:
        try:
            return JobRecords(
                settings.record_path,
                settings.instance_id,
                capacity=settings.capacity,
                log=self._log,
            )
        except OSError as error:
            raise ConfigError(
                f"record_path ({RECORD_PATH_VARIABLE}) cannot be written: {error}"
            ) from None


def _registration(settings: Settings) -> wire_pb2.RegisterWorkerRequest:
    return wire_pb2.RegisterWorkerRequest(
        type=f"JT_{settings.types[0].name}",
        types=[f"JT_{job_type.name}" for job_type in settings.types],
        version=f"callboard-{metadata.version('callboard')}",
        agent_name=settings.agent_name,
        namespace=settings.namespace or None,
        deployment=settings.deployment,
        instance_id=settings.instance_id,
        capacity=settings.capacity,
        grace_milliseconds=round(settings.grace_seconds * 1000),
    )
