"""How many jobs run when a worker's cap is N and ten times as many want to."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from bench.workers.figure import Figure, Plan, table
from bench.workers.stage import ENDED
from bench.workers.subjects import Subject, idle_processes
from protocol.errors import TwirpError

if TYPE_CHECKING:
    from bench.workers.stage import Agent, RunningWorker, Stage

OFFERS_PER_JOB = 10
# No further job has started for so long: no more will.
STILL_SECONDS = 2.0
# For the first of them.
FIRST_SECONDS_MAX = 30.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Setup:
    """A worker, and how many processes it keeps idle: None: its default."""

    subject: Subject
    keeps_cap_idle: bool = False

    @property
    def name(self) -> str:
        """What it is called in the report."""
        return self.subject.value + (", num_idle_processes=N" if self.keeps_cap_idle else "")


SETUPS = (
    Setup(Subject.TASKS),
    Setup(Subject.PROCESSES),
    Setup(Subject.STOCK_THREADS),
    Setup(Subject.STOCK),
    Setup(Subject.STOCK, keeps_cap_idle=True),
)


async def measure(stage: Stage, plan: Plan) -> Figure:
    """Each worker with each cap."""
    found = {
        setup: {cap: await _measure_one(stage, setup, cap, plan.cap_rounds) for cap in plan.caps}
        for setup in SETUPS
    }
    worst = {
        setup: {cap: max(counts) for cap, counts in by_cap.items()}
        for setup, by_cap in found.items()
    }
    plain = [setup for setup in SETUPS if not setup.keeps_cap_idle]
    return Figure(
        title=f"most jobs running where the cap is {' / '.join(map(str, plan.caps))}",
        how=(
            f"{OFFERS_PER_JOB} times as many jobs as the cap are asked for: in the first of"
            f" {plan.cap_rounds} rounds before the worker starts, in the others at once while it is idle."
            " They hold; when none has started for"
            f" {STILL_SECONDS:g} s, those that run are counted. Ours: `capacity=N`. livekit-agents has"
            " no cap of its own; as its documentation advises, load_fnc is"
            " `min(len(server.active_jobs) / N, 1.0)` and load_threshold 0.9, with"
            f" {idle_processes()} processes kept idle (its default here), and once more with N of them."
            " Callboard offers a worker that tells its capacity no more than that; one that does not gets"
            " all."
        ),
        cells={
            setup.subject: " / ".join(str(worst[setup][cap]) for cap in plan.caps)
            for setup in plain
        },
        verdict=_verdict(found),
        samples={
            setup.name: {str(cap): counts for cap, counts in by_cap.items()}
            for setup, by_cap in found.items()
        },
        details=table(
            ["jobs running at once: rounds", *(f"cap {cap}" for cap in plan.caps)],
            [
                [setup.name, *(_counted(by_cap[cap]) for cap in plan.caps)]
                for setup, by_cap in found.items()
            ],
        ),
    )


async def _measure_one(stage: Stage, setup: Setup, cap: int, rounds: int) -> list[int]:
    agent = stage.agent(setup.subject)
    settings = setup.subject.environment(
        agent.name, cap=cap, idle=cap if setup.keeps_cap_idle else None
    )
    running: list[int] = []
    started_before = 0
    wanted = cap * OFFERS_PER_JOB
    async with AsyncExitStack() as stack:
        worker: RunningWorker | None = None
        for number in range(rounds):
            release = agent.release_path(f"release-{number}")
            dispatches: list[str] = []

            async def dispatch() -> None:
                dispatches.append(await agent.dispatch(release))  # noqa: B023 - awaited in this turn

            async with anyio.create_task_group() as tasks:
                for _ in range(wanted):
                    tasks.start_soon(dispatch)
            if worker is None:
                worker = stack.enter_context(agent.worker(settings=settings))
            running.append(await _count_started(worker, started_before))
            release.touch()
            await _clear(stage, agent, dispatches)
            started_before = len(worker.started())
    return running


async def _count_started(worker: RunningWorker, before: int) -> int:
    """How many jobs have started since there were `before`, as soon as no more do."""
    count, changed_at = 0, time.monotonic()
    while time.monotonic() - changed_at < (STILL_SECONDS if count else FIRST_SECONDS_MAX):
        await anyio.sleep(POLL_SECONDS)
        now = len({started.job_id for started in worker.started()[before:]})
        if now != count:
            count, changed_at = now, time.monotonic()
    return count


async def _clear(stage: Stage, agent: Agent, dispatches: list[str]) -> None:
    """End all that was asked for, and wait until nothing of it is left."""
    jobs = {job.job.dispatch_id: job for job in await agent.jobs() if job.phase not in ENDED}
    for dispatch_id in dispatches:
        if dispatch_id in jobs:
            try:
                await stage.client.delete_dispatch(dispatch_id, jobs[dispatch_id].job.room.name)
            except TwirpError:
                continue  # it has ended meanwhile
    total = len(await agent.jobs())
    await agent.all_in(ENDED, total)


def _counted(counts: list[int]) -> str:
    return ", ".join(f"{count}: {times}" for count, times in sorted(Counter(counts).items()))


def _verdict(found: dict[Setup, dict[int, list[int]]]) -> str:
    def over(is_stock: bool, *, keeps_cap_idle: bool = False) -> str:
        rounds = [
            count > cap
            for setup, by_cap in found.items()
            if setup.subject.is_stock is is_stock and setup.keeps_cap_idle is keeps_cap_idle
            for cap, counts in by_cap.items()
            for count in counts
        ]
        return f"{sum(rounds)} of {len(rounds)} rounds"

    return (
        f"Ours ran more jobs than its cap in {over(False)}; livekit-agents' in {over(True)}, and in"
        f" {over(True, keeps_cap_idle=True)} where it keeps as many processes idle as the cap is."
    )
