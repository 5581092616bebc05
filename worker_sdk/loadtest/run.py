"""One load test: a look at the server, processes, calls, what goes wrong, a drain, results.

Composes all the others and decides little: when a phase is over, and why a step of a ramp is broken.
Whatever happens, its processes end with it. An interrupt ends the calls and then, the second time, the
drain; there are results either way.
"""

from __future__ import annotations

import math
import secrets
import tempfile
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from protocol.errors import CallboardError
from worker_sdk.client.client import DispatchClient
from worker_sdk.loadtest.calling import Calling, Step, share
from worker_sdk.loadtest.channel import pack_numbers, unpack_numbers
from worker_sdk.loadtest.figures import number_text
from worker_sdk.loadtest.inflicting import Inflicting
from worker_sdk.loadtest.job_book import JobBook
from worker_sdk.loadtest.limits import parse_limit
from worker_sdk.loadtest.measurements import Look, Measurements, is_bottleneck
from worker_sdk.loadtest.notes import machine, notes_on
from worker_sdk.loadtest.processes import CrowdProcess, HarnessFailed
from worker_sdk.loadtest.profile import Profile, Shape
from worker_sdk.loadtest.results import (
    Results,
    limits_of,
    measured_figures,
    rows_of,
    seconds_of,
)
from worker_sdk.loadtest.server_record import ServerRecord, read_record
from worker_sdk.loadtest.server_watch import ServerWatch, machine_cpu_cores
from worker_sdk.loadtest.simulated_worker import Temper
from worker_sdk.loadtest.tally import Count, Happening, Metric
from worker_sdk.loadtest.target import ServerFound, Target, look
from worker_sdk.loadtest.turns import seconds_to_turn

if TYPE_CHECKING:
    from worker_sdk.credentials import Credentials

__all__ = ["LoadTest", "Phase"]

# From the first process to the last worker that is connected.
CONNECT_SECONDS_MAX = 300.0
LOOK_SECONDS = 1.0
# Processes report each half second of the clock; so much later all of that is here.
LOOK_AFTER_SECONDS = 0.25
DRAIN_LOOK_SECONDS = 0.1
READY_POLL_SECONDS = 0.02
# Worker processes in one run, with those that take the place of killed ones.
WORKER_PROCESSES_MAX = 4096
# A step of a ramp is broken where more than this share of its calls is not assigned when it is judged,
# or more than this share failed.
UNASSIGNED_SHARE_MAX = 0.02
ERROR_SHARE_MAX = 0.01
# A server that does not answer at the end is asked again for so long.
RECORD_RETRY_SECONDS = 3.0
# Files that a process needs beside its sockets.
FILES_SPARE = 256


class Phase(Enum):
    """How far the run is, in words that fit the screen's corner."""

    LOOKING = "looking at the server"
    CONNECTING = "connecting workers"
    WARMING_UP = "warming up"
    MEASURING = "measuring"
    DRAINING = "waiting for last jobs"
    ASKING = "asking the server"
    OVER = "over"


class LoadTest:
    """One run. What a screen shows is read from it while it runs."""

    def __init__(
        self,
        profile: Profile,
        credentials: Credentials,
        *,
        server_pid: int | None = None,
    ) -> None:
        self.profile = profile
        self.credentials = credentials
        self.measured = Measurements()
        self.book = JobBook()
        self.phase = Phase.LOOKING
        self.server = ServerFound(is_stock=False, version="")
        self.watch: ServerWatch | None = None
        self.workers: list[CrowdProcess] = []
        self.callers: list[CrowdProcess] = []
        self.calling = Calling(profile, self.callers, self._why_broken)
        self._server_pid = server_pid
        self._run = secrets.token_hex(4)
        self._instances = 0
        self._folder = Path()
        # What an interrupt cancels, in turn.
        self._scopes: list[anyio.CancelScope] = []
        self._is_interrupted = False
        self._begun_at = ""
        # What the server says of jobs that nobody here can account for; None: it was not asked.
        self._record: ServerRecord | None = None

    # ---- what a screen asks ----

    @property
    def second(self) -> float:
        """Seconds from the begin of the measuring; before it, below 0."""
        if not self.calling.begin_ns:
            return 0.0
        return (time.monotonic_ns() - self.calling.begin_ns) / 1e9

    @property
    def connected(self) -> int:
        """Workers that are connected, as of their processes' last reports."""
        return self._sum("connected", self.workers)

    @property
    def held(self) -> int:
        """Jobs that workers have, as of their processes' last reports."""
        return self._sum("held", self.workers)

    @property
    def orphans(self) -> int:
        """Jobs that had a worker and have none now, or nearly so: reports are a moment apart."""
        return max(0, self.book.open - self.book.waiting - self.held)

    @property
    def is_saturated(self) -> bool:
        """Has the harness been the bottleneck in too many of its seconds so far?"""
        seconds = range(int(max(0.0, min(self.second, self.calling.seconds))))
        return is_bottleneck(sum(map(self.measured.is_saturated, seconds)), len(seconds))

    def interrupt(self) -> None:
        """End the phase; the second time, end at once."""
        self._is_interrupted = True
        if self._scopes:
            self._scopes.pop(0).cancel()

    def end_measuring(self) -> None:
        """No calls any more; and a look at their last second, if it had none.

        A short run, or one that is interrupted early, has one chance for a look or none, and on a busy
        machine that one comes late.
        """
        self.calling.stop()
        self._look(max(0, math.ceil(self.calling.seconds) - 1))

    # ---- the run ----

    async def run(self) -> Results:
        """Run it. Raises TargetUnusable and HarnessFailed."""
        calls, drain, asking = anyio.CancelScope(), anyio.CancelScope(), anyio.CancelScope()
        self._scopes = [calls, drain, asking]
        self.server = await look(self.credentials, self.profile.agent_name)
        target = Target(self.credentials)
        _allow_files(max(self.profile.workers_per_process_max, self.profile.connections_max))
        with tempfile.TemporaryDirectory(prefix="callboard-loadtest-") as folder:
            self._folder = Path(folder)
            try:
                async with anyio.create_task_group() as tasks:
                    self._tasks = tasks
                    with calls:
                        await self._start()
                        self.watch = ServerWatch(target.host, target.port, self._server_pid)
                        tasks.start_soon(self._look_on)
                        await self._measure()
                    self.end_measuring()
                    self.phase = Phase.DRAINING
                    with drain:
                        await self._drain()
                    with anyio.CancelScope(shield=True):
                        await self._end_processes()
                    with asking:
                        await self._ask_server()
                    tasks.cancel_scope.cancel()
            except BaseExceptionGroup as group:
                raise _first_of_ours(group) from None
            finally:
                for process in [*self.workers, *self.callers]:
                    process.close()
        self.phase = Phase.OVER
        return self._results()

    async def _start(self) -> None:
        self.phase = Phase.CONNECTING
        profile = self.profile
        for index in range(profile.process_count):
            self.workers.append(self._spawn_workers(index))
        for index in range(profile.caller_processes):
            self.callers.append(self._spawn_callers(index))
        processes = [*self.workers, *self.callers]
        with anyio.move_on_after(CONNECT_SECONDS_MAX):
            while not all(each.is_ready for each in processes):  # noqa: ASYNC110
                await anyio.sleep(READY_POLL_SECONDS)
            return
        raise HarnessFailed(
            f"{self.connected} of {profile.all_workers} workers were connected after"
            f" {CONNECT_SECONDS_MAX:g} s"
        )

    async def _measure(self) -> None:
        begin_ns = self.calling.choose_begin()
        self._begun_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for process in [*self.workers, *self.callers]:
            process.tell({"do": "begin", "begin_ns": begin_ns})
        self.phase = Phase.WARMING_UP
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._inflict)
            await self.calling.run()
            tasks.cancel_scope.cancel()

    async def _inflict(self) -> None:
        await anyio.sleep(max(0.0, -self.second))
        self.phase = Phase.MEASURING
        inflicting = Inflicting(
            self.profile,
            lambda: self.workers,
            self._kill,
            lambda what: self.measured.events.append((self.second, what)),
        )
        await inflicting.run()

    async def _drain(self) -> None:
        """Wait until no call and no job is left, or the time for that is over."""
        with anyio.move_on_after(self.profile.drain_seconds):
            while self._has_open_ends():  # noqa: ASYNC110
                await anyio.sleep(DRAIN_LOOK_SECONDS)

    def _has_open_ends(self) -> bool:
        """Is there a call or a job whose end is not reported? Not before callers know of the stop."""
        is_stopped = all(each.state.get("is_stopped") for each in self.callers)
        return not is_stopped or bool(self.book.open or self._sum("under_way", self.callers))

    async def _ask_server(self) -> None:
        """Have the server say what became of jobs that nobody has; when all processes have told all."""
        unaccounted = self.book.unaccounted(is_stock=self.server.is_stock)
        if self.server.is_stock or not unaccounted:
            return
        self.phase = Phase.ASKING
        own = self.credentials
        async with DispatchClient(
            own.url, own.api_key, own.api_secret, retry_seconds_max=RECORD_RETRY_SECONDS
        ) as client:
            self._record = await read_record(
                client, self.profile.agent_name, self._run, unaccounted
            )

    async def _end_processes(self) -> None:
        # Callers first: what they still have to tell must not be missing from the book.
        for processes in (self.callers, self.workers):
            async with anyio.create_task_group() as tasks:
                for process in processes:
                    tasks.start_soon(process.end)

    # ---- processes ----

    def _spawn_workers(self, index: int) -> CrowdProcess:
        profile = self.profile
        kinds = {
            Temper.WILLING: profile.workers,
            Temper.SLOW: profile.slow_workers,
            Temper.SILENT: profile.silent_workers,
            Temper.DECLINING: profile.declining_workers,
        }
        self._instances += 1
        if self._instances > WORKER_PROCESSES_MAX:
            raise HarnessFailed(f"more than {WORKER_PROCESSES_MAX} processes of workers")
        setup = {
            **self._setup(index),
            "workers": {
                kind.value: share(count, index, profile.process_count)
                for kind, count in kinds.items()
            },
            "unnamed": self.server.is_stock and profile.stock_decliner and index == 0,
            "first_number": self._instances,
            "number_step": WORKER_PROCESSES_MAX,
            "tells_over": profile.shape is Shape.CLOSED,
        }
        return self._spawn("workers", setup)

    def _spawn_callers(self, index: int) -> CrowdProcess:
        return self._spawn("callers", self._setup(index))

    def _setup(self, index: int) -> dict[str, Any]:
        return {
            "profile": self.profile.as_json(),
            "run": self._run,
            "index": index,
            "caller_processes": self.profile.caller_processes,
            "url": self.credentials.url,
            "api_key": self.credentials.api_key,
            "api_secret": self.credentials.api_secret,
            "is_stock": self.server.is_stock,
            "folder": str(self._folder),
            "begin_ns": self.calling.begin_ns,
        }

    def _spawn(self, role: str, setup: dict[str, Any]) -> CrowdProcess:
        log = self._folder / f"{role}-{setup['index']}-{self._instances}.log"
        process = CrowdProcess(role, setup, log)
        self._tasks.start_soon(process.read, self._on_report)
        return process

    async def _kill(self, victim: CrowdProcess) -> None:
        at = self.workers.index(victim)
        # The measuring may be over meanwhile: without others in its place nobody would run its jobs.
        with anyio.CancelScope(shield=True):
            await victim.end("die")
            self.workers[at] = self._spawn_workers(victim.setup["index"])

    def _on_report(self, process: CrowdProcess, report: dict[str, Any]) -> None:
        self.measured.add(report)
        for name, packed in report["jobs"].items():
            what, numbers = Happening(name), unpack_numbers(packed)
            self.book.take(what, numbers)
            if what is Happening.END_TOLD and self.profile.shape is Shape.CLOSED:
                # Nobody else will tell their callers.
                for caller in self.callers:
                    caller.tell({"do": "over", "numbers": pack_numbers(numbers)})

    # ---- looking ----

    async def _look_on(self) -> None:
        while True:
            await anyio.sleep(seconds_to_turn(time.monotonic() - LOOK_AFTER_SECONDS, LOOK_SECONDS))
            self._look(int(self.second // 1))

    def _look(self, second: int) -> None:
        """Look at everything, and keep it as what this second was like, if nothing is known of it yet."""
        if self.watch is None or second in self.measured.looks:
            return
        sample = self.watch.look()
        states = [each.state for each in [*self.workers, *self.callers] if each.state]
        self.measured.looks[second] = Look(
            second=second,
            waiting=max(0, self.book.waiting),
            workers=self.connected,
            under_way=self._sum("under_way", self.callers),
            backlog=self._sum("backlog", self.callers),
            held=self.held,
            harness_cpu=max((state["cpu"] for state in states), default=0.0),
            lag_ms=max((state["lag_ms"] for state in states), default=0.0),
            machine_cpu=machine_cpu_cores(),
            server_cpu=sample.cpu_cores if sample else None,
            server_cpu_over_seconds=sample.over_seconds if sample else 0.0,
            server_rss_mib=sample.rss_mib if sample else None,
        )

    def _sum(self, name: str, processes: list[CrowdProcess]) -> int:
        return sum(int(each.state.get(name, 0)) for each in processes)

    # ---- judging ----

    def _why_broken(self, step: Step) -> str:
        """Why a step of a ramp did not hold; empty: it held."""
        seconds = seconds_of(step)
        wanted = self.measured.count(Count.DUE, seconds)
        assigned = self.measured.histogram(Metric.ASSIGN, seconds)
        errors = self.measured.count(Count.ERRORS, seconds)
        if sum(self.measured.is_saturated(each) for each in seconds) * 2 > len(seconds):
            return "the harness itself was the bottleneck"
        if errors > ERROR_SHARE_MAX * wanted:
            return f"{errors} calls failed"
        if assigned.count < (1.0 - UNASSIGNED_SHARE_MAX) * wanted:
            return f"{assigned.count} of {wanted} jobs were assigned in time"
        p99_ms = assigned.at(0.99) / 1000.0
        if p99_ms > self.profile.ramp_p99_ms_max:
            return f"p99 was {number_text(p99_ms)} ms, above {self.profile.ramp_p99_ms_max:g}"
        figures, _ = measured_figures(
            self.profile,
            self.measured,
            self.book,
            [step],
            step.until_second,
            is_stock=self.server.is_stock,
            cpu_seconds=None,
        )
        for text in self.profile.fail_if:
            limit = parse_limit(text)
            value = figures.values.get(limit.name)
            # What is counted is judged at the end, and what a ramp is for cannot break it.
            if limit.is_on_count or limit.name == "rate_held" or value is None:
                continue
            if limit.is_broken_by(value):
                return f"{limit.name} was {number_text(value)}: {limit}"
        return ""

    def _results(self) -> Results:
        seconds = max(self.calling.seconds, 0.0)
        steps = [step for step in self.calling.steps if step.broken is not None]
        figures, curves = measured_figures(
            self.profile,
            self.measured,
            self.book,
            steps,
            seconds,
            is_stock=self.server.is_stock,
            cpu_seconds=self.measured.server_cpu_seconds(seconds),
            record=self._record,
        )
        whole = range(math.ceil(seconds))
        is_saturated = is_bottleneck(
            sum(map(self.measured.is_saturated, whole)), len(whole)
        ) or any(
            step.broken is not None and step.broken.startswith("the harness") for step in steps
        )
        first = -round(self.profile.warm_up_seconds)
        last = max(self.measured.looks, default=0)
        return Results(
            profile=self.profile,
            url=self.credentials.api_url,
            server=str(self.server),
            is_stock=self.server.is_stock,
            server_process=self.watch.name if self.watch else "",
            begun_at=self._begun_at,
            seconds=seconds,
            is_interrupted=self._is_interrupted,
            figures=figures,
            judgements=limits_of(self.profile, figures),
            notes=notes_on(
                self.profile,
                self.measured,
                figures.values,
                is_saturated=is_saturated,
                is_stock=self.server.is_stock,
                record=self._record,
            ),
            is_saturated=is_saturated,
            rows=rows_of(self.measured, range(first, last + 1), seconds),
            curves=curves,
            steps=steps,
            events=self.measured.events,
            failures=dict(self.measured.failures),
            machine=machine(),
        )


def _allow_files(wanted: int) -> None:
    """Let the processes have a file for each socket; as many as one may."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = (
        wanted + FILES_SPARE if hard == resource.RLIM_INFINITY else min(wanted + FILES_SPARE, hard)
    )
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a person can do something about; the group itself where there is none."""
    for error in group.exceptions:
        found = _first_of_ours(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, CallboardError):
            return found
    return group
