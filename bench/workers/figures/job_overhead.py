"""What a job costs the worker's machine that does nothing: CPU of the whole tree of processes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import anyio

from bench.workers.figure import Figure, Plan, compared, table
from bench.workers.subjects import Subject, idle_processes

if TYPE_CHECKING:
    from bench.workers.stage import Agent, Stage

WARM_UP_JOBS = 5
# After the last job: what is started and ended because of it counts too.
SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Overhead:
    """What so many empty jobs cost one worker."""

    jobs: int
    cpu_seconds: float
    elapsed_seconds: float
    # Of the same worker without jobs, per second.
    idle_cpu_seconds: float

    @property
    def net_milliseconds_per_job(self) -> float:
        """CPU for one job, without what the worker costs when it is idle."""
        net = self.cpu_seconds - self.idle_cpu_seconds * self.elapsed_seconds
        return 1e3 * net / self.jobs


async def measure(stage: Stage, plan: Plan) -> Figure:
    """Give each so many jobs, as many at once as it keeps processes."""
    found = {subject: await _measure_one(stage.agent(subject), plan) for subject in Subject}
    numbers = {subject: each.net_milliseconds_per_job for subject, each in found.items()}
    return Figure(
        title="CPU for one empty job (ms)",
        how=(
            f"{plan.overhead_jobs} jobs that end at once, {idle_processes()} at a time, each a new"
            " process where jobs run in processes (the default of both), after"
            f" {WARM_UP_JOBS} others. CPU of the whole tree of processes with all that ended meanwhile, net"
            " of what the worker costs without jobs. A constant load for all, so that none refuses jobs"
            " because this machine, which is the server's too, is busy."
        ),
        cells={subject: f"{number:,.1f}" for subject, number in numbers.items()},
        verdict=compared("needs", numbers),
        samples={subject.name: asdict(each) for subject, each in found.items()},
        details=table(
            ["", *(subject.value for subject in Subject)],
            [
                [
                    "CPU without jobs (% of a core)",
                    *(f"{100 * found[subject].idle_cpu_seconds:.1f}" for subject in Subject),
                ],
                [
                    f"seconds for {plan.overhead_jobs} jobs",
                    *(f"{found[subject].elapsed_seconds:.1f}" for subject in Subject),
                ],
            ],
        ),
        bars=numbers,
        bars_unit="ms",
    )


async def _measure_one(agent: Agent, plan: Plan) -> Overhead:
    settings = agent.subject.environment(agent.name, load=0.0)
    with agent.worker(settings=settings) as worker:
        await agent.registered()
        for _ in range(WARM_UP_JOBS):
            await agent.ended(await agent.dispatch())
        await anyio.sleep(SETTLE_SECONDS)
        before, began_at = worker.tree.cpu_seconds(), time.monotonic()
        await anyio.sleep(plan.overhead_idle_seconds)
        idle = (worker.tree.cpu_seconds() - before) / (time.monotonic() - began_at)
        lanes = idle_processes()
        before, began_at = worker.tree.cpu_seconds(), time.monotonic()
        async with anyio.create_task_group() as tasks:
            for _ in range(lanes):
                tasks.start_soon(_run_jobs, agent, plan.overhead_jobs // lanes)
        await anyio.sleep(SETTLE_SECONDS)
        return Overhead(
            jobs=plan.overhead_jobs // lanes * lanes,
            cpu_seconds=worker.tree.cpu_seconds() - before,
            elapsed_seconds=time.monotonic() - began_at,
            idle_cpu_seconds=idle,
        )


async def _run_jobs(agent: Agent, count: int) -> None:
    for _ in range(count):
        await agent.ended(await agent.dispatch())
