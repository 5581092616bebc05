"""The worker: the one class that a program makes.

    worker = Worker(agent_name="greeter")

    @worker.job
    async def greet(ctx: JobContext) -> None: ...

    worker.run()

Here is what a program says of its worker, and how it is started: as a whole program (`run`), or inside
another one (`serve`). The work itself is in `service`, the options in `options`.
"""

from __future__ import annotations

import os
import random
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import structlog

from protocol.errors import ConfigError
from worker_sdk import command_line
from worker_sdk.console import ConsoleJob, run_in_console
from worker_sdk.executor_choice import check_executor, chosen_executor
from worker_sdk.executors.executor import Executor, WorkerProgram
from worker_sdk.executors.role import refuse_in_job_process
from worker_sdk.executors.task_executor import TaskExecutor
from worker_sdk.service import Service
from worker_sdk.settings import Settings, check_code, resolve
from worker_sdk.signals import SignalCount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from worker_sdk.connection import Connect
    from worker_sdk.credentials import Credentials
    from worker_sdk.drain import DrainPolicy
    from worker_sdk.execution import JobFunction, PrewarmFunction
    from worker_sdk.executors.executor import PoolCounts
    from worker_sdk.job import JobType
    from worker_sdk.job_request import RequestHandler
    from worker_sdk.load import LoadSource

__all__ = ["Worker"]


class Worker:
    """Takes jobs of one agent name and runs a function for each.

    Every option can also be set by an environment variable or a flag, which override what the code
    says (`options` has the table): LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET, else
    CALLBOARD_WORKER_CAPACITY and so on. None is the default.

    `capacity`: most jobs at once, never exceeded. `grace_seconds`: "back within this after a lost
    connection, or give my jobs to others". `load`: how busy this worker is, 0 to 1: a measure, or a
    function without arguments; the greater of jobs and processor where None. `executor`: how jobs
    run; as tasks of this event loop where None. `shutdown_seconds_max`: what the shutdown callbacks
    of one job may take together. `drain_policy` and `drain_seconds_max`: what becomes
    of jobs after SIGTERM (`drain`). `health_port`: serve /healthz, /readyz and /metrics there.
    `record_path` (or CALLBOARD_RECORD_PATH): a file for the worker's own record of what it ran
    (`records`). Raises ConfigError for a value that cannot be used.
    """

    def __init__(
        self,
        agent_name: str = "",
        *,
        url: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        capacity: int | None = None,
        types: Sequence[JobType] | None = None,
        deployment: str | None = None,
        namespace: str | None = None,
        grace_seconds: float | None = None,
        load: LoadSource | None = None,
        executor: Executor | None = None,
        shutdown_seconds_max: float | None = None,
        drain_policy: DrainPolicy | None = None,
        drain_seconds_max: float | None = None,
        health_port: int | None = None,
        health_host: str | None = None,
        instance_id: str | None = None,
        record_path: str | os.PathLike[str] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        # Names this process over all its connections, so that a new one takes the old one over.
        self.instance_id = instance_id or str(uuid.uuid4())
        self.agent_name = agent_name
        self._code: Mapping[str, object] = {
            "url": url,
            "api_key": api_key,
            "api_secret": api_secret,
            "agent_name": agent_name,
            "capacity": capacity,
            "types": types,
            "deployment": deployment,
            "namespace": namespace,
            "grace_seconds": grace_seconds,
            "load": load,
            "shutdown_seconds_max": shutdown_seconds_max,
            "drain_policy": drain_policy,
            "drain_seconds_max": drain_seconds_max,
            "health_port": health_port,
            "health_host": health_host,
            "instance_id": self.instance_id,
            "record_path": record_path,
        }
        check_code(self._code)
        check_executor(executor)
        self._given_executor = executor
        self._executor: Executor = executor or TaskExecutor()
        self._rng = rng or random.SystemRandom()
        self._service = Service()
        # Not bound before it is used: the program, or `run`, may set logs up until then.
        self._log: FilteringBoundLogger = structlog.get_logger(
            "callboard.worker", agent_name=agent_name
        )
        self._job_function: JobFunction | None = None
        self._prewarm_function: PrewarmFunction | None = None
        self._request_handler: RequestHandler | None = None

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
        """Decorator: the function that accepts or refuses offers, synchronous or not.

        Without it all are taken.
        """
        if self._request_handler is not None:
            raise ConfigError("a worker has one request handler; this is the second")
        self._request_handler = handler
        return handler

    def run(self, argv: Sequence[str] | None = None) -> None:
        """The main program of a worker process: `start`, `dev`, `console` or --help, from `argv`.

        Without a command it is `start`: serve until told to end, blocking. `argv` None: what the
        program was called with. A first SIGTERM or SIGINT drains: no more jobs are taken, and those
        that run go on or are given to others, by `drain_policy`, for at most `drain_seconds_max`. A
        second one cancels them, hands them over and ends within seconds; a third ends at once with
        exit code 1. Raises SystemExit for what fails: 2 for a wrong setting.
        """
        refuse_in_job_process("worker.run()")
        command_line.run(
            sys.argv[1:] if argv is None else argv,
            command_line.Commands(self._resolve, self._run_until_signalled, self._run_in_console),
        )

    async def serve(self) -> None:
        """Serve inside a program's own event loop, until `drain` or `stop` have done their work.

        Cancelling it ends the worker at once: jobs are cancelled and not reported, and go to other
        workers after the grace time.
        """
        await self._serve(self._resolve({}, {}))

    async def serve_over(self, connect: Connect, credentials: Credentials) -> None:
        """Serve a dispatcher of this process, over connections that `connect` opens, as `serve`.

        For `worker_sdk.testing`: each time is the first. What an earlier one left, a drain or jobs that
        were cut off, is forgotten, no port is opened and no file written, whatever the settings say.
        """
        self._refuse_twice()
        self._service = Service()
        settings = replace(
            self._resolve({}, {}),
            url=credentials.url,
            api_key=credentials.api_key,
            api_secret=credentials.api_secret,
            health_port=None,
            record_path=None,
        )
        await self._serve(settings, connect)

    def drain(self) -> None:
        """Take no more jobs, and end when those that run are over or given to others."""
        self._service.departure.begin()

    def stop(self) -> None:
        """End now: cancel the jobs that run, and give them to other workers."""
        self._service.departure.leave()

    # ---- what a program sees ----

    @property
    def worker_id(self) -> str | None:
        """The id that the server gave the present connection; None while there is none."""
        return self._service.worker_id

    @property
    def active_jobs(self) -> int:
        """Jobs that run here now."""
        return self._service.active_jobs

    @property
    def pool(self) -> PoolCounts | None:
        """The processes that run jobs, while it serves; None where the executor has none."""
        return self._service.pool

    @property
    def health_port(self) -> int | None:
        """The port of its health, while it listens there."""
        return self._service.health_port

    async def wait_registered(self) -> None:
        """Wait until the worker is connected and registered; call it while it serves."""
        await self._service.wait_registered()

    # ---- inside ----

    def _resolve(self, flags: Mapping[str, str], fallbacks: Mapping[str, object]) -> Settings:
        return resolve(self._code, os.environ, flags, fallbacks)

    def _apply(self, settings: Settings) -> None:
        """The environment and the flags may say otherwise than the code did."""
        self.agent_name = settings.agent_name
        self.instance_id = settings.instance_id
        self._log = structlog.get_logger("callboard.worker", agent_name=settings.agent_name)
        self._executor = chosen_executor(self._given_executor, settings)
        self._service.prepare(settings, self._log)

    def _program(self, settings: Settings) -> WorkerProgram:
        if self._job_function is None:
            raise ConfigError("no job function: decorate one with @worker.job")
        program = WorkerProgram(
            self._job_function, self._prewarm_function, settings.shutdown_seconds_max
        )
        self._executor.check(program)
        return program

    def _refuse_twice(self) -> None:
        if self._service.is_running:
            raise ConfigError("this worker serves already; make another one")

    async def _serve(self, settings: Settings, connect: Connect | None = None) -> None:
        refuse_in_job_process("worker.serve()")
        self._refuse_twice()
        self._apply(settings)
        program = self._program(settings)
        with _errors_as_they_are():
            await self._service.run(
                settings,
                program,
                self._executor,
                request_handler=self._request_handler,
                rng=self._rng,
                connect=connect,
            )

    # ---- inside: a program of its own ----

    def _run_until_signalled(self, settings: Settings) -> None:
        async def serve() -> None:
            signals = self._service.departure.signals = SignalCount()
            try:
                with signals.counting():
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self._obey, signals)
                        await self._serve(settings)
                        tasks.cancel_scope.cancel()
            finally:
                self._service.departure.signals = None

        with _errors_as_they_are():
            anyio.run(serve, backend="asyncio", backend_options=_LOOP_OPTIONS)

    async def _obey(self, signals: SignalCount) -> None:
        told = 0
        while True:
            told = await signals.next(told)
            self.drain()
            if told >= 2:
                self.stop()

    def _run_in_console(self, settings: Settings, console: ConsoleJob) -> int:
        self._apply(settings)
        program = self._program(settings)
        job = console.as_job(settings.agent_name, settings.deployment)

        async def run_one() -> int:
            return await run_in_console(
                job, program, self._executor, self._request_handler, self._log
            )

        with _errors_as_they_are():
            return anyio.run(run_one, backend="asyncio", backend_options=_LOOP_OPTIONS)


_LOOP_OPTIONS = {"use_uvloop": sys.platform != "win32"}


@contextmanager
def _errors_as_they_are() -> Iterator[None]:
    """Task groups wrap what is raised in them: a single error is raised as it is."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if error is group:
            raise
        raise error from error.__cause__
