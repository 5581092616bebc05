"""One run: processes, network, load and faults together, then quiet, then the judges."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from protocol import api_pb2
from tests.faults.callers import Calls, call_all, clients_to
from tests.faults.fleet import KEY, SECRET, Fleet, fleet_of, record_files
from tests.faults.inflicting import Inflicted, inflict_all
from tests.faults.jobs import wishes
from tests.faults.judging import Judgement, judge_run
from tests.faults.network import Line, lines_to
from tests.faults.plan import CALLERS, Plan, worker_names
from tests.faults.tally import Tally
from worker_sdk import DispatchClient

__all__ = ["Outcome", "Scene", "run"]

LIVE_PHASES = (
    api_pb2.DELAYED,
    api_pb2.QUEUED,
    api_pb2.OFFERED,
    api_pb2.ASSIGNED,
    api_pb2.RUNNING,
    api_pb2.ORPHANED,
)
READY_SECONDS_MAX = 60.0
# How long the last jobs may take after the last fault: a hung stock worker's 20 s + 20 s of grace,
# a silent one's rest, and a retry's pause; and the workers of the last job that kills them.
SETTLE_SECONDS_MAX = 240.0
# Of all dispatches, those for each stock worker: they are slow to start jobs.
STOCK_SHARE = 0.01
SHOW_INTERVAL_SECONDS = 0.5


@dataclass
class Scene:
    """All that is to be seen of a run while it lasts."""

    plan: Plan
    fleet: Fleet
    calls: Calls
    inflicted: Inflicted = field(default_factory=Inflicted)
    tally: Tally = field(default_factory=Tally)
    begun_at: float = field(default_factory=time.monotonic)
    act: str = "starting"

    @property
    def elapsed_seconds(self) -> float:
        """Since the load began."""
        return time.monotonic() - self.begun_at

    def read_records(self) -> None:
        """Take in what workers have written down since."""
        self.tally.read(record_files(self.fleet.folder))

    @property
    def running(self) -> int:
        """Jobs that run now, by the records of the workers that live."""
        return self.tally.running(self.fleet.live_records())


@dataclass(frozen=True)
class Outcome:
    """What was found, and what happened on the way."""

    judgement: Judgement
    inflicted: Inflicted
    calls: Calls
    unfinished: int

    @property
    def is_good(self) -> bool:
        """Is nothing wrong, and has every job ended?"""
        return self.judgement.is_good and not self.unfinished


async def run(
    plan: Plan,
    folder: Path,
    *,
    show: Callable[[Scene], None] = lambda _scene: None,
    dispatches: int | None = None,
) -> Outcome:
    """Run a plan in a folder, and judge. No process of it is left; the folder is the caller's.

    Callers make so many `dispatches`, or call for as long as the plan says.
    """
    names = worker_names(plan.workers, plan.stock_workers, has_late=plan.has_late_workers)
    with (
        fleet_of(folder, settings=plan.settings) as fleet,
        (folder / "acknowledged.jsonl").open("w") as log,
    ):
        scene = Scene(plan, fleet, Calls(log))
        async with lines_to(fleet.port, [*names, CALLERS]) as lines:
            fleet.urls = {name: lines[name].url for name in names}
            for name in names:
                fleet.start_worker(name)
            async with DispatchClient(fleet.url, KEY, SECRET, retry_seconds_max=60.0) as observer:
                await _until_ready(observer, len(names))
                async with anyio.create_task_group() as watchers:
                    watchers.start_soon(fleet.keep_running)
                    watchers.start_soon(_show, scene, show)
                    await _load_and_faults(scene, lines[CALLERS].url, lines, dispatches)
                    scene.act = "settling"
                    unfinished = await _settle(observer)
                    watchers.cancel_scope.cancel()
        await anyio.to_thread.run_sync(fleet.end)
        scene.read_records()
        scene.act = "judging"
        show(scene)
        judgement = await anyio.to_thread.run_sync(
            judge_run, plan, scene.fleet, scene.calls, scene.tally
        )
        return Outcome(judgement, scene.inflicted, scene.calls, unfinished)


async def _load_and_faults(
    scene: Scene, url: str, lines: dict[str, Line], dispatches: int | None
) -> None:
    plan = scene.plan
    scene.act, scene.begun_at = "running", time.monotonic()

    def is_over(number: int) -> bool:
        if dispatches is not None:
            return number >= dispatches
        return scene.elapsed_seconds >= plan.load_seconds

    clients = clients_to(url)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inflict_all, plan, scene.fleet, lines, scene.inflicted)
            await call_all(
                clients,
                scene.calls,
                wishes(
                    random.Random(plan.seed + 1),
                    plan.mix,
                    stock_share=STOCK_SHARE * plan.stock_workers,
                    is_hasty=plan.is_hasty,
                ),
                rate_per_second=plan.rate_per_second,
                is_over=is_over,
                killers=plan.killers,
            )
    finally:
        with anyio.CancelScope(shield=True):
            for client in clients:
                await client.close()


async def _until_ready(client: DispatchClient, workers: int) -> None:
    """Return when the server answers and all workers are there."""
    with anyio.fail_after(READY_SECONDS_MAX):
        while len((await client.list_workers(page_size=1000)).workers) < workers:  # noqa: ASYNC110 - another process says it
            await anyio.sleep(0.1)


async def _settle(client: DispatchClient) -> int:
    """Wait until no job is live; return how many still are when the time is up."""
    count = 1
    with anyio.move_on_after(SETTLE_SECONDS_MAX):
        while count:
            count = len((await client.list_jobs(phases=LIVE_PHASES, page_size=1000)).jobs)
            await anyio.sleep(0.25)
    return count


async def _show(scene: Scene, show: Callable[[Scene], None]) -> None:
    while True:
        scene.read_records()
        show(scene)
        await anyio.sleep(SHOW_INTERVAL_SECONDS)
