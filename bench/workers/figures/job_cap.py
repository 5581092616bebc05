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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.workers.stage import Note, RunningWorker, Stage

OFFERS_PER_JOB = 10
# No further job has started for so long: no more will.
STILL_SECONDS = 2.0
# For all jobs of a round, from when they may end.
END_SECONDS_MAX = 120.0
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
            f" They hold until none has started for {STILL_SECONDS:g} s, then all may end at once, one"
            " after the other. The most that ever ran at the same time are counted, by the jobs' own word."
            " Ours: `capacity=N`. livekit-agents has no cap of its own; as its documentation advises, load_fnc is"
            " `min(len(server.active_jobs) / N, 1.0)` and load_threshold 0.9, with"
            f" {idle_processes()} processes kept idle (its default here), and once more with N of them."
            " Ours tells the server its capacity, and Callboard offers it no more; what it does with"
            " more offers than it has room for is in the tests of worker_sdk."
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
            ["most at once: rounds", *(f"cap {cap}" for cap in plan.caps)],
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
    peaks: list[int] = []
    noted_before = 0
    async with AsyncExitStack() as stack:
        worker: RunningWorker | None = None
        for number in range(rounds):
            release = agent.release_path(f"release-{number}")
            async with anyio.create_task_group() as tasks:
                for _ in range(cap * OFFERS_PER_JOB):
                    tasks.start_soon(agent.dispatch, release)
            if worker is None:
                worker = stack.enter_context(agent.worker(settings=settings))
            await _wait_still(worker, noted_before)
            release.touch()
            total = (number + 1) * cap * OFFERS_PER_JOB
            await agent.all_in(ENDED, total, seconds=END_SECONDS_MAX)
            peaks.append(most_at_once(worker.notes()[noted_before:]))
            noted_before = len(worker.notes())
    return peaks


async def _wait_still(worker: RunningWorker, noted_before: int) -> None:
    """Wait until jobs have started, and for a while no more do."""
    count, changed_at = 0, time.monotonic()
    while time.monotonic() - changed_at < (STILL_SECONDS if count else FIRST_SECONDS_MAX):
        await anyio.sleep(POLL_SECONDS)
        now = len(worker.notes()) - noted_before
        if now != count:
            count, changed_at = now, time.monotonic()


def most_at_once(notes: Sequence[Note]) -> int:
    """The most jobs that ran at one time."""
    running: set[str] = set()
    most = 0
    for note in sorted(notes, key=lambda note: note.at_seconds):
        if note.is_start:
            running.add(note.job_id)
            most = max(most, len(running))
        else:
            running.discard(note.job_id)
    return most


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
