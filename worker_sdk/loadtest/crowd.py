"""A process of the load test: many workers, or many callers, on one event loop.

    python -P -m worker_sdk.loadtest.crowd DESCRIPTOR

It obeys what comes over the socket with this descriptor (`channel` has the messages), reports twice a
second, and ends when the socket ends. A process that is to be killed kills itself with SIGKILL, in the
same turn of the loop in which it wrote its last report: for the server that is a process that vanished,
and nothing happened between the report and the end.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import signal
import socket
import sys
import time
from array import array
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from worker_sdk.credentials import Credentials
from worker_sdk.executors.parent_watch import watch_parent
from worker_sdk.loadtest.callers import Callers, Segment
from worker_sdk.loadtest.channel import (
    FrameReader,
    encode_message,
    read_message,
    unpack_numbers,
)
from worker_sdk.loadtest.precise_timer import PreciseTimer
from worker_sdk.loadtest.profile_files import profile_from_json
from worker_sdk.loadtest.simulated_worker import Crew, SimulatedWorker, Temper
from worker_sdk.loadtest.tally import Metric, Tally
from worker_sdk.loadtest.target import Target
from worker_sdk.loadtest.turns import seconds_to_turn

__all__ = ["main", "socket_path"]

REPORT_SECONDS = 0.5
STATUS_INTERVAL_SECONDS = 2.5
STATUS_TICK_SECONDS = 0.05
READY_POLL_SECONDS = 0.02
# How often the loop is asked whether it is on time.
LAG_TICK_NS = 20_000_000
_READ_BYTES = 256 * 1024
# Systems have bounds on a datagram; the lowest known is 2 KiB.
_DATAGRAM_NUMBERS_MAX = 500
# From the word to end to the end.
LEAVE_SECONDS = 0.2


def socket_path(folder: Path, index: int) -> Path:
    """Where process `index` of callers hears which of its jobs are over."""
    return folder / f"callers-{index}"


class _Process:
    """What both kinds do: obey, report, watch themselves."""

    lag_metric: Metric

    def __init__(self, connection: socket.socket, setup: dict[str, Any]) -> None:
        self._connection = connection
        self.setup = setup
        self.profile = profile_from_json(setup["profile"])
        self.target = Target(Credentials(setup["url"], setup["api_key"], setup["api_secret"]))
        self.tally = Tally()
        self.tally.begin_ns = setup["begin_ns"]
        self.folder = Path(setup["folder"])
        self._reader = FrameReader()
        self._cpu_seconds = time.process_time()
        self._reported_at = time.monotonic()
        # How late the loop was at most, and when it is asked again.
        self._lag_ns = 0
        self._tick_ns = time.monotonic_ns()
        self._ended = asyncio.get_running_loop().create_future()

    async def serve(self) -> None:
        """Obey until the end."""
        loop = asyncio.get_running_loop()
        self._connection.setblocking(False)
        loop.add_reader(self._connection.fileno(), self._readable)
        # Its time comes to the loop as what a socket brings does, so it is late by as much.
        self._ticking = PreciseTimer(loop, self._on_tick)
        self._ticking.arm(self._tick_ns)
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(self._report_on()), *self.start(tasks)]
            await self._ended
            for task in started:
                task.cancel()

    def start(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin with what this kind does."""
        raise NotImplementedError

    def obey(self, message: dict[str, Any]) -> None:
        """Do what a message says that is for this kind."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What a report says of now."""
        raise NotImplementedError

    def last_words(self, *, is_killed: bool) -> None:
        """Tally what is left."""

    def say(self, message: dict[str, Any]) -> None:
        """Write a message, whole: the command reads all the time."""
        self._connection.setblocking(True)
        try:
            self._connection.sendall(encode_message(message))
        except OSError:
            os._exit(1)
        self._connection.setblocking(False)

    def _readable(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # Nobody is left to be told anything, or to clean up.
            shutil.rmtree(self.folder, ignore_errors=True)
            os._exit(0)
        for body in self._reader.feed(data):
            message = read_message(body)
            match message["do"]:
                case "begin":
                    self.tally.begin_ns = message["begin_ns"]
                case "die":
                    self.last_words(is_killed=True)
                    self.say(self._report("last"))
                    os.kill(os.getpid(), signal.SIGKILL)
                case "end":
                    self.last_words(is_killed=False)
                    self.say(self._report("last"))
                    asyncio.get_running_loop().call_later(LEAVE_SECONDS, os._exit, 0)
                case _:
                    self.obey(message)

    def _report(self, word: str = "report") -> dict[str, Any]:
        now, cpu_seconds = time.monotonic(), time.process_time()
        passed = max(now - self._reported_at, 1e-6)
        report = {
            "do": word,
            "at_ns": time.monotonic_ns(),
            "cpu": (cpu_seconds - self._cpu_seconds) / passed,
            "lag_ms": self._lag_ns / 1e6,
            **self.state(),
            **self.tally.take(),
        }
        self._reported_at, self._cpu_seconds = now, cpu_seconds
        self._lag_ns = 0
        return report

    async def _report_on(self) -> None:
        while True:
            await asyncio.sleep(seconds_to_turn(time.monotonic(), REPORT_SECONDS))
            self.say(self._report())

    def _on_tick(self) -> None:
        now_ns = time.monotonic_ns()
        self._lag_ns = max(self._lag_ns, now_ns - self._tick_ns)
        # A long stand is every tick that came in it, as it would have been every job.
        while self._tick_ns <= now_ns:
            self.tally.time(self.lag_metric, self._tick_ns, now_ns - self._tick_ns)
            self._tick_ns += LAG_TICK_NS
        self._ticking.arm(self._tick_ns)


class _WorkerProcess(_Process):
    """Workers."""

    lag_metric = Metric.WORKER_LAG

    def start(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        self._tasks = tasks
        self._numbers = itertools.count(self.setup["first_number"], self.setup["number_step"])
        # By process of callers: jobs that ended since the last turn.
        self._over: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))
        self._is_telling = False
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.setblocking(False)
        self._rng = random.Random(f"{self.profile.seed} workers {self.setup['first_number']}")
        self._crew = Crew(
            target=self.target,
            profile=self.profile,
            run=self.setup["run"],
            is_stock=self.setup["is_stock"],
            tally=self.tally,
            rng=self._rng,
            on_over=self._is_over if self.setup["tells_over"] else lambda _: None,
        )
        self._workers: deque[SimulatedWorker] = deque()
        self._living: dict[SimulatedWorker, asyncio.Task[None]] = {}
        for temper, count in self.setup["workers"].items():
            for _ in range(count):
                self._add(Temper(temper))
        if self.setup["unnamed"]:
            self._add(Temper.DECLINING, agent_name="")
        return [
            tasks.create_task(self._report_statuses()),
            tasks.create_task(self._say_when_ready()),
        ]

    def obey(self, message: dict[str, Any]) -> None:
        match message["do"]:
            case "churn":
                for _ in range(message["workers"]):
                    self._replace_one()
            case "cut":
                loop = asyncio.get_running_loop()
                delay_seconds = (message["at_ns"] - time.monotonic_ns()) / 1e9
                loop.call_later(max(0.0, delay_seconds), self._cut_all)
            case other:
                raise ValueError(f"unknown word {other!r}")

    def state(self) -> dict[str, Any]:
        return {
            "connected": sum(worker.is_connected for worker in self._workers),
            "workers": len(self._workers),
            "held": sum(worker.held_count for worker in self._living),
        }

    def last_words(self, *, is_killed: bool) -> None:
        for worker in self._living:
            worker.tell_what_is_left(is_killed=is_killed)

    def _add(self, temper: Temper, agent_name: str | None = None) -> None:
        name = self.profile.agent_name if agent_name is None else agent_name
        worker = SimulatedWorker(self._crew, next(self._numbers), temper, name)
        self._workers.append(worker)
        task = self._tasks.create_task(worker.stay_connected())
        self._living[worker] = task
        task.add_done_callback(lambda _: self._living.pop(worker, None))

    def _replace_one(self) -> None:
        willing = [worker for worker in self._workers if worker.temper is Temper.WILLING]
        if not willing:
            return
        leaving = self._rng.choice(willing)
        self._workers.remove(leaving)
        self._tasks.create_task(leaving.leave())
        self._add(Temper.WILLING)
        self.tally.sums["churned"] += 1

    def _cut_all(self) -> None:
        for worker in self._workers:
            worker.cut()

    async def _say_when_ready(self) -> None:
        # thousands of workers, one look
        while not all(worker.is_connected for worker in self._workers):  # noqa: ASYNC110
            await asyncio.sleep(READY_POLL_SECONDS)
        self.say({"do": "ready"})

    async def _report_statuses(self) -> None:
        """Every worker reports once in each interval, spread evenly over it."""
        owed = 0.0
        next_at = time.monotonic()
        while True:
            next_at += STATUS_TICK_SECONDS
            owed += len(self._workers) * STATUS_TICK_SECONDS / STATUS_INTERVAL_SECONDS
            while owed >= 1.0 and self._workers:
                owed -= 1.0
                if self._workers[0].is_connected:
                    self._workers[0].report_status()
                self._workers.rotate(-1)
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    def _is_over(self, number: int) -> None:
        self._over[number % self.setup["caller_processes"]].append(number)
        if not self._is_telling:
            self._is_telling = True
            asyncio.get_running_loop().call_soon(self._tell_over)

    def _tell_over(self) -> None:
        """Tell the callers' processes which jobs are over; what they cannot take now waits."""
        self._is_telling = False
        for index, numbers in list(self._over.items()):
            try:
                piece = numbers[:_DATAGRAM_NUMBERS_MAX].tobytes()
                self._told.sendto(piece, str(socket_path(self.folder, index)))
                del numbers[:_DATAGRAM_NUMBERS_MAX]
            except OSError:
                pass
            if not numbers:
                del self._over[index]
        if self._over:
            self._is_telling = True
            asyncio.get_running_loop().call_later(0.001, self._tell_over)


class _CallerProcess(_Process):
    """Callers."""

    lag_metric = Metric.CALLER_LAG

    def start(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        self._is_stopped = False
        self._callers = Callers(
            tasks,
            self.target,
            self.profile,
            self.setup["run"],
            self.setup["index"],
            self.setup["caller_processes"],
            self.tally,
        )
        self._heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._heard.setblocking(False)
        self._heard.bind(str(socket_path(self.folder, self.setup["index"])))
        asyncio.get_running_loop().add_reader(self._heard.fileno(), self._hear_over)
        self.say({"do": "ready"})
        return []

    def obey(self, message: dict[str, Any]) -> None:
        match message["do"]:
            case "calls":
                self._callers.add_segments(Segment(*each) for each in message["segments"])
            case "burst":
                self._callers.add_burst(message["at_ns"], message["calls"])
            case "loops":
                delay_seconds = max(0.0, (message["from_ns"] - time.monotonic_ns()) / 1e9)
                asyncio.get_running_loop().call_later(
                    delay_seconds,
                    self._callers.begin_loops,
                    message["until_ns"],
                    message["callers"],
                )
            case "over":
                for number in unpack_numbers(message["numbers"]):
                    self._callers.over(number)
            case "stop":
                self._callers.stop()
                self._is_stopped = True
                self.say(self._report())
            case other:
                raise ValueError(f"unknown word {other!r}")

    def state(self) -> dict[str, Any]:
        return {
            "under_way": self._callers.under_way,
            "backlog": self._callers.backlog,
            "is_stopped": self._is_stopped,
        }

    def _hear_over(self) -> None:
        try:
            data = self._heard.recv(4 * _DATAGRAM_NUMBERS_MAX)
        except BlockingIOError:
            return
        numbers = array("I")
        numbers.frombytes(data)
        for number in numbers:
            self._callers.over(number)


def main() -> None:
    """Be a process of the load test."""
    descriptor = int(sys.argv[1])
    watch_parent(descriptor)
    # Who interrupts the command interrupts its processes by it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=descriptor)
    reader = FrameReader()
    bodies: list[bytes] = []
    while not bodies:
        data = connection.recv(_READ_BYTES)
        if not data:
            return
        bodies = reader.feed(data)
    setup = read_message(bodies[0])

    async def serve() -> None:
        kind = _WorkerProcess if setup["role"] == "workers" else _CallerProcess
        await kind(connection, setup).serve()

    if sys.platform == "win32":
        asyncio.run(serve())
    else:
        import uvloop

        uvloop.run(serve())


if __name__ == "__main__":
    main()
