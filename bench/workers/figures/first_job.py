"""How long a job waits for a worker that is started for it."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.workers.figure import Figure, Plan, compared, span
from bench.workers.subjects import Subject, idle_processes

if TYPE_CHECKING:
    from bench.workers.stage import Stage


async def measure(stage: Stage, plan: Plan) -> Figure:
    """Start each so many times for one job that waits already, in turns."""
    found: dict[Subject, list[float]] = {subject: [] for subject in Subject}
    for _ in range(plan.first_job_rounds):
        for subject, seconds in found.items():
            agent = stage.agent(subject)
            dispatch_id = await agent.dispatch()
            settings = subject.environment(agent.name, load=0.0)
            with agent.worker(settings=settings) as worker:
                await agent.ended(dispatch_id)
                seconds.append(worker.started()[0].at_seconds - worker.began_at)
    medians = {subject: statistics.median(seconds) for subject, seconds in found.items()}
    return Figure(
        title="from the start of a worker to its first job (s)",
        how=(
            "A job waits; the worker's process is started; the job's function is called. The files are"
            f" in the page cache and compiled. {plan.first_job_rounds} starts each, in turns; ours in"
            f" processes warms {idle_processes()} of them meanwhile, livekit-agents' connects when its own"
            " are warm."
        ),
        cells={subject: span(seconds, 2) for subject, seconds in found.items()},
        verdict=compared("takes", medians),
        samples={subject.name: seconds for subject, seconds in found.items()},
        bars=medians,
        bars_unit="s",
    )
